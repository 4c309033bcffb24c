//! A region closes: who is asked, in which order, and who waits.

use std::pin::pin;
use std::sync::Mutex;
use std::sync::atomic::Ordering::SeqCst;
use std::task::Poll;

use trilane::exec::{
    Cancelled, Cx, Executor, JoinError, Manual, Platform, Reason, Region, RegionId, RegionOptions, Regions,
    SpawnErrorKind,
};
use trilane::time::Duration;
use trilane_tests::future::poll_once;
use trilane_tests::platform::ThreadMode;
use trilane_tests::watch::{Dropped, counter};
use trilane_tests::{Log, leak, pool, run_out, settle, us};

use crate::{close, open, start};

#[test]
fn a_region_whose_finaliser_drops_its_handle_takes_no_other_off_the_list() {
    static REGIONS: Regions<2> = Regions::new();
    static EXECUTOR: Executor<Manual, 1, 8> = Executor::new(Manual::new());
    static HANDLE: Mutex<Option<Region>> = Mutex::new(None);
    let mut runner = EXECUTOR.with_regions(&REGIONS).start().unwrap();
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
