//! The smallest router: requests in turn to four endpoints, one of which stops answering.

#![cfg_attr(target_os = "none", no_std, no_main)]

use board::println;
use trilane::route::{Balancer, Endpoint, Options, Request, RoundRobin};
use trilane::time::{Duration, Instant};

// Three failures in a row, and an endpoint gets nothing for half a second; then one request tries it.
const OPTIONS: Options = Options::new().failures(3).open_for(Duration::from_millis(500));

static SENSORS: Balancer<RoundRobin, 1, 4> = Balancer::new(RoundRobin, Options::new());

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
    for request in 0..20 {
        now += Duration::from_millis(100);
        let lease = selector.select(&Request::ANY, now).expect("three of them answer");
        let endpoint = lease.endpoint();
        let answers = endpoint != broken || request > 12;
        println!("{request:>2}: endpoint {} {}", endpoint.slot(), if answers { "answers" } else { "fails" });
        if answers { lease.succeed(Duration::from_millis(3), now) } else { lease.fail(Duration::ZERO, now) }
    }
    board::exit(0)
}
