//! The real-time platform: alarms end a sleep, and so does every nudge.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration as Real;

use trilane::exec::Platform;
use trilane::time::{Duration, Instant};
use trilane_std::thread::Thread;

#[test]
fn time_counts_from_the_first_reading_and_never_backwards() {
    let platform = Thread::new();
    assert_eq!(platform.now(), Instant::ZERO);
    let readings: Vec<Instant> = (0..1_000).map(|_| platform.now()).collect();
    assert!(readings.is_sorted());
    thread::sleep(Real::from_millis(2));
    assert!(platform.now() >= Instant::from_millis(2));
}

#[test]
fn an_alarm_ends_the_sleep_at_its_time() {
    let platform = Thread::new();
    let at = platform.now() + Duration::from_millis(20);
    platform.set_alarm(Some(at));
    let mut passes = 0;
    while platform.now() < at {
        platform.idle(&|| true);
        passes += 1;
    }
    assert!(platform.now() >= at);
    assert!(passes < 10, "{passes} passes: it span instead of sleeping");
}

#[test]
fn an_alarm_in_the_past_does_not_sleep() {
    let platform = Thread::new();
    platform.now();
    thread::sleep(Real::from_millis(1));
    platform.set_alarm(Some(Instant::ZERO));
    platform.idle(&|| true);
}

#[test]
fn an_alarm_goes_off_once() {
    static PLATFORM: Thread = Thread::new();
    let at = PLATFORM.now() + Duration::from_millis(2);
    PLATFORM.set_alarm(Some(at));
    while PLATFORM.now() < at {
        PLATFORM.idle(&|| true);
    }
    let over = AtomicBool::new(false);
    let passes = thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Real::from_millis(20));
            over.store(true, Ordering::Release);
            PLATFORM.pend();
        });
        let mut passes = 0;
        while !over.load(Ordering::Acquire) {
            PLATFORM.idle(&|| !over.load(Ordering::Acquire));
            passes += 1;
        }
        passes
    });
    assert!(passes < 10, "{passes} passes: it span on an alarm that was over");
}

#[test]
fn what_is_not_quiet_does_not_sleep() {
    Thread::new().idle(&|| false);
}

#[test]
fn a_pend_during_the_check_is_kept() {
    let platform = Thread::new();
    platform.idle(&|| {
        platform.pend();
        true
    });
}

#[test]
fn a_pend_from_before_the_check_costs_no_round() {
    let platform = Thread::new();
    platform.pend();
    let asked = Cell::new(0);
    platform.set_alarm(Some(platform.now() + Duration::from_millis(5)));
    let alarm = platform.now() + Duration::from_millis(5);
    while platform.now() < alarm {
        platform.idle(&|| {
            asked.set(asked.get() + 1);
            true
        });
    }
    assert!(asked.get() < 10, "asked {} times", asked.get());
}

#[test]
fn a_pend_from_another_thread_ends_a_sleep_without_alarm() {
    static PLATFORM: Thread = Thread::new();
    static LOOKED: AtomicBool = AtomicBool::new(false);
    let other = thread::spawn(|| {
        // A pend from before the look is forgotten.
        while !LOOKED.load(Ordering::Acquire) {
            thread::yield_now();
        }
        thread::sleep(Real::from_millis(5));
        PLATFORM.pend();
    });
    PLATFORM.idle(&|| {
        LOOKED.store(true, Ordering::Release);
        true
    });
    other.join().unwrap();
}

#[test]
fn only_the_owner_may_idle() {
    static PLATFORM: Thread = Thread::new();
    PLATFORM.idle(&|| false);
    let refused = thread::spawn(|| catch_unwind(AssertUnwindSafe(|| PLATFORM.idle(&|| false))).is_err());
    assert!(refused.join().unwrap());
}

/// Two threads hand a token back and forth. Each hand-over is one bit set and one pend, at every possible
/// moment of the other's way to sleep; a single lost nudge stops both for ever.
#[test]
fn no_nudge_is_lost_between_two_threads() {
    const ROUNDS: u64 = 20_000;
    static SIDES: [Thread; 2] = [Thread::new(), Thread::new()];
    static WOKEN: [AtomicBool; 2] = [AtomicBool::new(true), AtomicBool::new(false)];
    static TURNS: [AtomicU64; 2] = [AtomicU64::new(0), AtomicU64::new(0)];

    let play = |me: usize| {
        let quiet = || !WOKEN[me].load(Ordering::Acquire);
        while TURNS[me].load(Ordering::Relaxed) < ROUNDS {
            if WOKEN[me].swap(false, Ordering::AcqRel) {
                let turns = TURNS[me].fetch_add(1, Ordering::Relaxed);
                // Uneven work moves the hand-over across the other side's check and park.
                (0..turns % 64).for_each(|_| std::hint::spin_loop());
                WOKEN[1 - me].store(true, Ordering::Release);
                SIDES[1 - me].pend();
            } else {
                SIDES[me].idle(&quiet);
            }
        }
    };
    let other = thread::spawn(move || play(1));
    play(0);
    other.join().unwrap();
    assert_eq!(TURNS.each_ref().map(|turns| turns.load(Ordering::Relaxed)), [ROUNDS, ROUNDS]);
}

/// Wakes that are not answered one by one: the waker runs ahead, so pends collapse, and the last must still
/// be heard.
#[test]
fn the_last_of_many_collapsed_nudges_is_heard() {
    const WAKES: u64 = 50_000;
    static OWNER: Thread = Thread::new();
    static SENT: AtomicU64 = AtomicU64::new(0);

    let waker = thread::spawn(|| {
        for wake in 0..WAKES {
            SENT.fetch_add(1, Ordering::Release);
            OWNER.pend();
            if wake % 97 == 0 {
                thread::yield_now();
            }
        }
    });
    let mut seen = 0;
    while seen < WAKES {
        seen = SENT.load(Ordering::Acquire);
        if seen < WAKES {
            OWNER.idle(&|| SENT.load(Ordering::Acquire) == seen);
        }
    }
    waker.join().unwrap();
}

#[test]
fn a_wake_after_the_last_look_ends_the_sleep_although_its_unpark_was_taken_for_another() {
    static THREAD: Thread = Thread::new();

    let began = THREAD.now();
    THREAD.set_alarm(Some(began + Duration::from_secs(20)));
    THREAD.idle(&|| {
        thread::scope(|scope| drop(scope.spawn(|| THREAD.pend()).join()));
        // As a lock may do, where it is made of parks.
        thread::park_timeout(std::time::Duration::ZERO);
        true
    });
    assert!(THREAD.now() - began < Duration::from_secs(10));
}
