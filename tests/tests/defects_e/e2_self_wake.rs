//! E2: one task that woke itself held the drain loop; idle, and with it the alarm, was never reached.

use trilane::exec::{Executor, Manual, Runner, TaskOptions};
use trilane::sched::Priority;
use trilane::time::Duration;
use trilane_tests::{Log, leak, manual, pool, us};

#[test]
fn a_pass_over_a_self_waking_task_ends() {
    let mut runner = manual::<1, 8>();
    let executor = runner.executor();
    drop(executor.spawn(pool::<1>(), |cx| async move {
        loop {
            cx.yield_now().await;
        }
    }));
    for _ in 0..3 {
        let pass = runner.poll_pending(us(0));
        assert_eq!(pass.polls, Runner::<Manual, 1, 8>::POLLS_PER_PASS);
        assert!(pass.more);
    }
}

#[test]
fn a_self_waking_task_does_not_keep_sleeps_from_ending() {
    for priority in [Priority::LOWEST, Priority::HIGHEST] {
        let mut runner = manual::<1, 8>();
        let executor = runner.executor();
        let pool = pool::<2>();
        let equal = TaskOptions::new().priority(priority);
        drop(executor.spawn_with(equal, pool, |cx| async move {
            loop {
                cx.yield_now().await;
            }
        }));
        let sleeper =
            executor.spawn_with(equal, pool, |cx| cx.sleep_until(us(100))).expect("the pool has two slots");
        runner.poll_pending(us(0));
        assert!(runner.poll_pending(us(99)).more && !sleeper.is_finished());
        assert!(runner.poll_pending(us(100)).more && sleeper.is_finished());
    }
}

#[test]
fn self_waking_equals_take_turns() {
    let log: &Log<char> = leak(Log::new());
    let mut runner = manual::<1, 8>();
    let executor = runner.executor();
    let pool = pool::<3>();
    for name in ['a', 'b', 'c'] {
        drop(executor.spawn(pool, |cx| async move {
            loop {
                log.push(name);
                cx.yield_now().await;
            }
        }));
    }
    runner.poll_pending(us(0));
    runner.poll_pending(us(0));
    let turns = log.take();
    assert!(turns.chunks_exact(3).all(|round| round == ['a', 'b', 'c']), "{turns:?}");
}

#[test]
fn a_self_waking_task_does_not_hold_up_one_that_is_woken_meanwhile() {
    let log: &Log<char> = leak(Log::new());
    let executor = leak(Executor::<_, 3, 5>::new(Manual::new()));
    let mut runner = executor.start().unwrap();
    let pool = pool::<2>();
    drop(executor.spawn(pool, |cx| async move {
        for round in 0..10 {
            log.push('a');
            if round == 4 {
                drop(executor.spawn(pool, |_| async { log.push('b') }));
            }
            cx.yield_now().await;
        }
    }));
    runner.poll_pending(us(0));
    // Both are woken when the fifth poll returns, and tasks woken between two polls arrive in the order of
    // their slots.
    assert_eq!(String::from_iter(log.take()), "aaaaaabaaaa");
}

#[test]
fn a_self_waking_task_with_a_deadline_lets_the_ready_lane_in_by_fairness() {
    let executor = leak(Executor::<_, 1, 4>::new(Manual::new()));
    let mut runner = executor.start().unwrap();
    let pool = pool::<2>();
    drop(executor.spawn_with(TaskOptions::new().deadline(us(1_000)), pool, |cx| async move {
        loop {
            cx.yield_now().await;
        }
    }));
    let ready = executor.spawn(pool, |cx| cx.sleep(Duration::ZERO)).unwrap();
    runner.poll_pending(us(0));
    runner.poll_pending(us(0));
    assert!(ready.is_finished());
}
