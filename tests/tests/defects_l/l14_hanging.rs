//! L14 (envoy #20907, haproxy #1570): who had been the fastest, and answers no more, got everything:
//! latencies come with answers. Here the leases that an endpoint has out count with whatever else does.

use trilane::route::{Endpoint, LeastLatency, LeastLoad, Metrics, Options, Request, Strategy};
use trilane::time::{Duration, Instant};
use trilane_tests::routing::Routes;

const NOW: Instant = Instant::from_secs(1);

/// How many of 1,000 go to the first, whose leases never end.
fn hanging<S: Strategy<1, 16, 4> + 'static>(mut routes: Routes<S>) -> usize {
    for at in 0..4 {
        let latency = Duration::from_millis(10 + at as u64);
        routes.lease_of(at, NOW).succeed(latency, NOW);
        let metrics = Metrics::new(100 + 10 * at as u16, 0, 0, 0, 0).unwrap();
        routes.balancer.report(routes.ids[at], metrics, NOW).unwrap();
    }
    let mut held = Vec::new();
    for _ in 0..1_000 {
        let (at, lease) = routes.select(&Request::ANY, NOW).unwrap();
        if at == 0 {
            held.push(lease);
        } else {
            lease.succeed(Duration::from_millis(10 + at as u64), NOW);
        }
    }
    held.len()
}

#[test]
fn l14_the_fastest_one_that_hangs_gets_no_more_than_others() {
    let endpoints = || (0..4).map(Endpoint::new);
    let options = Options::new();
    let hung = hanging(Routes::new(LeastLatency::new(), options, endpoints()));
    assert!(hung < 500, "{hung}");
    let hung = hanging(Routes::new(LeastLoad::new(), options, endpoints()));
    assert!(hung < 500, "{hung}");
}
