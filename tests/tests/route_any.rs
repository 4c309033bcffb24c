//! `AnyStrategy` beside each of the ten, and what an exchange must not lose.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Barrier, mpsc};
use std::thread;

use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, any, prop_oneof, proptest};
use proptest::prop_assert_eq;
use proptest::strategy::{Just, Strategy as _};
use trilane::route::{
    Adaptive, AddError, AnyStrategy, Balancer, Bounded, ConsistentHash, Endpoint, EndpointId, Health, Kind,
    LeastConnections, LeastLatency, LeastLoad, Maglev, Metrics, Options, PowerOfTwo, Random, Request, Ring,
    RoundRobin, RoutingKey, SelectError, Selector, Strategy, UniformRandom, WeightedRandom,
    WeightedRoundRobin,
};
use trilane::time::{Duration, Instant};
use trilane_tests::leak;

const BANKS: usize = 3;
const PER_BANK: usize = 7;
const STRIPES: usize = 3;

type Table = Maglev<251, 96>;
type Any = AnyStrategy<Table>;
type World<S> = Balancer<S, BANKS, PER_BANK, STRIPES>;
type Chooser<S> = Selector<&'static World<S>, S, BANKS, PER_BANK, STRIPES, 1>;

fn hash() -> ConsistentHash<Table> {
    ConsistentHash::new(Table::new())
}

fn any_strategy(kind: Kind) -> Any {
    AnyStrategy::new(kind, hash())
}

/// What is picked in a run in which everything happens.
fn run<S: Strategy<BANKS, PER_BANK, STRIPES> + 'static>(strategy: S) -> Vec<Result<EndpointId, SelectError>> {
    let balancer: &World<S> = leak(Balancer::new(strategy, Options::new().failures(3)));
    let mut chooser: Chooser<S> = Selector::new(balancer, 11).unwrap();
    let mut random = Random::new(5);
    let (mut ids, mut leases, mut picks) = (Vec::new(), Vec::new(), Vec::new());
    let mut now = Instant::ZERO;
    for number in 0..4_000 {
        now += Duration::from_millis(u64::from(random.below(30)));
        let at = random.next() as usize;
        match random.below(30) {
            0 => {
                let endpoint = Endpoint::new(number).weight(random.below(9) as u16);
                let endpoint =
                    if random.below(3) == 0 { endpoint.cap(1 + random.below(4)) } else { endpoint };
                ids.extend(balancer.add(&endpoint, now));
            }
            1 if ids.len() > 5 => {
                balancer.remove(ids.swap_remove(at % ids.len()), now).unwrap();
            }
            2..5 if !ids.is_empty() => {
                let health = [Health::Healthy, Health::Healthy, Health::Degraded, Health::Unhealthy];
                balancer.set_health(ids[at % ids.len()], health[random.below(4) as usize], now).unwrap();
            }
            5..9 if !ids.is_empty() => {
                let report = Metrics::new(random.below(1_001) as u16, 1_000, 9_000, 900, 900).unwrap();
                balancer.report(ids[at % ids.len()], report, now).unwrap();
            }
            9..18 if !leases.is_empty() => {
                let lease: trilane::route::Lease<_> = leases.swap_remove(at % leases.len());
                match random.below(9) {
                    0 => lease.fail(Duration::ZERO, now),
                    1 => drop(lease),
                    _ => lease.succeed(Duration::from_micros(u64::from(random.below(90_000))), now),
                }
            }
            _ => {
                let request = match random.below(2) {
                    0 => Request::ANY,
                    _ => Request::ANY.key(RoutingKey::from_id(u64::from(random.below(40)))),
                };
                let lease = chooser.select(&request, now);
                picks.push(lease.as_ref().map(|lease| lease.endpoint()).map_err(|error| *error));
                leases.extend(lease);
            }
        }
    }
    picks
}

#[test]
fn each_kind_decides_as_the_strategy_of_that_name() {
    for kind in Kind::ALL {
        let expected = match kind {
            Kind::RoundRobin => run(RoundRobin),
            Kind::WeightedRoundRobin => run(WeightedRoundRobin),
            Kind::LeastConnections => run(LeastConnections::new()),
            Kind::Random => run(UniformRandom),
            Kind::WeightedRandom => run(WeightedRandom),
            Kind::ConsistentHash => run(hash()),
            Kind::LeastLatency => run(LeastLatency::new()),
            Kind::LeastLoad => run(LeastLoad::new()),
            Kind::PowerOfTwo => run(PowerOfTwo::new()),
            Kind::Adaptive => run(Adaptive::new(hash())),
            _ => panic!("{kind} isn't tested"),
        };
        let picks = run(any_strategy(kind));
        assert_eq!(picks, expected, "{kind}");
        assert!(picks.iter().filter(|pick| pick.is_ok()).count() > 1_000, "{kind}");
    }
}

#[test]
fn names_are_all_different() {
    let names: BTreeSet<_> = Kind::ALL.iter().map(|kind| kind.to_string()).collect();
    assert_eq!(names.len(), Kind::ALL.len());
    assert_eq!(format!("[{:>8}]", Kind::Random), "[  random]");
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Exchange(usize),
    Select(usize, bool),
    End(usize, u64),
    Report(usize, u16),
    Health(usize, bool),
}

fn steps() -> impl proptest::strategy::Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => any::<usize>().prop_map(Step::Exchange),
        12 => (0usize..2, any::<bool>()).prop_map(|(who, keep)| Step::Select(who, keep)),
        5 => (any::<usize>(), 1u64..90_000).prop_map(|(at, micros)| Step::End(at, micros)),
        3 => (any::<usize>(), 0u16..=1_000).prop_map(|(at, load)| Step::Report(at, load)),
        1 => (any::<usize>(), prop_oneof![3 => Just(true), 1 => Just(false)]).prop_map(|(at, well)| Step::Health(at, well)),
    ];
    vec(step, 1..300)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    /// Leases that were taken under one strategy count under the next.
    #[test]
    fn after_an_exchange_the_new_strategy_goes_by_what_is_true(steps in steps()) {
        let balancer: &World<Any> = leak(Balancer::new(any_strategy(Kind::Random), Options::new()));
        let mut choosers: [Chooser<Any>; 2] = [1, 2].map(|seed| Selector::new(balancer, seed).unwrap());
        let now = Instant::ZERO;
        let ids: Vec<_> = (0..12).map(|number| balancer.add(&Endpoint::new(number), now).unwrap()).collect();
        let mut kind = Kind::Random;
        let mut leases = vec![];
        let (mut counts, mut loads, mut well) = ([0u32; 12], [None; 12], [true; 12]);
        for step in steps {
            match step {
                Step::Exchange(to) => {
                    let to = Kind::ALL[to % 10];
                    prop_assert_eq!(balancer.set_kind(to, now), kind);
                    kind = to;
                }
                Step::Select(who, keep) => {
                    let Ok(lease) = choosers[who].select(&Request::ANY, now) else {
                        prop_assert_eq!(well, [false; 12]);
                        continue;
                    };
                    let at = ids.iter().position(|id| *id == lease.endpoint()).unwrap();
                    assert!(well[at], "{} took {at}", kind);
                    let those = || (0..12).filter(|&at| well[at]);
                    let by_load = |at: usize| (loads[at].unwrap_or(0) as u32 + 250) * (counts[at] + 1);
                    match kind {
                        Kind::LeastConnections | Kind::PowerOfTwo => {
                            prop_assert_eq!(Some(counts[at]), those().map(|at| counts[at]).min());
                        }
                        // Who hasn't reported counts as the mean, or as idle.
                        Kind::LeastLoad if those().all(|at| loads[at].is_some()) => {
                            prop_assert_eq!(Some(by_load(at)), those().map(by_load).min());
                        }
                        _ => {}
                    }
                    if keep {
                        counts[at] += 1;
                        leases.push((at, lease));
                    }
                }
                Step::End(which, micros) if !leases.is_empty() => {
                    let (at, lease) = leases.swap_remove(which % leases.len());
                    counts[at] -= 1;
                    lease.succeed(Duration::from_micros(micros), now);
                }
                Step::End(..) => {}
                Step::Report(at, load) => {
                    let report = Metrics::new(load, 0, 0, 0, 0).unwrap();
                    balancer.report(ids[at % 12], report, now).unwrap();
                    loads[at % 12] = Some(report.score());
                }
                Step::Health(at, healthy) => {
                    let health = if healthy { Health::Healthy } else { Health::Unhealthy };
                    balancer.set_health(ids[at % 12], health, now).unwrap();
                    well[at % 12] = healthy;
                }
            }
        }
    }
}

#[test]
fn exchanges_beside_selects_lose_no_lease() {
    let balancer: &World<Any> = leak(Balancer::new(any_strategy(Kind::RoundRobin), Options::new()));
    let now = Instant::ZERO;
    for number in 0..20 {
        balancer.add(&Endpoint::new(number).weight(5), now).unwrap();
    }
    let (done, mut broken) = (AtomicBool::new(false), false);
    let all = Barrier::new(3);
    thread::scope(|scope| {
        for seed in 0..2 {
            let (done, all) = (&done, &all);
            scope.spawn(move || {
                all.wait();
                let mut chooser: Chooser<Any> = Selector::new(balancer, seed).unwrap();
                let mut leases = Vec::new();
                let mut number = 0;
                while !done.load(Relaxed) {
                    number += 1;
                    leases.extend(chooser.select(&Request::ANY.key(RoutingKey::from_id(number)), now));
                    if leases.len() == 30 {
                        leases.drain(..).for_each(|lease| lease.succeed(Duration::from_micros(number), now));
                    }
                }
            });
        }
        all.wait();
        for round in 0..3_000u64 {
            balancer.set_kind(Kind::ALL[round as usize * 7 % 10], now);
            if round % 50 == 0
                && let Some(id) = balancer.find(round / 50 % 20)
            {
                broken |= balancer.remove(id, now).is_err();
                // The slot may have leases out yet, and no other be free: the threads end them in time.
                let back = loop {
                    match balancer.add(&Endpoint::new(round / 50 % 20).weight(5), now) {
                        Err(AddError::Full) => thread::yield_now(),
                        other => break other,
                    }
                };
                broken |= back.is_err();
            }
        }
        done.store(true, Relaxed);
    });
    assert!(!broken);
    assert_eq!(balancer.totals().errors.total(), 0);
    let stats = balancer.members().map(|id| balancer.stats(id).unwrap());
    stats.for_each(|stats| assert_eq!(stats.in_flight, 0));
    // All are free, so that each has to get one of as many leases as there are.
    balancer.set_kind(Kind::LeastConnections, now);
    let mut chooser: Chooser<Any> = Selector::new(balancer, 9).unwrap();
    let members = balancer.members().count();
    let leases: Vec<_> = (0..members).map(|_| chooser.select(&Request::ANY, now).unwrap()).collect();
    let different: BTreeSet<_> = leases.iter().map(|lease| lease.endpoint()).collect();
    // It draws five of twenty.
    assert!(different.len() * 4 > members * 3, "{different:?}");
}

/// Where the first 200 keys go.
fn homes<S: Strategy<BANKS, PER_BANK, STRIPES> + 'static>(balancer: &'static World<S>) -> Vec<u16> {
    let mut chooser: Chooser<S> = Selector::new(balancer, 1).unwrap();
    let home = |number| {
        let request = Request::ANY.key(RoutingKey::from_id(number));
        chooser.select(&request, Instant::ZERO).unwrap().endpoint().slot()
    };
    (0..200).map(home).collect()
}

#[test]
fn the_table_is_built_when_a_kind_is_chosen_that_looks_at_it() {
    let now = Instant::ZERO;
    let (constant, exchanged): (&World<_>, &World<_>) = (
        leak(Balancer::new(hash(), Options::new())),
        leak(Balancer::new(any_strategy(Kind::RoundRobin), Options::new())),
    );
    for number in 0..15 {
        let endpoint = Endpoint::new(number).weight(1 + number as u16);
        constant.add(&endpoint, now).unwrap();
        exchanged.add(&endpoint, now).unwrap();
    }
    assert!(constant.finish_build() && exchanged.finish_build());
    assert_ne!(homes(exchanged), homes(constant));
    for kind in [Kind::ConsistentHash, Kind::Random, Kind::Adaptive] {
        // What changes while nobody looks at the table is in it later.
        let number = 20 + kind as u64;
        constant.add(&Endpoint::new(number).weight(30), now).unwrap();
        exchanged.add(&Endpoint::new(number).weight(30), now).unwrap();
        exchanged.set_kind(kind, now);
        assert!(constant.finish_build() && exchanged.finish_build());
        if kind != Kind::Random {
            assert_eq!(homes(exchanged), homes(constant), "{kind}");
        }
    }
}

/// Three members of the weights 1, 18 and 1 on a ring with little room. A build begins, for the first alone,
/// which weighs more; then, under another kind, `change` gives it the room that it needs. The build must end,
/// and keys be where they are for a balancer whose strategy is never exchanged.
fn assert_a_build_ends_after(change: impl Fn(&World<AnyStrategy<Rings>>, &World<ConsistentHash<Rings>>)) {
    let now = Instant::ZERO;
    let hash = || ConsistentHash::new(Rings::new());
    let exchanged: &World<_> =
        leak(Balancer::new(AnyStrategy::new(Kind::ConsistentHash, hash()), Options::new()));
    let constant: &World<_> = leak(Balancer::new(hash(), Options::new()));
    for (number, weight) in [(1, 1), (2, 18), (3, 1)] {
        let endpoint = Endpoint::new(number).weight(weight);
        exchanged.add(&endpoint, now).unwrap();
        constant.add(&endpoint, now).unwrap();
    }
    assert!(exchanged.finish_build() && constant.finish_build());
    weigh(exchanged, 1, 2);
    weigh(constant, 1, 2);
    exchanged.tick(now);
    exchanged.set_kind(Kind::RoundRobin, now);
    change(exchanged, constant);
    let (done, is_done) = mpsc::channel();
    thread::spawn(move || done.send(exchanged.finish_build()));
    assert_eq!(is_done.recv_timeout(std::time::Duration::from_secs(20)), Ok(true), "a build without end");
    exchanged.set_kind(Kind::ConsistentHash, now);
    assert!(exchanged.finish_build() && constant.finish_build());
    assert_eq!(homes(exchanged), homes(constant));
}

type Rings = Ring<200, 16, 10>;

fn weigh<S: Strategy<BANKS, PER_BANK, STRIPES>>(balancer: &World<S>, number: u64, weight: u16) {
    let id = balancer.find(number).unwrap();
    balancer.update(id, &Endpoint::new(number).weight(weight), Instant::ZERO).unwrap();
}

#[test]
fn what_changes_amid_a_build_while_another_kind_is_chosen_is_in_the_table_too() {
    assert_a_build_ends_after(|exchanged, constant| {
        exchanged.remove(exchanged.find(3).unwrap(), Instant::ZERO).unwrap();
        constant.remove(constant.find(3).unwrap(), Instant::ZERO).unwrap();
    });
}

#[test]
fn a_member_that_weighs_less_amid_a_build_lets_it_end() {
    assert_a_build_ends_after(|exchanged, constant| {
        weigh(exchanged, 2, 17);
        weigh(constant, 2, 17);
    });
}

#[test]
fn a_bound_counts_the_leases_of_other_kinds_too() {
    type Any = AnyStrategy<Bounded<Table, 1_250>>;
    let hash = ConsistentHash::new(Bounded::new(Table::new()));
    let strategy = AnyStrategy::new(Kind::RoundRobin, hash);
    let balancer: &World<Any> = leak(Balancer::new(strategy, Options::new()));
    let now = Instant::ZERO;
    let ids: Vec<_> = (0..4).map(|number| balancer.add(&Endpoint::new(number), now).unwrap()).collect();
    let mut chooser: Chooser<Any> = Selector::new(balancer, 1).unwrap();
    let mut leases: Vec<_> = (0..40).map(|_| chooser.select(&Request::ANY, now).unwrap()).collect();
    balancer.set_kind(Kind::ConsistentHash, now);
    assert!(balancer.finish_build());
    let request = Request::ANY.key(RoutingKey::from_id(1));
    leases.extend((0..3).map(|_| chooser.select(&request, now).unwrap()));
    // 43 leases: 1.25 times the mean is 13.4. Each had 10, so all three stay at home.
    assert!(ids.iter().any(|id| balancer.stats(*id).unwrap().in_flight == 13));
    leases.extend((0..37).map(|_| chooser.select(&request, now).unwrap()));
    let most = ids.iter().map(|id| balancer.stats(*id).unwrap().in_flight).max();
    assert!(most <= Some(25), "{most:?} of 80 leases");
    drop(leases);
}
