//! L8 (tower #856): an index that was held across a removal meant another endpoint, or a panic. Here a handle
//! of what was removed is an error, everywhere and for ever.

use trilane::id::{Key, Stale};
use trilane::route::{
    BreakerState, Endpoint, EndpointId, Health, Metrics, Options, Request, RoundRobin, UpdateError,
};
use trilane::time::{Duration, Instant};
use trilane_tests::routing::Routes;

const NOW: Instant = Instant::ZERO;

/// Whether what is held across a removal still means somebody.
fn is_mistaken(held: impl FnOnce() -> Option<u64>) -> bool {
    held().is_some()
}

#[test]
fn l8_the_check_catches_an_index() {
    let mut endpoints = vec![10, 11, 12];
    let held = 1;
    endpoints.remove(held);
    assert!(is_mistaken(|| endpoints.get(held).copied()));
}

fn metrics() -> Metrics {
    Metrics::new(1, 1, 1, 1, 1).unwrap()
}

/// Panics unless everything refuses the handle.
fn assert_refused(routes: &Routes<RoundRobin>, stale: EndpointId, endpoint: &Endpoint) {
    let balancer = routes.balancer;
    let everybody = || -> Vec<_> {
        balancer
            .members()
            .map(|id| (id, balancer.stats(id), balancer.endpoint(id), balancer.metrics(id)))
            .collect()
    };
    let (members, totals) = (everybody(), balancer.totals());
    assert!(!is_mistaken(|| balancer.endpoint(stale).ok().map(|_| 1)));
    assert_eq!(balancer.stats(stale), Err(Stale));
    assert_eq!(balancer.metrics(stale), Err(Stale));
    assert_eq!(balancer.report(stale, metrics(), NOW), Err(Stale));
    assert_eq!(balancer.set_health(stale, Health::Unhealthy, NOW), Err(Stale));
    assert_eq!(balancer.update(stale, endpoint, NOW), Err(UpdateError::Stale));
    assert_eq!(balancer.remove(stale, NOW), Err(Stale));
    assert_eq!((everybody(), balancer.totals()), (members, totals), "and nothing has changed");
}

#[test]
fn l8_a_handle_that_was_held_across_a_removal_is_an_error() {
    let mut routes = Routes::equal(RoundRobin, Options::new(), 3);
    let held = routes.ids[1];
    routes.balancer.remove(held, NOW).unwrap();
    assert_refused(&routes, held, &Endpoint::new(1));
    // Also when the slot is somebody else's, or has the same number again, however often.
    for number in 0..100 {
        let endpoint = Endpoint::new(if number % 2 == 0 { 1 } else { 77 });
        let at = routes.add(&endpoint, NOW);
        assert_eq!(routes.ids[at].slot(), held.slot());
        assert_refused(&routes, held, &endpoint);
        routes.balancer.remove(routes.ids[at], NOW).unwrap();
    }
}

#[test]
fn l8_a_lease_that_was_held_across_a_removal_says_nothing_of_the_next() {
    for succeeds in [true, false] {
        let mut routes = Routes::equal(RoundRobin, Options::new().failures(1).max_ejected(1_000), 1);
        let lease = routes.lease_of(0, NOW);
        routes.balancer.remove(routes.ids[0], NOW).unwrap();
        let next = routes.add(&Endpoint::new(0), NOW);
        assert_eq!(routes.balancer.stats(lease.endpoint()), Err(Stale));
        if succeeds {
            lease.succeed(Duration::ZERO, NOW)
        } else {
            lease.fail(Duration::ZERO, NOW)
        }
        let stats = routes.balancer.stats(routes.ids[next]).unwrap();
        assert_eq!((stats.selected, stats.failed, stats.in_flight), (0, 0, 0));
        assert_eq!(stats.breaker, BreakerState::Closed);
    }
}

#[test]
fn l8_a_stale_handle_excludes_nobody() {
    let mut routes = Routes::equal(RoundRobin, Options::new(), 1);
    let held = routes.ids[0];
    routes.balancer.remove(held, NOW).unwrap();
    let next = routes.add(&Endpoint::new(5), NOW);
    assert_eq!(routes.ids[next].slot(), held.slot());
    assert_eq!(routes.pick(&Request::ANY.excluding(&[held]), NOW), next);
}

#[test]
fn l8_a_handle_that_never_was_is_stale() {
    let routes = Routes::equal(RoundRobin, Options::new(), 2);
    for (slot, generation) in [(2, 0), (15, 0), (16, 0), (31, 0), (32, 0), (1_023, 0), (u16::MAX, 0), (0, 9)]
    {
        assert_refused(&routes, EndpointId::from_key(Key::new(slot, generation)), &Endpoint::new(0));
    }
}
