//! The virtual-time platform.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration as Real, Instant as RealInstant};

use trilane::exec::Platform;
use trilane::time::{Duration, Instant};
use trilane_std::simulation::{Deadlock, Virtual};

const WEEK: Instant = Instant::from_secs(7 * 24 * 60 * 60);

#[test]
fn idle_jumps_to_the_alarm_without_waiting() {
    let started = RealInstant::now();
    let platform = Virtual::new();
    platform.set_alarm(Some(WEEK));
    platform.idle(&|| true);
    assert_eq!(platform.now(), WEEK);
    assert!(started.elapsed() < Real::from_secs(1));
}

#[test]
fn time_stands_still_while_something_is_woken() {
    let platform = Virtual::new();
    platform.set_alarm(Some(WEEK));
    platform.idle(&|| false);
    assert_eq!(platform.now(), Instant::ZERO);
    platform.idle(&|| {
        platform.pend();
        true
    });
    assert_eq!(platform.now(), Instant::ZERO);
    platform.idle(&|| true);
    assert_eq!(platform.now(), WEEK);
}

#[test]
fn an_alarm_in_the_past_does_not_turn_the_clock_back() {
    let platform = Virtual::new();
    platform.advance(Duration::from_millis(5));
    platform.set_alarm(Some(Instant::from_millis(3)));
    platform.idle(&|| true);
    assert_eq!(platform.now(), Instant::from_millis(5));
}

#[test]
fn work_takes_the_time_it_says() {
    let platform = Virtual::new();
    platform.advance(Duration::from_millis(5));
    platform.advance(Duration::from_micros(1));
    assert_eq!(platform.now(), Instant::from_micros(5_001));
    platform.advance(Duration::MAX);
    assert_eq!(platform.now(), Instant::MAX);
}

#[test]
fn a_cancelled_alarm_does_not_move_the_clock() {
    static REPORTS: AtomicU64 = AtomicU64::new(0);
    let platform = Virtual::new().patient(Real::from_millis(5)).on_deadlock(|_| {
        REPORTS.fetch_add(1, Ordering::Relaxed);
    });
    platform.set_alarm(Some(WEEK));
    platform.set_alarm(None);
    platform.idle(&|| true);
    assert_eq!(platform.now(), Instant::ZERO);
    assert_eq!(REPORTS.load(Ordering::Relaxed), 1);
}

#[test]
fn an_alarm_goes_off_once() {
    static REPORTS: AtomicU64 = AtomicU64::new(0);
    let platform = Virtual::new().patient(Real::from_millis(5)).on_deadlock(|deadlock| {
        assert_eq!(deadlock.at, WEEK);
        REPORTS.fetch_add(1, Ordering::Relaxed);
    });
    platform.set_alarm(Some(WEEK));
    platform.idle(&|| true);
    assert_eq!(REPORTS.load(Ordering::Relaxed), 0);
    platform.idle(&|| true);
    assert_eq!(REPORTS.load(Ordering::Relaxed), 1, "it went off again");
}

#[test]
fn another_thread_can_end_a_standstill() {
    static PLATFORM: Virtual = Virtual::new();
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
    assert_eq!(PLATFORM.now(), Instant::ZERO);
}

#[test]
#[should_panic(expected = "deadlock in virtual time at 7000 us: every task waits, no timer is set")]
fn a_standstill_is_a_panic_that_names_it() {
    let platform = Virtual::new().patient(Real::from_millis(5));
    platform.advance(Duration::from_millis(7));
    platform.idle(&|| true);
}

#[test]
fn the_hook_learns_when_and_how_long() {
    static AT: AtomicU64 = AtomicU64::new(0);
    static WAITED: AtomicU64 = AtomicU64::new(0);
    let platform =
        Virtual::new().patient(Real::from_millis(5)).on_deadlock(|Deadlock { at, waited, .. }| {
            AT.store(at.as_micros(), Ordering::Relaxed);
            WAITED.store(waited.as_micros() as u64, Ordering::Relaxed);
        });
    platform.advance(Duration::from_millis(7));
    platform.idle(&|| true);
    assert_eq!(AT.load(Ordering::Relaxed), 7_000);
    assert!(WAITED.load(Ordering::Relaxed) >= 5_000);
}

/// A waker in another thread against an owner that has no alarm: a lost nudge would end in a deadlock report.
#[test]
fn no_nudge_is_lost_between_two_threads() {
    const WAKES: u64 = 20_000;
    static PLATFORM: Virtual = Virtual::new();
    static SENT: AtomicU64 = AtomicU64::new(0);
    static HEARD: AtomicU64 = AtomicU64::new(0);

    let waker = thread::spawn(|| {
        for wake in 1..=WAKES {
            SENT.store(wake, Ordering::Release);
            PLATFORM.pend();
            while HEARD.load(Ordering::Acquire) < wake {
                std::hint::spin_loop();
                thread::yield_now();
            }
        }
    });
    let mut heard = 0;
    while heard < WAKES {
        PLATFORM.idle(&|| SENT.load(Ordering::Acquire) == heard);
        heard = SENT.load(Ordering::Acquire);
        HEARD.store(heard, Ordering::Release);
    }
    waker.join().unwrap();
}
