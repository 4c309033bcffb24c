//! What is wrong is a named error, changes nothing, and says what to do.

use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

use trilane::exec::{
    AlreadyStarted, Cx, DeadlineError, Executor, JoinError, Manual, MissedTick, OpenError, Reason,
    RegionOptions, SpawnErrorKind, TaskId, TaskOptions, TaskPool, TimeoutError, ZeroPeriod,
};
use trilane::id::Stale;
use trilane::sched::{Priority, PriorityOutOfRange};
use trilane::time::{Duration, Instant};
use trilane_tests::future::{parked, poll_once};
use trilane_tests::{leak, manual, pool, run_out, settle, us};

/// Another `Cx` of the executor, whose task has ended.
fn stale_cx<const BANKS: usize, const PER_BANK: usize>(
    runner: &mut trilane::exec::Runner<Manual, BANKS, PER_BANK>,
) -> Cx {
    let mut task = runner.executor().spawn(pool::<1>(), |cx| async move { cx }).unwrap();
    let now = runner.now();
    settle(runner, now);
    task.try_join().unwrap().unwrap()
}

#[test]
fn a_full_pool_takes_no_slot_of_the_executor() {
    let runner = manual::<1, 4>();
    let executor = runner.executor();
    let small: &TaskPool<64, 2> = leak(TaskPool::new());
    let kept = [0; 2].map(|_| executor.spawn(small, |_| parked()).unwrap());
    for _ in 0..10 {
        assert_eq!(executor.spawn(small, |_| parked()).unwrap_err().kind, SpawnErrorKind::PoolFull);
    }
    assert_eq!(executor.tasks().count(), 2);
    assert_eq!(executor.counters().spawns, 2);
    let large = pool::<2>();
    let others = [0; 2].map(|_| executor.spawn(large, |_| parked()).unwrap());
    drop((kept, others));
}

#[test]
fn a_full_executor_takes_no_storage_of_the_pool() {
    let (full, other) = (manual::<1, 2>().executor(), manual::<1, 4>().executor());
    let shared: &TaskPool<64, 4> = leak(TaskPool::new());
    let kept = [0; 2].map(|_| full.spawn(shared, |_| parked()).unwrap());
    for _ in 0..10 {
        assert_eq!(full.spawn(shared, |_| parked()).unwrap_err().kind, SpawnErrorKind::ExecutorFull);
    }
    let others = [0; 2].map(|_| other.spawn(shared, |_| parked()).unwrap());
    assert_eq!(other.spawn(shared, |_| parked()).unwrap_err().kind, SpawnErrorKind::PoolFull);
    drop((kept, others));
}

#[test]
fn what_was_not_spawned_comes_back_and_can_be_spawned_later() {
    let mut runner = manual::<1, 1>();
    let executor = runner.executor();
    let pool = pool::<2>();
    let mut first = executor.spawn(pool, |cx| cx.yield_now()).unwrap();
    let only_copy = Box::new(42);
    let rejected = executor.spawn(pool, move |_| async move { *only_copy }).unwrap_err().rejected;
    settle(&mut runner, us(0));
    assert_eq!(first.try_join(), Some(Ok(())));
    let mut second = executor.spawn(pool, rejected).unwrap();
    settle(&mut runner, us(0));
    assert_eq!(second.try_join(), Some(Ok(42)));
}

#[test]
fn a_task_that_finds_everything_full_gets_its_closure_back() {
    let mut runner = manual::<1, 1>();
    let pool = pool::<2>();
    let mut task = runner
        .executor()
        .spawn(pool, |cx| async move {
            let only_copy = Box::new(3);
            let refused = cx.spawn(pool, move |_| async move { *only_copy }).unwrap_err();
            (refused.kind, (refused.rejected)(cx).await)
        })
        .unwrap();
    settle(&mut runner, us(0));
    assert_eq!(task.try_join(), Some(Ok((SpawnErrorKind::ExecutorFull, 3))));
}

#[test]
fn a_stale_id_is_an_error_in_every_call_of_the_executor() {
    let mut runner = manual::<3, 5>();
    let executor = runner.executor();
    let stale = stale_cx(&mut runner).id();
    let next = executor.spawn(pool::<1>(), |_| parked()).unwrap();
    assert_eq!(next.id().slot(), stale.slot());
    assert_eq!(executor.set_deadline(stale, Some(us(5))), Err(DeadlineError::Stale));
    assert_eq!(executor.set_deadline(stale, None), Err(DeadlineError::Stale));
    assert_eq!(executor.set_priority(stale, Priority::HIGHEST), Err(Stale));
    assert_eq!(executor.task(stale).unwrap_err(), Stale);
    let untouched = executor.task(next.id()).unwrap();
    assert_eq!((untouched.deadline, untouched.priority), (None, Priority::LOWEST));
}

#[test]
fn a_finished_task_can_be_looked_up_but_not_changed() {
    let mut runner = manual::<1, 4>();
    let executor = runner.executor();
    let task = executor.spawn(pool::<1>(), |_| async {}).unwrap();
    settle(&mut runner, us(0));
    assert_eq!(executor.task(task.id()).unwrap().state, trilane::exec::TaskState::Done);
    assert_eq!(executor.set_deadline(task.id(), None), Err(DeadlineError::Stale));
    assert_eq!(executor.set_priority(task.id(), Priority::HIGHEST), Err(Stale));
}

#[test]
fn a_cx_whose_task_has_ended_still_sleeps_but_does_not_spawn() {
    let mut runner = manual::<1, 4>();
    let cx = stale_cx(&mut runner);
    assert_eq!(cx.set_deadline(Some(us(5))), Err(DeadlineError::Stale));
    assert_eq!(cx.set_priority(Priority::HIGHEST), Err(Stale));
    let refused = cx.spawn(pool::<1>(), |_| async {}).unwrap_err();
    assert_eq!(refused.kind, SpawnErrorKind::Stale);
    assert_eq!(cx.open_region(RegionOptions::new()).unwrap_err(), OpenError::Full);
    assert!(!cx.is_cancelled());
    let mut task = runner.executor().spawn(pool::<1>(), |_| cx.sleep(Duration::from_micros(3))).unwrap();
    run_out(&mut runner);
    assert_eq!(task.try_join(), Some(Ok(Ok(()))));
    assert_eq!(cx.now(), us(3));
}

#[test]
fn a_made_up_id_is_stale_however_far_out_of_range() {
    let mut runner = manual::<3, 5>();
    let executor = runner.executor();
    let kept = executor.spawn(pool::<1>(), |_| parked()).unwrap();
    settle(&mut runner, us(0));
    for slot in (0..u16::MAX).step_by(7).chain([1, 4, 5, 31, 32, 95, 96, 1_023, 1_024, u16::MAX]) {
        for generation in [0, 1, u32::MAX] {
            let made_up = TaskId::new(slot, generation);
            if made_up != kept.id() {
                assert_eq!(executor.set_deadline(made_up, Some(us(5))), Err(DeadlineError::Stale));
                assert_eq!(executor.set_priority(made_up, Priority::HIGHEST), Err(Stale));
                assert_eq!(executor.task(made_up).unwrap_err(), Stale);
            }
        }
    }
    assert_eq!(executor.tasks().count(), 1);
}

#[test]
fn a_task_with_a_deadline_in_the_past_is_not_spawned() {
    let mut runner = manual::<1, 1>();
    let executor = runner.executor();
    let pool = pool::<1>();
    runner.poll_pending(us(100));
    let late = TaskOptions::new().deadline(us(99));
    let refused = executor.spawn_with(late, pool, |_| async { 1 }).unwrap_err();
    assert_eq!(refused.kind, SpawnErrorKind::DeadlinePassed);
    assert_eq!(executor.tasks().count(), 0);
    let just_in_time = TaskOptions::new().deadline(us(100));
    let mut task = executor.spawn_with(just_in_time, pool, refused.rejected).unwrap();
    settle(&mut runner, us(100));
    assert_eq!(task.try_join(), Some(Ok(1)));
    assert_eq!(executor.counters().misses, 0);
}

#[test]
fn a_deadline_in_the_past_is_not_set() {
    let mut runner = manual::<1, 1>();
    let executor = runner.executor();
    let options = TaskOptions::new().deadline(us(500));
    let mut task =
        executor.spawn_with(options, pool::<1>(), |cx| async move { cx.set_deadline(Some(us(99))) }).unwrap();
    runner.poll_pending(us(100));
    assert_eq!(task.try_join(), Some(Ok(Err(DeadlineError::Passed))));

    let options = TaskOptions::new().deadline(us(500));
    let task = executor.spawn_with(options, pool::<1>(), |_| parked()).unwrap();
    assert_eq!(executor.set_deadline(task.id(), Some(us(99))), Err(DeadlineError::Passed));
    assert_eq!(executor.task(task.id()).unwrap().deadline, Some(us(500)));
    assert_eq!(executor.set_deadline(task.id(), Some(us(100))), Ok(()));
    assert_eq!(executor.task(task.id()).unwrap().deadline, Some(us(100)));
}

#[test]
fn an_interval_of_zero_is_refused() {
    let mut runner = manual::<1, 1>();
    let cx = stale_cx(&mut runner);
    for missed in [MissedTick::Burst, MissedTick::Delay, MissedTick::Skip] {
        assert_eq!(cx.interval(Duration::ZERO, missed).unwrap_err(), ZeroPeriod);
    }
    assert!(cx.interval(Duration::from_micros(1), MissedTick::Burst).is_ok());
}

#[test]
fn a_clock_that_goes_backwards_is_counted_and_loses_nothing() {
    let mut runner = manual::<1, 4>();
    let executor = runner.executor();
    let pool = pool::<4>();
    let mut sleeps = [150, 90, 200].map(|due| executor.spawn(pool, |cx| cx.sleep_until(us(due))).unwrap());
    runner.poll_pending(us(100));
    assert_eq!(runner.next_alarm(), Some(us(90)));
    // The sleep that was due is over although the time passed in lies before it.
    runner.poll_pending(us(10));
    assert_eq!(runner.now(), us(100));
    assert_eq!(sleeps[1].try_join(), Some(Ok(Ok(()))));
    let mut woken = executor.spawn(pool, |cx| async move { cx.now() }).unwrap();
    runner.poll_pending(us(0));
    assert_eq!(woken.try_join(), Some(Ok(us(100))));
    assert_eq!(executor.counters().clock_regressions, 2);
    runner.poll_pending(us(100));
    assert_eq!(executor.counters().clock_regressions, 2);
    runner.poll_pending(us(150));
    assert_eq!(sleeps[0].try_join(), Some(Ok(Ok(()))));
    runner.poll_pending(Instant::MAX);
    assert_eq!(sleeps[2].try_join(), Some(Ok(Ok(()))));
    runner.poll_pending(us(7));
    assert_eq!(runner.now(), Instant::MAX);
}

#[test]
fn a_span_that_runs_over_the_end_of_time_ends_there() {
    let mut runner = manual::<1, 2>();
    let cx = stale_cx(&mut runner);
    runner.poll_pending(us(1_000));
    assert_eq!(cx.sleep(Duration::MAX).due(), Instant::MAX);
    let mut forever = runner.executor().spawn(pool::<1>(), |_| cx.sleep(Duration::MAX)).unwrap();
    settle(&mut runner, us(1_000));
    settle(&mut runner, Instant::from_micros(u64::MAX - 1));
    assert!(!forever.is_finished());
    settle(&mut runner, Instant::MAX);
    assert_eq!(forever.try_join(), Some(Ok(Ok(()))));
}

#[test]
fn a_deadline_at_the_end_of_time_is_none() {
    let runner = manual::<1, 1>();
    let options = TaskOptions::new().deadline(Instant::MAX);
    let task = runner.executor().spawn_with(options, pool::<1>(), |_| parked()).unwrap();
    assert_eq!(runner.executor().task(task.id()).unwrap().deadline, None);
}

#[test]
fn a_priority_out_of_range_is_refused() {
    for level in 0..=u8::MAX {
        match Priority::new(level) {
            Ok(priority) => assert!(level <= 31 && priority.level() == level),
            Err(error) => assert!(level > 31 && error == PriorityOutOfRange(level)),
        }
    }
}

#[test]
fn a_result_is_handed_out_once() {
    let mut runner = manual::<1, 2>();
    let executor = runner.executor();
    let mut task = executor.spawn(pool::<1>(), |_| async { 5 }).unwrap();
    assert_eq!(task.try_join(), None);
    settle(&mut runner, us(0));
    assert_eq!(task.try_join(), Some(Ok(5)));
    assert_eq!(task.try_join(), Some(Err(JoinError::Taken)));
    assert_eq!(poll_once(pin!(task.join())), Poll::Ready(Err(JoinError::Taken)));
    assert!(task.is_finished());
    assert_eq!(poll_once(pin!(task.into_future())), Poll::Ready(Err(JoinError::Taken)));
}

#[test]
fn a_join_by_reference_hands_the_result_out_once() {
    let mut runner = manual::<1, 2>();
    let mut task = runner.executor().spawn(pool::<1>(), |_| async { 5 }).unwrap();
    let mut join = Box::pin(task.join());
    assert_eq!(poll_once(join.as_mut()), Poll::Pending);
    settle(&mut runner, us(0));
    assert_eq!(poll_once(join.as_mut()), Poll::Ready(Ok(5)));
    assert_eq!(poll_once(join.as_mut()), Poll::Ready(Err(JoinError::Taken)));
    drop(join);
    assert_eq!(task.try_join(), Some(Err(JoinError::Taken)));
}

#[test]
fn an_executor_starts_once() {
    let executor = leak(Executor::<_, 1, 1>::new(Manual::new()));
    {
        let _runner = executor.start().unwrap();
        assert_eq!(executor.start().err(), Some(AlreadyStarted));
    }
    assert_eq!(executor.start().err(), Some(AlreadyStarted));
    let run = catch_unwind(AssertUnwindSafe(|| -> () { executor.run(|_| {}) }));
    let message = run.unwrap_err().downcast::<&str>().unwrap();
    assert_eq!(*message, AlreadyStarted.to_string());
}

#[test]
fn an_error_says_what_to_do() {
    let says = |error: &dyn Display, advice: &[&str]| {
        let text = error.to_string();
        assert!(advice.iter().all(|advice| text.contains(advice)), "{text:?} lacks one of {advice:?}");
        assert!(!text.ends_with('.') && text.starts_with(char::is_lowercase), "{text:?} is not a clause");
    };
    says(&SpawnErrorKind::PoolFull, &["pool is full", "raise its SLOTS", "wait"]);
    says(&SpawnErrorKind::ExecutorFull, &["executor is full", "raise its BANKS or PER_BANK", "wait"]);
    says(&SpawnErrorKind::DeadlinePassed, &["deadline has passed", "give one"]);
    says(&DeadlineError::Passed, &["deadline has passed", "give one"]);
    says(&DeadlineError::Stale, &["stale", "drop the id"]);
    says(&Stale, &["stale", "drop the id"]);
    says(&PriorityOutOfRange(40), &["40", "out of range", "0", "31"]);
    says(&ZeroPeriod, &["at least one microsecond", "yield_now"]);
    says(&AlreadyStarted, &["started before", "keep the runner"]);
    says(&JoinError::Taken, &["taken before", "join once"]);
    says(&JoinError::Panicked, &["panicked"]);
    says(&JoinError::Reclaimed, &["region was closed", "join before you close", "a join set"]);
    says(&JoinError::Cancelled(Reason::Deadline), &["ended", "deadline was missed"]);
    says(&JoinError::Cancelled(Reason::PollQuota), &["ended", "poll quota"]);
    says(&TimeoutError::Elapsed, &["time was up"]);
    let runner = manual::<1, 1>();
    let (executor, pool) = (runner.executor(), pool::<2>());
    let kept = executor.spawn(pool, |_| parked()).unwrap();
    let refused = executor.spawn(pool, |_| parked()).unwrap_err();
    says(&refused, &["executor is full"]);
    // What `expect` shows.
    assert_eq!(format!("{refused:?}"), format!("{refused}"));
    drop(kept);
}
