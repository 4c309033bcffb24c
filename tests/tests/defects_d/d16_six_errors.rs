//! D16: every error of a select collapsed into one. Here each cause has its own, and an open breaker says
//! when to retry.

use std::collections::{BTreeMap, BTreeSet};

use trilane::route::{Endpoint, Options, Request, RoundRobin, SelectError};
use trilane::time::{Duration, Instant};
use trilane_tests::routing::Routes;

use super::failing::{self, NOW};

#[test]
fn d16_each_cause_has_an_error_of_its_own() {
    let mut texts = BTreeMap::new();
    for mut failing in failing::all() {
        let error = failing.select();
        assert_eq!(error, failing.error);
        texts.insert(error.kind(), error.to_string());
    }
    // The six of the row, and for a retry that has been everywhere, and for another selector's class.
    assert_eq!(texts.len(), 8);
    assert_eq!(texts.into_values().collect::<BTreeSet<_>>().len(), 8, "and a text of its own");
}

#[test]
fn d16_the_retry_time_is_when_the_first_breaker_admits_a_probe() {
    let options = Options::new().failures(1).open_for(Duration::from_secs(10)).max_ejected(1_000);
    let mut routes = Routes::equal(RoundRobin, options, 3);
    let last = Instant::from_secs(5);
    routes.beside_a_spare(NOW, |routes| {
        for (at, when) in [(0, Instant::from_secs(4)), (1, NOW), (2, last)] {
            routes.lease_of(at, when).fail(Duration::ZERO, when);
        }
    });
    let error = routes.selector.select(&Request::ANY, last).unwrap_err();
    let SelectError::AllBreakersOpen { retry_at } = error else { panic!("{error}") };
    assert!(retry_at.as_micros().abs_diff(11_000_000) <= 2_048, "{retry_at:?}");
    // No sooner, to the tick, and no later.
    let before = Instant::from_micros(retry_at.as_micros() - 1_024);
    let error = routes.selector.select(&Request::ANY, before).unwrap_err();
    assert!(matches!(error, SelectError::AllBreakersOpen { .. }), "{error}");
    let (at, lease) = routes.select(&Request::ANY, retry_at).unwrap();
    assert!(at == 1 && lease.is_probe());
}

#[test]
fn d16_the_error_is_the_nearest_obstacle() {
    // Who is full would be the first to serve again, then who is broken; who is unhealthy may never.
    let options = Options::new().failures(1).max_ejected(1_000);
    let endpoints = [Endpoint::new(0).cap(1), Endpoint::new(1), Endpoint::new(2).weight(0)];
    let mut routes = Routes::new(RoundRobin, options, endpoints);
    routes.lease_of(1, NOW).fail(Duration::ZERO, NOW);
    let held = routes.lease_of(0, NOW);
    assert_eq!(routes.selector.select(&Request::ANY, NOW).unwrap_err(), SelectError::AllAtCapacity);
    routes.beside_a_spare(NOW, |_| held.fail(Duration::ZERO, NOW));
    let error = routes.selector.select(&Request::ANY, NOW).unwrap_err();
    assert!(matches!(error, SelectError::AllBreakersOpen { .. }), "{error}");
}
