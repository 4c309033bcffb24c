//! L15 (istio #50727): a zone that was full sent its traffic to another that was as full. Here a zone spills
//! only to those that have more room. L19 (gRPC A58): what was reported an hour ago says nothing.

use trilane::route::{Class, Endpoint, Filter, Metrics, Options, Request, RoundRobin, Zone};
use trilane::time::{Duration, Instant};
use trilane_tests::routing::Routes;

const NOW: Instant = Instant::from_secs(10_000);

/// Two in each of two zones, of which the first is preferred.
fn zones(options: Options) -> (Routes<RoundRobin>, Class) {
    let endpoints = (0..4).map(|id| Endpoint::new(id).zone(Zone::new(id as u8 / 2).unwrap()));
    let mut routes = Routes::new(RoundRobin, options, endpoints);
    let class = routes.selector.class(Filter::ANY.prefer(Zone::of::<0>()).unwrap()).unwrap();
    (routes, class)
}

fn report(routes: &Routes<RoundRobin>, at: usize, load: u16, now: Instant) {
    let metrics = Metrics::new(load, load, load as u32 * 10, load as u32, load).unwrap();
    routes.balancer.report(routes.ids[at], metrics, now).unwrap();
}

/// What leaves, of 1,000.
fn leaves(routes: &mut Routes<RoundRobin>, class: Class, now: Instant) -> u64 {
    routes.counts(&Request::new(class), now, 1_000)[2..].iter().sum()
}

#[test]
fn l15_where_all_zones_are_full_nothing_is_gained_by_leaving() {
    let (mut routes, class) = zones(Options::new());
    (0..4).for_each(|at| report(&routes, at, 1_000, NOW));
    assert_eq!(leaves(&mut routes, class, NOW), 0);
    // A little more room there takes a part, much room takes all.
    (2..4).for_each(|at| report(&routes, at, 900, NOW));
    assert!(leaves(&mut routes, class, NOW).abs_diff(500) < 50);
    (2..4).for_each(|at| report(&routes, at, 300, NOW));
    assert_eq!(leaves(&mut routes, class, NOW), 1_000);
}

#[test]
fn l19_a_report_of_an_hour_ago_says_nothing() {
    let (mut routes, class) = zones(Options::new().stale_after(Duration::from_secs(10)));
    let ago = Instant::from_secs(10_000 - 3_600);
    (0..2).for_each(|at| report(&routes, at, 1_000, ago));
    assert_eq!(leaves(&mut routes, class, ago), 1_000);
    assert_eq!(leaves(&mut routes, class, NOW), 0);
}
