//! A firmware with a router of one strategy.

#![no_std]
#![no_main]

use trilane::route::RoundRobin;

mod frame;
mod router;

static FLEET: router::Fleet<RoundRobin, 1, 16> = router::Fleet::new(RoundRobin, trilane::route::Options::new());

board::entry!(main);

fn main() -> ! {
    let served = router::serve(&FLEET);
    frame::print(if served { c"done\n" } else { c"failed\n" });
    board::exit(!served as u8)
}
