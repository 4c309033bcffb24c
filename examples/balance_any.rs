//! `balance` with all ten strategies at hand, one of which is chosen while it runs. Beside it in the table
//! of sizes, this says what the other ten cost in flash.

#![cfg_attr(target_os = "none", no_std, no_main)]

use board::println;
use trilane::route::{
    AnyStrategy, Balancer, ConsistentHash, Endpoint, Kind, Maglev, Options, Request, RoutingKey,
};
use trilane::time::{Duration, Instant};

// Three failures in a row, and an endpoint gets nothing for half a second; then one request tries it.
const OPTIONS: Options = Options::new().failures(3).open_for(Duration::from_millis(500));

type Strategy = AnyStrategy<Maglev<251, 4>>;

static SENSORS: Balancer<Strategy, 1, 4> =
    Balancer::new(Strategy::new(Kind::RoundRobin, ConsistentHash::new(Maglev::new())), Options::new());

board::entry!(main);

fn main() -> ! {
    SENSORS.configure(OPTIONS).expect("options that fit together");
    // The router reads no clock: whoever calls it says what time it is.
    let mut now = Instant::from_secs(1);
    for address in 0x48..0x4c {
        SENSORS.add(&Endpoint::new(address), now).expect("room for four");
    }
    let broken = SENSORS.find(0x4a).expect("it was added");
    let mut selector = SENSORS.selector::<1>(0x5eed).expect("nobody else has one");
    for kind in Kind::ALL {
        SENSORS.set_kind(kind, now);
        SENSORS.finish_build();
        let (mut answered, mut failed) = ([0; 4], 0);
        for request in 0..20 {
            now += Duration::from_millis(100);
            let request = Request::ANY.key(RoutingKey::from_id(request));
            let lease = selector.select(&request, now).expect("three of them answer");
            let endpoint = lease.endpoint();
            if endpoint == broken {
                failed += 1;
                lease.fail(Duration::ZERO, now);
            } else {
                answered[usize::from(endpoint.slot()) % 4] += 1;
                lease.succeed(Duration::from_millis(3), now);
            }
        }
        println!("{kind}: {answered:?} answered, {failed} failed");
    }
    board::exit(0)
}
