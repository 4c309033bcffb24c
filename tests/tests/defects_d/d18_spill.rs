//! D18: an endpoint in the client's zone hid all others, however loaded it was. Here a zone gives away what
//! it can't take.

use trilane::route::{Class, Endpoint, Filter, Metrics, Options, Request, RoundRobin, Zone};
use trilane::time::Instant;
use trilane_tests::routing::Routes;

const NOW: Instant = Instant::ZERO;
const NEAR: Zone = Zone::of::<0>();
const FAR: Zone = Zone::of::<1>();

/// What share of the traffic leaves the zone at each load, in permille.
fn spilled(mut share: impl FnMut(u16) -> u64) -> Vec<u64> {
    [0, 500, 800, 850, 900, 950, 1_000, 0].map(&mut share).to_vec()
}

/// Nothing up to 800 permille, then in proportion, all of it at 1,000.
const DUE: [u64; 8] = [0, 0, 0, 250, 500, 750, 1_000, 0];

fn is_due(spilled: &[u64]) -> bool {
    spilled.iter().zip(DUE).all(|(&share, due)| {
        let exact = due == 0 || due == 1_000;
        share.abs_diff(due) <= if exact { 0 } else { 25 }
    })
}

/// Two endpoints here, two elsewhere, and the class of those who are here.
fn zones() -> (Routes<RoundRobin>, Class) {
    let endpoints = (0..4).map(|id| Endpoint::new(id).zone(if id < 2 { NEAR } else { FAR }));
    let mut routes = Routes::new(RoundRobin, Options::new(), endpoints);
    let class = routes.selector.class(Filter::ANY.prefer(NEAR).unwrap()).unwrap();
    (routes, class)
}

fn report(routes: &Routes<RoundRobin>, at: usize, load: u16) {
    let metrics = Metrics::new(load, load, load as u32 * 10, load as u32, load).unwrap();
    routes.balancer.report(routes.ids[at], metrics, NOW).unwrap();
}

#[test]
fn d18_the_check_catches_zones_that_hide_all_others() {
    let candidates = [NEAR, NEAR, FAR, FAR];
    let naive = |_load| {
        let matching: Vec<_> = candidates.into_iter().filter(|&zone| zone == NEAR).collect();
        let chosen = if matching.is_empty() { &candidates[..] } else { &matching };
        (chosen.iter().filter(|&&zone| zone == FAR).count() * 1_000 / chosen.len()) as u64
    };
    assert!(!is_due(&spilled(naive)));
}

#[test]
fn d18_a_zone_spills_in_proportion_to_its_load() {
    let (mut routes, class) = zones();
    let spilled = spilled(|load| {
        (0..2).for_each(|at| report(&routes, at, load));
        let counts = routes.counts(&Request::new(class), NOW, 10_000);
        (counts[2] + counts[3]) / 10
    });
    assert!(is_due(&spilled), "{spilled:?} instead of {DUE:?}");
}

#[test]
fn d18_it_is_the_load_of_the_zone_that_counts_not_of_one_in_it() {
    let (mut routes, class) = zones();
    report(&routes, 0, 1_000);
    report(&routes, 1, 500);
    assert_eq!(routes.counts(&Request::new(class), NOW, 1_000)[2..], [0, 0]);
    // Nor that of other zones.
    report(&routes, 0, 500);
    report(&routes, 2, 1_000);
    report(&routes, 3, 1_000);
    assert_eq!(routes.counts(&Request::new(class), NOW, 1_000)[2..], [0, 0]);
}

#[test]
fn d18_a_zone_at_capacity_spills_at_once() {
    let endpoints = (0..4).map(|id| Endpoint::new(id).zone(if id < 2 { NEAR } else { FAR }).cap(3));
    let mut routes = Routes::new(RoundRobin, Options::new(), endpoints);
    let class = routes.selector.class(Filter::ANY.prefer(NEAR).unwrap()).unwrap();
    let mut held = Vec::new();
    for taken in 0..12 {
        let (at, lease) = routes.select(&Request::new(class), NOW).unwrap();
        assert_eq!(at < 2, taken < 6, "lease {taken} of {at}");
        held.push(lease);
    }
}
