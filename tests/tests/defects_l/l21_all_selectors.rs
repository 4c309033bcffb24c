//! L21 (envoy #35935): with as many workers as requests, each counting for itself, the less busy of two was
//! anyone. Here leases are counted for all selectors.

use trilane::route::{
    Balancer, Endpoint, LeastConnections, LeastLatency, Options, PowerOfTwo, Request, Selector, Strategy,
};
use trilane::time::{Duration, Instant};
use trilane_tests::leak;

const WORKERS: usize = 16;

/// How many requests 16 workers have served after 10 s, each with a selector of its own and one request at a
/// time, of four endpoints, of which one takes 100 ms and the others 5.
fn served<S: Strategy<1, 4, WORKERS> + 'static>(strategy: S) -> u32 {
    let balancer: &'static Balancer<S, 1, 4, WORKERS> = leak(Balancer::new(strategy, Options::new()));
    let ids: Vec<_> = (0..4).map(|id| balancer.add(&Endpoint::new(id), Instant::ZERO).unwrap()).collect();
    let mut selectors: Vec<Selector<_, _, 1, 4, WORKERS, 1>> =
        (0..WORKERS as u64).map(|seed| Selector::new(balancer, seed).unwrap()).collect();
    let mut out: Vec<Option<(Instant, Duration, _)>> = (0..WORKERS).map(|_| None).collect();
    let mut served = 0;
    for ms in 0..10_000 {
        let now = Instant::from_millis(ms);
        for (selector, place) in selectors.iter_mut().zip(&mut out) {
            if let Some((_, took, lease)) = place.take_if(|(until, ..)| *until <= now) {
                trilane::route::Lease::succeed(lease, took, now);
                served += 1;
            }
            if place.is_none() {
                let lease = selector.select(&Request::ANY, now).unwrap();
                let took = Duration::from_millis(if lease.endpoint() == ids[0] { 100 } else { 5 });
                *place = Some((now + took, took, lease));
            }
        }
    }
    served
}

#[test]
fn l21_workers_with_one_request_each_go_where_there_is_room() {
    // Were it known who is slow: three with five requests each at a time, and one with one.
    let ideal = 10_000 / 5 * 15 + 100;
    for (name, served) in [
        ("power of two", served(PowerOfTwo::new())),
        ("least connections", served(LeastConnections::new())),
        ("least latency", served(LeastLatency::new())),
    ] {
        assert!(served > ideal * 3 / 4, "{name}: {served} of {ideal}");
    }
    // By chance, four of them hang at the slow one at any time, and soon nearly all.
    assert!(served(trilane::route::UniformRandom) < ideal / 4);
}
