//! `LeastLatency` beside a walk of all endpoints, and what it owes to the unmeasured, the failing and the
//! once slow.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use trilane::route::{
    Balancer, Endpoint, EndpointId, Health, LeastLatency, Options, PeakEwma, Request, Selector,
};
use trilane::time::{Duration, Instant};
use trilane_tests::leak;

type Latencies<const BANKS: usize, const PER_BANK: usize> = Balancer<LeastLatency, BANKS, PER_BANK, 2>;
type Chooser<const BANKS: usize, const PER_BANK: usize> =
    Selector<&'static Latencies<BANKS, PER_BANK>, LeastLatency, BANKS, PER_BANK, 2, 1>;

/// No breaker comes in between.
const OPTIONS: Options = Options::new().failures(0);

#[derive(Clone, Copy, Debug)]
enum Step {
    Pass(u64),
    /// By the selector that comes by often, or by the other.
    Select(bool),
    Succeed(usize, u64),
    Fail(usize),
    Release(usize),
    Health(usize, bool),
    Add(Option<u32>),
    Remove(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => (0u64..200).prop_map(Step::Pass),
        12 => (0u32..20).prop_map(|who| Step::Select(who != 0)),
        8 => (any::<usize>(), prop_oneof![0u64..50, 0u64..90_000_000])
            .prop_map(|(at, micros)| Step::Succeed(at, micros)),
        1 => any::<usize>().prop_map(Step::Fail),
        1 => any::<usize>().prop_map(Step::Release),
        1 => (any::<usize>(), any::<bool>()).prop_map(|(at, well)| Step::Health(at, well)),
        3 => prop_oneof![Just(None), (1u32..4).prop_map(Some)].prop_map(Step::Add),
        1 => any::<usize>().prop_map(Step::Remove),
    ];
    vec(step, 1..400)
}

/// An endpoint as a walk would see it.
struct Known {
    id: EndpointId,
    healthy: bool,
    cap: u32,
    leases: u32,
    latency: PeakEwma,
}

#[derive(Debug, PartialEq)]
enum Expected {
    This(u16),
    OneOf(Vec<u16>),
    Nobody,
}

/// `last`: who of the unmeasured this selector has picked last.
fn expect(known: &[Known], last: Option<u16>) -> Expected {
    let may = || known.iter().filter(|known| known.healthy && known.leases < known.cap);
    let measured: Vec<_> = may()
        .map(|known| (known.latency.get(), known.id.slot()))
        .filter(|(latency, _)| *latency != 0)
        .collect();
    let mut unmeasured: Vec<_> =
        may().filter(|known| known.latency.get() == 0).map(|known| known.id.slot()).collect();
    unmeasured.sort_unstable();
    if let Some((least, slot)) = measured.iter().map(|(latency, slot)| (latency.min(&67_108_863), slot)).min()
    {
        // The unmeasured count as the mean.
        let mean =
            measured.iter().map(|(latency, _)| u64::from(*latency)).sum::<u64>() / measured.len() as u64;
        assert!(mean >= u64::from(*least));
        return Expected::This(*slot);
    }
    match last {
        _ if unmeasured.is_empty() => Expected::Nobody,
        Some(last) => Expected::This(*unmeasured.iter().find(|&&slot| slot > last).unwrap_or(&unmeasured[0])),
        None => Expected::OneOf(unmeasured),
    }
}

fn run<const BANKS: usize, const PER_BANK: usize>(steps: Vec<Step>) {
    let balancer: &Latencies<BANKS, PER_BANK> = leak(Balancer::new(LeastLatency::exploring(0), OPTIONS));
    let mut choosers: [Chooser<BANKS, PER_BANK>; 2] =
        [1, 2].map(|seed| Selector::new(balancer, seed).unwrap());
    let mut known: Vec<Known> = Vec::new();
    let mut leases = Vec::new();
    let mut lasts = BTreeMap::new();
    let (mut tick, mut number) = (0u32, 0);
    for step in steps {
        let now = Instant::from_micros(u64::from(tick) * 1_024);
        match step {
            Step::Pass(span) => tick += span as u32,
            Step::Select(often) => {
                let expected = expect(&known, lasts.get(&often).copied());
                match choosers[often as usize].select(&Request::ANY, now) {
                    Ok(lease) => {
                        let slot = lease.endpoint().slot();
                        let right = match &expected {
                            Expected::This(this) => *this == slot,
                            Expected::OneOf(those) => those.contains(&slot),
                            Expected::Nobody => false,
                        };
                        assert!(right, "{slot} instead of {expected:?} at {tick}");
                        let it = known.iter_mut().find(|known| known.id == lease.endpoint()).unwrap();
                        it.leases += 1;
                        if it.latency.get() == 0 {
                            lasts.insert(often, slot);
                        }
                        leases.push(lease);
                    }
                    Err(error) => assert_eq!(expected, Expected::Nobody, "{error}"),
                }
            }
            Step::Succeed(at, _) | Step::Fail(at) | Step::Release(at) if !leases.is_empty() => {
                let lease = leases.swap_remove(at % leases.len());
                let it = known.iter_mut().find(|known| known.id == lease.endpoint());
                if let Some(it) = it {
                    it.leases -= 1;
                    match step {
                        Step::Succeed(_, micros) => {
                            it.latency.record(micros as u32, tick);
                        }
                        Step::Fail(_) => {
                            it.latency.record_failure(0, tick);
                        }
                        _ => {}
                    }
                }
                match step {
                    Step::Succeed(_, micros) => lease.succeed(Duration::from_micros(micros), now),
                    Step::Fail(_) => lease.fail(now),
                    _ => drop(lease),
                }
            }
            Step::Health(at, healthy) if !known.is_empty() => {
                let at = at % known.len();
                let health = if healthy { Health::Healthy } else { Health::Unhealthy };
                balancer.set_health(known[at].id, health, now).unwrap();
                known[at].healthy = healthy;
            }
            Step::Add(cap) => {
                number += 1;
                let endpoint = Endpoint::new(number);
                let endpoint = cap.map_or(endpoint, |cap| endpoint.cap(cap));
                if let Ok(id) = balancer.add(&endpoint, now) {
                    let cap = cap.unwrap_or(u32::MAX);
                    known.push(Known { id, healthy: true, cap, leases: 0, latency: PeakEwma::new() });
                }
            }
            Step::Remove(at) if !known.is_empty() => {
                let gone = known.swap_remove(at % known.len());
                balancer.remove(gone.id, now).unwrap();
            }
            _ => {}
        }
    }
}

proptest! {
    #[test]
    fn the_least_latency_is_picked_among_a_few(steps in steps()) {
        run::<1, 4>(steps);
    }

    #[test]
    fn the_least_latency_is_picked_over_banks_of_no_round_number(steps in steps()) {
        run::<5, 3>(steps);
    }
}

const fn ms(span: u64) -> Duration {
    Duration::from_millis(span)
}

/// Endpoints that answer after `latencies` milliseconds (0: they fail at once), one request at a time, 10 ms
/// apart.
struct World {
    balancer: &'static Latencies<2, 32>,
    ids: Vec<EndpointId>,
    latencies: Vec<u64>,
    chooser: Chooser<2, 32>,
    now: Instant,
}

impl World {
    fn new(strategy: LeastLatency, latencies: &[u64]) -> Self {
        let balancer: &Latencies<2, 32> = leak(Balancer::new(strategy, OPTIONS));
        let chooser = Selector::new(balancer, 3).unwrap();
        let mut world = Self { balancer, ids: vec![], latencies: vec![], chooser, now: Instant::ZERO };
        latencies.iter().for_each(|&latency| world.add(latency));
        world
    }

    fn add(&mut self, latency: u64) {
        let endpoint = Endpoint::new(self.ids.len() as u64);
        self.ids.push(self.balancer.add(&endpoint, self.now).unwrap());
        self.latencies.push(latency);
    }

    /// Who was picked, in order.
    fn run(&mut self, selects: usize) -> Vec<usize> {
        let select = |_| {
            let lease = self.chooser.select(&Request::ANY, self.now).unwrap();
            let at = self.ids.iter().position(|id| *id == lease.endpoint()).unwrap();
            self.now += ms(10);
            match self.latencies[at] {
                0 => lease.fail(self.now),
                latency => lease.succeed(ms(latency), self.now),
            }
            at
        };
        (0..selects).map(select).collect()
    }
}

fn count(picks: &[usize], of: usize) -> usize {
    picks.iter().filter(|&&pick| pick == of).count()
}

#[test]
fn before_anything_is_measured_each_is_asked_once() {
    let mut world = World::new(LeastLatency::exploring(0), &[5; 40]);
    // Forty that are asked at once: no answer is in yet.
    let leases: Vec<_> = (0..40).map(|_| world.chooser.select(&Request::ANY, world.now).unwrap()).collect();
    let mut asked: Vec<_> = leases.iter().map(|lease| lease.endpoint()).collect();
    asked.sort_unstable();
    assert_eq!(asked, world.ids);
}

/// L7.
#[test]
fn a_new_endpoint_gets_traffic_within_64_selects_and_all_of_it_if_it_is_fastest() {
    let mut world = World::new(LeastLatency::new(), &[20, 20, 20]);
    world.run(500);
    world.add(5);
    let picks = world.run(64);
    let first = picks.iter().position(|&pick| pick == 3).expect("it was asked");
    assert!(picks[first..].iter().all(|&pick| pick == 3), "{picks:?}");
}

/// L6.
#[test]
fn failing_fast_is_not_being_fast() {
    // The third has never answered; it gets the share of exploration, one in 64 as unmeasured and its turn as
    // a candidate.
    let mut world = World::new(LeastLatency::new(), &[20, 30, 0]);
    let picks = world.run(6_400);
    assert!((100..=150).contains(&count(&picks, 2)), "{}", count(&picks, 2));
    // The first was fast, and fails now: that makes it no faster, and nothing is forgiven for the time before
    // a failure.
    let latency = |world: &World| world.balancer.stats(world.ids[0]).unwrap().latency;
    let before = latency(&world);
    world.latencies[0] = 0;
    world.run(2_000);
    assert_eq!(latency(&world), before);
    world.latencies[0] = 1;
    world.run(1);
    assert!(latency(&world) + ms(1) > before, "{:?}", latency(&world));
}

#[test]
fn an_endpoint_that_was_slow_once_is_asked_again() {
    let mut world = World::new(LeastLatency::new(), &[20, 25, 2_000]);
    let picks = world.run(1_000);
    assert!((1..20).contains(&count(&picks, 2)), "it is slow: {}", count(&picks, 2));
    world.latencies[2] = 1;
    // One answer in 96 selects (0.96 s) is its; the half-life is 8.4 s.
    let picks = world.run(10_000);
    assert!(count(&picks, 2) > 2_000, "{}", count(&picks, 2));
    // Without exploring, never.
    let mut world = World::new(LeastLatency::exploring(0), &[20, 25, 2_000]);
    world.run(1_000);
    world.latencies[2] = 1;
    assert_eq!(count(&world.run(10_000), 2), 0);
}

#[test]
fn one_select_in_so_many_explores() {
    let mut world = World::new(LeastLatency::exploring(8), &[1, 50, 50, 50, 50]);
    world.run(8 * 50);
    let picks = world.run(8 * 100);
    let explored: Vec<_> = picks.iter().copied().filter(|&pick| pick != 0).collect();
    // A fifth of the turns is the fastest one's.
    assert_eq!(explored.len(), 80);
    for slow in 1..5 {
        assert_eq!(count(&explored, slow), 20);
    }
}

#[test]
fn exploring_takes_nobody_past_its_cap() {
    let balancer: &Latencies<1, 4> = leak(Balancer::new(LeastLatency::exploring(2), OPTIONS));
    let mut chooser = Chooser::new(balancer, 3).unwrap();
    let capped = balancer.add(&Endpoint::new(1).cap(1), Instant::ZERO).unwrap();
    let free = balancer.add(&Endpoint::new(2), Instant::ZERO).unwrap();
    for _ in 0..2 {
        let lease = chooser.select(&Request::ANY, Instant::ZERO).unwrap();
        let latency = if lease.endpoint() == capped { 50 } else { 5 };
        lease.succeed(ms(latency), Instant::ZERO);
    }
    let mut held = Vec::new();
    for _ in 0..100 {
        held.push(chooser.select(&Request::ANY, Instant::ZERO).unwrap());
    }
    assert_eq!(held.iter().filter(|lease| lease.endpoint() == capped).count(), 1);
    assert_eq!(held.iter().filter(|lease| lease.endpoint() == free).count(), 99);
}
