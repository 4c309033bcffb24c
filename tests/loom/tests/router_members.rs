//! Selects, leases and reports against the removal of an endpoint and the next one in its slot; stripes
//! against each other.
#![cfg(trilane_loom)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use loom::thread;
use trilane::route::{
    AddError, Balancer, BreakerState, Endpoint, EndpointId, Filter, Health, Lease, Metrics, Options, Request,
    SelectError, Selector, Tag, Tags, Zone,
};
use trilane::time::{Duration, Instant};
use trilane_loom::{Lowest, check, check_with};

/// One slot, so that the next endpoint has the last one's.
type Shared = Arc<Balancer<Lowest, 1, 1, 1>>;
type Select = Selector<Shared, Lowest, 1, 1, 1, 2>;

const NOW: Instant = Instant::from_millis(1_000);
const TAG: Tags = Tags::NONE.with(Tag::of::<0>());

/// A balancer with one endpoint.
fn balancer(endpoint: &Endpoint) -> (Shared, EndpointId) {
    let balancer = Arc::new(Balancer::new(Lowest::new(), Options::new().failures(1)));
    let id = balancer.add(endpoint, NOW).unwrap();
    (balancer, id)
}

/// Removes the endpoint on another thread, and adds another.
fn replace(
    balancer: &Shared,
    id: EndpointId,
    by: Endpoint,
) -> thread::JoinHandle<Result<EndpointId, AddError>> {
    let balancer = balancer.clone();
    thread::spawn(move || {
        balancer.remove(id, NOW).unwrap();
        balancer.add(&by, NOW)
    })
}

fn end(lease: Lease<Shared>) {
    lease.succeed(Duration::ZERO, NOW);
}

#[test]
fn a_lease_is_of_the_endpoint_that_matched_and_not_of_the_next_in_its_slot() {
    check_with(1, || {
        let (balancer, old) = balancer(&Endpoint::new(1).cap(1));
        let mut selector: Select = Selector::new(balancer.clone(), 1).unwrap();
        // The class knows the old one.
        drop(selector.select(&Request::ANY, NOW).unwrap());
        let removal = {
            let balancer = balancer.clone();
            thread::spawn(move || balancer.remove(old, NOW).unwrap())
        };
        let lease = selector.select(&Request::ANY, NOW);
        removal.join().unwrap();
        if let Ok(lease) = lease {
            assert_eq!(lease.endpoint(), old);
            end(lease);
        }
        // Whatever was reserved on the way has been given back: the cap of one admits one.
        let next = balancer.add(&Endpoint::new(2).cap(1), NOW).unwrap();
        let lease = selector.select(&Request::ANY, NOW).unwrap();
        assert_eq!(lease.endpoint(), next);
        assert!(selector.select(&Request::ANY, NOW).is_err());
        end(lease);
        assert_eq!(balancer.stats(next).unwrap().in_flight, 0);
    });
}

#[test]
fn health_set_by_a_handle_that_goes_stale_leaves_the_next_endpoint_alone() {
    check_with(1, || {
        let (balancer, old) = balancer(&Endpoint::new(1));
        let next = replace(&balancer, old, Endpoint::new(2));
        let _of_the_old_one = balancer.set_health(old, Health::Unhealthy, NOW);
        let stats = balancer.stats(next.join().unwrap().unwrap()).unwrap();
        assert_eq!((stats.health, stats.routable, stats.weight_left), (Health::Healthy, true, 64));
    });
}

#[test]
fn a_lease_that_fails_while_its_endpoint_goes_opens_no_breaker_of_the_next() {
    check_with(2, || {
        let (balancer, old) = balancer(&Endpoint::new(1));
        let mut selector: Select = Selector::new(balancer.clone(), 1).unwrap();
        let lease = selector.select(&Request::ANY, NOW).unwrap();
        let next = replace(&balancer, old, Endpoint::new(2));
        lease.fail(Duration::ZERO, NOW);
        let next = next.join().unwrap().or_else(|_full| balancer.add(&Endpoint::new(2), NOW)).unwrap();
        let stats = balancer.stats(next).unwrap();
        assert_eq!((stats.breaker, stats.routable, stats.in_flight), (BreakerState::Closed, true, 0));
        assert_eq!(balancer.totals().ejected, 0);
    });
}

#[test]
fn a_report_that_is_read_by_a_handle_that_goes_stale_is_not_of_the_next_endpoint() {
    check_with(1, || {
        let (balancer, old) = balancer(&Endpoint::new(1));
        let report = |cpu| Metrics::new(cpu, 0, 0, 0, 0).unwrap();
        balancer.report(old, report(100), NOW).unwrap();
        let next = {
            let balancer = balancer.clone();
            thread::spawn(move || {
                balancer.remove(old, NOW).unwrap();
                let next = balancer.add(&Endpoint::new(2), NOW).unwrap();
                balancer.report(next, report(900), NOW).unwrap();
            })
        };
        if let Ok(metrics) = balancer.metrics(old) {
            assert_eq!(metrics, Some(report(100)));
        }
        next.join().unwrap();
    });
}

#[test]
fn what_is_known_of_an_endpoint_by_a_handle_that_goes_stale_is_not_of_the_next() {
    check_with(1, || {
        let (balancer, old) = balancer(&Endpoint::new(1).weight(7));
        let next = replace(&balancer, old, Endpoint::new(2).weight(8));
        if let Ok(endpoint) = balancer.endpoint(old) {
            assert_eq!(endpoint, Endpoint::new(1).weight(7));
        }
        next.join().unwrap().unwrap();
    });
}

#[test]
fn a_slot_whose_lease_is_out_waits_for_it_whoever_adds() {
    check_with(2, || {
        let (balancer, old) = balancer(&Endpoint::new(1));
        let mut selector: Select = Selector::new(balancer.clone(), 1).unwrap();
        let lease = selector.select(&Request::ANY, NOW).unwrap();
        assert_eq!(balancer.remove(old, NOW), Ok(1));
        let add = |number: u64| {
            let balancer = balancer.clone();
            move || balancer.add(&Endpoint::new(number), NOW)
        };
        // One that comes while the slot is given back, given away, taken and left again.
        let second = thread::spawn(add(2));
        end(lease);
        if let Ok(third) = add(3)() {
            let lease = selector.select(&Request::ANY, NOW).unwrap();
            assert_eq!(lease.endpoint(), third);
            assert_eq!(balancer.remove(third, NOW), Ok(1));
            assert_eq!(second.join().unwrap(), Err(AddError::Full), "its slot has a lease out");
            assert_eq!(balancer.totals().draining, 1);
            drop(lease);
        } else {
            second.join().unwrap().unwrap();
        }
    });
}

#[test]
fn a_change_of_the_weight_alone_hides_the_endpoint_from_nobody() {
    check_with(2, || {
        let endpoint = Endpoint::new(1).tags(TAG);
        let (balancer, id) = balancer(&endpoint);
        let mut selector: Select = Selector::new(balancer.clone(), 1).unwrap();
        let class = selector.class(Filter::ANY.tags(TAG)).unwrap();
        let update = {
            let balancer = balancer.clone();
            thread::spawn(move || balancer.update(id, &endpoint.weight(2), NOW).unwrap())
        };
        assert_eq!(selector.select(&Request::new(class), NOW).map(|lease| lease.endpoint()), Ok(id));
        update.join().unwrap();
    });
}

#[test]
fn a_select_amid_an_update_sees_no_mixture_of_before_and_after() {
    check_with(1, || {
        let (balancer, id) = balancer(&Endpoint::new(1));
        let mut selector: Select = Selector::new(balancer.clone(), 1).unwrap();
        let class = selector.class(Filter::ANY.tags(TAG)).unwrap();
        // The one that the checker may interrupt is the update.
        let select = thread::spawn(move || {
            assert!(selector.select(&Request::new(class), NOW).is_err(), "with the tag it is switched off");
        });
        balancer.update(id, &Endpoint::new(1).tags(TAG).enabled(false), NOW).unwrap();
        select.join().unwrap();
    });
}

#[test]
fn a_stripe_has_one_selector_at_a_time_and_loses_no_count() {
    check(|| {
        let (balancer, id) = balancer(&Endpoint::new(1));
        let selectors = Arc::new(AtomicU32::new(0));
        let use_it = || {
            let (balancer, selectors) = (balancer.clone(), selectors.clone());
            move || {
                let Ok(mut selector) = Select::new(balancer, 1) else { return 0 };
                assert_eq!(selectors.fetch_add(1, Ordering::SeqCst), 0, "two selectors, one stripe");
                drop(selector.select(&Request::ANY, NOW).unwrap());
                selectors.fetch_sub(1, Ordering::SeqCst);
                1
            }
        };
        let other = thread::spawn(use_it());
        let selected = use_it()() + use_it()() + other.join().unwrap();
        let stats = balancer.stats(id).unwrap();
        assert_eq!((stats.selected, stats.released, stats.in_flight), (selected, selected, 0));
    });
}

#[test]
fn an_endpoint_that_goes_from_one_zone_to_another_is_at_no_time_in_neither() {
    check_with(1, || {
        let (one, other) = (Zone::new(1).unwrap(), Zone::new(2).unwrap());
        let endpoint = Endpoint::new(1).health(Health::Unhealthy).zone(other);
        let (balancer, id) = balancer(&endpoint);
        let mut selector: Select = Selector::new(balancer.clone(), 1).unwrap();
        let class =
            selector.class(Filter::ANY.prefer(one).unwrap().prefer(other).unwrap().confined()).unwrap();
        let select = thread::spawn(move || {
            let error = selector.select(&Request::new(class), NOW).unwrap_err();
            assert_eq!(error, SelectError::AllUnhealthy, "that is what is the matter all the time");
        });
        balancer.update(id, &endpoint.zone(one), NOW).unwrap();
        select.join().unwrap();
    });
}

#[test]
fn an_endpoint_that_comes_healthy_is_at_no_time_unhealthy() {
    check_with(1, || {
        let balancer: Shared = Arc::new(Balancer::new(Lowest::new(), Options::new()));
        let mut selector: Select = Selector::new(balancer.clone(), 1).unwrap();
        let select = thread::spawn(move || {
            let endpoint = selector.select(&Request::ANY, NOW).map(|lease| lease.endpoint());
            assert!(endpoint.is_ok() || endpoint == Err(SelectError::Empty), "{endpoint:?}");
        });
        balancer.add(&Endpoint::new(1), NOW).unwrap();
        select.join().unwrap();
    });
}
