//! E10: a waker fired while the executor was being dropped was a use after free.

use trilane::exec::{Executor, Manual, Pass};
use trilane_tests::future::Bell;
use trilane_tests::{leak, manual, pool, settle, us};

#[test]
fn a_wake_after_the_end_of_the_task_does_nothing() {
    let mut runner = manual::<1, 4>();
    let executor = runner.executor();
    let bell: &Bell = leak(Bell::new());
    drop(executor.spawn(pool::<1>(), |_| bell.until(1)));
    settle(&mut runner, us(0));
    let before = executor.counters();
    bell.ring();
    bell.waker().wake_by_ref();
    assert_eq!(runner.poll_pending(us(0)), Pass { polls: 0, more: false });
    let after = executor.counters();
    assert_eq!((after.polls, after.wakes), (before.polls, before.wakes));
    assert_eq!(after.stale_wakes, before.stale_wakes + 1);
}

#[test]
fn a_wake_of_a_finished_task_whose_handle_waits_does_nothing() {
    let mut runner = manual::<3, 2>();
    let executor = runner.executor();
    let bell: &Bell = leak(Bell::new());
    let mut task = executor
        .spawn(pool::<1>(), |_| async {
            bell.until(1).await;
            7
        })
        .unwrap();
    settle(&mut runner, us(0));
    bell.ring();
    assert_eq!(runner.poll_pending(us(0)), Pass { polls: 0, more: false });
    assert_eq!(task.try_join(), Some(Ok(7)));
}

#[test]
fn a_late_wake_costs_the_next_task_of_the_slot_one_poll() {
    let mut runner = manual::<1, 1>();
    let executor = runner.executor();
    let pool = pool::<1>();
    let (ended, next): (&Bell, &Bell) = (leak(Bell::new()), leak(Bell::new()));
    drop(executor.spawn(pool, |_| ended.until(1)));
    settle(&mut runner, us(0));
    drop(executor.spawn(pool, |_| next.forever()));
    settle(&mut runner, us(0));
    assert_eq!(next.polls(), 1);
    for late in 1..=5 {
        ended.ring();
        ended.ring();
        settle(&mut runner, us(0));
        assert_eq!(next.polls(), 1 + late);
    }
}

#[test]
fn a_late_wake_before_the_first_poll_of_the_next_task_collapses_into_it() {
    let mut runner = manual::<1, 1>();
    let executor = runner.executor();
    let pool = pool::<1>();
    let (ended, next): (&Bell, &Bell) = (leak(Bell::new()), leak(Bell::new()));
    drop(executor.spawn(pool, |_| ended.until(1)));
    settle(&mut runner, us(0));
    ended.ring();
    drop(executor.spawn(pool, |_| next.forever()));
    ended.ring();
    assert_eq!(settle(&mut runner, us(0)), 1);
    assert_eq!(next.polls(), 1);
}

#[test]
fn a_waker_outlives_runner_and_tasks() {
    let bell: &Bell = leak(Bell::new());
    let executor = leak(Executor::<_, 3, 5>::new(Manual::new()));
    {
        let mut runner = executor.start().unwrap();
        drop(executor.spawn(pool::<1>(), |_| bell.until(1)));
        settle(&mut runner, us(0));
    }
    std::thread::spawn(|| bell.ring()).join().unwrap();
    bell.ring();
}
