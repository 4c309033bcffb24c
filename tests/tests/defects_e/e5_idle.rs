//! E5: an idle pass did exclusive loads, which set the core's event flag; idle span at 1.1 million passes a
//! second.

use std::sync::atomic::Ordering::SeqCst;

use trilane::exec::{Executor, Pass, TaskOptions};
use trilane::time::Duration;
use trilane_tests::future::Bell;
use trilane_tests::platform::{Machine, ThreadMode, Watched, run_to_rest};
use trilane_tests::{leak, pool, settle, us};

#[test]
fn a_pass_with_nothing_woken_does_nothing() {
    let executor = leak(Executor::<_, 3, 5>::new(Watched::new()));
    let mut runner = executor.start().unwrap();
    drop(executor.spawn(pool::<1>(), |cx| cx.sleep_until(us(1_000))));
    settle(&mut runner, us(1));
    let counted = executor.counters();
    let machine = executor.platform();
    let (pends, reads, events) =
        (machine.pends.load(SeqCst), machine.clock_reads.load(SeqCst), machine.events.take());
    assert!(!events.is_empty());
    for now in 1..1_000 {
        assert!(!runner.is_runnable());
        assert_eq!(runner.poll_pending(us(now)), Pass { polls: 0, more: false });
    }
    assert_eq!(executor.counters(), counted);
    assert_eq!(machine.pends.load(SeqCst), pends);
    assert_eq!(machine.clock_reads.load(SeqCst), reads);
    assert_eq!(machine.events.take(), []);
}

#[test]
fn an_executor_with_nothing_to_do_idles_once_and_stays() {
    let executor = leak(Executor::<_, 1, 8>::new(Watched::new()));
    let mut runner = executor.start().unwrap();
    run_to_rest(&mut runner);
    assert_eq!(executor.platform().quiet_idles.load(SeqCst), 1);
    assert_eq!(executor.platform().busy_idles.load(SeqCst), 0);
    assert_eq!(executor.platform().clock_reads.load(SeqCst), 1);
}

#[test]
fn a_sleeping_task_costs_one_idle_a_sleep() {
    const SLEEPS: u32 = 20;
    let executor = leak(Executor::<_, 1, 8>::new(Watched::new()));
    let mut runner = executor.start().unwrap();
    let task = executor.spawn(pool::<1>(), |cx| async move {
        for _ in 0..SLEEPS {
            cx.sleep(Duration::from_micros(100)).await.unwrap();
        }
    });
    run_to_rest(&mut runner);
    let machine = executor.platform();
    assert!(task.unwrap().is_finished());
    assert_eq!(executor.counters().polls, SLEEPS + 1);
    assert_eq!(machine.busy_idles.load(SeqCst), 0);
    assert_eq!(machine.quiet_idles.load(SeqCst), SLEEPS + 1, "one for each sleep, one at rest");
    // The spawn pends. To arm a sleep in a pass doesn't, for the pass sets the alarm when it ends; nor does
    // its end, for that is seen to by the runner itself.
    assert_eq!(machine.pends.load(SeqCst), 1);
}

#[test]
fn idle_is_told_when_something_was_woken_just_before() {
    let executor = leak(Executor::<_, 1, 8>::new(Watched::new()));
    let mut runner = executor.start().unwrap();
    let bell: &Bell = leak(Bell::new());
    let options = TaskOptions::new().poll_quota(std::num::NonZeroU16::MAX);
    drop(executor.spawn_with(options, pool::<1>(), |_| bell.forever()));
    run_to_rest(&mut runner);
    assert!(!runner.is_runnable());
    bell.ring();
    assert!(runner.is_runnable());
    run_to_rest(&mut runner);
    assert_eq!(bell.polls(), 2);
    assert_eq!(executor.platform().busy_idles.load(SeqCst), 0);
}

/// The alarm goes off once, as a compare register's does. A wait for the very instant that has just gone off
/// must set it again, or not need it.
fn waits_thrice_for_the_same_instant<const PENDS: bool>(machine: Machine<PENDS>) {
    let executor = leak(Executor::<_, 1, 8>::new(machine));
    let mut runner = executor.start().unwrap();
    let task = executor.spawn(pool::<1>(), |cx| async move {
        for _ in 0..3 {
            cx.sleep_until(us(100)).await.unwrap();
        }
    });
    run_to_rest(&mut runner);
    assert!(task.unwrap().is_finished());
}

#[test]
fn an_instant_that_has_passed_is_not_slept_through() {
    waits_thrice_for_the_same_instant(Watched::new());
}

#[test]
fn an_instant_that_has_passed_is_not_slept_through_where_nothing_pends() {
    waits_thrice_for_the_same_instant(ThreadMode::new());
}
