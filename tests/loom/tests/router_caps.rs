//! Reservations at an endpoint's cap, against each other and against what changes the cap.
#![cfg(trilane_loom)]

use std::ops::Deref;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use loom::thread;
use trilane::route::{
    Balancer, Class, Endpoint, EndpointId, Lease, Needs, Options, Request, SelectError, Selector,
};
use trilane::time::Instant;
use trilane_loom::{Lowest, check, check_with};

const NOW: Instant = Instant::ZERO;

type Shared = Arc<Balancer<Lowest, 1, 1, 3>>;
type Select = Selector<Shared, Lowest, 1, 1, 3, 1>;

fn balancer(needs: Needs, endpoint: &Endpoint) -> (Shared, EndpointId) {
    let balancer = Arc::new(Balancer::new(Lowest::with(needs), Options::new()));
    let id = balancer.add(endpoint, NOW).unwrap();
    (balancer, id)
}

fn selector(balancer: &Shared) -> Select {
    Selector::new(balancer.clone(), 1).unwrap()
}

fn select(selector: &mut Select) -> Result<Lease<Shared>, SelectError> {
    selector.select(&Request::new(Class::ANY), NOW)
}

/// Nobody is at it: bit and count say what is so.
fn is_at_rest(balancer: &Shared, id: EndpointId, leases: u32, full: bool) {
    let taken = select(&mut selector(balancer));
    assert_eq!(balancer.strategy().seen(), (full, leases));
    assert_eq!(taken.is_err(), full);
    drop(taken);
    assert_eq!(balancer.stats(id).unwrap().in_flight, leases);
}

#[test]
fn two_selectors_never_both_have_the_lease_of_an_endpoint_with_room_for_one() {
    check_with(2, || {
        let (balancer, id) = balancer(Needs::default(), &Endpoint::new(1).cap(1));
        let holders = Arc::new(AtomicU32::new(0));
        let select_once = |mut selector: Select| {
            let holders = holders.clone();
            move || match select(&mut selector) {
                Ok(lease) => {
                    assert_eq!(holders.fetch_add(1, Ordering::SeqCst), 0, "two leases, a cap of one");
                    thread::yield_now();
                    holders.fetch_sub(1, Ordering::SeqCst);
                    drop(lease);
                }
                Err(error) => assert_eq!(error, SelectError::AllAtCapacity),
            }
        };
        let other = thread::spawn(select_once(selector(&balancer)));
        select_once(selector(&balancer))();
        other.join().unwrap();
        is_at_rest(&balancer, id, 0, false);
    });
}

/// How a selector reaches the balancer, and how often it has done so since its pick. All orders are tried for
/// as long as that is up to [`TRIED`] times; what it does after that, when the pick wasn't to be had, takes
/// minutes to try.
#[derive(Clone)]
struct Reach {
    balancer: Shared,
    since_pick: Arc<AtomicU32>,
}

/// More often than one try at a lease takes.
const TRIED: u32 = 6;
/// Not picked yet.
const BEFORE: u32 = u32::MAX / 2;

impl Deref for Reach {
    type Target = Balancer<Lowest, 1, 1, 3>;

    fn deref(&self) -> &Self::Target {
        if self.since_pick.fetch_add(1, Ordering::SeqCst) == TRIED {
            loom::stop_exploring();
        }
        &self.balancer
    }
}

/// Two selects, beside an exchange of the endpoint for one with room for one lease.
fn begun_before_its_endpoint_came(needs: Needs) {
    check_with(1, move || {
        let (balancer, old) = balancer(needs, &Endpoint::new(1));
        let since_pick = Arc::new(AtomicU32::new(BEFORE));
        let reach = Reach { balancer: balancer.clone(), since_pick: since_pick.clone() };
        let mut first: Selector<Reach, Lowest, 1, 1, 3, 1> = Selector::new(reach, 1).unwrap();
        let mut second = selector(&balancer);
        let exchange = Arc::new(Mutex::new(None));
        let begun = exchange.clone();
        let shared = balancer.clone();
        // The pick is of the endpoint that goes, what is leased may be the one that comes.
        balancer.strategy().meanwhile(move || {
            assert_eq!(shared.remove(old, NOW), Ok(0));
            *begun.lock().unwrap() = Some(thread::spawn(move || {
                shared.add(&Endpoint::new(2).cap(1), NOW).unwrap();
                select(&mut second)
            }));
            since_pick.store(0, Ordering::SeqCst);
        });
        let one = first.select(&Request::new(Class::ANY), NOW);
        let exchange = exchange.lock().unwrap().take().unwrap();
        let other = exchange.join().unwrap();
        assert!(one.is_err() || other.is_err(), "two leases, a cap of one");
    });
}

#[test]
fn a_lease_that_was_begun_before_its_endpoint_came_is_within_its_cap() {
    begun_before_its_endpoint_came(Needs { exact_counts: true, ..Needs::default() });
}

#[test]
fn a_lease_that_was_to_be_counted_by_nobody_before_its_endpoint_came_is_within_its_cap() {
    begun_before_its_endpoint_came(Needs::default());
}

#[test]
fn the_full_bit_is_right_when_a_lease_has_ended_beside_a_select() {
    check(|| {
        let (balancer, id) = balancer(Needs::default(), &Endpoint::new(1).cap(1));
        let (mut first, mut second) = (selector(&balancer), selector(&balancer));
        let lease = select(&mut first).unwrap();
        let ended = thread::spawn(move || drop(lease));
        let taken = select(&mut second);
        ended.join().unwrap();
        is_at_rest(&balancer, id, taken.is_ok().into(), taken.is_ok());
    });
}

#[test]
fn the_full_bit_is_right_when_the_cap_was_set_beside_the_end_of_a_lease() {
    check(|| {
        // Every lease is counted, as by a strategy that asks for it, so that a cap that comes later counts
        // them too.
        let needs = Needs { exact_counts: true, ..Needs::default() };
        let (balancer, id) = balancer(needs, &Endpoint::new(1));
        let lease = select(&mut selector(&balancer)).unwrap();
        let ended = thread::spawn(move || drop(lease));
        balancer.update(id, &Endpoint::new(1).cap(1), NOW).unwrap();
        ended.join().unwrap();
        is_at_rest(&balancer, id, 0, false);
    });
}

#[test]
fn the_full_bit_is_right_when_the_cap_was_set_beside_a_select() {
    for cap in [None, Some(2)] {
        check_with(2, move || {
            let needs = Needs { exact_counts: true, ..Needs::default() };
            let before = cap.map_or(Endpoint::new(1), |cap| Endpoint::new(1).cap(cap));
            let (balancer, id) = balancer(needs, &before);
            let mut first = selector(&balancer);
            drop(select(&mut first));
            let selecting = thread::spawn(move || select(&mut first).unwrap());
            balancer.update(id, &Endpoint::new(1).cap(1), NOW).unwrap();
            let lease = selecting.join().unwrap();
            is_at_rest(&balancer, id, 1, true);
            drop(lease);
            is_at_rest(&balancer, id, 0, false);
        });
    }
}
