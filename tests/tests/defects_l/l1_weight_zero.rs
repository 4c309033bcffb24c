//! L1 (pingora #1006): an endpoint of weight 0 made the updater panic, and with it all later updates were
//! lost. Here weight 0 drains: the endpoint gets nothing new, keeps what it has, and may have its weight
//! again.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use trilane::route::{Balancer, Endpoint, Options, Random, Request, RoutingKey, SelectError, Strategy};
use trilane::time::{Duration, Instant};
use trilane_tests::for_each_strategy;
use trilane_tests::routing::{Routes, chooser};

const NOW: Instant = Instant::ZERO;

fn with_weights<S: Strategy<1, 16, 4> + 'static>(routes: &Routes<S>, weights: &[u16]) {
    for (at, &weight) in weights.iter().enumerate() {
        routes.update(at, &Endpoint::new(at as u64).weight(weight), NOW);
    }
    routes.balancer.finish_build();
}

/// How often each is picked, with keys and without.
fn counts<S: Strategy<1, 16, 4> + 'static>(routes: &mut Routes<S>) -> Vec<u64> {
    let mut counts = routes.counts(&Request::ANY, NOW, 300);
    for key in 0..300 {
        counts[routes.pick(&Request::ANY.key(RoutingKey::from_id(key)), NOW)] += 1;
    }
    counts
}

fn drains<S: Strategy<1, 16, 4> + 'static>(name: &str, strategy: S) {
    let mut routes = Routes::equal(strategy, Options::new().slow_start(Duration::from_secs(1)), 3);
    let held = routes.lease_of(1, NOW);
    with_weights(&routes, &[1, 0, 2]);
    assert_eq!(counts(&mut routes)[1], 0, "{name}");
    assert_eq!(routes.in_flight(), [0, 1, 0], "{name}: what it has, it keeps");
    held.succeed(Duration::from_millis(1), NOW);
    assert_eq!(routes.balancer.stats(routes.ids[1]).unwrap().succeeded, 1, "{name}");

    with_weights(&routes, &[0, 0, 0]);
    for key in [None, Some(RoutingKey::from_id(5))] {
        let request = key.map_or(Request::ANY, |key| Request::ANY.key(key));
        assert_eq!(routes.selector.select(&request, NOW).unwrap_err(), SelectError::AllUnhealthy, "{name}");
    }
    with_weights(&routes, &[3, 1, 65_535]);
    let all = counts(&mut routes);
    // By weight the small ones are rare, and so are they where nobody has reported yet; not where none is
    // weighed.
    assert!(all[2] > 0 && all.iter().sum::<u64>() == 600, "{name}: {all:?}");
    with_weights(&routes, &[1, 1, 1]);
    assert!(counts(&mut routes).iter().all(|&count| count > 0), "{name}");
}

#[test]
fn l1_weight_0_drains_with_every_strategy() {
    for_each_strategy!(drains);
}

fn begins_drained<S: Strategy<1, 16, 4> + 'static>(name: &str, strategy: S) {
    let endpoints = [Endpoint::new(0).weight(0), Endpoint::new(1).weight(0)];
    let mut routes = Routes::new(strategy, Options::new(), endpoints);
    assert_eq!(routes.selector.select(&Request::ANY, NOW).unwrap_err(), SelectError::AllUnhealthy, "{name}");
    let added = routes.add(&Endpoint::new(2), NOW);
    routes.balancer.finish_build();
    assert_eq!(counts(&mut routes)[added], 600, "{name}");
    routes.balancer.remove(routes.ids[added], NOW).unwrap();
    routes.balancer.finish_build();
    assert_eq!(routes.selector.select(&Request::ANY, NOW).unwrap_err(), SelectError::AllUnhealthy, "{name}");
}

#[test]
fn l1_a_balancer_may_begin_with_weights_of_0_alone() {
    for_each_strategy!(begins_drained);
}

/// One thread changes weights, to 0 half of the time, while two select.
fn beside_selects<S: Strategy<1, 16, 4> + Sync + 'static>(name: &str, strategy: S) {
    let mut routes = Routes::equal(strategy, Options::new(), 3);
    let balancer: &Balancer<S, 1, 16, 4> = routes.balancer;
    let done = AtomicBool::new(false);
    let ids = &routes.ids;
    let all = Barrier::new(3);
    thread::scope(|scope| {
        for seed in 0..2 {
            let (balancer, done, all) = (routes.balancer, &done, &all);
            scope.spawn(move || {
                all.wait();
                let mut selector = chooser(balancer, seed);
                while !done.load(Ordering::Relaxed) {
                    match selector.select(&Request::ANY.key(RoutingKey::from_id(seed)), NOW) {
                        Ok(lease) => drop(lease),
                        Err(error) => assert_eq!(error, SelectError::AllUnhealthy),
                    }
                }
            });
        }
        let updater = scope.spawn(|| {
            all.wait();
            let mut random = Random::new(1);
            for _ in 0..1_000 {
                let at = random.below(3);
                let weight = random.below(2) * random.below(65_536);
                let endpoint = Endpoint::new(at as u64).weight(weight as u16);
                balancer.update(ids[at as usize], &endpoint, NOW).unwrap();
            }
        });
        updater.join().unwrap();
        done.store(true, Ordering::Relaxed);
    });
    with_weights(&routes, &[1, 0, 1]);
    assert_eq!(counts(&mut routes)[1], 0, "{name}");
    assert_eq!(routes.in_flight(), [0; 3], "{name}");
}

#[test]
fn l1_the_updater_outlives_any_weights_beside_selects() {
    for_each_strategy!(beside_selects);
}
