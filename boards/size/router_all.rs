//! A firmware with a router of all strategies, one of which is chosen when it runs.

#![no_std]
#![no_main]

use trilane::route::{AnyStrategy, Balancer, ConsistentHash, Kind, Maglev, Options};
use trilane::time::Instant;

mod frame;
mod router;

type Any = AnyStrategy<Maglev<127, 16>>;

static FLEET: Balancer<Any, 1, 16> =
    Balancer::new(Any::new(Kind::RoundRobin, ConsistentHash::new(Maglev::new())), Options::new());

board::entry!(main);

fn main() -> ! {
    let mut served = true;
    for kind in Kind::ALL {
        FLEET.set_kind(kind, Instant::ZERO);
        served &= router::serve(&FLEET).is_some();
        for id in FLEET.members() {
            let _ = FLEET.remove(id, Instant::ZERO);
        }
    }
    frame::print(if served { c"done\n" } else { c"failed\n" });
    board::exit(!served as u8)
}
