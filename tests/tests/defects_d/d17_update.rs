//! D17: to change an endpoint's weight or tags it had to be added again, which reset its breaker and counts.
//! Here a change keeps them, and adding again is an error that changes nothing.

use std::collections::HashMap;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use trilane::route::{
    AddError, BreakerState, Endpoint, Filter, Health, LeastLatency, Metrics, Options, Request, SelectError,
    Tag, Tags, Tier, UpdateError, Zone,
};
use trilane::time::{Duration, Instant};
use trilane_tests::routing::{Routes, chooser};

const NOW: Instant = Instant::ZERO;
const LIMIT: u32 = 5;

/// Everything that an update may change.
fn changes() -> [Endpoint; 6] {
    let first = Endpoint::new(9);
    [
        first.weight(7),
        first.tags(Tags::NONE.with(Tag::of::<4>())),
        first.zone(Zone::of::<2>()),
        first.tier(Tier::of::<1>()),
        first.cap(100),
        first.weight(3).cap(50).tags(Tags::NONE.with(Tag::of::<5>())),
    ]
}

/// Whether the last of `LIMIT` failures opens the breaker when there is a change before it.
fn opens(mut fail: impl FnMut() -> bool, change: impl FnOnce()) -> bool {
    assert!((1..LIMIT).all(|_| !fail()));
    change();
    fail()
}

#[test]
fn d17_the_check_catches_an_endpoint_that_is_added_again() {
    let failures = std::cell::RefCell::new(HashMap::from([(9, 0)]));
    let fail = || {
        let mut failures = failures.borrow_mut();
        *failures.get_mut(&9).unwrap() += 1;
        failures[&9] == LIMIT
    };
    let add_again = || _ = failures.borrow_mut().insert(9, 0);
    assert!(!opens(fail, add_again));
}

fn routes() -> Routes<LeastLatency> {
    Routes::new(LeastLatency::new(), Options::new().failures(LIMIT as u16), [Endpoint::new(9)])
}

fn trip(routes: &mut Routes<LeastLatency>) {
    routes.beside_a_spare(NOW, |routes| {
        (0..LIMIT).for_each(|_| routes.lease_of(0, NOW).fail(Duration::ZERO, NOW));
    });
}

#[test]
fn d17_a_change_forgives_no_failures() {
    for change in changes() {
        let mut routes = routes();
        let (balancer, id) = (routes.balancer, routes.ids[0]);
        // The last one is never kept out.
        balancer.add(&Endpoint::new(10).tier(Tier::of::<7>()), NOW).unwrap();
        let fail = || {
            routes.selector.select(&Request::ANY, NOW).unwrap().fail(Duration::ZERO, NOW);
            balancer.stats(id).unwrap().breaker == BreakerState::Open
        };
        assert!(opens(fail, || balancer.update(id, &change, NOW).unwrap()), "{change:?}");
    }
}

#[test]
fn d17_a_change_keeps_everything_that_is_known_of_an_endpoint() {
    let mut routes = routes();
    let (balancer, id) = (routes.balancer, routes.ids[0]);
    let mut lease = || routes.selector.select(&Request::ANY, NOW).unwrap();
    let held = [lease(), lease()];
    lease().succeed(Duration::from_millis(20), NOW);
    drop(lease());
    lease().fail(Duration::ZERO, NOW);
    balancer.report(id, Metrics::new(500, 400, 30, 20, 10).unwrap(), NOW).unwrap();
    balancer.set_health(id, Health::Degraded, NOW).unwrap();
    let (before, metrics) = (balancer.stats(id).unwrap(), balancer.metrics(id).unwrap());
    assert_eq!((before.selected, before.in_flight, before.failed), (5, 2, 1));
    assert!(before.latency > Duration::ZERO && before.score.is_some());
    for change in changes() {
        balancer.update(id, &change, NOW).unwrap();
        assert_eq!(balancer.stats(id).unwrap(), before, "{change:?}");
        assert_eq!(balancer.metrics(id).unwrap(), metrics);
        assert_eq!(balancer.endpoint(id), Ok(change.health(Health::Degraded)), "and is what was said");
    }
    drop(held);
    assert_eq!(balancer.stats(id).unwrap().in_flight, 0);
}

#[test]
fn d17_an_open_breaker_stays_open_for_as_long_as_before() {
    let mut routes = routes();
    let (balancer, id) = (routes.balancer, routes.ids[0]);
    trip(&mut routes);
    let error = routes.selector.select(&Request::ANY, NOW).unwrap_err();
    let SelectError::AllBreakersOpen { retry_at } = error else { panic!("{error}") };
    for change in changes() {
        let now = Instant::from_secs(20);
        balancer.update(id, &change, now).unwrap();
        let error = routes.selector.select(&Request::ANY, now).unwrap_err();
        let SelectError::AllBreakersOpen { retry_at: again } = error else { panic!("{error}") };
        assert!(again.as_micros().abs_diff(retry_at.as_micros()) < 1_024, "{again:?}, not {retry_at:?}");
    }
    assert!(routes.selector.select(&Request::ANY, retry_at).unwrap().is_probe());
}

#[test]
fn d17_a_probe_that_is_out_still_decides_after_a_change() {
    for change in changes() {
        let mut routes = routes();
        let (balancer, id) = (routes.balancer, routes.ids[0]);
        trip(&mut routes);
        let later = Instant::from_secs(31);
        let probe = routes.selector.select(&Request::ANY, later).unwrap();
        balancer.update(id, &change, later).unwrap();
        assert_eq!(balancer.stats(id).unwrap().breaker, BreakerState::Probing);
        probe.succeed(Duration::ZERO, later);
        assert_eq!(balancer.stats(id).unwrap().breaker, BreakerState::Closed);
    }
}

#[test]
fn d17_adding_again_is_an_error_and_changes_nothing() {
    let mut routes = routes();
    let (balancer, id) = (routes.balancer, routes.ids[0]);
    routes.selector.select(&Request::ANY, NOW).unwrap().fail(Duration::ZERO, NOW);
    let (stats, endpoint) = (balancer.stats(id), balancer.endpoint(id));
    for change in changes() {
        assert_eq!(balancer.add(&change, NOW), Err(AddError::Exists(id)));
        assert_eq!((balancer.stats(id), balancer.endpoint(id)), (stats, endpoint));
    }
    assert_eq!(balancer.update(id, &Endpoint::new(8), NOW), Err(UpdateError::OtherId));
    assert_eq!(balancer.endpoint(id), endpoint);
}

#[test]
fn d17_a_change_beside_selects_is_never_seen_half_done() {
    // It has the tag, and is in the zone and the tier, before and after each change: so every select must
    // find it.
    let first = Endpoint::new(9).zone(Zone::of::<2>()).tier(Tier::of::<1>());
    let (asked, more) = (Tags::NONE.with(Tag::of::<3>()), Tag::of::<8>());
    let changes = [
        first.tags(asked).weight(2),
        first.tags(asked.with(more)),
        first.tags(asked).cap(1_000),
        first.tags(asked.with(Tag::of::<0>())).weight(9),
    ];
    let routes = Routes::new(LeastLatency::new(), Options::new(), [changes[0]]);
    let (balancer, id) = (routes.balancer, routes.ids[0]);
    let filter = Filter::ANY.tags(asked).tier(Tier::of::<1>()).prefer(Zone::of::<2>()).unwrap().confined();
    let (done, all) = (AtomicBool::new(false), Barrier::new(3));
    thread::scope(|scope| {
        for seed in 0..2 {
            let (done, all) = (&done, &all);
            scope.spawn(move || {
                all.wait();
                let mut selector = chooser(balancer, seed);
                let class = selector.class(filter).unwrap();
                while !done.load(Ordering::Relaxed) {
                    let lease = selector.select(&Request::new(class), NOW);
                    assert_eq!(lease.map(|lease| lease.endpoint()), Ok(id));
                }
            });
        }
        let updater = scope.spawn(|| {
            all.wait();
            for change in changes.iter().cycle().take(50_000) {
                balancer.update(id, change, NOW).unwrap();
            }
        });
        updater.join().unwrap();
        done.store(true, Ordering::Relaxed);
    });
}
