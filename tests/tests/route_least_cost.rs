//! `LeastCost` beside a walk of all endpoints, for each load that there is; the distribution that follows
//! from a choice of two among many; and what a load of one's own looks like.

use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::thread;

use proptest::collection::vec;
use proptest::prelude::*;
use trilane::route::{
    Balancer, Class, Endpoint, EndpointId, Filter, Health, Latency, Lease, LeastConnections, LeastCost,
    LeastLatency, LeastLoad, Load, Metrics, Observed, Options, PeakEwma, PowerOfTwo, Random, Request, Score,
    SelectError, Selector, Tag, Tags,
};
use trilane::time::{Duration, Instant};
use trilane_tests::choosing::{Asks, World, assert_shares, count};
use trilane_tests::leak;
use trilane_tests::routing::Routes;

const TAG: Tags = Tags::NONE.with(Tag::of::<5>());
/// After so many ticks a report is stale.
const STALE: u64 = 3_000;

// === A few: every pick is one of the least ===

#[derive(Clone, Debug)]
enum Step {
    Add {
        weight: u16,
        cap: Option<u32>,
        tagged: bool,
    },
    Update {
        at: usize,
        weight: u16,
        cap: Option<u32>,
        enabled: bool,
    },
    Remove {
        at: usize,
    },
    Health {
        at: usize,
        health: Health,
    },
    Report {
        at: usize,
        load: u16,
    },
    Pass(u64),
    Select {
        selector: usize,
        tagged: bool,
        times: u8,
        tried: Vec<usize>,
    },
    /// Succeeds after so many microseconds, fails, or is released.
    End {
        at: usize,
        micros: u32,
        how: u8,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let cap = || prop_oneof![3 => Just(None), 1 => (1..6u32).prop_map(Some)];
    let weight = || prop_oneof![1 => Just(0), 6 => 1..12u16, 1 => 1..=u16::MAX];
    let health = prop_oneof![
        2 => Just(Health::Healthy),
        2 => Just(Health::Degraded),
        1 => Just(Health::Unknown),
        1 => Just(Health::Unhealthy)
    ];
    let at = any::<usize>;
    prop_oneof![
        3 => (weight(), cap(), any::<bool>()).prop_map(|(weight, cap, tagged)| Step::Add { weight, cap, tagged }),
        2 => (at(), weight(), cap(), prop::bool::weighted(0.8))
            .prop_map(|(at, weight, cap, enabled)| Step::Update { at, weight, cap, enabled }),
        1 => at().prop_map(|at| Step::Remove { at }),
        2 => (at(), health).prop_map(|(at, health)| Step::Health { at, health }),
        3 => (at(), 0u16..=1_000).prop_map(|(at, load)| Step::Report { at, load }),
        1 => (0u64..12_000).prop_map(Step::Pass),
        12 => (0..3usize, any::<bool>(), 1..12u8, vec(at(), 0..3))
            .prop_map(|(selector, tagged, times, tried)| Step::Select { selector, tagged, times, tried }),
        8 => (at(), 1u32..90_000_000, 0..3u8).prop_map(|(at, micros, how)| Step::End { at, micros, how }),
    ]
}

type Few<L> = Balancer<LeastCost<L>, 2, 8, 3>;

struct Known {
    id: EndpointId,
    endpoint: Endpoint,
    weight: u16,
    cap: Option<u32>,
    tagged: bool,
    enabled: bool,
    health: Health,
    out: u32,
    latency: PeakEwma,
    /// The score, and when it was reported.
    report: Option<(u16, u64)>,
}

impl Known {
    fn may_serve(&self, tagged: bool, tried: &[EndpointId]) -> bool {
        let healthy = matches!(self.health, Health::Healthy | Health::Degraded);
        let fits = healthy && self.enabled && self.weight > 0 && (!tagged || self.tagged);
        fits && !tried.contains(&self.id) && self.cap.is_none_or(|cap| self.out < cap)
    }
}

/// What the load of an endpoint is; `None`: it isn't known.
type Loaded = fn(&Known, u64) -> Option<u32>;

/// The costs of those that may serve. One of which nothing is known counts as the mean of the others and 1;
/// or as idle, in a select that `explores`, as does one whose latency is old.
fn costs(
    known: &[Known],
    load: Loaded,
    tick: u64,
    tagged: bool,
    tried: &[EndpointId],
    explores: bool,
    latencies: bool,
) -> Vec<(EndpointId, f64)> {
    let compared = known.iter().filter(|known| known.may_serve(tagged, tried));
    let loads: Vec<_> = compared.filter_map(|known| load(known, tick)).map(u64::from).collect();
    let mean = loads.iter().sum::<u64>().checked_div(loads.len() as u64).map_or(1, |mean| mean as u32 + 1);
    let instead = if explores { 1 } else { mean };
    let may = known.iter().filter(|known| known.may_serve(tagged, tried));
    let cost = |known: &Known| {
        let left = if known.health == Health::Degraded { 0.5 } else { 1.0 };
        let is_tried = explores && latencies && known.out == 0 && known.latency.is_old(tick as u32);
        let load = load(known, tick).filter(|_| !is_tried);
        // What a lease more would make of it; more counts as the most.
        let busy = load.unwrap_or(instead).saturating_mul(known.out + 1);
        busy as f64 / (known.weight as f64 * left)
    };
    may.map(|known| (known.id, cost(known))).collect()
}

fn run<L: Load + 'static>(strategy: LeastCost<L>, load: Loaded, steps: Vec<Step>) {
    let options = Options::new().failures(0).stale_after(Duration::from_micros(STALE * 1_024));
    let balancer: &'static Few<L> = leak(Balancer::new(strategy, options));
    let mut selectors: Vec<(Selector<_, _, 2, 8, 3, 2>, Class)> = (0..3)
        .map(|seed| {
            let mut selector = Selector::new(balancer, seed).unwrap();
            let class = selector.class(Filter::ANY.tags(TAG)).unwrap();
            (selector, class)
        })
        .collect();
    let mut known: Vec<Known> = Vec::new();
    let mut held: Vec<Lease<&'static Few<L>>> = Vec::new();
    let (mut tick, mut number) = (0, 0);
    for step in steps {
        let now = Instant::from_micros(tick * 1_024);
        let count = known.len();
        match step {
            Step::Add { weight, cap, tagged } => {
                number += 1;
                let endpoint = Endpoint::new(number).weight(weight);
                let endpoint = if tagged { endpoint.tags(TAG) } else { endpoint };
                let capped = cap.map_or(endpoint, |cap| endpoint.cap(cap));
                if let Ok(id) = balancer.add(&capped, now) {
                    let (health, latency) = (Health::Healthy, PeakEwma::new());
                    known.push(Known {
                        id,
                        endpoint,
                        weight,
                        cap,
                        tagged,
                        enabled: true,
                        health,
                        out: 0,
                        latency,
                        report: None,
                    });
                }
            }
            Step::Update { at, weight, cap, enabled } if count > 0 => {
                let known = &mut known[at % count];
                (known.weight, known.cap, known.enabled) = (weight, cap, enabled);
                let endpoint = known.endpoint.weight(weight).enabled(enabled);
                balancer.update(known.id, &cap.map_or(endpoint, |cap| endpoint.cap(cap)), now).unwrap();
            }
            Step::Remove { at } if count > 0 => {
                let known = known.swap_remove(at % count);
                assert_eq!(balancer.remove(known.id, now), Ok(known.out));
            }
            Step::Health { at, health } if count > 0 => {
                known[at % count].health = health;
                balancer.set_health(known[at % count].id, health, now).unwrap();
            }
            Step::Report { at, load } if count > 0 => {
                let report = Metrics::new(load, 0, 0, 0, 0).unwrap();
                balancer.report(known[at % count].id, report, now).unwrap();
                known[at % count].report = Some((report.score(), tick));
            }
            Step::Pass(span) => {
                tick += span;
                (0..3).for_each(|_| balancer.tick(Instant::from_micros(tick * 1_024)));
            }
            Step::Select { selector, tagged, times, tried } => {
                let tried: Vec<_> = tried.iter().filter_map(|&at| Some(known.get(at % 16)?.id)).collect();
                for _ in 0..times {
                    let (selector, class) = &mut selectors[selector];
                    let class = if tagged { *class } else { Class::ANY };
                    let costs = [false, true]
                        .map(|explores| costs(&known, load, tick, tagged, &tried, explores, L::LATENCIES));
                    let got = selector.select(&Request::new(class).excluding(&tried), now);
                    let Ok(lease) = got else {
                        assert!(costs[0].is_empty(), "{got:?} with {costs:?}");
                        continue;
                    };
                    let id = lease.endpoint();
                    let is_least = |costs: &Vec<(EndpointId, f64)>| {
                        let (_, cost) = *costs.iter().find(|(other, _)| *other == id).expect("it may serve");
                        costs.iter().all(|(_, other)| other * 1.001 >= cost)
                    };
                    assert!(costs.iter().any(is_least), "{id:?} at {tick} of {costs:?}");
                    known.iter_mut().find(|known| known.id == id).unwrap().out += 1;
                    held.push(lease);
                }
            }
            Step::End { at, micros, how } if !held.is_empty() => {
                let lease = held.swap_remove(at % held.len());
                let it = known.iter_mut().find(|known| known.id == lease.endpoint());
                let latency = Duration::from_micros(micros.into());
                if let Some(it) = it {
                    it.out -= 1;
                    match how {
                        0 => _ = it.latency.record(micros, tick as u32),
                        1 => _ = it.latency.record_failure(micros, tick as u32),
                        _ => {}
                    }
                }
                match how {
                    0 => lease.succeed(latency, now),
                    1 => lease.fail(latency, now),
                    _ => drop(lease),
                }
            }
            _ => {}
        }
    }
    held.clear();
    assert!(known.iter().all(|known| balancer.stats(known.id).unwrap().in_flight == 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn every_pick_has_the_fewest_leases_for_its_weight(steps in vec(step(), 1..120)) {
        run(PowerOfTwo::new(), |_, _| Some(1), steps);
    }

    #[test]
    fn every_pick_is_the_fastest_for_its_leases(steps in vec(step(), 1..120)) {
        let load: Loaded = |known, tick| {
            Some(known.latency.get_halved(tick as u32).min(67_108_863)).filter(|&latency| latency != 0)
        };
        run(LeastCost::by(Latency), load, steps);
    }

    #[test]
    fn every_pick_reports_the_least_for_its_leases(steps in vec(step(), 1..120)) {
        let load: Loaded = |known, tick| {
            known.report.filter(|(_, at)| tick - at < STALE).map(|(score, _)| score as u32 + 250)
        };
        run(LeastCost::by(Score), load, steps);
    }
}

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
