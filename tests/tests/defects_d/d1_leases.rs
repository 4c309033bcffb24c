//! D1: routing an event through a group took a connection that nothing released: three members with room for
//! 10,000 served exactly 30,000 events, then none for ever, while all of them read healthy. Here the lease is
//! the connection, and it ends with the event, however that ends.

use std::collections::VecDeque;

use trilane::route::{
    DetachedLeases, Endpoint, Health, Options, Request, RoundRobin, RoutingKey, SelectError, Strategy,
};
use trilane::time::{Duration, Instant};
use trilane_tests::for_each_strategy;
use trilane_tests::routing::{Router, Routes};

const EVENTS: u64 = if cfg!(debug_assertions) { 1_000_000 } else { 10_000_000 };
const CAP: u32 = 10_000;
const NOW: Instant = Instant::ZERO;
const LATENCY: Duration = Duration::from_millis(1);

/// How many events are served before the first that isn't.
fn served(mut route: impl FnMut(u64) -> bool) -> u64 {
    (0..EVENTS).take_while(|&event| route(event)).count() as u64
}

#[test]
fn d1_the_check_catches_a_group_that_releases_nothing() {
    let mut connections = [0; 3];
    let naive = served(|_| {
        let free = connections.iter_mut().find(|taken| **taken < CAP);
        free.map(|taken| *taken += 1).is_some()
    });
    assert_eq!(naive, 30_000);
}

#[test]
fn d1_millions_of_routed_events_leave_nothing_in_flight() {
    let mut routes = Routes::new(RoundRobin, Options::new(), (0..3).map(|id| Endpoint::new(id).cap(CAP)));
    let table: DetachedLeases<&Router<RoundRobin>, 1, 8> = DetachedLeases::new();
    let all = served(|event| {
        let Ok(lease) = routes.selector.select(&Request::ANY, NOW) else { return false };
        match event % 5 {
            0 => lease.succeed(LATENCY, NOW),
            1 => lease.fail(Duration::ZERO, NOW),
            2 => drop(lease),
            3 => table.succeed(lease.detach(&table, NOW).unwrap(), LATENCY, NOW).unwrap(),
            _ => {
                let _never_answered = lease.detach(&table, NOW).unwrap();
                assert_eq!(table.expire(NOW), 1);
            }
        }
        true
    });
    assert_eq!(all, EVENTS);
    for &id in &routes.ids {
        let stats = routes.balancer.stats(id).unwrap();
        assert_eq!((stats.in_flight, stats.health), (0, Health::Healthy));
        assert_eq!(stats.selected, stats.succeeded + stats.failed + stats.released);
    }
    // Not the counts alone: there is room for as many at a time as in the beginning.
    let held: Vec<_> = (0..3 * CAP).map(|_| routes.selector.select(&Request::ANY, NOW).unwrap()).collect();
    assert_eq!(routes.selector.select(&Request::ANY, NOW).unwrap_err(), SelectError::AllAtCapacity);
    drop(held);
    assert_eq!(routes.in_flight(), [0; 3]);
}

/// Events that overlap, with caps and without, with keys and without.
fn leaves_nothing<S: Strategy<1, 16, 4> + 'static>(name: &str, strategy: S) {
    let endpoints = (0..6).map(|id| if id < 3 { Endpoint::new(id).cap(12) } else { Endpoint::new(id) });
    let mut routes = Routes::new(strategy, Options::new().failures(0), endpoints);
    let mut out = VecDeque::new();
    for event in 0..EVENTS / 50 {
        let key = RoutingKey::from_id(event % 64);
        let request = if event % 3 == 0 { Request::ANY.key(key) } else { Request::ANY };
        out.push_back(routes.selector.select(&request, NOW).unwrap());
        if out.len() == 30 {
            let lease = out.swap_remove_back(event as usize * 7 % 30).unwrap();
            match event % 3 {
                0 => lease.succeed(LATENCY, NOW),
                1 => lease.fail(Duration::ZERO, NOW),
                _ => drop(lease),
            }
        }
    }
    assert_eq!(routes.in_flight().iter().sum::<u32>(), out.len() as u32, "{name}");
    drop(out);
    assert_eq!(routes.in_flight(), [0; 6], "{name}");
}

#[test]
fn d1_no_strategy_keeps_what_has_ended() {
    for_each_strategy!(leaves_nothing);
}
