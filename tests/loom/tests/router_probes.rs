//! Probes of half-open breakers: one at a time, whoever comes, and never none for good.
#![cfg(trilane_loom)]

use std::sync::Arc;

use loom::thread;
use trilane::route::{
    Balancer, BreakerState, Class, Endpoint, EndpointId, Health, Lease, Options, Request, SelectError,
    Selector,
};
use trilane::time::{Duration, Instant};
use trilane_loom::{Lowest, check, check_with};

type Shared = Arc<Balancer<Lowest, 1, 3, 3>>;
type Select = Selector<Shared, Lowest, 1, 3, 3, 1>;

/// Breakers open at the first failure, for 10 ms, and a probe is given up after as much.
const OPTIONS: Options = Options::new().failures(1).max_ejected(1_000).open_for(SPAN).probe_window(SPAN);
const SPAN: Duration = Duration::from_millis(10);
const OPEN: Instant = Instant::from_millis(1_000);
const HALF_OPEN: Instant = Instant::from_millis(1_020);
const GIVEN_UP: Instant = Instant::from_millis(1_040);
const LATER: Instant = Instant::from_millis(2_000);

fn selector(balancer: &Shared) -> Select {
    Selector::new(balancer.clone(), 1).unwrap()
}

fn select(selector: &mut Select, now: Instant) -> Result<Lease<Shared>, SelectError> {
    selector.select(&Request::new(Class::ANY), now)
}

/// Opens the breaker of the lowest endpoint, beside another, which goes again: the last is never kept out.
fn trip(balancer: &Shared, now: Instant) {
    let spare = balancer.add(&Endpoint::new(99), now).unwrap();
    select(&mut selector(balancer), now).unwrap().fail(Duration::ZERO, now);
    balancer.remove(spare, now).unwrap();
}

/// A balancer with one endpoint, whose breaker has just opened.
fn open() -> (Shared, EndpointId) {
    let balancer = Arc::new(Balancer::new(Lowest::new(), OPTIONS));
    let id = balancer.add(&Endpoint::new(1), OPEN).unwrap();
    trip(&balancer, OPEN);
    assert_eq!(balancer.stats(id).unwrap().breaker, BreakerState::Open);
    (balancer, id)
}

/// The same after the time that it stays open.
fn half_open() -> (Shared, EndpointId) {
    let (balancer, id) = open();
    balancer.tick(HALF_OPEN);
    assert_eq!(balancer.stats(id).unwrap().breaker, BreakerState::HalfOpen);
    (balancer, id)
}

/// When all are done and time has passed, a probe goes out, and its success closes the breaker.
fn recovers(balancer: &Shared, id: EndpointId) {
    balancer.set_health(id, Health::Healthy, LATER).unwrap();
    let mut selector = selector(balancer);
    // One select makes the bank's changes, if any are due, and gets what they have led to.
    let lease = select(&mut selector, LATER).unwrap();
    assert_eq!(lease.is_probe(), balancer.stats(id).unwrap().breaker == BreakerState::Probing);
    lease.succeed(Duration::ZERO, LATER);
    let stats = balancer.stats(id).unwrap();
    assert_eq!((stats.breaker, stats.routable, stats.in_flight), (BreakerState::Closed, true, 0));
    assert_eq!(balancer.totals().ejected, 0);
}

#[test]
fn of_two_selects_one_gets_the_probe() {
    check_with(2, || {
        let (balancer, id) = half_open();
        let probe = |mut selector: Select| move || select(&mut selector, HALF_OPEN);
        let other = thread::spawn(probe(selector(&balancer)));
        let leases = [probe(selector(&balancer))(), other.join().unwrap()];
        let probes = leases.iter().flatten().filter(|lease| lease.is_probe()).count();
        assert_eq!((probes, leases.iter().flatten().count()), (1, 1));
        assert_eq!(balancer.stats(id).unwrap().breaker, BreakerState::Probing);
        drop(leases);
        recovers(&balancer, id);
    });
}

#[test]
fn a_probe_beside_bad_health_is_not_lost() {
    check(|| {
        let (balancer, id) = half_open();
        let health = {
            let balancer = balancer.clone();
            thread::spawn(move || balancer.set_health(id, Health::Unhealthy, HALF_OPEN).unwrap())
        };
        let lease = select(&mut selector(&balancer), HALF_OPEN);
        health.join().unwrap();
        assert!(select(&mut selector(&balancer), HALF_OPEN).is_err());
        drop(lease);
        recovers(&balancer, id);
    });
}

#[test]
fn a_breaker_that_gets_half_open_beside_good_health_has_its_probe() {
    check(|| {
        let (balancer, id) = open();
        balancer.set_health(id, Health::Unhealthy, OPEN).unwrap();
        let health = {
            let balancer = balancer.clone();
            thread::spawn(move || balancer.set_health(id, Health::Healthy, HALF_OPEN).unwrap())
        };
        balancer.tick(HALF_OPEN);
        health.join().unwrap();
        let lease = select(&mut selector(&balancer), HALF_OPEN).unwrap();
        assert!(lease.is_probe());
        drop(lease);
        recovers(&balancer, id);
    });
}

#[test]
fn the_success_of_a_probe_that_is_given_up_right_then_counts() {
    check_with(2, || {
        let (balancer, id) = half_open();
        let lease = select(&mut selector(&balancer), HALF_OPEN).unwrap();
        let ended = thread::spawn(move || lease.succeed(Duration::ZERO, GIVEN_UP));
        let second = select(&mut selector(&balancer), GIVEN_UP);
        ended.join().unwrap();
        // A success counts, however slow, whether or not another probe has been sent.
        assert_eq!(balancer.stats(id).unwrap().breaker, BreakerState::Closed);
        drop(second);
        recovers(&balancer, id);
    });
}

#[test]
fn a_verdict_beside_a_removal_ends_the_ejection_once() {
    check(|| {
        let (balancer, id) = open();
        // Another one is kept out, and stays so.
        balancer.add(&Endpoint::new(2), OPEN).unwrap();
        trip(&balancer, OPEN + Duration::from_millis(5));
        assert_eq!(balancer.totals().ejected, 2);
        let lease = select(&mut selector(&balancer), OPEN + Duration::from_millis(12)).unwrap();
        assert_eq!((lease.endpoint(), lease.is_probe()), (id, true));
        let ended = thread::spawn(move || lease.succeed(Duration::ZERO, HALF_OPEN));
        balancer.remove(id, HALF_OPEN).unwrap();
        ended.join().unwrap();
        assert_eq!(balancer.totals().ejected, 1);
        let id = balancer.add(&Endpoint::new(3), HALF_OPEN).unwrap();
        let stats = balancer.stats(id).unwrap();
        assert_eq!((stats.breaker, stats.routable, stats.in_flight), (BreakerState::Closed, true, 0));
        assert_eq!(balancer.totals().ejected, 1);
    });
}

#[test]
fn a_probe_beside_the_removal_of_its_endpoint_is_of_that_endpoint() {
    check_with(1, || {
        let (balancer, id) = half_open();
        let mut selector = selector(&balancer);
        let removal = {
            let balancer = balancer.clone();
            thread::spawn(move || balancer.remove(id, HALF_OPEN).unwrap())
        };
        let lease = select(&mut selector, HALF_OPEN);
        removal.join().unwrap();
        if let Ok(lease) = lease {
            assert_eq!(lease.endpoint(), id);
            lease.succeed(Duration::ZERO, HALF_OPEN);
        }
        let next = balancer.add(&Endpoint::new(2), HALF_OPEN).unwrap();
        assert_eq!(balancer.totals().ejected, 0);
        assert_eq!(balancer.stats(next).unwrap().breaker, BreakerState::Closed);
        recovers(&balancer, next);
    });
}
