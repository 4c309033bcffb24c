//! QEMU's RISC-V machine `virt` with harts of 32 bits (RV32IMAC), all in machine mode.
//!
//! | device | used for |
//! | --- | --- |
//! | CLINT, `mtime` at 10 MHz | the clock, of both harts |
//! | CLINT, `mtimecmp` of each hart | the alarms of its executors |
//! | CLINT, `msip` of each hart | a wake from the other hart; on hart 0 the executor of [`Preemptive`] as well |
//! | the supervisor's software and timer interrupts of each hart | [`irq`] |
//! | `minstret` | [`counter`] |
//! | semihosting | the console and the exit status |
//!
//! With `-icount shift=0` each instruction takes a nanosecond of the machine's time, on every run alike:
//! [`counter`] counts instructions exactly, and with `sleep=off` time spent idle costs the host nothing.
//!
//! # One hart or two
//!
//! An image is the same for both: hart 1, if QEMU has it (`-smp 2`), is parked until [`start_second_core`].
//!
//! With `-icount` QEMU runs the two by turns and counts their instructions together. QEMU 7.2 ends a turn at
//! the next alarm or when the hart sleeps, and then the same hart may be next: a hart that spins until the
//! other one has done something may spin for ever. Sleep instead, as executors do, or [`relax`] in the loop;
//! [`spin`], [`start_second_core`] and the critical section do.

#![no_std]

use trilane_riscv::{InterruptMode, ThreadMode};

mod crash;
mod harts;
mod interrupts;
pub mod irq;
mod lock;
#[cfg(trilane_masked)]
pub mod masked;
pub mod time;

pub use harts::start_second_core;
pub use trilane_chip::semihost::{exit, print, println};
pub use trilane_chip::{run, start};

use harts::{Hart0, Hart1};

/// The board's name, which is that of its folder.
pub const NAME: &str = "riscv-virt";

/// The RAM in KiB, by which bench images choose how many tasks they measure.
pub const RAM_KIB: usize = 4_096;

/// The platform of the executor in thread mode on hart 0.
pub type Board = ThreadMode<Hart0>;

/// The platform of the executor that pre-empts it.
pub type Preemptive = InterruptMode<Hart0>;

/// The platform of the executor in thread mode on hart 1.
pub type SecondCore = ThreadMode<Hart1>;

/// Keeps the hart that calls it busy for `micros`, as work of that length would; interrupts come meanwhile.
pub fn spin(micros: u32) {
    <time::Timers as time::Clock>::spin(micros);
}

/// Passes a moment of a loop that waits for the other hart, and gives that one its turn in QEMU.
pub fn relax() {
    <time::Timers as time::Clock>::relax();
}

/// Counts instructions.
pub mod counter {
    /// Nothing to do: the counter always runs.
    pub fn start() {}

    /// The count: one instruction.
    #[inline(always)]
    pub fn read() -> u32 {
        riscv::register::minstret::read() as u32
    }

    /// The instructions executed between two readings, exact up to 2^32. The second reading's own counts.
    #[inline]
    pub const fn instructions(from: u32, to: u32) -> u32 {
        to.wrapping_sub(from)
    }
}

/// Makes a function `fn() -> !` the program's entry, on hart 0.
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        #[$crate::__rt::entry]
        fn __board_entry(hart: usize, _: usize, _: usize) -> ! {
            $crate::__enter(hart, $main)
        }
    };
}

#[doc(hidden)]
pub use riscv_rt as __rt;

#[doc(hidden)]
pub use harts::enter as __enter;
