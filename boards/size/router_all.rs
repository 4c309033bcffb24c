//! A firmware with a router of all strategies, one of which is chosen when it runs.

#![no_std]
#![no_main]

use trilane::route::{AnyStrategy, ConsistentHash, Kind, Maglev};

mod frame;
mod router;

type Any = AnyStrategy<Maglev<127, 16>>;

static FLEET: router::Fleet<Any, 1, 16> =
    router::Fleet::new(Any::new(Kind::RoundRobin, ConsistentHash::new(Maglev::new())), trilane::route::Options::new());

board::entry!(main);

fn main() -> ! {
    let mut served = true;
    for kind in Kind::ALL {
        FLEET.set_kind(kind, trilane::time::Instant::ZERO);
        served &= router::serve(&FLEET);
        for id in FLEET.members() {
            let _ = FLEET.remove(id, trilane::time::Instant::ZERO);
        }
    }
    frame::print(if served { c"done\n" } else { c"failed\n" });
    board::exit(!served as u8)
}
