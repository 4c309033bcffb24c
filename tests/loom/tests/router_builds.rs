//! A strategy's table against the changes that outdate it.
#![cfg(trilane_loom)]

use std::sync::Arc;

use loom::thread;
use trilane::route::{Balancer, Endpoint, EndpointId, Needs, Options, Request, Selector};
use trilane::time::Instant;
use trilane_loom::{Lowest, check, check_with};

type Shared = Arc<Balancer<Lowest, 1, 1, 1>>;

const NOW: Instant = Instant::from_millis(1_000);

/// A balancer with a table to build: its one endpoint has weight 1.
fn balancer() -> (Shared, EndpointId) {
    let needs = Needs { builds: true, ..Needs::default() };
    let balancer = Arc::new(Balancer::new(Lowest::with(needs), Options::new()));
    let id = balancer.add(&Endpoint::new(1), NOW).unwrap();
    (balancer, id)
}

fn update(balancer: &Shared, id: EndpointId, weight: u16) -> thread::JoinHandle<()> {
    let balancer = balancer.clone();
    thread::spawn(move || balancer.update(id, &Endpoint::new(1).weight(weight), NOW).unwrap())
}

#[test]
fn a_change_beside_the_end_of_a_build_is_built() {
    check(|| {
        let (balancer, id) = balancer();
        let change = update(&balancer, id, 2);
        balancer.finish_build();
        change.join().unwrap();
        assert!(balancer.finish_build());
        assert_eq!(balancer.strategy().built(), 2);
    });
}

#[test]
fn two_contexts_never_build_at_once() {
    check_with(2, || {
        let (balancer, id) = balancer();
        let other = {
            let balancer = balancer.clone();
            thread::spawn(move || balancer.finish_build())
        };
        let change = update(&balancer, id, 2);
        balancer.finish_build();
        other.join().unwrap();
        change.join().unwrap();
        assert!(balancer.finish_build());
        assert_eq!(balancer.strategy().built(), 2);
    });
}

#[test]
fn a_change_beside_a_select_that_builds_is_built_by_the_selects_that_follow() {
    check_with(1, || {
        let (balancer, id) = balancer();
        let mut selector: Selector<_, _, 1, 1, 1, 1> = Selector::new(balancer.clone(), 1).unwrap();
        let change = update(&balancer, id, 2);
        drop(selector.select(&Request::ANY, NOW).unwrap());
        change.join().unwrap();
        drop(selector.select(&Request::ANY, NOW).unwrap());
        drop(selector.select(&Request::ANY, NOW).unwrap());
        assert_eq!(balancer.strategy().built(), 2);
    });
}

/// The end of a build takes back that one is wanted, then finds that members have changed. Whoever looks in
/// between finds nothing to do until the next timed event.
#[test]
fn a_build_that_is_wanted_anew_when_one_ends_is_begun_by_whoever_comes_next() {
    check_with(2, || {
        let (balancer, id) = balancer();
        balancer.tick(NOW);
        let change = update(&balancer, id, 2);
        let other = {
            let balancer = balancer.clone();
            thread::spawn(move || balancer.tick(NOW))
        };
        balancer.tick(NOW);
        change.join().unwrap();
        other.join().unwrap();
        balancer.tick(NOW);
        balancer.tick(NOW);
        assert_eq!(balancer.strategy().built(), 2);
    });
}

#[test]
fn a_build_that_is_to_be_finished_when_one_ends_is_begun_by_whoever_comes_next() {
    check_with(2, || {
        let needs = Needs { builds: true, on_demand: true, ..Needs::default() };
        let balancer: Shared = Arc::new(Balancer::new(Lowest::with(needs), Options::new()));
        let id = balancer.add(&Endpoint::new(1), NOW).unwrap();
        let mut selector: Selector<_, _, 1, 1, 1, 1> = Selector::new(balancer.clone(), 1).unwrap();
        drop(selector.select(&Request::ANY, NOW).unwrap());
        balancer.tick(NOW);
        let finish = {
            let balancer = balancer.clone();
            thread::spawn(move || {
                balancer.update(id, &Endpoint::new(1).weight(2), NOW).unwrap();
                balancer.finish_build();
            })
        };
        let other = {
            let balancer = balancer.clone();
            thread::spawn(move || balancer.tick(NOW))
        };
        balancer.tick(NOW);
        finish.join().unwrap();
        other.join().unwrap();
        balancer.tick(NOW);
        balancer.tick(NOW);
        assert_eq!(balancer.strategy().built(), 2);
    });
}
