//! L7 (tower #134): an endpoint that nothing is known of yet was never chosen, and so nothing ever was. Here
//! a new endpoint gets traffic, with every strategy.

use trilane::route::{
    ConsistentHash, Endpoint, LeastLatency, LeastLoad, Maglev, Metrics, Options, Request, RoutingKey,
    Strategy,
};
use trilane::time::{Duration, Instant};
use trilane_tests::for_each_strategy;
use trilane_tests::routing::Routes;

const OLD: u64 = 4;
const NEW: usize = OLD as usize;

fn ms(span: u64) -> Duration {
    Duration::from_millis(span)
}

/// After how many selects the new endpoint has its first; `None`: not in 1,000.
fn waits(mut select: impl FnMut(u64) -> usize) -> Option<u64> {
    (0..1_000).find(|&number| select(number) == NEW)
}

#[test]
fn l7_the_check_catches_the_unmeasured_as_the_slowest() {
    let mut latency = [Some(5), Some(6), Some(5), Some(7), None];
    let naive = waits(|_| {
        let at = (0..5).min_by_key(|&at| latency[at].unwrap_or(u32::MAX)).unwrap();
        latency[at] = Some(latency[at].map_or(5, |average| (average * 3 + 5) / 4));
        at
    });
    assert_eq!(naive, None);
}

/// Four that have served for a while, and reported, and then a fifth.
fn grown<S: Strategy<1, 16, 4> + 'static>(strategy: S) -> Routes<S> {
    let mut routes = Routes::equal(strategy, Options::new(), OLD);
    let now = Instant::from_secs(1);
    for (number, &id) in (0..).zip(&routes.ids) {
        let metrics = Metrics::new(300 + number, 200, 100, 20, 0).unwrap();
        routes.balancer.report(id, metrics, now).unwrap();
    }
    for _ in 0..400 {
        let (_, lease) = routes.select(&Request::ANY, now).unwrap();
        lease.succeed(ms(5), now);
    }
    assert_eq!(routes.add(&Endpoint::new(OLD), now), NEW);
    routes.balancer.finish_build();
    routes
}

fn a_new_one_gets_traffic<S: Strategy<1, 16, 4> + 'static>(name: &str, strategy: S) {
    let mut routes = grown(strategy);
    let now = Instant::from_secs(1);
    let waits = waits(|_| {
        let (at, lease) = routes.select(&Request::ANY, now).unwrap();
        lease.succeed(ms(5), now);
        at
    });
    // One in 40 is for the unmeasured; by chance it is one in five.
    assert!(waits.is_some_and(|waits| waits < 64), "{name}: {waits:?}");
    // And it is not for once: it is as fast as they, or still unmeasured.
    let counts = routes.counts(&Request::ANY, now, 2_000);
    assert!(counts[NEW] >= 5, "{name}: {counts:?}");
}

#[test]
fn l7_a_new_endpoint_gets_traffic_with_every_strategy() {
    for_each_strategy!(a_new_one_gets_traffic);
}

#[test]
fn l7_a_new_endpoint_that_is_faster_or_idle_gets_most_of_it() {
    let now = Instant::from_secs(1);
    let mut routes = grown(LeastLatency::new());
    let mut counts = [0; NEW + 1];
    for _ in 0..1_000 {
        let (at, lease) = routes.select(&Request::ANY, now).unwrap();
        lease.succeed(ms(if at == NEW { 2 } else { 5 }), now);
        counts[at] += 1;
    }
    assert!(counts[NEW] > 850, "{counts:?}");

    let mut routes = grown(LeastLoad::new());
    let before = routes.counts(&Request::ANY, now, 640)[NEW];
    assert_eq!(before, 16, "one in 40 before its first report");
    let idle = Metrics::new(10, 10, 1, 1, 0).unwrap();
    routes.balancer.report(routes.ids[NEW], idle, now).unwrap();
    assert_eq!(routes.counts(&Request::ANY, now, 640)[NEW], 640);
}

#[test]
fn l7_a_new_endpoint_gets_its_share_of_keys_without_finishing_the_build() {
    let mut routes = Routes::equal(ConsistentHash::new(Maglev::<1_021, 32>::new()), Options::new(), OLD);
    let now = Instant::from_secs(1);
    routes.add(&Endpoint::new(OLD), now);
    // Selects build it, slice by slice.
    let keyed = |key| Request::ANY.key(RoutingKey::from_id(key));
    (0..2_000).for_each(|key| _ = routes.pick(&keyed(key), now));
    let share = (0..10_000).filter(|&key| routes.pick(&keyed(key), now) == NEW).count();
    assert!((1_800..2_200).contains(&share), "{share}");
}
