//! Deadlines that are missed and polls that are used up.

use std::num::NonZeroU16;

use trilane::exec::{
    Attributes, Counters, Executor, JoinError, Manual, Miss, OnMiss, Platform, Reason, TaskId, TaskOptions,
};
use trilane::time::{Duration, Instant};
use trilane_tests::future::Bell;
use trilane_tests::platform::ThreadMode;
use trilane_tests::watch::{Dropped, counter};
use trilane_tests::{Log, leak, manual, pool, run_out, settle, us};

/// A task with no time to clean up: what ends it, ends it at once.
const ABRUPT: TaskOptions = TaskOptions::new().attributes(&Attributes::new().cleanup_polls(0));

const fn by(deadline: u64, on_miss: OnMiss) -> TaskOptions {
    ABRUPT.deadline(us(deadline)).on_miss(on_miss)
}

#[test]
fn a_task_dispatched_at_its_deadline_is_in_time() {
    for on_miss in [OnMiss::Count, OnMiss::Cancel, OnMiss::Call] {
        let mut runner = manual::<1, 2>();
        let mut task = runner.executor().spawn_with(by(10, on_miss), pool::<1>(), |_| async {}).unwrap();
        settle(&mut runner, us(10));
        assert_eq!(task.try_join(), Some(Ok(())));
        assert_eq!(runner.executor().counters().misses, 0);
    }
}

#[test]
fn a_miss_is_counted_and_the_task_polled() {
    let mut runner = manual::<1, 2>();
    let mut task = runner.executor().spawn_with(by(10, OnMiss::Count), pool::<1>(), |_| async { 1 }).unwrap();
    settle(&mut runner, us(11));
    assert_eq!(task.try_join(), Some(Ok(1)));
    assert_eq!(runner.executor().counters().misses, 1);
}

#[test]
fn each_deadline_is_missed_at_most_once() {
    let mut runner = manual::<1, 2>();
    let executor = runner.executor();
    let bell: &Bell = leak(Bell::new());
    let task = executor.spawn_with(by(10, OnMiss::Count), pool::<1>(), |_| bell.forever()).unwrap();
    let misses = || executor.counters().misses;
    settle(&mut runner, us(9));
    assert_eq!(misses(), 0);
    for now in [11, 12, 13] {
        bell.ring();
        settle(&mut runner, us(now));
        assert_eq!(misses(), 1);
    }
    executor.set_deadline(task.id(), Some(us(20))).unwrap();
    for (now, counted) in [(20, 1), (21, 2), (22, 2)] {
        bell.ring();
        settle(&mut runner, us(now));
        assert_eq!(misses(), counted);
    }
    executor.set_deadline(task.id(), None).unwrap();
    bell.ring();
    settle(&mut runner, us(100));
    assert_eq!(misses(), 2);
    assert_eq!(bell.polls(), 8);
}

#[test]
fn a_deadline_set_from_within_is_watched_like_any_other() {
    let mut runner = manual::<1, 2>();
    let task = runner
        .executor()
        .spawn_with(ABRUPT.on_miss(OnMiss::Cancel), pool::<1>(), |cx| async move {
            for _ in 0..3 {
                cx.set_deadline(Some(cx.now() + Duration::from_micros(5))).unwrap();
                cx.sleep(Duration::from_micros(5)).await.unwrap();
            }
            cx.set_deadline(Some(cx.now() + Duration::from_micros(4))).unwrap();
            cx.sleep(Duration::from_micros(5)).await.unwrap();
        })
        .unwrap();
    let mut task = task;
    trilane_tests::run_out(&mut runner);
    assert_eq!(runner.now(), us(20));
    assert_eq!(task.try_join(), Some(Err(JoinError::Cancelled(Reason::Deadline))));
}

#[test]
fn a_miss_ends_a_task_that_wants_that_without_a_poll() {
    let mut runner = manual::<1, 2>();
    let executor = runner.executor();
    let drops = counter();
    let held = Dropped::counted(&drops);
    let bell: &Bell = leak(Bell::new());
    let mut task = executor
        .spawn_with(by(10, OnMiss::Cancel), pool::<1>(), |_| async move {
            let _held = held;
            bell.forever().await;
        })
        .unwrap();
    settle(&mut runner, us(5));
    settle(&mut runner, us(50));
    assert!(!task.is_finished(), "a task that nobody wakes was dispatched");
    bell.ring();
    assert_eq!(runner.poll_pending(us(50)).polls, 0);
    assert_eq!(bell.polls(), 1);
    assert_eq!(drops.load(std::sync::atomic::Ordering::SeqCst), 1);
    assert_eq!(task.try_join(), Some(Err(JoinError::Cancelled(Reason::Deadline))));
    let Counters { misses, cancelled_by_deadline, cancelled_by_quota, completions, .. } = executor.counters();
    assert_eq!((misses, cancelled_by_deadline, cancelled_by_quota, completions), (1, 1, 0, 0));
    assert!(executor.spawn(pool::<1>(), |_| async {}).is_ok());
    assert_eq!(executor.tasks().count(), 1);
}

#[test]
fn a_joiner_is_woken_by_a_cancellation() {
    let mut runner = manual::<1, 2>();
    let executor = runner.executor();
    let pool = pool::<2>();
    let late = executor.spawn_with(by(10, OnMiss::Cancel), pool, |cx| cx.sleep_until(us(11))).unwrap();
    let mut joiner = executor.spawn(pool, |_| late.into_future()).unwrap();
    settle(&mut runner, us(0));
    settle(&mut runner, us(11));
    assert_eq!(joiner.try_join(), Some(Ok(Err(JoinError::Cancelled(Reason::Deadline)))));
}

#[test]
fn a_detached_task_that_is_cancelled_gives_its_slot_back() {
    let mut runner = manual::<1, 1>();
    let executor = runner.executor();
    drop(executor.spawn_with(by(10, OnMiss::Cancel), pool::<1>(), |_| async {}));
    settle(&mut runner, us(11));
    assert_eq!(executor.tasks().count(), 0);
}

#[test]
fn a_miss_calls_the_hook_before_the_poll() {
    static CALLED: Log<Option<Miss>> = Log::new();
    static EXECUTOR: Executor<Manual, 1, 2> = Executor::new(Manual::new());
    let mut runner = EXECUTOR.with_miss_hook(|miss| CALLED.push(Some(*miss))).start().unwrap();
    let bell: &Bell = leak(Bell::new());
    let task = EXECUTOR.spawn_with(by(10, OnMiss::Call), pool::<1>(), |_| {
        std::future::poll_fn(|cx| {
            bell.note(cx);
            CALLED.push(None);
            std::task::Poll::<()>::Pending
        })
    });
    let task = task.unwrap().id();
    settle(&mut runner, us(12));
    bell.ring();
    settle(&mut runner, us(13));
    let miss = Miss { task, deadline: us(10), now: us(12) };
    assert_eq!(CALLED.take(), [Some(miss), None, None]);
}

#[test]
fn the_hook_is_called_only_for_tasks_that_ask_for_it() {
    static CALLED: Log<TaskId> = Log::new();
    static EXECUTOR: Executor<Manual, 1, 4> = Executor::new(Manual::new());
    let mut runner = EXECUTOR.with_miss_hook(|miss| CALLED.push(miss.task)).start().unwrap();
    let pool = pool::<4>();
    let calls = [OnMiss::Count, OnMiss::Cancel, OnMiss::Call]
        .map(|on_miss| EXECUTOR.spawn_with(by(1, on_miss), pool, |_| async {}).unwrap());
    settle(&mut runner, us(2));
    assert_eq!(CALLED.take(), [calls[2].id()]);
    assert_eq!(EXECUTOR.counters().misses, 3);
}

#[test]
fn the_hook_may_change_the_task_that_missed() {
    static EXECUTOR: Executor<Manual, 1, 2> = Executor::new(Manual::new());
    let later = |miss: &Miss| {
        EXECUTOR.set_deadline(miss.task, Some(miss.now + Duration::from_micros(10))).unwrap();
    };
    let mut runner = EXECUTOR.with_miss_hook(later).start().unwrap();
    let bell: &Bell = leak(Bell::new());
    let task = EXECUTOR.spawn_with(by(10, OnMiss::Call), pool::<1>(), |_| bell.forever()).unwrap();
    for (now, deadline, misses) in [(11, 21, 1), (21, 21, 1), (22, 32, 2)] {
        if bell.polls() > 0 {
            bell.ring();
        }
        settle(&mut runner, us(now));
        assert_eq!(EXECUTOR.task(task.id()).unwrap().deadline, Some(us(deadline)));
        assert_eq!(EXECUTOR.counters().misses, misses);
    }
}

#[test]
fn a_miss_without_a_hook_is_counted() {
    let mut runner = manual::<1, 2>();
    let mut task = runner.executor().spawn_with(by(10, OnMiss::Call), pool::<1>(), |_| async {}).unwrap();
    settle(&mut runner, Instant::MAX);
    assert_eq!(task.try_join(), Some(Ok(())));
    assert_eq!(runner.executor().counters().misses, 1);
}

#[test]
fn a_task_ends_when_its_polls_are_used_up() {
    for quota in [1, 2, 100] {
        let mut runner = manual::<1, 2>();
        let executor = runner.executor();
        let drops = counter();
        let held = Dropped::counted(&drops);
        let options = ABRUPT.poll_quota(NonZeroU16::new(quota).unwrap());
        let mut task = executor
            .spawn_with(options, pool::<1>(), |cx| async move {
                let _held = held;
                loop {
                    cx.yield_now().await;
                }
            })
            .unwrap();
        assert_eq!(settle(&mut runner, us(0)), quota.into());
        assert_eq!(task.try_join(), Some(Err::<(), _>(JoinError::Cancelled(Reason::PollQuota))));
        assert_eq!(drops.load(std::sync::atomic::Ordering::SeqCst), 1);
        let Counters { polls, cancelled_by_quota, cancelled_by_deadline, completions, .. } =
            executor.counters();
        assert_eq!((polls, cancelled_by_quota), (quota.into(), 1));
        assert_eq!((cancelled_by_deadline, completions), (0, 0));
    }
}

#[test]
fn a_task_that_ends_with_its_last_poll_has_ended_by_itself() {
    let mut runner = manual::<1, 2>();
    let options = ABRUPT.poll_quota(NonZeroU16::new(3).unwrap());
    let mut task = runner
        .executor()
        .spawn_with(options, pool::<1>(), |cx| async move {
            cx.yield_now().await;
            cx.yield_now().await;
        })
        .unwrap();
    assert_eq!(settle(&mut runner, us(0)), 3);
    assert_eq!(task.try_join(), Some(Ok(())));
}

#[test]
fn the_largest_quota_is_honoured_to_the_poll() {
    let mut runner = manual::<1, 2>();
    let options = ABRUPT.poll_quota(NonZeroU16::MAX);
    let mut task = runner
        .executor()
        .spawn_with(options, pool::<1>(), |cx| async move {
            loop {
                cx.yield_now().await;
            }
        })
        .unwrap();
    assert_eq!(settle(&mut runner, us(0)), u16::MAX.into());
    assert_eq!(task.try_join(), Some(Err::<(), _>(JoinError::Cancelled(Reason::PollQuota))));
}

#[test]
fn deadline_and_quota_hold_together() {
    let mut runner = manual::<1, 2>();
    let executor = runner.executor();
    let pool = pool::<2>();
    let two = NonZeroU16::new(2).unwrap();
    let [mut late, mut spent] = [0; 2].map(|_| {
        executor
            .spawn_with(by(10, OnMiss::Cancel).poll_quota(two), pool, |cx| async move {
                cx.yield_now().await;
                cx.sleep_until(us(11)).await.unwrap();
            })
            .unwrap()
    });
    settle(&mut runner, us(0));
    executor.set_deadline(spent.id(), Some(us(20))).unwrap();
    settle(&mut runner, us(11));
    assert_eq!(late.try_join(), Some(Err(JoinError::Cancelled(Reason::Deadline))));
    assert_eq!(spent.try_join(), Some(Err(JoinError::Cancelled(Reason::PollQuota))));
}

#[test]
fn a_poll_that_comes_late_is_one_of_the_quota() {
    let mut runner = manual::<1, 2>();
    let options = by(10, OnMiss::Count).poll_quota(NonZeroU16::new(3).unwrap());
    let task = runner.executor().spawn_with(options, pool::<1>(), |cx| async move {
        loop {
            cx.yield_now().await;
        }
    });
    let mut task = task.unwrap();
    assert_eq!(settle(&mut runner, us(11)), 3);
    assert_eq!(task.try_join(), Some(Err::<(), _>(JoinError::Cancelled(Reason::PollQuota))));
}

#[test]
fn the_hook_may_end_the_task_that_missed() {
    static EXECUTOR: Executor<Manual, 1, 2> = Executor::new(Manual::new());
    let mut runner = EXECUTOR.with_miss_hook(|miss| EXECUTOR.cancel(miss.task).unwrap()).start().unwrap();
    let bell: &Bell = leak(Bell::new());
    for quota in [None, NonZeroU16::new(5)] {
        let mut options = by(10, OnMiss::Call);
        if let Some(quota) = quota {
            options = options.poll_quota(quota);
        }
        let now = runner.now();
        let mut task = EXECUTOR.spawn_with(options.deadline(now), pool::<1>(), |_| bell.forever()).unwrap();
        assert_eq!(settle(&mut runner, now + Duration::from_micros(1)), 0);
        assert_eq!(task.try_join(), Some(Err(JoinError::Cancelled(Reason::User))));
    }
    assert_eq!(bell.polls(), 0);
}

#[test]
fn the_time_to_clean_up_begins_when_the_limit_is_found_whatever_the_pass_has_taken() {
    let mut runner = leak(Executor::<ThreadMode, 1, 4>::new(ThreadMode::new())).start().unwrap();
    let executor = runner.executor();
    let pool = pool::<2>();
    // A poll that takes longer than others have to clean up.
    drop(executor.spawn(pool, move |_| async move { executor.platform().pass_begins(us(200_000)) }));
    let limited = TaskOptions::new().poll_quota(NonZeroU16::MIN);
    let mut task = executor
        .spawn_with(limited, pool, |cx| async move {
            cx.yield_now().await;
            cx.shield(cx.sleep(Duration::from_millis(50))).await
        })
        .unwrap();
    run_out(&mut runner);
    assert_eq!(task.try_join(), Some(Ok(Ok(()))));
}

#[test]
fn a_request_by_the_hook_gives_the_task_its_whole_clean_up() {
    // The deadline has passed, the end of the clean-up has not.
    static EXECUTOR: Executor<Manual, 1, 2> = Executor::new(Manual::new());
    let mut runner = EXECUTOR.with_miss_hook(|miss| EXECUTOR.cancel(miss.task).unwrap()).start().unwrap();
    let pool = pool::<2>();
    static SLOW: Attributes = Attributes::new().cleanup_polls(3).cleanup_time(Duration::from_micros(50));
    let options = TaskOptions::new().attributes(&SLOW).deadline(us(5)).on_miss(OnMiss::Call);
    let mut task = EXECUTOR
        .spawn_with(options, pool, |cx| async move {
            cx.cancelled().await;
            cx.is_cancelled()
        })
        .unwrap();
    settle(&mut runner, us(6));
    assert_eq!(task.try_join(), Some(Ok(true)));
}
