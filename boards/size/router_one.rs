//! A firmware with a router of one strategy.

#![no_std]
#![no_main]

use trilane::route::{Balancer, Options, RoundRobin};

mod frame;
mod router;

static FLEET: Balancer<RoundRobin, 1, 16> = Balancer::new(RoundRobin, Options::new());

board::entry!(main);

fn main() -> ! {
    let served = router::serve(&FLEET).is_some();
    frame::print(if served { c"done\n" } else { c"failed\n" });
    board::exit(!served as u8)
}
