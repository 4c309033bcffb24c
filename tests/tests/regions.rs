//! Regions: what is in them ends with them, in order, and nothing is lost on the way.

use std::num::NonZeroU16;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Mutex, OnceLock};
use std::task::Poll;

use trilane::exec::{
    Attributes, Cancelled, Cx, Executor, JoinError, JoinHandle, JoinSet, Manual, OnMiss, Platform, Reason,
    Region, RegionId, RegionOptions, Regions, SpawnErrorKind, TaskOptions, TaskState,
};
use trilane::time::Duration;
use trilane_tests::future::{Bell, poll_once};
use trilane_tests::platform::ThreadMode;
use trilane_tests::watch::{Dropped, counter};
use trilane_tests::{Log, leak, pool, run_out, settle, us, with_regions};

type Runner = trilane::exec::Runner<Manual, 1, 8>;

fn start() -> Runner {
    with_regions::<4, 1, 8>()
}

fn open(runner: &Runner) -> Region {
    runner.executor().open_region(RegionOptions::new()).unwrap()
}

/// Closes a region within one instant.
fn close(runner: &mut Runner, mut region: Region) {
    let mut close = pin!(region.close());
    assert_eq!(poll_once(close.as_mut()), Poll::Pending);
    let now = runner.now();
    settle(runner, now);
    assert_eq!(poll_once(close.as_mut()), Poll::Ready(Ok(())));
}

#[test]
fn a_region_whose_finaliser_drops_its_handle_takes_no_other_off_the_list() {
    static REGIONS: Regions<2> = Regions::new();
    static EXECUTOR: Executor<Manual, 1, 8> = Executor::new(Manual::new()).with_regions(&REGIONS);
    static HANDLE: Mutex<Option<Region>> = Mutex::new(None);
    let mut runner = EXECUTOR.start().unwrap();
    for _ in 0..3 {
        let finalised = RegionOptions::new().finaliser(|_| drop(HANDLE.lock().unwrap().take()));
        let first = EXECUTOR.open_region(finalised).unwrap();
        let mut second = EXECUTOR.open_region(RegionOptions::new()).unwrap();
        second.cancel().unwrap();
        first.cancel().unwrap();
        // For a more severe reason than that for which it closes, so its members would be asked again.
        *HANDLE.lock().unwrap() = Some(first);
        settle(&mut runner, us(0));
        assert_eq!(poll_once(pin!(second.close())), Poll::Ready(Ok(())));
        assert_eq!(EXECUTOR.regions().count(), 0);
    }
}

#[test]
fn what_a_member_spawns_and_opens_is_in_its_region() {
    let mut runner = start();
    let executor = runner.executor();
    let pool = pool::<4>();
    let region = open(&runner);
    let id = region.id();
    let mut member = region
        .spawn(pool, move |cx| async move {
            let child = cx.open_region(RegionOptions::new().name(&"inner")).unwrap();
            let (beside, below) =
                (cx.spawn(pool, |cx| cx.cancelled()), child.spawn(pool, |cx| cx.cancelled()));
            let regions = (cx.region(), child.id());
            cx.cancelled().await;
            drop((child, beside, below));
            regions
        })
        .unwrap();
    settle(&mut runner, us(0));
    let inner = executor.regions().find(|region| region.name == Some("inner")).unwrap();
    assert_eq!((inner.parent, inner.tasks, inner.closing), (Some(id), 1, None));
    let outer = executor.regions().find(|region| region.id == id).unwrap();
    assert_eq!((outer.parent, outer.name, outer.tasks, outer.children), (None, None, 2, 1));
    let mut regions: Vec<_> = executor.tasks().map(|task| task.region).collect();
    regions.sort();
    assert_eq!(regions, [Some(id), Some(id), Some(inner.id)]);
    assert_eq!(member.try_join(), None);
    close(&mut runner, region);
    assert_eq!((executor.tasks().count(), executor.regions().count()), (0, 0));
    assert_eq!(member.try_join(), Some(Err(JoinError::Reclaimed)));
}

#[test]
fn the_tasks_of_regions_below_are_asked_since_their_parent_closes() {
    let mut runner = start();
    let pool = pool::<3>();
    let reasons: &Log<Reason> = leak(Log::new());
    let told = move |cx: Cx| async move { reasons.push(cx.cancelled().await.0) };
    let region = open(&runner);
    let child = region.open_region(RegionOptions::new()).unwrap();
    let grandchild = child.open_region(RegionOptions::new()).unwrap();
    for region in [&region, &child, &grandchild] {
        drop(region.spawn(pool, told));
    }
    settle(&mut runner, us(0));
    region.cancel().unwrap();
    settle(&mut runner, us(0));
    assert_eq!(reasons.take(), [Reason::User, Reason::ParentClosed, Reason::ParentClosed]);
    assert_eq!(runner.executor().tasks().count(), 0);
}

#[test]
fn a_region_is_finalised_after_those_in_it_and_before_its_closer_goes_on() {
    static ENDS: Log<RegionId> = Log::new();
    let mut runner = start();
    let executor = runner.executor();
    let pool = pool::<2>();
    let watched = RegionOptions::new().finaliser(|id| ENDS.push(id));
    let mut outer = executor.open_region(watched).unwrap();
    let inner = outer.open_region(watched).unwrap();
    let (outer_id, inner_id) = (outer.id(), inner.id());
    let drops = counter();
    let held = Dropped::counted(&drops);
    drop(inner.spawn(pool, |cx| async move {
        let _held = held;
        cx.cancelled().await;
        assert!(ENDS.take().is_empty());
    }));
    let mut closer = executor
        .spawn(pool, |_| async move {
            outer.close().await.unwrap();
            (ENDS.take(), outer)
        })
        .unwrap();
    settle(&mut runner, us(0));
    assert_eq!(drops.load(SeqCst), 1);
    assert_eq!(closer.try_join().unwrap().unwrap().0, [inner_id, outer_id]);
    drop(inner);
}

#[test]
fn a_dropped_region_is_drained_by_the_close_of_the_one_around_it() {
    let mut runner = start();
    let executor = runner.executor();
    let pool = pool::<1>();
    let mut outer = open(&runner);
    let drops = counter();
    let held = Dropped::counted(&drops);
    drop({
        let inner = outer.open_region(RegionOptions::new()).unwrap();
        inner.spawn(pool, |_| async move {
            let _held = held;
            std::future::pending::<()>().await;
        })
    });
    settle(&mut runner, us(0));
    let mut close = Box::pin(outer.close());
    assert_eq!(poll_once(close.as_mut()), Poll::Pending);
    settle(&mut runner, us(99_999));
    assert_eq!(poll_once(close.as_mut()), Poll::Pending);
    assert_eq!(executor.regions().count(), 2);
    // The inner one was dropped at 0, when the outer one was still open.
    settle(&mut runner, us(100_000));
    assert_eq!(drops.load(SeqCst), 1);
    assert_eq!(poll_once(close.as_mut()), Poll::Ready(Ok(())));
    assert_eq!(executor.regions().count(), 0);
}

#[test]
fn a_join_of_all_waits_for_all_and_asks_nobody() {
    let mut runner = start();
    let pool = pool::<3>();
    let mut region = open(&runner);
    let child = region.open_region(RegionOptions::new()).unwrap();
    let sleep =
        |region: &Region, span| region.spawn(pool, move |cx| cx.sleep(Duration::from_micros(span))).unwrap();
    let sleeps = [sleep(&region, 10), sleep(&region, 30)];
    let mut wait = Box::pin(region.join_all());
    assert_eq!(poll_once(wait.as_mut()), Poll::Pending);
    run_out(&mut runner);
    assert_eq!(runner.now(), us(30));
    assert_eq!(poll_once(wait.as_mut()), Poll::Pending, "a child is open");
    drop(child);
    settle(&mut runner, us(30));
    assert_eq!(poll_once(wait.as_mut()), Poll::Ready(Ok(())));
    drop(wait);
    assert!(sleeps.into_iter().all(|mut sleep| sleep.try_join() == Some(Ok(Ok(())))));
    assert!(region.spawn(pool, |_| async {}).is_ok());
}

#[test]
fn a_forgotten_handle_keeps_no_slot_once_its_region_has_closed() {
    let mut runner = start();
    let executor = runner.executor();
    let pool = pool::<4>();
    let drops = counter();
    for round in 1..=3 {
        let region = open(&runner);
        for _ in 0..4 {
            let output = Dropped::counted(&drops);
            std::mem::forget(region.spawn(pool, |_| async move { output }).unwrap());
        }
        settle(&mut runner, us(0));
        assert_eq!(region.spawn(pool, |_| async {}).unwrap_err().kind, SpawnErrorKind::PoolFull);
        assert_eq!(executor.tasks().filter(|task| task.state == TaskState::Done).count(), 4);
        close(&mut runner, region);
        assert_eq!((executor.tasks().count(), drops.load(SeqCst)), (0, 4 * round));
    }
}

#[test]
fn a_result_that_is_awaited_outlives_its_region() {
    let mut runner = start();
    let executor = runner.executor();
    let pool = pool::<4>();
    let mut region = open(&runner);
    let answer = region.spawn(pool, |cx| async move { cx.cancelled().await.0 }).unwrap();
    let unclaimed = region.spawn(pool, |cx| async move { cx.cancelled().await.0 }).unwrap();
    let mut joiner = executor.spawn(pool, |_| answer.into_future()).unwrap();
    settle(&mut runner, us(0));
    assert_eq!(poll_once(pin!(region.close())), Poll::Pending);
    settle(&mut runner, us(0));
    assert_eq!(joiner.try_join(), Some(Ok(Ok(Reason::ParentClosed))));
    let mut unclaimed = unclaimed;
    assert!(unclaimed.is_finished());
    assert_eq!(unclaimed.try_join(), Some(Err(JoinError::Reclaimed)));
    assert_eq!(unclaimed.try_join(), Some(Err(JoinError::Taken)));
    assert_eq!(executor.tasks().count(), 0);
}

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
    let executor = leak(Executor::<ThreadMode, 1, 8>::new(ThreadMode::new()).with_regions(regions));
    let mut runner = executor.start().unwrap();
    let region = executor.open_region(RegionOptions::new().fail_fast()).unwrap();
    let (pool, bell): (_, &Bell) = (pool::<2>(), leak(Bell::new()));
    let sibling = region.spawn(pool, |cx| cx.cancelled()).unwrap();
    let fails = region.spawn(pool, |_| async {
        bell.until(2).await;
        panic!("as asked");
    });
    runner.drive();
    // The executor sleeps for long; then an interrupt wakes one task, which is polled before the clock is read.
    executor.platform().pass_begins(us(1_000_000));
    bell.ring();
    catch_unwind(AssertUnwindSafe(|| runner.drive())).expect_err("nothing has panicked");
    runner.drive();
    assert!(sibling.is_finished() && fails.unwrap().is_finished());
    assert_eq!(executor.counters().forced, 0);
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
fn a_task_is_asked_as_soon_as_it_is_there_if_its_region_closed_while_it_was_built() {
    let mut runner = start();
    let executor = runner.executor();
    let region = open(&runner);
    let mut task = region
        .spawn(pool::<1>(), |cx| {
            region.cancel().unwrap();
            // The runner asks the members while this one is neither here nor there.
            settle(&mut runner, us(0));
            assert_eq!(executor.regions().next().unwrap().tasks, 1);
            assert!(!cx.is_cancelled());
            async move { cx.is_cancelled() }
        })
        .unwrap();
    assert_eq!(executor.task(task.id()).unwrap().cancelled, Some(Reason::User));
    let mut joined = pin!(task.join());
    assert_eq!(poll_once(joined.as_mut()), Poll::Pending);
    assert_eq!(settle(&mut runner, us(0)), 1);
    assert_eq!(poll_once(joined.as_mut()), Poll::Ready(Ok(true)));
}

#[test]
fn a_task_built_in_a_shutdown_has_its_whole_time_to_clean_up() {
    let executor = leak(Executor::<ThreadMode, 1, 8>::new(ThreadMode::new()));
    let mut runner = executor.start().unwrap();
    runner.drive();
    // The executor sleeps for long; then an interrupt spawns, and another shuts the executor down meanwhile.
    executor.platform().pass_begins(us(1_000_000));
    let mut task = executor
        .spawn(pool::<1>(), |cx| {
            executor.shut_down();
            cx.cancelled()
        })
        .unwrap();
    runner.drive();
    assert_eq!(task.try_join(), Some(Ok(Cancelled(Reason::Shutdown))));
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
fn a_member_that_polls_its_own_end_in_a_combinator_sees_a_region_close_below_it() {
    let mut runner = start();
    let pool = pool::<3>();
    let mut task = runner
        .executor()
        .spawn(pool, move |cx| async move {
            let (mut one, mut other) = (
                cx.open_region(RegionOptions::new()).unwrap(),
                cx.open_region(RegionOptions::new()).unwrap(),
            );
            one.spawn(pool, |cx| cx.cancelled()).unwrap();
            other.spawn(pool, |cx| cx.cancelled()).unwrap();
            futures::join!(one.close(), other.close())
        })
        .unwrap();
    settle(&mut runner, us(0));
    assert_eq!(task.try_join(), Some(Ok((Ok(()), Ok(())))));
    assert_eq!(runner.executor().regions().count(), 0);
}

#[test]
fn a_close_that_is_given_up_can_be_taken_up_again() {
    let mut runner = start();
    let mut region = open(&runner);
    let task = region.spawn(pool::<1>(), |cx| async move {
        cx.cancelled().await;
        cx.shield(cx.sleep(Duration::from_micros(10))).await
    });
    settle(&mut runner, us(0));
    assert_eq!(poll_once(pin!(region.close())), Poll::Pending);
    settle(&mut runner, us(0));
    assert_eq!(region.spawn(pool::<1>(), |_| async {}).unwrap_err().kind, SpawnErrorKind::RegionClosed);
    run_out(&mut runner);
    assert_eq!(poll_once(pin!(region.close())), Poll::Ready(Ok(())));
    drop(task);
}

#[test]
fn a_set_gives_results_in_the_order_in_which_its_tasks_end() {
    let mut runner = start();
    let pool = pool::<4>();
    let mut task = runner
        .executor()
        .spawn(pool, move |cx| async move {
            let mut set: JoinSet<u64, 3> = JoinSet::new(cx.open_region(RegionOptions::new()).unwrap());
            for span in [30, 10, 20] {
                set.spawn(pool, move |cx| async move {
                    cx.sleep(Duration::from_micros(span)).await.unwrap();
                    span
                })
                .unwrap();
            }
            let mut order = Vec::new();
            while let Some(result) = set.join_next().await {
                order.push((result.unwrap(), cx.now().as_micros()));
            }
            order
        })
        .unwrap();
    run_out(&mut runner);
    assert_eq!(task.try_join(), Some(Ok(vec![(10, 10), (20, 20), (30, 30)])));
}

#[test]
fn the_results_of_a_cancelled_set_can_still_be_taken() {
    for wait_first in [false, true] {
        let mut runner = start();
        let executor = runner.executor();
        let pool = pool::<4>();
        let mut task = executor
            .spawn(pool, move |cx| async move {
                let mut set: JoinSet<Reason, 3> = JoinSet::new(cx.open_region(RegionOptions::new()).unwrap());
                for _ in 0..3 {
                    set.spawn(pool, |cx| async move { cx.cancelled().await.0 }).unwrap();
                }
                cx.yield_now().await;
                set.cancel().unwrap();
                if wait_first {
                    cx.sleep(Duration::from_micros(10)).await.unwrap();
                }
                let mut reasons = Vec::new();
                while let Some(result) = set.join_next().await {
                    reasons.push(result);
                }
                reasons
            })
            .unwrap();
        run_out(&mut runner);
        assert_eq!(task.try_join(), Some(Ok(vec![Ok(Reason::User); 3])));
        assert_eq!((executor.tasks().count(), executor.regions().count()), (0, 0));
    }
}

#[test]
fn the_drop_of_a_set_drops_every_result_once() {
    for ended in [false, true] {
        let mut runner = start();
        let executor = runner.executor();
        let pool = pool::<3>();
        let drops = counter();
        let mut set: JoinSet<Dropped, 3> = JoinSet::new(open(&runner));
        for _ in 0..3 {
            let output = Dropped::counted(&drops);
            set.spawn(pool, |cx| async move {
                let _ = cx.sleep(Duration::from_micros(1)).await;
                output
            })
            .unwrap();
        }
        settle(&mut runner, us(0));
        settle(&mut runner, us(ended.into()));
        assert_eq!(drops.load(SeqCst), 0);
        drop(set);
        settle(&mut runner, us(1));
        assert_eq!((drops.load(SeqCst), executor.tasks().count(), executor.regions().count()), (3, 0, 0));
    }
}

#[test]
fn an_output_that_spawns_when_it_is_dropped_spawns_nothing_by_the_task_that_has_ended() {
    struct Spawns(Cx, &'static OnceLock<Option<SpawnErrorKind>>);

    impl Drop for Spawns {
        fn drop(&mut self) {
            let spawned = self.0.spawn(pool::<1>(), |_| async {});
            self.1.set(spawned.err().map(|refused| refused.kind)).unwrap();
        }
    }

    for joined in [false, true] {
        let mut runner = start();
        let region = open(&runner);
        let told = leak(OnceLock::new());
        let task: JoinHandle<Spawns> =
            region.spawn(pool::<1>(), |cx| async move { Spawns(cx, told) }).unwrap();
        settle(&mut runner, us(0));
        if joined {
            drop(task);
        } else {
            std::mem::forget(task);
            close(&mut runner, region);
        }
        assert_eq!(told.get(), Some(&Some(SpawnErrorKind::Stale)));
    }
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

#[test]
fn a_shutdown_ends_regions_and_tasks_and_says_so() {
    let mut runner = start();
    let executor = runner.executor();
    let pool = pool::<3>();
    let mut region = open(&runner);
    let reasons: &Log<Reason> = leak(Log::new());
    let told = move |cx: Cx| async move { reasons.push(cx.cancelled().await.0) };
    drop((region.spawn(pool, told), executor.spawn(pool, told)));
    drop(executor.spawn(pool, |cx| async move {
        let ended = region.join_all().await;
        assert!(cx.is_cancelled() || ended.is_ok());
    }));
    settle(&mut runner, us(0));
    executor.shut_down();
    settle(&mut runner, us(0));
    assert_eq!(reasons.take(), [Reason::Shutdown; 2]);
    assert_eq!((executor.tasks().count(), executor.regions().count()), (0, 0));
    assert_eq!(executor.counters().cancelled_by_shutdown, 3);
}
