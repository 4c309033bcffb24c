//! Breakers under random successes, failures, releases, leaks, detached leases, clocks that jump and
//! endpoints that are exchanged, against a naive state machine.

use proptest::collection::vec;
use proptest::prelude::*;
use trilane::route::{
    Balancer, BreakerState, DetachedId, DetachedLeases, Endpoint, EndpointId, FailureRate, Health, Lease,
    Options, Request, RoundRobin, SelectError, Selector,
};
use trilane::time::{Duration, Instant};
use trilane_tests::oracle::{BreakerRules, Expected, NaiveBreakers, tick};

type Router = Balancer<RoundRobin, 1, 8, 2>;
type Chooser<'a> = Selector<&'a Router, RoundRobin, 1, 8, 2, 1>;

const DAY: u64 = 86_400_000_000;
const YEAR: u64 = 365 * DAY;

#[derive(Clone, Debug)]
enum Op {
    Select(usize),
    Succeed(usize),
    Fail(usize),
    Drop(usize),
    /// For ever, so that a few do.
    Leak(usize),
    Detach(usize, u64),
    EndDetached(usize, Option<bool>),
    Expire,
    Pass(u64),
    GoBack(u64),
    /// To the tick before the breaker says it admits a probe, then to that instant.
    AwaitRetry,
    Tick,
    Exchange(usize),
    Health(usize, bool),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let lease = 0usize..64;
    let op = prop_oneof![
        16 => (0usize..2).prop_map(Op::Select),
        3 => lease.clone().prop_map(Op::Succeed),
        12 => lease.clone().prop_map(Op::Fail),
        2 => lease.clone().prop_map(Op::Drop),
        1 => lease.clone().prop_map(Op::Leak),
        2 => (lease.clone(), 0..60_000_000u64).prop_map(|(at, span)| Op::Detach(at, span)),
        2 => (lease.clone(), any::<Option<bool>>()).prop_map(|(at, how)| Op::EndDetached(at, how)),
        1 => Just(Op::Expire),
        4 => (0..3_000u64).prop_map(Op::Pass),
        4 => (0..20_000_000u64).prop_map(Op::Pass),
        1 => (0..80 * DAY).prop_map(Op::Pass),
        1 => (0..30 * YEAR).prop_map(Op::Pass),
        1 => (0..20_000_000u64).prop_map(Op::GoBack),
        4 => Just(Op::AwaitRetry),
        1 => Just(Op::Tick),
        1 => (0usize..8).prop_map(Op::Exchange),
        1 => (0usize..8, any::<bool>()).prop_map(|(at, healthy)| Op::Health(at, healthy)),
    ];
    vec(op, 0..400)
}

fn rules() -> impl Strategy<Value = BreakerRules> {
    let span = || prop_oneof![Just(0u64), 1..5_000u64, 1_000_000..30_000_000u64, Just(20 * DAY)];
    let rate = (0..1_000u16, 0..60_000_000u64, 0..12u16).prop_map(|(permille, window, at_least)| {
        FailureRate { permille, window: Duration::from_micros(window), at_least }
    });
    let rate = prop_oneof![2 => Just(None), 1 => rate.prop_map(Some)];
    (0..6u16, rate, 1..4u8, [span(), span(), span()], 0..1_100u16).prop_map(
        |(failures, rate, probes, [open_for, open_at_most, window], max_ejected)| BreakerRules {
            failures,
            rate,
            probes,
            open_for,
            open_at_most,
            // None of zero is taken.
            window: window.max(1),
            max_ejected,
        },
    )
}

/// Where the clock begins: at boot, before ticks wrap, before an era ends, and where the clocks of hosts are.
fn starts() -> impl Strategy<Value = u64> {
    prop_oneof![
        Just(0),
        0..10 * DAY,
        (0..60_000_000u64).prop_map(|ahead| (1 << 42) - ahead),
        (0..60_000_000u64).prop_map(|ahead| (3 << 40) - ahead),
        1_700_000_000_000_000..1_900_000_000_000_000u64,
    ]
}

struct Held<L> {
    lease: L,
    place: usize,
    member: u64,
    term: u64,
    /// Its number, if it is a probe.
    claim: Option<u64>,
}

impl<L> Held<L> {
    fn with<M>(self, lease: M) -> (L, Held<M>) {
        let Self { place, member, term, claim, .. } = self;
        (self.lease, Held { lease, place, member, term, claim })
    }
}

struct Model<'a> {
    balancer: &'a Router,
    selectors: [Chooser<'a>; 2],
    table: DetachedLeases<&'a Router, 1, 8>,
    naive: NaiveBreakers,
    handles: Vec<EndpointId>,
    held: Vec<Held<Lease<&'a Router>>>,
    detached: Vec<(Held<DetachedId>, u64)>,
    now: u64,
    latest: u64,
    members: u64,
    retry_at: Option<Instant>,
}

impl<'a> Model<'a> {
    fn now(&self) -> Instant {
        Instant::from_micros(self.now)
    }

    fn select(&mut self, by: usize) {
        let expected = self.naive.select(self.now);
        let now = self.now();
        let got = self.selectors[by].select(&Request::ANY, now);
        self.retry_at = None;
        let lease = match (got, expected) {
            (Err(SelectError::AllBreakersOpen { retry_at }), Expected::Open(until)) => {
                assert_eq!(tick(retry_at.as_micros()), until.max(tick(self.now)));
                self.retry_at = Some(retry_at);
                return;
            }
            (Err(SelectError::AllUnhealthy), Expected::Unhealthy) => return,
            (Ok(lease), Expected::Any | Expected::Probe) => lease,
            (got, expected) => panic!("expected {expected:?}, got {got:?}"),
        };
        let place = self.handles.iter().position(|&id| id == lease.endpoint()).expect("a member");
        let probe = lease.is_probe();
        let claim = if expected == Expected::Probe {
            let waiting = (0..self.handles.len()).filter(|&place| self.naive.awaits_probe(place));
            let lowest = waiting.min_by_key(|&place| self.handles[place].slot());
            assert!(probe && Some(place) == lowest, "the probe of {lowest:?} has gone to {place}");
            Some(self.naive.send_probe(place, self.now))
        } else {
            assert!(!probe && self.naive.is_routable(place));
            None
        };
        let (member, term) = (self.naive.member(place), self.naive.term(place));
        self.held.push(Held { lease, place, member, term, claim });
    }

    fn take(&mut self, at: usize) -> Option<Held<Lease<&'a Router>>> {
        (!self.held.is_empty()).then(|| self.held.swap_remove(at % self.held.len()))
    }

    fn end(&mut self, at: usize, succeeded: bool) {
        let Some(held) = self.take(at) else { return };
        let (lease, held) = held.with(());
        match succeeded {
            true => lease.succeed(Duration::ZERO, self.now()),
            false => lease.fail(Duration::ZERO, self.now()),
        }
        self.ended(&held, Some(succeeded));
    }

    /// With a verdict, or released.
    fn ended<L>(&mut self, held: &Held<L>, how: Option<bool>) {
        let Held { place, member, term, claim, .. } = *held;
        match how {
            Some(succeeded) => self.naive.end(place, member, term, claim, succeeded, self.now),
            None => self.naive.release(place, member, term, claim),
        }
    }

    fn apply(&mut self, op: &Op) {
        match *op {
            Op::Select(by) => self.select(by),
            Op::Succeed(at) => self.end(at, true),
            Op::Fail(at) => self.end(at, false),
            Op::Drop(at) => {
                let Some(held) = self.take(at) else { return };
                let (lease, held) = held.with(());
                drop(lease);
                self.ended(&held, None);
            }
            Op::Leak(at) => {
                if let Some(held) = self.take(at) {
                    std::mem::forget(held);
                }
            }
            Op::Detach(at, span) => {
                let Some(held) = self.take(at) else { return };
                let expires = self.now() + Duration::from_micros(span);
                let full = self.detached.len() == 8;
                let (lease, held) = held.with(());
                match lease.detach(&self.table, expires) {
                    Ok(id) => self.detached.push((held.with(id).1, expires.as_micros())),
                    Err(error) => {
                        assert!(full);
                        self.held.push(held.with(error.0).1);
                    }
                }
            }
            Op::EndDetached(at, how) => {
                if self.detached.is_empty() {
                    return;
                }
                let (held, _) = self.detached.swap_remove(at % self.detached.len());
                let now = self.now();
                let done = match how {
                    Some(true) => self.table.succeed(held.lease, Duration::ZERO, now),
                    Some(false) => self.table.fail(held.lease, Duration::ZERO, now),
                    None => self.table.release(held.lease),
                };
                assert!(done.is_ok() && self.table.fail(held.lease, Duration::ZERO, now).is_err());
                self.ended(&held, how);
            }
            Op::Expire => {
                let now = self.now;
                let over: Vec<_> = self.detached.extract_if(.., |(_, expires)| *expires <= now).collect();
                assert_eq!(self.table.expire(self.now()), over.len());
                over.iter().for_each(|(held, _)| self.ended(held, None));
            }
            Op::Pass(span) => self.now += span,
            // Never more than a few seconds behind the latest time: what a greater jump does is a test of its
            // own.
            Op::GoBack(span) => {
                self.now = self.now.saturating_sub(span).max(self.latest.saturating_sub(15_000_000))
            }
            Op::AwaitRetry => {
                let Some(retry_at) = self.retry_at else { return };
                if retry_at.as_micros() > self.now + 1_024 {
                    self.now = retry_at.as_micros() - 1_024;
                    self.select(0);
                }
                self.now = self.now.max(retry_at.as_micros());
                self.select(1);
                assert!(self.retry_at.is_none(), "nobody was admitted at the instant that was given");
            }
            Op::Tick => {
                self.naive.advance(self.now);
                self.balancer.tick(self.now());
            }
            Op::Exchange(place) => {
                let place = place % self.handles.len();
                self.members += 1;
                // Full when leases of those before hold the slots: nothing has happened then.
                let Ok(id) = self.balancer.add(&Endpoint::new(self.members), self.now()) else { return };
                assert!(self.balancer.remove(self.handles[place], self.now()).is_ok());
                self.handles[place] = id;
                self.naive.replace(place, self.members);
                self.retry_at = None;
            }
            Op::Health(place, healthy) => {
                let place = place % self.handles.len();
                let health = if healthy { Health::Healthy } else { Health::Unhealthy };
                assert!(self.balancer.set_health(self.handles[place], health, self.now()).is_ok());
                self.naive.set_healthy(place, healthy);
                self.retry_at = None;
            }
        }
        if !matches!(op, Op::Select(_) | Op::AwaitRetry | Op::Tick) {
            self.retry_at = None;
        }
        self.latest = self.latest.max(self.now);
    }

    fn check(&mut self) {
        for (place, &id) in self.handles.iter().enumerate() {
            let stats = self.balancer.stats(id).expect("a member");
            if stats.breaker == BreakerState::HalfOpen {
                // What is due may be made so before a select comes, when the clock has jumped far.
                self.naive.look(place, self.now);
            }
            assert_eq!(stats.breaker, self.naive.state(place), "the breaker in place {place}");
            assert_eq!(stats.routable, self.naive.is_routable(place), "the bit of place {place}");
        }
        assert_eq!(self.balancer.totals().ejected as usize, self.naive.ejected());
    }
}

fn options(rules: BreakerRules) -> Options {
    let mut options = Options::new()
        .failures(rules.failures)
        .probes(rules.probes)
        .open_for(Duration::from_micros(rules.open_for))
        .open_at_most(Duration::from_micros(rules.open_at_most))
        .probe_window(Duration::from_micros(rules.window))
        .max_ejected(rules.max_ejected);
    if let Some(rate) = rules.rate {
        options = options.failure_rate(rate);
    }
    options
}

proptest! {
    #[test]
    fn breakers_do_what_a_naive_state_machine_does(
        ops in ops(), rules in rules(), count in 1usize..6, start in starts(),
    ) {
        let balancer: Router = Balancer::new(RoundRobin, options(rules));
        let selectors = [1, 2].map(|seed| Selector::new(&balancer, seed).unwrap());
        let now = Instant::from_micros(start);
        let handles = (0..count as u64).map(|id| balancer.add(&Endpoint::new(id), now).unwrap()).collect();
        let mut model = Model {
            balancer: &balancer,
            selectors,
            table: DetachedLeases::new(),
            naive: NaiveBreakers::new(rules, count),
            handles,
            held: Vec::new(),
            detached: Vec::new(),
            now: start,
            latest: start,
            members: count as u64,
            retry_at: None,
        };
        for op in &ops {
            model.apply(op);
            model.check();
        }
    }
}

const SECOND: Duration = Duration::from_secs(1);

fn at(secs: u64) -> Instant {
    Instant::from_secs(secs)
}

fn opened(options: Options) -> (&'static Router, Chooser<'static>, EndpointId) {
    let (balancer, mut selector, id, spare) = pair(options);
    for _ in 0..5 {
        selector.select(&Request::ANY.excluding(&[spare]), at(0)).unwrap().fail(Duration::ZERO, at(0));
    }
    alone(balancer, spare);
    assert_eq!(balancer.stats(id).unwrap().breaker, BreakerState::Open);
    (balancer, selector, id)
}

/// Two: the last one is never kept out.
fn pair(options: Options) -> (&'static Router, Chooser<'static>, EndpointId, EndpointId) {
    let balancer: &'static Router = trilane_tests::leak(Balancer::new(RoundRobin, options));
    let [id, spare] = [1, 2].map(|id| balancer.add(&Endpoint::new(id), at(0)).unwrap());
    (balancer, Selector::new(balancer, 1).unwrap(), id, spare)
}

/// Now that the first is out, the second leaves.
fn alone(balancer: &Router, spare: EndpointId) {
    balancer.remove(spare, at(0)).unwrap();
}

#[test]
fn d5_a_lease_of_before_the_opening_does_not_decide() {
    let (balancer, mut selector, id, spare) = pair(Options::new());
    let elsewhere = [spare];
    let first = Request::ANY.excluding(&elsewhere);
    let old: Vec<_> = (0..8).map(|_| selector.select(&first, at(0)).unwrap()).collect();
    let mut old = old.into_iter();
    old.by_ref().take(5).for_each(|lease| lease.fail(Duration::ZERO, at(0)));
    alone(balancer, spare);
    let probe = selector.select(&Request::ANY, at(31)).unwrap();
    assert!(probe.is_probe());
    old.next().unwrap().succeed(SECOND, at(31));
    old.next().unwrap().fail(Duration::ZERO, at(31));
    drop(old);
    assert_eq!(balancer.stats(id).unwrap().breaker, BreakerState::Probing);
    probe.succeed(SECOND, at(32));
    assert_eq!(balancer.stats(id).unwrap().breaker, BreakerState::Closed);
}

#[test]
fn of_a_slow_probe_a_success_counts_and_a_failure_does_not() {
    for succeeds in [true, false] {
        let (balancer, mut selector, id) = opened(Options::new());
        let first = selector.select(&Request::ANY, at(31)).unwrap();
        assert!(selector.select(&Request::ANY, at(60)).is_err());
        let second = selector.select(&Request::ANY, at(62)).unwrap();
        assert!(first.is_probe() && second.is_probe());
        if succeeds {
            first.succeed(SECOND, at(62));
            assert_eq!(balancer.stats(id).unwrap().breaker, BreakerState::Closed);
            // It is of another term by now.
            second.fail(SECOND, at(62));
            assert_eq!(balancer.stats(id).unwrap().breaker, BreakerState::Closed);
        } else {
            first.fail(SECOND, at(62));
            assert_eq!(balancer.stats(id).unwrap().breaker, BreakerState::Probing);
            second.fail(SECOND, at(62));
            assert_eq!(balancer.stats(id).unwrap().breaker, BreakerState::Open);
        }
    }
}

#[test]
fn a_half_open_endpoint_at_its_cap_is_at_capacity_and_not_open_until_now() {
    let (balancer, mut selector, id) = opened(Options::new());
    // The cap is set and reached beside the opening: the lease of before is still out.
    balancer.update(id, &Endpoint::new(1).cap(1), at(0)).unwrap();
    let hanging = {
        let probe = selector.select(&Request::ANY, at(31)).unwrap();
        assert!(probe.is_probe());
        probe
    };
    let epoch_before = balancer.totals().refills;
    for _ in 0..10 {
        assert_eq!(selector.select(&Request::ANY, at(62)).unwrap_err(), SelectError::AllAtCapacity);
    }
    // The token is not claimed and given back each time, which would have every class look again.
    assert!(balancer.totals().refills <= epoch_before + 2);
    drop(hanging);
    assert!(selector.select(&Request::ANY, at(62)).unwrap().is_probe());
}

#[test]
fn a_half_open_endpoint_that_was_tried_is_not_the_breaker_s_fault() {
    let (_, mut selector, id) = opened(Options::new());
    let tried = [id];
    let request = Request::ANY.excluding(&tried);
    // No retry is a probe, be it the breaker's or not.
    let refused = selector.select(&request, at(31)).unwrap_err();
    assert!(matches!(refused, SelectError::AllBreakersOpen { .. }), "{refused}");
    assert!(selector.select(&Request::ANY, at(31)).unwrap().is_probe());
}
