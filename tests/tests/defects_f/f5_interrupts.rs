//! F5: the end of each sleep in an interrupt's executor pended the interrupt that was running: two runs for
//! each.
//!
//! One run for each time at which something is due, none needless.

use std::future::pending;

use futures::stream::{FuturesOrdered, StreamExt};
use trilane::exec::{Attributes, Cx, Executor, MissedTick, TaskOptions};
use trilane::time::Duration;
use trilane_tests::{leak, pool, us};

use crate::bench::Bench;

/// How often the interrupt ran for `tasks` that `body` makes; one run of them is for the spawns.
fn runs<F>(tasks: u64, body: impl Fn(Cx, u64) -> F + Copy + Send + 'static) -> u32
where
    F: Future<Output = ()> + Send + 'static,
{
    let executor = leak(Executor::<_, 1, 16>::new(Bench::new()));
    let handler = executor.start_in_handler().unwrap();
    let pool = pool::<16>();
    let tasks: Vec<_> = (0..tasks)
        .map(|number| {
            executor.spawn(pool, move |cx| body(cx, number)).unwrap_or_else(|error| panic!("{error}"))
        })
        .collect();
    let runs = executor.platform().run_interrupts(&handler);
    assert!(tasks.iter().all(|task| task.is_finished()));
    runs
}

const fn micros(span: u64) -> Duration {
    Duration::from_micros(span)
}

#[test]
fn each_sleep_takes_one_run_of_the_interrupt() {
    let sleeps = |cx: Cx, _| async move {
        for _ in 0..100 {
            cx.sleep(micros(50)).await.unwrap();
        }
    };
    assert_eq!(runs(1, sleeps), 1 + 100);
}

#[test]
fn sleeps_that_are_due_together_take_one_run() {
    let sleeps = |cx: Cx, _| async move {
        for _ in 0..100 {
            cx.sleep(micros(50)).await.unwrap();
        }
    };
    assert_eq!(runs(2, sleeps), 1 + 100);
    assert_eq!(runs(10, sleeps), 1 + 100);
}

#[test]
fn sleeps_at_different_times_take_one_run_each() {
    let sleeps = |cx: Cx, number| async move {
        for step in 0..10 {
            cx.sleep_until(us(1 + number + 10 * step)).await.unwrap();
        }
    };
    assert_eq!(runs(10, sleeps), 1 + 100);
}

#[test]
fn several_sleeps_of_one_task_take_one_run_for_each_time() {
    let sleeps = |cx: Cx, _| async move {
        for round in 0..50 {
            let at = us(10 * (1 + round));
            let both = futures::future::join(cx.sleep_until(at), cx.sleep_until(at)).await;
            assert_eq!(both, (Ok(()), Ok(())));
        }
    };
    assert_eq!(runs(1, sleeps), 1 + 50);
}

#[test]
fn each_tick_and_each_timeout_takes_one_run() {
    let ticks = |cx: Cx, _| async move {
        let mut interval = cx.interval(micros(50), MissedTick::Burst).unwrap();
        for _ in 0..50 {
            interval.tick().await.unwrap();
        }
    };
    assert_eq!(runs(1, ticks), 1 + 50);
    let timeouts = |cx: Cx, _| async move {
        for _ in 0..50 {
            cx.timeout(micros(50), pending::<()>()).await.unwrap_err();
        }
    };
    assert_eq!(runs(1, timeouts), 1 + 50);
}

#[test]
fn an_alarm_that_is_given_up_costs_no_run() {
    let given_up = |cx: Cx, _| async move {
        for _ in 0..50 {
            cx.timeout(micros(70), cx.sleep(micros(50))).await.unwrap().unwrap();
        }
    };
    assert_eq!(runs(1, given_up), 1 + 50);
}

#[test]
fn sleeps_of_different_priorities_and_deadlines_take_one_run() {
    let executor = leak(Executor::<_, 1, 16>::new(Bench::new()));
    let handler = executor.start_in_handler().unwrap();
    let pool = pool::<3>();
    let plain = TaskOptions::new();
    let urgent = TaskOptions::new().deadline(us(1_000_000));
    let high = TaskOptions::new().priority(trilane::sched::Priority::HIGHEST);
    for options in [plain, urgent, high] {
        let task = executor.spawn_with(options, pool, |cx| async move {
            for _ in 0..50 {
                cx.sleep(micros(50)).await.unwrap();
            }
        });
        drop(task.unwrap());
    }
    assert_eq!(executor.platform().run_interrupts(&handler), 1 + 50);
}

/// A combinator's own waker wakes the task by that of the task, which pends: the only run that may be in
/// vain.
#[test]
fn sleeps_under_wakers_of_their_own_take_two_runs_at_most() {
    let sleeps = |cx: Cx, _| async move {
        let mut sleeps: FuturesOrdered<_> = (1..=50).map(|number| cx.sleep_until(us(10 * number))).collect();
        while let Some(over) = sleeps.next().await {
            over.unwrap();
        }
    };
    assert!(runs(1, sleeps) <= 2 * (1 + 50));
}

#[test]
fn the_end_of_a_clean_up_takes_one_run() {
    static STUBBORN: Attributes = Attributes::new().cleanup_polls(9).cleanup_time(micros(30));
    let executor = leak(Executor::<_, 1, 16>::new(Bench::new()));
    let handler = executor.start_in_handler().unwrap();
    let pool = pool::<16>();
    let stubborn = TaskOptions::new().attributes(&STUBBORN);
    let tasks: Vec<_> =
        (0..16).map(|_| executor.spawn_with(stubborn, pool, |_| pending::<()>()).unwrap()).collect();
    assert_eq!(executor.platform().run_interrupts(&handler), 1);
    tasks.iter().for_each(|task| task.cancel().unwrap());
    assert_eq!(
        executor.platform().run_interrupts(&handler),
        1 + 1,
        "the requests, and the end of all clean-ups"
    );
    assert!(tasks.iter().all(|task| task.is_finished()));
}
