//! Members that fail or unwind.

use std::num::NonZeroU16;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::Ordering::SeqCst;
use std::task::Poll;

use trilane::exec::{
    Attributes, Cx, Executor, OnMiss, Platform, Reason, RegionOptions, Regions, SpawnErrorKind, TaskOptions,
};
use trilane::sched::Priority;
use trilane::time::Duration;
use trilane_tests::future::{Bell, poll_once};
use trilane_tests::platform::{ThreadMode, run_to_rest};
use trilane_tests::watch::{Dropped, counter};
use trilane_tests::{Log, leak, pool, run_out, settle, us};

use crate::{open, start};

/// A task that fails in its way.
type Failing = fn(Cx) -> Pin<Box<dyn Future<Output = ()> + Send>>;

#[test]
fn a_failure_closes_the_region_that_wants_that() {
    static ABRUPT: Attributes = Attributes::new().cleanup_polls(0);
    let abrupt = TaskOptions::new().attributes(&ABRUPT);
    let sleeps: Failing = |cx| {
        Box::pin(async move {
            let _ = cx.sleep(Duration::from_micros(10)).await;
        })
    };
    let failures: [(TaskOptions, Failing); 3] = [
        (abrupt.deadline(us(5)).on_miss(OnMiss::Cancel), sleeps),
        (abrupt.poll_quota(NonZeroU16::MIN), sleeps),
        (abrupt, |_| Box::pin(async { panic!("on purpose") })),
    ];
    for (options, failing) in failures {
        for fail_fast in [false, true] {
            for detached in [false, true] {
                let mut runner = start();
                let pool = pool::<3>();
                let region_options =
                    if fail_fast { RegionOptions::new().fail_fast() } else { RegionOptions::new() };
                let region = runner.executor().open_region(region_options).unwrap();
                let reasons: &Log<Reason> = leak(Log::new());
                let sibling = region.spawn(pool, |cx| async move { reasons.push(cx.cancelled().await.0) });
                let failing = region.spawn_with(options, pool, failing).unwrap();
                let failing = if detached { None } else { Some(failing) };
                let _unwinds = catch_unwind(AssertUnwindSafe(|| runner.poll_pending(us(0))));
                run_out(&mut runner);
                assert_eq!(reasons.take(), if fail_fast { vec![Reason::SiblingFailed] } else { vec![] });
                assert_eq!(sibling.unwrap().is_finished(), fail_fast);
                let open = region.spawn(pool, |_| async {}).map_err(|refused| refused.kind);
                assert_eq!(open.err(), fail_fast.then_some(SpawnErrorKind::RegionClosed));
                drop(failing);
            }
        }
    }
}

#[test]
fn the_siblings_of_a_failure_have_their_whole_time_to_clean_up() {
    let regions: &Regions<1> = leak(Regions::new());
    let executor = leak(Executor::<ThreadMode, 1, 8>::new(ThreadMode::new())).with_regions(regions);
    let mut runner = executor.start().unwrap();
    let region = executor.open_region(RegionOptions::new().fail_fast()).unwrap();
    let (pool, bell): (_, &Bell) = (pool::<2>(), leak(Bell::new()));
    let sibling = region.spawn(pool, |cx| cx.cancelled()).unwrap();
    let fails = region.spawn(pool, |_| async {
        bell.until(2).await;
        panic!("as asked");
    });
    runner.drive();
    // The executor sleeps for long; then an interrupt wakes one task, which is polled before the clock is
    // read.
    executor.platform().pass_begins(us(1_000_000));
    bell.ring();
    catch_unwind(AssertUnwindSafe(|| runner.drive())).expect_err("nothing has panicked");
    runner.drive();
    assert!(sibling.is_finished() && fails.unwrap().is_finished());
    assert_eq!(executor.counters().forced, 0);
}

#[test]
fn the_siblings_of_a_task_ended_by_force_late_in_a_pass_have_their_whole_time_to_clean_up() {
    static ABRUPT: Attributes = Attributes::new().cleanup_polls(0);
    let regions: &Regions<1> = leak(Regions::new());
    let executor = leak(Executor::<ThreadMode, 1, 8>::new(ThreadMode::new())).with_regions(regions);
    let mut runner = executor.start().unwrap();
    let region = executor.open_region(RegionOptions::new().fail_fast()).unwrap();
    let pool = pool::<3>();
    let [first, second] = [0; 2].map(|_| -> &Bell { leak(Bell::new()) });
    let sibling = region
        .spawn(pool, |cx| async move {
            cx.cancelled().await;
            cx.shield(cx.sleep(Duration::from_millis(50))).await
        })
        .unwrap();
    let fails = TaskOptions::new().attributes(&ABRUPT).poll_quota(NonZeroU16::MIN);
    let fails = region.spawn_with(fails, pool, |_| second.forever()).unwrap();
    let takes_long = TaskOptions::new().priority(Priority::of::<1>());
    executor
        .spawn_with(takes_long, pool, |_| async {
            first.until(2).await;
            executor.platform().pass_begins(us(200_000));
        })
        .unwrap();
    runner.drive();
    [first, second].iter().for_each(|bell| bell.ring());
    run_to_rest(&mut runner);
    assert!(fails.is_finished() && sibling.is_finished());
    assert_eq!(executor.counters().forced, 1);
}

#[test]
fn a_task_that_is_only_cancelled_is_no_failure() {
    let mut runner = start();
    let region = runner.executor().open_region(RegionOptions::new().fail_fast()).unwrap();
    static ABRUPT: Attributes = Attributes::new().cleanup_polls(0);
    let pool = pool::<2>();
    let sibling = region.spawn(pool, |cx| cx.cancelled()).unwrap();
    let options = TaskOptions::new().attributes(&ABRUPT);
    region.spawn_with(options, pool, |_| std::future::pending::<()>()).unwrap().cancel().unwrap();
    settle(&mut runner, us(0));
    assert_eq!(runner.executor().counters().forced, 1);
    assert!(!sibling.is_finished());
}

#[test]
fn a_build_that_unwinds_leaves_its_region_and_wakes_its_closer() {
    let mut runner = start();
    let executor = runner.executor();
    let mut region = open(&runner);
    let id = region.id();
    let options = TaskOptions::new().region(id);
    let (mut close, pool) = (Box::pin(region.close()), pool::<1>());
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        drop(executor.spawn_with(options, pool, |_| {
            assert_eq!(poll_once(close.as_mut()), Poll::Pending);
            settle(&mut runner, us(0));
            assert_eq!(poll_once(close.as_mut()), Poll::Pending);
            if executor.regions().count() == 1 {
                panic!("on purpose");
            }
            async {}
        }));
    }));
    unwound.unwrap_err();
    settle(&mut runner, us(0));
    assert_eq!(poll_once(close.as_mut()), Poll::Ready(Ok(())));
    assert_eq!(executor.tasks().count(), 0);
    assert!(executor.spawn(pool, |_| async {}).is_ok());
}

#[test]
fn what_unwinds_at_the_begin_of_a_round_loses_no_wake() {
    static KIND: Attributes = Attributes::new().cleanup_time(Duration::ZERO).cleanup_polls(9);
    let executor = leak(Executor::<ThreadMode, 1, 8>::new(ThreadMode::new()));
    let mut runner = executor.start().unwrap();
    let pool = pool::<8>();
    let bells: [&Bell; 2] = [0; 2].map(|_| leak(Bell::new()) as &_);
    let waiting = bells.map(|bell| executor.spawn(pool, |_| bell.until(2)).unwrap());
    let drops = counter();
    let held = Dropped::panicking(&drops);
    let options = TaskOptions::new().attributes(&KIND);
    let task = executor.spawn_with(options, pool, |_| async move {
        let _held = held;
        std::future::pending::<()>().await;
    });
    runner.drive();
    task.unwrap().cancel().unwrap();
    bells.iter().for_each(|bell| bell.ring());
    catch_unwind(AssertUnwindSafe(|| runner.drive())).expect_err("nothing has panicked");
    runner.drive();
    runner.drive();
    assert_eq!(drops.load(SeqCst), 1);
    assert!(waiting.iter().all(|task| task.is_finished()), "a wake was lost");
}
