//! `Tried` and `RetryBudget` against a set and a list of events, and the budget under contention.

use std::collections::BTreeSet;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use proptest::collection::vec;
use proptest::prelude::*;
use trilane::id::Key;
use trilane::route::{BudgetSpent, EndpointId, RetryBudget, TooManyTries, Tried};
use trilane::time::Instant;

/// The length of a bucket in microseconds, and how many make the window.
const BUCKET: u64 = 1 << 20;
const BUCKETS: u64 = 10;

/// Every request and retry ever, each with its bucket.
struct Naive {
    share: u64,
    per_second: u64,
    present: u64,
    requests: Vec<u64>,
    retries: Vec<u64>,
}

impl Naive {
    fn at(&mut self, now: Instant) {
        let bucket = now.as_micros() / BUCKET;
        if bucket > self.present {
            self.present = bucket;
        } else if bucket + BUCKETS <= self.present {
            self.present = bucket;
            self.requests.clear();
            self.retries.clear();
        }
    }

    fn in_window(&self, events: &[u64]) -> u64 {
        events.iter().filter(|&&bucket| bucket + BUCKETS > self.present).count() as u64
    }

    fn left(&mut self, now: Instant) -> u64 {
        self.at(now);
        let allowed = self.in_window(&self.requests) * self.share / 1_000 + self.per_second * BUCKETS;
        allowed.saturating_sub(self.in_window(&self.retries))
    }
}

#[derive(Clone, Debug)]
enum Op {
    Deposit(u32),
    Withdraw(u32),
    Pass(u64),
    GoBack(u64),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        4 => (1u32..50).prop_map(Op::Deposit),
        4 => (1u32..20).prop_map(Op::Withdraw),
        4 => (0..3 * BUCKET).prop_map(Op::Pass),
        1 => (0..100 * BUCKET).prop_map(Op::Pass),
        1 => (0..30 * BUCKET).prop_map(Op::GoBack),
    ];
    vec(op, 1..80)
}

proptest! {
    #[test]
    fn the_budget_is_a_count_over_the_window(
        ops in ops(),
        share in prop_oneof![0u16..=1_000, any::<u16>()],
        per_second in prop_oneof![Just(0u16), 0u16..3],
    ) {
        let budget = RetryBudget::new(share, per_second);
        let mut naive = Naive {
            share: share.into(),
            per_second: per_second.into(),
            present: 0,
            requests: Vec::new(),
            retries: Vec::new(),
        };
        let mut micros = 0u64;
        for op in ops {
            let now = Instant::from_micros(micros);
            match op {
                Op::Deposit(count) => for _ in 0..count {
                    budget.deposit(now);
                    naive.at(now);
                    naive.requests.push(naive.present);
                },
                Op::Withdraw(count) => for _ in 0..count {
                    let granted = budget.try_withdraw(now).is_ok();
                    prop_assert_eq!(granted, naive.left(now) > 0);
                    if granted {
                        naive.retries.push(naive.present);
                    }
                },
                Op::Pass(span) => micros += span,
                Op::GoBack(span) => micros = micros.saturating_sub(span),
            }
            let now = Instant::from_micros(micros);
            prop_assert_eq!(u64::from(budget.left(now)), naive.left(now));
        }
    }

    #[test]
    fn tried_is_a_set_with_room_for_n(slots in vec(0u16..12, 0..30)) {
        let mut tried: Tried<5> = Tried::new();
        let mut naive = BTreeSet::new();
        for slot in slots {
            let fits = naive.contains(&slot) || naive.len() < 5;
            prop_assert_eq!(tried.add(endpoint(slot)), if fits { Ok(()) } else { Err(TooManyTries) });
            if fits {
                naive.insert(slot);
            }
            prop_assert!((0..12).all(|slot| tried.contains(endpoint(slot)) == naive.contains(&slot)));
            prop_assert_eq!((tried.len(), tried.is_empty()), (naive.len(), naive.is_empty()));
            prop_assert_eq!(tried.as_slice().iter().map(|id| id.slot()).collect::<BTreeSet<_>>(), naive.clone());
        }
        tried.clear();
        prop_assert!(tried.is_empty() && !(0..12).any(|slot| tried.contains(endpoint(slot))));
    }
}

fn endpoint(slot: u16) -> EndpointId {
    EndpointId::from_key(Key::new(slot, 0))
}

#[test]
fn tries_are_listed_in_order() {
    let mut tried: Tried<3> = Tried::new();
    for slot in [9, 0, 4] {
        tried.add(endpoint(slot)).unwrap();
    }
    assert_eq!(tried.as_slice(), [9, 0, 4].map(endpoint));
}

#[test]
fn a_list_without_room_refuses_all() {
    let mut tried: Tried<0> = Tried::default();
    assert_eq!(tried.add(endpoint(0)), Err(TooManyTries));
    assert!(!tried.contains(endpoint(0)));
}

#[test]
fn few_requests_may_still_be_retried() {
    let budget = RetryBudget::new(200, 10);
    let now = Instant::from_secs(1);
    for _ in 0..100 {
        assert_eq!(budget.try_withdraw(now), Ok(()));
    }
    assert_eq!(budget.try_withdraw(now), Err(BudgetSpent));
}

#[test]
fn nothing_is_saved_up_beyond_the_window() {
    let budget = RetryBudget::new(100, 0);
    for second in 0..3_600 {
        for _ in 0..10 {
            budget.deposit(Instant::from_secs(second));
        }
    }
    let left = budget.left(Instant::from_secs(3_600));
    assert!((8..=10).contains(&left), "{left} of about 9 s of requests");
    assert_eq!(budget.left(Instant::from_secs(3_700)), 0);
}

#[test]
fn a_steady_failure_is_retried_at_the_share() {
    // All requests fail, and each wants a retry.
    let budget = RetryBudget::new(200, 0);
    let mut retries = 0;
    for request in 0..100_000u64 {
        let now = Instant::from_millis(request);
        budget.deposit(now);
        retries += u32::from(budget.try_withdraw(now).is_ok());
    }
    assert!((19_000..=20_000).contains(&retries), "{retries}");
}

#[test]
fn a_clock_at_its_end_is_no_trouble() {
    let budget = RetryBudget::new(1_000, 0);
    for now in [Instant::MAX, Instant::ZERO, Instant::MAX] {
        budget.deposit(now);
        assert_eq!(budget.try_withdraw(now), Ok(()));
        assert_eq!(budget.try_withdraw(now), Err(BudgetSpent));
    }
}

#[test]
fn a_clock_that_goes_far_back_empties_the_window_whole() {
    for (from, to) in [(16, 5), (11, 0), (1_000, 3), (12, 1)] {
        let budget = RetryBudget::new(1_000, 0);
        for bucket in from - 9..=from {
            budget.deposit(Instant::from_micros(bucket * BUCKET));
        }
        assert_eq!(budget.left(Instant::from_micros(from * BUCKET)), 10);
        assert_eq!(budget.left(Instant::from_micros(to * BUCKET)), 0, "from {from} to {to}");
    }
}

#[test]
fn the_largest_share_and_reserve_do_not_overflow() {
    let budget = RetryBudget::new(u16::MAX, u16::MAX);
    for _ in 0..100_000 {
        budget.deposit(Instant::ZERO);
    }
    assert_eq!(budget.left(Instant::ZERO), 6_553_500 + 655_350);
}

#[test]
fn two_threads_withdraw_no_more_than_there_is() {
    for _ in 0..50 {
        let budget = RetryBudget::new(100, 0);
        for _ in 0..20_000 {
            budget.deposit(Instant::ZERO);
        }
        let both = Barrier::new(2);
        let withdraw = || {
            both.wait();
            (0..2_000).filter(|_| budget.try_withdraw(Instant::ZERO).is_ok()).count()
        };
        let granted = thread::scope(|scope| {
            let threads = [scope.spawn(withdraw), scope.spawn(withdraw)];
            threads.map(|thread| thread.join().unwrap()).iter().sum::<usize>()
        });
        assert_eq!(granted, 2_000);
    }
}

#[test]
fn retries_stay_within_the_share_while_the_window_moves_under_three_threads() {
    // Without a reserve, windows that end at a retry and don't overlap cover all retries: so all together
    // keep the share.
    const REQUESTS: u64 = 60_000;
    let budget = RetryBudget::new(100, 0);
    let clock = AtomicU64::new(0);
    let all = Barrier::new(3);
    let work = || {
        all.wait();
        let mut granted = 0;
        for _ in 0..REQUESTS {
            let now = Instant::from_micros(clock.fetch_add(BUCKET / 100, Ordering::Relaxed));
            budget.deposit(now);
            granted += u64::from(budget.try_withdraw(now).is_ok());
        }
        granted
    };
    let granted = thread::scope(|scope| {
        let threads = [scope.spawn(work), scope.spawn(work), scope.spawn(work)];
        threads.map(|thread| thread.join().unwrap()).iter().sum::<u64>()
    });
    assert!(granted <= 3 * REQUESTS / 10, "{granted}");
    assert!(granted > 0);
}
