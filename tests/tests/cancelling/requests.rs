//! The request: whom it reaches, and what it ends.

use std::pin::pin;
use std::sync::Mutex;

use futures::FutureExt;
use trilane::exec::{
    Attributes, Cancelled, CloseError, Cx, JoinError, JoinSet, Manual, MissedTick, Reason, RegionOptions,
    TaskId, TaskOptions, TaskState, TimeoutError,
};
use trilane::sched::Priority;
use trilane::time::Duration;
use trilane_tests::future::Bell;
use trilane_tests::{Log, leak, manual, pool, run_out, settle, us, with_regions};

use crate::{deaf, kind};

#[test]
fn those_asked_to_stop_are_polled_before_all_others_highest_priority_first() {
    let mut runner = manual::<1, 8>();
    let executor = runner.executor();
    let pool = pool::<8>();
    let order: &Log<&str> = leak(Log::new());
    let wait = |name: &'static str, level: u8| {
        let options = TaskOptions::new().priority(Priority::new(level).unwrap());
        let options = if name == "timed" { options.deadline(us(5)) } else { options };
        let bell: &Bell = leak(Bell::new());
        let task = executor.spawn_with(options, pool, move |_| async move {
            bell.until(2).await;
            order.push(name);
        });
        (bell, task.unwrap())
    };
    let waiting =
        [("low", 1), ("high", 3), ("timed", 31), ("ready", 31)].map(|(name, level)| wait(name, level));
    settle(&mut runner, us(0));
    waiting.iter().for_each(|(bell, _)| bell.ring());
    waiting[0].1.cancel().unwrap();
    waiting[1].1.cancel().unwrap();
    settle(&mut runner, us(0));
    assert_eq!(order.take(), ["high", "low", "timed", "ready"]);
}

#[test]
fn every_wait_ends_at_once_with_the_reason() {
    let mut runner = with_regions::<4, 2, 16>();
    let executor = runner.executor();
    let pool = pool::<32>();
    let span = Duration::from_secs(1);
    let told: &Log<(&str, Reason)> = leak(Log::new());
    let never = |cx: Cx| async move { while cx.sleep(Duration::MAX).await.is_ok() {} };
    let mut tasks = Vec::new();
    macro_rules! waits {
        ($name:literal, $cx:ident => $wait:expr) => {
            tasks.push(
                executor
                    .spawn(pool, move |$cx: Cx| async move {
                        let reason = $wait;
                        told.push(($name, reason));
                    })
                    .unwrap(),
            )
        };
    }
    let interrupted = |result| match result {
        Err(JoinError::Interrupted(reason)) => reason,
        other => panic!("{other:?}"),
    };
    let given_up = |result| match result {
        Err(CloseError::Cancelled(reason)) => reason,
        other => panic!("{other:?}"),
    };
    waits!("sleep", cx => cx.sleep(span).await.unwrap_err().0);
    waits!("sleep_until", cx => cx.sleep_until(us(1)).await.unwrap_err().0);
    waits!("timeout", cx => match cx.timeout(span, std::future::pending::<()>()).await {
        Err(TimeoutError::Cancelled(reason)) => reason,
        other => panic!("{other:?}"),
    });
    waits!("tick", cx => {
        let mut ticks = cx.interval(span, MissedTick::Skip).unwrap();
        ticks.tick().await.unwrap_err().0
    });
    waits!("cancelled", cx => cx.cancelled().await.0);
    waits!("run_until", cx => cx.run_until_cancelled(std::future::pending::<()>()).await.unwrap_err().0);
    waits!("join", cx => interrupted(cx.spawn(pool, never).unwrap().await));
    waits!("join_within", cx => interrupted(cx.spawn(pool, never).unwrap().join_within(cx, span).await));
    waits!("select", cx => {
        let (mut a, mut b) = (pin!(cx.sleep(span).fuse()), pin!(std::future::pending::<()>().fuse()));
        futures::select! { over = a => over.unwrap_err().0, () = b => unreachable!() }
    });
    waits!("both", cx => {
        let (a, b) = futures::join!(cx.sleep(span), cx.sleep(Duration::MAX));
        assert_eq!(a, b);
        b.unwrap_err().0
    });
    waits!("close", cx => {
        let mut region = cx.open_region(RegionOptions::new()).unwrap();
        region.spawn_with(kind(Attributes::DEFAULT), pool, |_| std::future::pending::<()>()).unwrap();
        given_up(region.close().await)
    });
    waits!("join_all", cx => {
        let mut region = cx.open_region(RegionOptions::new()).unwrap();
        region.spawn(pool, never).unwrap();
        given_up(region.join_all().await)
    });
    waits!("join_next", cx => {
        let mut set: JoinSet<(), 1> = JoinSet::new(cx.open_region(RegionOptions::new()).unwrap());
        set.spawn(pool, never).unwrap();
        interrupted(set.join_next().await.unwrap())
    });
    settle(&mut runner, us(0));
    assert!(told.take().is_empty());
    for task in &tasks {
        task.cancel().unwrap();
    }
    runner.poll_pending(us(0));
    let told = told.take();
    assert_eq!(told.len(), tasks.len());
    assert!(told.iter().all(|(_, reason)| *reason == Reason::User), "{told:?}");
}

#[test]
fn a_wait_begun_after_the_request_is_over_before_it_begins() {
    let mut runner = manual::<1, 2>();
    let mut task = runner
        .executor()
        .spawn(pool::<1>(), |cx| async move {
            cx.cancelled().await;
            let sleeps = (cx.sleep(Duration::ZERO).await, cx.sleep(Duration::MAX).await);
            (sleeps, cx.run_until_cancelled(async { 1 }).await, cx.timeout(Duration::ZERO, async { 2 }).await)
        })
        .unwrap();
    task.cancel().unwrap();
    assert_eq!(settle(&mut runner, us(0)), 1);
    let cancelled = Err(Cancelled(Reason::User));
    assert_eq!(task.try_join(), Some(Ok(((cancelled, cancelled), Ok(1), Ok(2)))));
}

#[test]
fn a_request_reaches_a_task_that_is_woken_or_waits() {
    let mut runner = manual::<1, 8>();
    let executor = runner.executor();
    let pool = pool::<1>();
    for options in [TaskOptions::new(), TaskOptions::new().deadline(us(50))] {
        for polled in [false, true] {
            let mut task = executor.spawn_with(options, pool, |cx| cx.cancelled()).unwrap();
            if polled {
                settle(&mut runner, us(0));
            }
            let state = executor.task(task.id()).unwrap().state;
            assert_eq!(state, if polled { TaskState::Waiting } else { TaskState::Woken });
            task.cancel().unwrap();
            assert_eq!(settle(&mut runner, us(0)), 1);
            assert_eq!(task.try_join(), Some(Ok(Cancelled(Reason::User))));
        }
    }
}

#[test]
fn a_queued_task_is_moved_to_the_cancel_lane() {
    let mut runner = manual::<1, 8>();
    let executor = runner.executor();
    let pool = pool::<8>();
    for deadline in [None, Some(us(50))] {
        let order: &Log<u32> = leak(Log::new());
        let ids: &Mutex<Vec<TaskId>> = leak(Mutex::new(Vec::new()));
        let queued: Vec<_> = (0..4)
            .map(|number| {
                let options =
                    deadline.map_or(TaskOptions::new(), |deadline| TaskOptions::new().deadline(deadline));
                let task = executor.spawn_with(options, pool, move |_| async move {
                    if number == 0 {
                        let last = *ids.lock().unwrap().last().unwrap();
                        // In a round a task is woken until its turn comes.
                        let state = executor.task(last).unwrap().state;
                        assert!(matches!(state, TaskState::Queued(_) | TaskState::Woken));
                        executor.cancel(last).unwrap();
                    }
                    order.push(number);
                });
                task.unwrap()
            })
            .collect();
        *ids.lock().unwrap() = queued.iter().map(|task| task.id()).collect();
        settle(&mut runner, us(0));
        assert_eq!(order.take(), [0, 3, 1, 2]);
    }
}

#[test]
fn a_draining_task_may_change_its_priority_wherever_it_is() {
    let mut runner = manual::<1, 8>();
    let executor = runner.executor();
    let bells: [&Bell; 3] = [0; 3].map(|_| leak(Bell::new()) as &_);
    let pool = pool::<8>();
    let tasks = bells.map(|bell| executor.spawn(pool, |_| deaf(bell)).unwrap());
    settle(&mut runner, us(0));
    tasks.iter().for_each(|task| task.cancel().unwrap());
    settle(&mut runner, us(0));
    for (task, level) in tasks.iter().zip([3, 1, 2]) {
        executor.set_priority(task.id(), Priority::new(level).unwrap()).unwrap();
    }
    bells.iter().for_each(|bell| bell.ring());
    executor.set_priority(tasks[1].id(), Priority::HIGHEST).unwrap();
    settle(&mut runner, us(0));
    assert!(bells.iter().all(|bell| bell.polls() == 3));
    assert_eq!(runner.next_alarm(), Some(us(100_000)));
    settle(&mut runner, us(100_000));
    assert!(tasks.iter().all(|task| task.is_finished()));
}

#[test]
fn a_wait_with_a_limit_asks_the_task_to_stop_and_loses_no_result() {
    let mut runner = manual::<1, 4>();
    let executor = runner.executor();
    let pool = pool::<4>();
    let joined = [(5, Ok(Ok(()))), (50, Ok(Err(Cancelled(Reason::Deadline))))].map(|(span, result)| {
        let slow = executor.spawn(pool, move |cx| cx.sleep(Duration::from_micros(span))).unwrap();
        let joiner = executor.spawn(pool, |cx| async move {
            let mut slow = slow;
            (slow.join_within(cx, Duration::from_micros(10)).await, cx.now())
        });
        (joiner.unwrap(), (result, us(span.min(10))))
    });
    run_out(&mut runner);
    for (mut joiner, expected) in joined {
        assert_eq!(joiner.try_join(), Some(Ok(expected)));
    }
}

#[test]
fn requests_are_counted_by_their_first_reason() {
    let mut runner = with_regions::<2, 1, 8>();
    let executor = runner.executor();
    let pool = pool::<8>();
    let region = executor.open_region(RegionOptions::new()).unwrap();
    let bells: [&Bell; 2] = [0; 2].map(|_| leak(Bell::new()) as &_);
    let [by_user, _by_parent] = bells.map(|bell| region.spawn(pool, |_| deaf(bell)).unwrap());
    settle(&mut runner, us(0));
    by_user.cancel().unwrap();
    settle(&mut runner, us(0));
    drop(region);
    settle(&mut runner, us(0));
    let reason = |runner: &mut trilane::exec::Runner<Manual, 1, 8>| {
        runner.executor().tasks().map(|task| task.cancelled.unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(reason(&mut runner), [Reason::ParentClosed; 2], "the more severe reason counts");
    by_user.cancel().unwrap();
    assert_eq!(reason(&mut runner), [Reason::ParentClosed; 2], "a reason never becomes less severe");
    executor.shut_down();
    assert_eq!(reason(&mut runner), [Reason::Shutdown; 2]);
    let counters = executor.counters();
    assert_eq!((counters.cancelled_by_user, counters.cancelled_by_parent), (1, 1));
    assert_eq!((counters.cancelled_by_shutdown, counters.forced), (0, 0));
    settle(&mut runner, us(100_000));
    assert_eq!((executor.counters().forced, executor.tasks().count()), (2, 0));
}

#[test]
fn a_wait_for_a_request_by_the_cx_of_another_task_hears_that_of_its_own() {
    let mut runner = manual::<1, 8>();
    let executor = runner.executor();
    let pool = pool::<3>();
    let mut other = executor.spawn(pool, |cx| async move { cx }).unwrap();
    let bell: &Bell = leak(Bell::new());
    settle(&mut runner, us(0));
    let other = other.try_join().unwrap().unwrap();
    let mut waits = [
        executor.spawn(pool, move |_| async move { other.cancelled().await }).unwrap(),
        executor
            .spawn(pool, move |_| async move { other.run_until_cancelled(bell.forever()).await.unwrap_err() })
            .unwrap(),
    ];
    settle(&mut runner, us(0));
    for task in &mut waits {
        assert_eq!(task.try_join(), None);
        task.cancel().unwrap();
        settle(&mut runner, us(0));
        assert_eq!(task.try_join(), Some(Ok(Cancelled(Reason::User))));
    }
}
