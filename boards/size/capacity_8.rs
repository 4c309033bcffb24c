//! A firmware with room for 8 tasks; see `capacity.rs`.

#![no_std]
#![no_main]

mod capacity;
mod frame;

const BANKS: usize = 8;
const PER_BANK: usize = 1;

board::entry!(capacity::run);
