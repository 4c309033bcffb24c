//! `HealthChecker` against a list that is searched from end to end, and its rules one by one.

use proptest::collection::vec;
use proptest::prelude::*;
use trilane::id::Stale;
use trilane::route::{
    Change, Check, CheckOptions, CheckOptionsError, Due, HealthChecker, Random, WatchError,
};
use trilane::time::{Duration, Instant};
use trilane_tests::us;

const fn micros(span: u64) -> Duration {
    Duration::from_micros(span)
}

/// 100 us between checks, 30 us while unhealthy, 20 us to answer.
const OPTIONS: CheckOptions = CheckOptions::new()
    .interval(micros(100))
    .unhealthy_interval(micros(30))
    .timeout(micros(20))
    .jitter(Duration::ZERO)
    .rise(2)
    .fall(3);

fn checker<const N: usize>(endpoints: &[u8]) -> HealthChecker<u8, N> {
    let mut checker = HealthChecker::new(OPTIONS, 1).unwrap();
    for &endpoint in endpoints {
        checker.watch(endpoint, us(0)).unwrap();
    }
    checker
}

/// The probe that is due at `now`.
fn probe<const N: usize>(checker: &mut HealthChecker<u8, N>, now: u64) -> Check<u8> {
    match checker.due(us(now)) {
        Some(Due::Probe(check)) => check,
        other => panic!("{other:?} instead of a probe at {now}"),
    }
}

/// One endpoint, as the naive checker keeps it.
#[derive(Clone, Debug)]
struct Naive {
    endpoint: u8,
    next: u64,
    out: Option<Check<u8>>,
    /// All outcomes since the last change, newest last.
    outcomes: Vec<bool>,
    healthy: Option<bool>,
}

impl Naive {
    fn conclude(&mut self, good: bool, now: u64, jitter: u64) -> Option<Change<u8>> {
        self.out = None;
        self.outcomes.push(good);
        let needed = match (self.healthy, good) {
            (Some(healthy), good) if healthy == good => usize::MAX,
            (None, _) => 1,
            (_, true) => 2,
            (_, false) => 3,
        };
        let run = self.outcomes.iter().rev().take_while(|&&outcome| outcome == good).count();
        let turns = run >= needed;
        if turns {
            self.healthy = Some(good);
            self.outcomes.clear();
        }
        self.next = now + if self.healthy == Some(true) { 100 } else { 30 } + jitter;
        turns.then_some(Change { endpoint: self.endpoint, healthy: good })
    }
}

#[derive(Clone, Debug)]
enum Op {
    Watch(u8),
    Unwatch(u8),
    Due,
    /// The n-th probe that was ever sent, from the last one back.
    Report(usize, bool),
    Abandon(usize),
    Pass(u64),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        2 => (0u8..9).prop_map(Op::Watch),
        1 => (0u8..9).prop_map(Op::Unwatch),
        6 => Just(Op::Due),
        6 => (0usize..6, any::<bool>()).prop_map(|(back, good)| Op::Report(back, good)),
        1 => (0usize..6).prop_map(Op::Abandon),
        4 => (0u64..60).prop_map(Op::Pass),
    ];
    vec(op, 0..300)
}

proptest! {
    #[test]
    fn the_checker_is_a_list_searched_from_end_to_end(ops in ops(), jitter in prop_oneof![Just(0u64), Just(25u64)]) {
        const SEED: u64 = 9;
        let options = OPTIONS.jitter(micros(jitter));
        let mut checker: HealthChecker<u8, 6> = HealthChecker::new(options, SEED).unwrap();
        let mut naive: Vec<Naive> = Vec::new();
        let mut random = Random::new(SEED);
        let mut draw = || u64::from(random.below(jitter as u32 + 1));
        let mut sent: Vec<Check<u8>> = Vec::new();
        let mut now = 0;
        for op in ops {
            match op {
                Op::Watch(endpoint) => {
                    let wanted = if naive.iter().any(|one| one.endpoint == endpoint) {
                        Err(WatchError::AlreadyWatched)
                    } else if naive.len() == 6 {
                        Err(WatchError::Full)
                    } else {
                        let next = now + draw();
                        naive.push(Naive { endpoint, next, out: None, outcomes: Vec::new(), healthy: None });
                        Ok(())
                    };
                    prop_assert_eq!(checker.watch(endpoint, us(now)), wanted);
                }
                Op::Unwatch(endpoint) => {
                    let before = naive.len();
                    naive.retain(|one| one.endpoint != endpoint);
                    let wanted = if naive.len() < before { Ok(()) } else { Err(Stale) };
                    prop_assert_eq!(checker.unwatch(endpoint), wanted);
                }
                Op::Due => match checker.due(us(now)) {
                    None => prop_assert!(naive.iter().all(|one| one.next > now)),
                    Some(due) => {
                        let earliest = naive.iter().map(|one| one.next).min();
                        let endpoint = match due {
                            Due::Probe(check) => check.endpoint,
                            Due::TimedOut(endpoint, _) => endpoint,
                        };
                        let one = naive.iter_mut().find(|one| one.endpoint == endpoint).unwrap();
                        prop_assert!(one.next <= now && Some(one.next) == earliest);
                        match due {
                            Due::Probe(check) => {
                                prop_assert_eq!(one.out, None);
                                prop_assert_eq!(check.until, us(now + 20));
                                (one.out, one.next) = (Some(check), now + 20);
                                sent.push(check);
                            }
                            Due::TimedOut(_, change) => {
                                prop_assert!(one.out.is_some());
                                prop_assert_eq!(change, one.conclude(false, now, draw()));
                            }
                        }
                    }
                },
                Op::Report(back, good) => if let Some(&check) = sent.iter().rev().nth(back) {
                    let one = naive.iter_mut().find(|one| one.out == Some(check));
                    let wanted = one.map(|one| one.conclude(good, now, draw())).ok_or(Stale);
                    prop_assert_eq!(checker.report(check, good, us(now)), wanted);
                },
                Op::Abandon(back) => if let Some(&check) = sent.iter().rev().nth(back) {
                    let one = naive.iter_mut().find(|one| one.out == Some(check));
                    let wanted = one.map(|one| (one.out, one.next) = (None, now)).ok_or(Stale);
                    prop_assert_eq!(checker.abandon(check, us(now)), wanted);
                },
                Op::Pass(span) => now += span,
            }
            prop_assert_eq!(checker.next_due(), naive.iter().map(|one| us(one.next)).min());
            prop_assert_eq!((checker.len(), checker.is_empty()), (naive.len(), naive.is_empty()));
            let mut all: Vec<_> = checker.iter().collect();
            let mut wanted: Vec<_> = naive.iter().map(|one| (one.endpoint, one.healthy)).collect();
            all.sort();
            wanted.sort();
            prop_assert_eq!(all, wanted);
        }
    }
}

#[test]
fn options_with_a_zero_are_refused() {
    let refusal = |options| HealthChecker::<u8, 1>::new(options, 0).err();
    assert_eq!(refusal(OPTIONS), None);
    assert_eq!(refusal(OPTIONS.interval(Duration::ZERO)), Some(CheckOptionsError::Interval));
    assert_eq!(refusal(OPTIONS.unhealthy_interval(Duration::ZERO)), Some(CheckOptionsError::Interval));
    assert_eq!(refusal(OPTIONS.timeout(Duration::ZERO)), Some(CheckOptionsError::Timeout));
    assert_eq!(refusal(OPTIONS.rise(0)), Some(CheckOptionsError::Threshold));
    assert_eq!(refusal(OPTIONS.fall(0)), Some(CheckOptionsError::Threshold));
}

#[test]
fn a_checker_without_room_watches_nobody() {
    let mut checker = checker::<0>(&[]);
    assert_eq!(checker.watch(1, us(0)), Err(WatchError::Full));
    assert_eq!((checker.due(Instant::MAX), checker.next_due()), (None, None));
}

#[test]
fn the_first_outcome_decides_at_once() {
    for good in [true, false] {
        let mut checker = checker::<1>(&[7]);
        let check = probe(&mut checker, 0);
        assert_eq!(checker.report(check, good, us(1)), Ok(Some(Change { endpoint: 7, healthy: good })));
    }
}

#[test]
fn it_takes_fall_bad_outcomes_in_a_row_and_rise_good_ones() {
    let mut checker = checker::<1>(&[7]);
    let outcomes = [true, false, false, true, false, false, false, true, false, true, true, true];
    let changes = outcomes.map(|good| {
        let now = checker.next_due().unwrap();
        let check = probe(&mut checker, now.as_micros());
        checker.report(check, good, now).unwrap().map(|change| change.healthy)
    });
    let mut wanted = [None; 12];
    (wanted[0], wanted[6], wanted[10]) = (Some(true), Some(false), Some(true));
    assert_eq!(changes, wanted);
}

#[test]
fn an_unhealthy_endpoint_is_checked_at_its_own_interval() {
    let mut checker = checker::<1>(&[7]);
    let check = probe(&mut checker, 0);
    checker.report(check, false, us(5)).unwrap();
    assert_eq!(checker.next_due(), Some(us(35)));
    for now in [35, 65] {
        let check = probe(&mut checker, now);
        checker.report(check, true, us(now)).unwrap();
    }
    assert_eq!(checker.next_due(), Some(us(165)));
}

#[test]
fn a_probe_without_a_report_is_a_bad_outcome_and_its_report_comes_too_late() {
    let mut checker = checker::<1>(&[7]);
    let check = probe(&mut checker, 0);
    assert_eq!(checker.due(us(19)), None);
    let change = Change { endpoint: 7, healthy: false };
    assert_eq!(checker.due(us(20)), Some(Due::TimedOut(7, Some(change))));
    assert_eq!(checker.report(check, true, us(20)), Err(Stale));
    assert_eq!(checker.iter().next(), Some((7, Some(false))));
    assert_eq!(checker.next_due(), Some(us(50)));
}

#[test]
fn a_report_counts_once() {
    let mut checker = checker::<1>(&[7]);
    let check = probe(&mut checker, 0);
    assert!(checker.report(check, true, us(1)).is_ok());
    assert_eq!(checker.report(check, false, us(2)), Err(Stale));
    let second = probe(&mut checker, 101);
    assert_eq!(checker.report(check, false, us(102)), Err(Stale), "of the check before");
    assert_eq!(checker.report(second, true, us(102)), Ok(None));
}

#[test]
fn a_report_on_an_endpoint_that_left_and_came_back_is_stale() {
    let mut checker = checker::<1>(&[7]);
    let check = probe(&mut checker, 0);
    checker.unwatch(7).unwrap();
    assert_eq!(checker.report(check, false, us(1)), Err(Stale));
    checker.watch(7, us(2)).unwrap();
    assert_eq!(checker.report(check, false, us(2)), Err(Stale));
    let _newer = probe(&mut checker, 2);
    assert_eq!(checker.report(check, false, us(2)), Err(Stale));
}

#[test]
fn a_clock_that_goes_back_delays_the_checks() {
    let mut checker = checker::<1>(&[]);
    checker.watch(7, us(1_000)).unwrap();
    assert_eq!(checker.due(us(500)), None);
    let check = probe(&mut checker, 1_000);
    assert!(checker.report(check, true, us(400)).unwrap().is_some());
    assert_eq!(checker.next_due(), Some(us(500)));
}

#[test]
fn the_end_of_time_is_no_trouble() {
    let mut checker: HealthChecker<u8, 2> =
        HealthChecker::new(OPTIONS.interval(Duration::MAX).jitter(Duration::MAX), 3).unwrap();
    checker.watch(7, us(0)).unwrap();
    let Some(Due::Probe(check)) = checker.due(Instant::MAX) else { panic!("nothing is due") };
    assert!(checker.report(check, true, Instant::MAX).is_ok());
    assert_eq!(checker.next_due(), Some(Instant::MAX));
}

#[test]
fn jitter_spreads_the_first_checks_and_is_the_same_for_a_seed() {
    let firsts = |seed| {
        let options = CheckOptions::new().jitter(Duration::from_secs(1));
        let mut checker: HealthChecker<u16, 100> = HealthChecker::new(options, seed).unwrap();
        for endpoint in 0..100 {
            checker.watch(endpoint, us(0)).unwrap();
        }
        let mut at = Vec::new();
        while let Some(now) = checker.next_due().filter(|&now| now <= Instant::from_secs(1)) {
            let Some(Due::Probe(check)) = checker.due(now) else { panic!("nothing is due") };
            assert!(checker.report(check, true, now).is_ok());
            at.push(now.as_micros());
        }
        at
    };
    let at = firsts(1);
    assert_eq!(at.len(), 100);
    for tenth in 0..10 {
        let seen = at.iter().filter(|&&at| at / 100_001 == tenth).count();
        assert!((1..=25).contains(&seen), "{seen} of 100 in a tenth of the time");
    }
    assert_eq!(at, firsts(1));
    assert_ne!(at, firsts(2));
}
