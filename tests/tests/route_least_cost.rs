//! Least cost among many, of which two are drawn; what a load owes to whom, one of one's own too; and caps,
//! by two threads.

use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::thread;

use trilane::route::{
    Balancer, Endpoint, LeastConnections, LeastCost, LeastLatency, LeastLoad, Load, Observed, Options,
    PowerOfTwo, Random, Request, SelectError, Selector,
};
use trilane::time::{Duration, Instant};
use trilane_tests::choosing::{Asks, World, assert_shares, count};
use trilane_tests::leak;
use trilane_tests::routing::Routes;

// === Many: two are drawn ===

#[test]
fn of_two_different_random_candidates_the_one_that_costs_less_is_picked() {
    let mut random = Random::new(1);
    let mut rounds = 0;
    for round in 0..40 {
        let mut world = World::<_, 3, 20>::new(PowerOfTwo::new());
        (0..40).for_each(|_| world.add(1 + random.below(3) as u16));
        for _ in 0..random.below(40) {
            world.change(&mut random);
        }
        let mut chooser = world.chooser(round);
        // Leases out, so that counts differ.
        let held: Vec<_> =
            (0..40).filter_map(|_| chooser.select(&Request::ANY, Instant::ZERO).ok()).collect();
        for asks in Asks::ALL {
            let request = Request::new(world.class(&mut chooser, asks));
            let those = world.eligible(asks);
            if those.len() <= 16 {
                continue;
            }
            rounds += 1;
            let out = |at: usize| held.iter().filter(|l| l.endpoint() == those[at].handle).count() as u64;
            // Costs as fractions: leases over what is due.
            let costs_less = |one: usize, other: usize| {
                (out(one) + 1) * those[other].due() < (out(other) + 1) * those[one].due()
            };
            let mut due = vec![0; those.len()];
            for first in 0..those.len() {
                for second in 0..first {
                    let halves = match (costs_less(first, second), costs_less(second, first)) {
                        (true, _) => [2, 0],
                        (_, true) => [0, 2],
                        _ => [1, 1],
                    };
                    due[first] += halves[0];
                    due[second] += halves[1];
                }
            }
            let counts = count(&mut chooser, &request, &those, 200 * those.len() as u64 + 1);
            // The one that costs most is never picked.
            assert!((0..those.len()).all(|at| due[at] != 0 || counts[at] == 0), "{counts:?} for {due:?}");
            let seen: Vec<_> = (0..those.len()).filter(|&at| due[at] != 0).map(|at| counts[at]).collect();
            due.retain(|&due| due != 0);
            assert_shares(&seen, &due);
        }
    }
    assert!(rounds > 30, "{rounds}");
}

#[test]
fn while_nothing_is_out_all_of_many_have_the_same_chance() {
    fn check<S: trilane::route::Strategy<2, 32, 2> + 'static>(strategy: S) {
        let world = World::<_, 2, 32>::with(strategy, &[1; 50]);
        let those = world.eligible(Asks::Anything);
        let mut chooser = world.chooser(3);
        assert_shares(&count(&mut chooser, &Request::ANY, &those, 50_000), &[1; 50]);
    }
    check(PowerOfTwo::new());
    check(LeastConnections::new());
    check(LeastLatency::new());
    check(LeastLoad::new());
    check(LeastCost::<trilane::route::Outstanding, 16>::new());
}

#[test]
fn the_busiest_of_many_has_little_more_than_the_mean() {
    let most = |strategy: LeastConnections| {
        let world = World::<_, 32, 32>::with(strategy, &[1; 1_000]);
        let mut chooser = world.chooser(3);
        let held: Vec<_> =
            (0..10_000).map(|_| chooser.select(&Request::ANY, Instant::ZERO).unwrap()).collect();
        let of = |known: &trilane_tests::choosing::Known| {
            held.iter().filter(|lease| lease.endpoint() == known.handle).count()
        };
        world.known.iter().map(of).max()
    };
    assert!(most(LeastConnections::new()) <= Some(12));
}

// === What a load owes to whom ===

#[test]
fn an_endpoint_that_was_slow_once_is_asked_again() {
    let mut routes = Routes::equal(LeastLatency::new(), Options::new(), 3);
    let mut now = Instant::ZERO;
    let mut run = |latencies: [u64; 3], selects| {
        let mut counts = [0; 3];
        for _ in 0..selects {
            let (at, lease) = routes.select(&Request::ANY, now).unwrap();
            now += Duration::from_millis(10);
            lease.succeed(Duration::from_millis(latencies[at]), now);
            counts[at] += 1;
        }
        counts
    };
    let slow = run([20, 25, 2_000], 12_000);
    assert!((1..20).contains(&slow[2]), "{slow:?}");
    run([20, 25, 1], 24_000);
    let fast = run([20, 25, 1], 1_000);
    assert!(fast[2] > 900, "{fast:?}");
}

#[test]
fn an_endpoint_that_has_recovered_has_its_share_within_seconds() {
    let mut routes = Routes::equal(LeastLatency::new(), Options::new(), 4);
    let mut now = Instant::ZERO;
    // A request each 5 ms, one at a time; how many each got in the last second.
    let mut run = |latencies: [u64; 4], seconds: u64| {
        let mut counts = [0; 4];
        for request in 0..seconds * 200 {
            let (at, lease) = routes.select(&Request::ANY, now).unwrap();
            now += Duration::from_millis(5);
            lease.succeed(Duration::from_millis(latencies[at]), now);
            counts[at] += (request / 200 == seconds - 1) as u32;
        }
        counts
    };
    let slow = run([5, 5, 5, 100], 60);
    assert!(slow[3] <= 2, "{slow:?}");
    let fast = run([5, 5, 5, 4], 4);
    assert!(fast[3] >= 40, "{fast:?}");
}

#[test]
fn a_load_of_ones_own() {
    /// Even slots are twice as expensive.
    struct Parity;
    impl Load for Parity {
        fn of(&self, endpoint: &Observed<'_>) -> u32 {
            2 - endpoint.slot() as u32 % 2
        }
    }
    let mut routes = Routes::equal(LeastCost::<Parity>::by(Parity), Options::new(), 6);
    let held: Vec<_> = (0..90).map(|_| routes.select(&Request::ANY, Instant::ZERO).unwrap()).collect();
    let count = |at| held.iter().filter(|(of, _)| *of == at).count();
    assert_eq!([0, 1, 2, 3, 4, 5].map(count), [10, 20, 10, 20, 10, 20]);
}

#[test]
fn all_at_their_cap_is_an_error_and_not_a_pick() {
    let endpoints = (0..3).map(|id| Endpoint::new(id).cap(1));
    let mut routes = Routes::new(LeastLoad::new(), Options::new(), endpoints);
    let leases: Vec<_> = (0..3).map(|_| routes.select(&Request::ANY, Instant::ZERO).unwrap()).collect();
    let refused = routes.select(&Request::ANY, Instant::ZERO).map(|(at, _)| at);
    assert_eq!(refused, Err(SelectError::AllAtCapacity));
    drop(leases);
    assert!(routes.select(&Request::ANY, Instant::ZERO).is_ok());
}

// === Threads ===

#[test]
fn two_threads_never_exceed_a_cap_and_leave_nothing_behind() {
    const SELECTS: u32 = if cfg!(miri) { 200 } else { 20_000 };
    type Pair = Balancer<LeastConnections, 2, 32, 2>;
    let balancer: &'static Pair = leak(Balancer::new(LeastConnections::new(), Options::new().failures(0)));
    let cap = |slot: u16| Some(slot as u32 % 5).filter(|&cap| cap != 0);
    let ids: Vec<_> = (0..64)
        .map(|slot| {
            let endpoint = Endpoint::new(slot.into());
            let endpoint = cap(slot).map_or(endpoint, |cap| endpoint.cap(cap));
            balancer.add(&endpoint, Instant::ZERO).unwrap()
        })
        .collect();
    let counted: [AtomicU32; 64] = std::array::from_fn(|_| AtomicU32::new(0));
    let all = Barrier::new(2);
    thread::scope(|scope| {
        for seed in 0..2 {
            let (all, counted) = (&all, &counted);
            scope.spawn(move || {
                let mut selector: Selector<_, _, 2, 32, 2, 1> = Selector::new(balancer, seed).unwrap();
                let mut random = Random::new(seed);
                let mut held = Vec::new();
                all.wait();
                for number in 0..SELECTS {
                    let lease = selector.select(&Request::ANY, Instant::ZERO).unwrap();
                    let slot = lease.endpoint().slot();
                    let count = counted[slot as usize].fetch_add(1, SeqCst) + 1;
                    assert!(cap(slot).is_none_or(|cap| count <= cap), "{count} of {:?}", cap(slot));
                    held.push(lease);
                    // At last none is left.
                    let most = if number + 1 < SELECTS { random.below(40) } else { 0 };
                    while held.len() as u32 > most {
                        let lease = held.swap_remove(random.below(held.len() as u32) as usize);
                        counted[lease.endpoint().slot() as usize].fetch_sub(1, SeqCst);
                    }
                }
            });
        }
    });
    assert!(ids.iter().all(|&id| balancer.stats(id).unwrap().in_flight == 0));
}
