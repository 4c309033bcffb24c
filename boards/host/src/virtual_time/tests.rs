//! Cores on threads, and the clock they share.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::thread::JoinHandle;

use super::*;

const fn at(micros: u64) -> Option<Instant> {
    Some(Instant::from_micros(micros))
}

/// Two cores, of which the second one is there until it has done as it is told.
fn two(second: impl FnOnce(&VirtualTime) + Send + 'static) -> (Arc<VirtualTime>, JoinHandle<()>) {
    struct Leave(Arc<VirtualTime>);

    impl Drop for Leave {
        fn drop(&mut self) {
            self.0.state().cores[1].there = false;
            self.0.changed.notify_all();
        }
    }

    let time = Arc::new(VirtualTime::new());
    time.add(1);
    let its = Leave(Arc::clone(&time));
    (time, thread::spawn(move || second(&its.0)))
}

fn panics(run: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(run)).is_err()
}

#[test]
fn one_core_alone_jumps_to_its_alarms_and_none_goes_off_twice() {
    let mut time = VirtualTime::new();
    time.patience = Real::from_millis(1);
    time.set_alarm(0, at(700));
    time.idle(0, &|| true);
    assert_eq!(Some(time.now()), at(700));
    // An alarm in the past ends the sleep at once.
    time.set_alarm(0, at(20));
    time.idle(0, &|| true);
    assert_eq!(Some(time.now()), at(700));
    assert!(panics(|| time.idle(0, &|| true)), "with no alarm, nothing can happen any more");
}

#[test]
fn the_clock_waits_for_a_core_that_works_and_visits_all_alarms_in_order() {
    let (time, second) = two(|time| {
        thread::sleep(Real::from_millis(20));
        for alarm in [10, 30, 50] {
            time.set_alarm(1, at(alarm));
            time.idle(1, &|| true);
            assert_eq!(Some(time.now()), at(alarm));
        }
    });
    for alarm in [20, 30, 40] {
        time.set_alarm(0, at(alarm));
        time.idle(0, &|| true);
        assert_eq!(Some(time.now()), at(alarm));
    }
    time.advance(0, Duration::from_micros(25));
    assert_eq!(Some(time.now()), at(65));
    second.join().unwrap();
}

#[test]
fn a_nudged_core_wakes_at_the_time_of_the_nudge_however_slow_it_is() {
    let woken = Arc::new(AtomicBool::new(false));
    let its = Arc::clone(&woken);
    let (time, second) = two(move |time| {
        time.idle(1, &|| !its.load(SeqCst));
        thread::sleep(Real::from_millis(20));
        assert_eq!(Some(time.now()), at(10));
    });
    time.set_alarm(0, at(10));
    time.idle(0, &|| true);
    woken.store(true, SeqCst);
    time.nudge(1);
    time.set_alarm(0, at(1_000));
    time.idle(0, &|| true);
    assert_eq!(Some(time.now()), at(1_000));
    second.join().unwrap();
}

#[test]
fn no_wake_is_lost_between_two_cores() {
    const CALLS: u32 = 10_000;
    static CALLED: AtomicU32 = AtomicU32::new(0);
    static ANSWERED: AtomicU32 = AtomicU32::new(0);
    let (time, second) = two(|time| {
        for call in 1..=CALLS {
            while CALLED.load(SeqCst) < call {
                time.idle(1, &|| CALLED.load(SeqCst) < call);
            }
            ANSWERED.store(call, SeqCst);
            time.nudge(0);
        }
    });
    for call in 1..=CALLS {
        CALLED.store(call, SeqCst);
        time.nudge(1);
        while ANSWERED.load(SeqCst) < call {
            time.idle(0, &|| ANSWERED.load(SeqCst) < call);
        }
    }
    second.join().unwrap();
    assert_eq!(time.now(), Instant::ZERO, "nobody waited for time");
}

#[test]
fn work_of_a_known_length_ends_early_for_a_nudge() {
    let (time, second) = two(|time| {
        time.set_alarm(1, at(10));
        time.idle(1, &|| true);
        time.nudge(0);
    });
    time.advance(0, Duration::from_micros(40));
    assert_eq!(Some(time.now()), at(10));
    time.advance(0, Duration::from_micros(30));
    assert_eq!(Some(time.now()), at(40));
    second.join().unwrap();
}

#[test]
fn a_core_that_waits_for_no_time_moves_the_clock_only_when_the_other_one_sleeps() {
    static ANSWERED: AtomicBool = AtomicBool::new(false);
    let (time, second) = two(|time| {
        // It works, for it waits without sleeping.
        while !ANSWERED.load(SeqCst) {
            thread::yield_now();
        }
        time.set_alarm(1, at(3));
        time.idle(1, &|| true);
        assert_eq!(Some(time.now()), at(3));
    });
    for _ in 0..3 {
        time.creep(0);
        assert_eq!(Some(time.now()), at(0));
    }
    ANSWERED.store(true, SeqCst);
    let mut seen = 0;
    while !second.is_finished() {
        time.creep(0);
        let now = time.now().as_micros();
        assert!(now <= seen + 1, "from {seen} to {now}");
        seen = now;
    }
    second.join().unwrap();
    assert!(seen >= 3);
}

#[test]
fn two_cores_that_wait_for_each_other_are_a_deadlock() {
    let mut time = VirtualTime::new();
    time.patience = Real::from_millis(20);
    time.add(1);
    thread::scope(|scope| {
        let first = scope.spawn(|| panics(|| time.idle(0, &|| true)));
        let second = scope.spawn(|| panics(|| time.idle(1, &|| true)));
        // One of them reports it; the program then ends.
        while !first.is_finished() && !second.is_finished() {
            thread::yield_now();
        }
        time.nudge(0);
        time.nudge(1);
        assert!(first.join().unwrap() | second.join().unwrap());
    });
}

#[test]
fn a_nudge_of_all_ends_every_sleep() {
    let time = VirtualTime::new();
    time.add(1);
    time.add(2);
    thread::scope(|scope| {
        let others = [1, 2].map(|core| {
            let time = &time;
            scope.spawn(move || time.idle(core, &|| true))
        });
        time.set_alarm(0, at(10));
        time.idle(0, &|| true);
        assert!(others.iter().all(|other| !other.is_finished()));
        time.nudge_all();
    });
    assert_eq!(Some(time.now()), at(10));
}

#[test]
fn a_core_belongs_to_one_thread() {
    let time = VirtualTime::new();
    time.advance(0, Duration::from_micros(1));
    let stranger = || panics(|| time.idle(0, &|| true));
    assert!(thread::scope(|scope| scope.spawn(stranger).join().unwrap()));
}
