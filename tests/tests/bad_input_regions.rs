//! What regions and cancellation refuse is a named error and changes nothing.

use std::fmt::Display;
use std::pin::pin;
use std::sync::{Mutex, OnceLock};
use std::task::Poll;

use futures::join;
use trilane::arena::Stale;
use trilane::exec::{
    AbortHandle, CancelError, Cancelled, CloseError, Cx, DeadlineError, Executor, JoinError, JoinSet, Manual,
    OpenError, Reason, Region, RegionId, RegionOptions, Runner, SpawnErrorKind, TaskOptions, TaskPool,
    TimeoutError,
};
use trilane::time::Duration;
use trilane_tests::future::{Bell, parked, poll_once};
use trilane_tests::{dump, leak, manual, pool, settle, us, with_regions};

type Unit = Executor<Manual, 1, 8>;

fn unit() -> Runner<Manual, 1, 8> {
    with_regions::<4, 1, 8>()
}

fn open(executor: &'static Unit) -> Region {
    executor.open_region(RegionOptions::new()).unwrap()
}

fn in_region(region: RegionId) -> TaskOptions {
    TaskOptions::new().region(region)
}

async fn forever() {
    std::future::pending().await
}

/// What a call changes in the eyes of a dump: nothing.
#[track_caller]
fn unchanged<R>(executor: &'static Unit, call: impl FnOnce() -> R) -> R {
    let before = dump(executor);
    let result = call();
    assert_eq!(dump(executor), before);
    result
}

/// Closes a region that has nothing to wait for but a few passes.
fn close<const BANKS: usize, const PER_BANK: usize>(
    runner: &mut Runner<Manual, BANKS, PER_BANK>,
    region: &mut Region,
) {
    let mut close = pin!(region.close());
    assert_eq!(poll_once(close.as_mut()), Poll::Pending);
    let now = runner.now();
    settle(runner, now);
    assert_eq!(poll_once(close.as_mut()), Poll::Ready(Ok(())));
}

/// Every slot of executor and pool is free.
fn is_empty<const SLOTS: usize>(executor: &'static Unit, pool: &'static TaskPool<1024, SLOTS>) {
    assert_eq!(executor.tasks().count(), 0);
    let all: Vec<_> = (0..SLOTS).map(|_| executor.spawn(pool, |_| forever()).unwrap()).collect();
    assert_eq!(executor.spawn(pool, |_| forever()).unwrap_err().kind, SpawnErrorKind::PoolFull);
    drop(all);
}

#[test]
fn a_task_that_has_ended_is_not_asked_to_stop() {
    let mut runner = unit();
    let executor = runner.executor();
    let pool = pool::<2>();
    let mut task = executor.spawn(pool, |_| async { 3 }).unwrap();
    let (id, abort) = (task.id(), task.abort_handle().unwrap());
    assert_eq!(abort.id(), id);
    settle(&mut runner, us(0));
    for taken in [false, true] {
        unchanged(executor, || {
            assert_eq!(task.cancel(), Err(CancelError::Stale));
            assert_eq!(abort.cancel(), Err(CancelError::Stale));
            assert_eq!(executor.cancel(id), Err(CancelError::Stale));
        });
        if !taken {
            assert_eq!(task.try_join(), Some(Ok(3)));
            assert!(task.abort_handle().is_none());
        }
    }
    let next = executor.spawn(pool, |_| forever()).unwrap();
    assert_eq!(next.id().slot(), id.slot());
    assert_eq!(abort.cancel(), Err(CancelError::Stale));
    assert_eq!(executor.cancel(id), Err(CancelError::Stale));
    assert_eq!(executor.task(next.id()).unwrap().cancelled, None);
}

#[test]
fn a_task_cancels_another_by_its_id_but_not_itself() {
    let mut runner = unit();
    let executor = runner.executor();
    let pool = pool::<2>();
    let mut other = executor.spawn(pool, |cx| cx.cancelled()).unwrap();
    let other_id = other.id();
    let mut task = executor
        .spawn(pool, move |cx| async move {
            let oneself = unchanged(executor, || cx.cancel(cx.id()));
            (oneself, cx.is_cancelled(), cx.cancel(other_id))
        })
        .unwrap();
    settle(&mut runner, us(0));
    assert_eq!(task.try_join(), Some(Ok((Err(CancelError::Oneself), false, Ok(())))));
    assert_eq!(other.try_join(), Some(Ok(Cancelled(Reason::User))));
}

#[test]
fn a_task_may_ask_itself_to_stop_by_its_abort_handle() {
    let mut runner = unit();
    let own: &OnceLock<AbortHandle> = leak(OnceLock::new());
    let mut task = runner
        .executor()
        .spawn(pool::<1>(), |cx| async move {
            own.get().unwrap().cancel().unwrap();
            assert!(cx.is_cancelled());
            own.get().unwrap().cancel().unwrap();
            cx.sleep(Duration::from_millis(1)).await
        })
        .unwrap();
    own.set(task.abort_handle().unwrap()).unwrap();
    assert_eq!(settle(&mut runner, us(0)), 1);
    assert_eq!(task.try_join(), Some(Ok(Err(Cancelled(Reason::User)))));
    assert_eq!(runner.executor().counters().cancelled_by_user, 1);
}

#[test]
fn a_region_is_closed_once() {
    let mut runner = unit();
    let executor = runner.executor();
    let mut region = open(executor);
    close(&mut runner, &mut region);
    assert_eq!(executor.regions().count(), 0);
    unchanged(executor, || {
        assert_eq!(poll_once(pin!(region.close())), Poll::Ready(Err(CloseError::Closed)));
        assert_eq!(poll_once(pin!(region.join_all())), Poll::Ready(Err(CloseError::Closed)));
        assert_eq!(region.cancel(), Err(Stale));
    });
    drop(region);
    assert!(!runner.is_runnable());
}

#[test]
fn a_closed_region_is_not_the_next_one_in_its_place() {
    let mut runner = unit();
    let executor = runner.executor();
    let mut first = open(executor);
    close(&mut runner, &mut first);
    let next = open(executor);
    assert_ne!(first.id(), next.id());
    unchanged(executor, || {
        assert_eq!(first.cancel(), Err(Stale));
        assert_eq!(poll_once(pin!(first.close())), Poll::Ready(Err(CloseError::Closed)));
        let refused = first.spawn(pool::<1>(), |_| forever()).unwrap_err();
        assert_eq!(refused.kind, SpawnErrorKind::RegionClosed);
        drop(first);
    });
    assert!(executor.regions().all(|region| region.id == next.id() && region.closing.is_none()));
}

#[test]
fn a_task_in_a_region_does_not_wait_for_its_end() {
    let mut runner = unit();
    let executor = runner.executor();
    let pool = pool::<4>();
    let region = open(executor);
    let (id, child) = (region.id(), region.open_region(RegionOptions::new()).unwrap());
    let lent: &Mutex<Option<Region>> = leak(Mutex::new(Some(region)));
    for inside in [id, child.id()] {
        let mut task = executor
            .spawn_with(in_region(inside), pool, move |_| async move {
                let mut region = lent.lock().unwrap().take().unwrap();
                let before = dump(executor);
                let close = region.close().await;
                let join_all = region.join_all().await;
                let (beside, ()) = join!(region.close(), async {});
                assert_eq!(dump(executor), before);
                *lent.lock().unwrap() = Some(region);
                [close, join_all, beside]
            })
            .unwrap();
        settle(&mut runner, us(0));
        assert_eq!(task.try_join(), Some(Ok([Err(CloseError::Inside); 3])));
    }
    assert!(executor.regions().all(|region| region.closing.is_none()));
    assert!(executor.spawn_with(in_region(id), pool, |_| async {}).is_ok());
}

#[test]
fn nothing_is_spawned_into_a_region_that_closes_or_has_closed() {
    let mut runner = unit();
    let executor = runner.executor();
    let pool = pool::<3>();
    let mut region = open(executor);
    let bell: &Bell = leak(Bell::new());
    let (cx, cx_of_member) = (leak(OnceLock::new()), leak(OnceLock::<Cx>::new()));
    let member = region
        .spawn(pool, |cx| async move {
            cx_of_member.set(cx).unwrap();
            bell.until(2).await
        })
        .unwrap();
    let outside = executor
        .spawn(pool, |own: Cx| async move {
            cx.set(own).unwrap();
            forever().await
        })
        .unwrap();
    settle(&mut runner, us(0));
    region.cancel().unwrap();
    let refused = |region: &Region, by_member: SpawnErrorKind| {
        let closed = SpawnErrorKind::RegionClosed;
        unchanged(executor, || {
            for _ in 0..10 {
                assert_eq!(region.spawn(pool, |_| forever()).unwrap_err().kind, closed);
                let options = in_region(region.id());
                assert_eq!(executor.spawn_with(options, pool, |_| forever()).unwrap_err().kind, closed);
                let by_cx = cx.get().unwrap().spawn_with(options, pool, |_| forever());
                assert_eq!(by_cx.unwrap_err().kind, closed);
                let by_member_cx = cx_of_member.get().unwrap().spawn(pool, |_| forever());
                assert_eq!(by_member_cx.unwrap_err().kind, by_member);
            }
        });
    };
    refused(&region, SpawnErrorKind::RegionClosed);
    // The member has been polled once more and has ended, so the region has too.
    settle(&mut runner, us(0));
    assert!(member.is_finished());
    refused(&region, SpawnErrorKind::Stale);
    let mut close = Box::pin(region.close());
    assert_eq!(poll_once(close.as_mut()), Poll::Ready(Ok(())));
    drop(close);
    refused(&region, SpawnErrorKind::Stale);
    drop((member, outside));
    assert_eq!(executor.tasks().count(), 1);
    assert!(executor.spawn(pool, |_| async {}).is_ok() && executor.spawn(pool, |_| async {}).is_ok());
}

#[test]
fn a_region_of_another_executor_is_none_of_this_ones_though_they_share_a_table() {
    let regions = leak(trilane::exec::Regions::<2>::new());
    let [one, other] = [0; 2].map(|_| leak(Unit::new(Manual::new()).with_regions(regions)));
    let (mine, theirs) = (open(one), open(other));
    assert_eq!(one.open_region(RegionOptions::new()).unwrap_err(), OpenError::Full);
    let pool = pool::<1>();
    for (executor, region) in [(one, &theirs), (other, &mine)] {
        unchanged(executor, || {
            let refused = executor.spawn_with(in_region(region.id()), pool, |_| forever()).unwrap_err();
            assert_eq!(refused.kind, SpawnErrorKind::RegionClosed);
        });
        assert!(executor.regions().all(|info| info.id != region.id()));
    }
    assert!(mine.spawn(pool, |_| forever()).is_ok());
}

#[test]
fn the_build_of_a_refused_task_comes_back_uncalled() {
    let runner = unit();
    let region = open(runner.executor());
    region.cancel().unwrap();
    let called: &OnceLock<()> = leak(OnceLock::new());
    let only_copy = Box::new(7);
    let build = move |_| {
        called.set(()).unwrap();
        async move { *only_copy }
    };
    let refused = region.spawn(pool::<1>(), build).unwrap_err();
    assert!(called.get().is_none());
    let task = runner.executor().spawn(pool::<1>(), refused.rejected).unwrap();
    assert!(called.get().is_some() && !task.is_finished());
}

#[test]
fn no_region_is_opened_in_one_that_closes_or_has_closed() {
    let mut runner = unit();
    let executor = runner.executor();
    let mut region = open(executor);
    let mut member = region
        .spawn(pool::<1>(), |cx: Cx| async move {
            cx.cancelled().await;
            unchanged(executor, || cx.open_region(RegionOptions::new()).unwrap_err())
        })
        .unwrap();
    settle(&mut runner, us(0));
    region.cancel().unwrap();
    let refused =
        |region: &Region| unchanged(executor, || region.open_region(RegionOptions::new()).unwrap_err());
    assert_eq!(refused(&region), OpenError::Closed);
    assert_eq!(settle(&mut runner, us(0)), 1);
    assert_eq!(member.try_join(), Some(Err(JoinError::Reclaimed)));
    assert_eq!(refused(&region), OpenError::Closed);
    close(&mut runner, &mut open(executor));
    assert_eq!(poll_once(pin!(region.close())), Poll::Ready(Ok(())));
    assert_eq!(refused(&region), OpenError::Closed);
}

#[test]
fn a_task_that_has_ended_opens_no_region() {
    let mut runner = unit();
    let executor = runner.executor();
    let mut task = executor.spawn(pool::<1>(), |cx| async move { cx }).unwrap();
    settle(&mut runner, us(0));
    let refused = |cx: Cx| unchanged(executor, || cx.open_region(RegionOptions::new()).unwrap_err());
    let cx = task.try_join().unwrap().unwrap();
    assert_eq!(refused(cx), OpenError::Stale);
    let next = executor.spawn(pool::<1>(), |_| forever()).unwrap();
    assert_eq!(next.id().slot(), cx.id().slot());
    assert_eq!(refused(cx), OpenError::Stale);
    assert_eq!(cx.region(), None);
}

#[test]
fn a_task_that_has_ended_spawns_into_no_region_either() {
    let mut runner = unit();
    let executor = runner.executor();
    let region = open(executor);
    let mut task = region.spawn(pool::<1>(), |cx| async move { cx }).unwrap();
    settle(&mut runner, us(0));
    let cx = task.try_join().unwrap().unwrap();
    unchanged(executor, || {
        for options in [TaskOptions::new(), in_region(region.id())] {
            let refused = cx.spawn_with(options, pool::<1>(), |_| forever()).unwrap_err();
            assert_eq!(refused.kind, SpawnErrorKind::Stale);
        }
    });
}

#[test]
fn a_full_table_takes_no_further_region_and_gives_back_those_that_end() {
    let mut runner = unit();
    let executor = runner.executor();
    for _ in 0..3 {
        let parent = open(executor);
        let children = [0; 3].map(|_| parent.open_region(RegionOptions::new()).unwrap());
        unchanged(executor, || {
            assert_eq!(executor.open_region(RegionOptions::new()).unwrap_err(), OpenError::Full);
            assert_eq!(parent.open_region(RegionOptions::new()).unwrap_err(), OpenError::Full);
        });
        drop(children);
        settle(&mut runner, us(0));
        assert_eq!(executor.regions().count(), 1);
        drop(parent);
        settle(&mut runner, us(0));
        assert_eq!(executor.regions().count(), 0);
    }
}

#[test]
fn an_executor_without_a_table_opens_no_region() {
    let runner = manual::<1, 8>();
    let executor = runner.executor();
    unchanged(executor, || {
        assert_eq!(executor.open_region(RegionOptions::new()).unwrap_err(), OpenError::Full);
    });
    assert_eq!(executor.regions().count(), 0);
}

#[test]
fn a_quota_counts_the_tasks_alive_in_the_region_itself() {
    let mut runner = unit();
    let executor = runner.executor();
    let pool = pool::<8>();
    for quota in 0..4 {
        let region = executor.open_region(RegionOptions::new().quota(quota)).unwrap();
        let child = region.open_region(RegionOptions::new()).unwrap();
        let bell: &Bell = leak(Bell::new());
        let alive: Vec<_> =
            (0..quota).map(|_| region.spawn(pool, |_| bell.until(quota.into())).unwrap()).collect();
        let refused = || {
            unchanged(executor, || {
                assert_eq!(
                    region.spawn(pool, |_| forever()).unwrap_err().kind,
                    SpawnErrorKind::QuotaExceeded
                );
            });
        };
        refused();
        let below = child.spawn(pool, |_| async {}).unwrap();
        refused();
        // The last one to be polled ends; its result waits, and takes no room.
        settle(&mut runner, us(0));
        if quota > 0 {
            let next = region.spawn(pool, |_| forever()).unwrap();
            refused();
            assert!(alive.iter().any(|task| task.is_finished()) && !next.is_finished());
        }
        drop((region, child, below));
        settle(&mut runner, us(0));
        // Those that hear nothing are ended by force.
        let later = runner.now() + Duration::from_secs(1);
        settle(&mut runner, later);
        drop(alive);
    }
    is_empty(executor, pool);
}

#[test]
fn a_full_join_set_gives_the_task_back() {
    let mut runner = unit();
    let executor = runner.executor();
    let pool = pool::<3>();
    let mut set: JoinSet<u8, 2> = JoinSet::new(open(executor));
    for number in 0..2 {
        set.spawn(pool, move |_| async move { number }).unwrap();
    }
    let rejected = unchanged(executor, || {
        let refused = set.spawn(pool, |_| async { 2 }).unwrap_err();
        assert_eq!(refused.kind, SpawnErrorKind::SetFull);
        refused.rejected
    });
    settle(&mut runner, us(0));
    assert_eq!(set.spawn(pool, |_| async { 2 }).unwrap_err().kind, SpawnErrorKind::SetFull);
    assert_eq!(set.try_join_next(), Some(Ok(0)));
    set.spawn(pool, rejected).unwrap();
    assert_eq!(set.len(), 2);
}

#[test]
fn a_draining_task_has_no_deadline_to_change() {
    let mut runner = unit();
    let executor = runner.executor();
    let task = executor.spawn_with(TaskOptions::new().deadline(us(50)), pool::<1>(), |_| forever()).unwrap();
    settle(&mut runner, us(0));
    task.cancel().unwrap();
    for _ in 0..2 {
        unchanged(executor, || {
            for deadline in [None, Some(us(10)), Some(us(1_000_000))] {
                assert_eq!(executor.set_deadline(task.id(), deadline), Err(DeadlineError::Cancelled));
            }
            assert_eq!(executor.task(task.id()).unwrap().deadline, None);
        });
        settle(&mut runner, us(0));
    }
    assert_eq!(runner.next_alarm(), Some(us(100_000)));
}

#[test]
fn an_executor_that_shuts_down_takes_nothing_from_that_instant_on() {
    let mut runner = unit();
    let executor = runner.executor();
    let pool = pool::<3>();
    let region = open(executor);
    let mut member = region
        .spawn(pool, move |cx| async move {
            let reason = cx.cancelled().await;
            (reason, cx.spawn(pool, |_| forever()).unwrap_err().kind)
        })
        .unwrap();
    let mut outside = executor
        .spawn(pool, move |cx| async move {
            let reason = cx.cancelled().await;
            (reason, cx.spawn(pool, |_| forever()).unwrap_err().kind)
        })
        .unwrap();
    settle(&mut runner, us(0));
    executor.shut_down();
    let spawner = runner.spawner();
    let refused = |region: &Region| {
        unchanged(executor, || {
            let closed = SpawnErrorKind::RegionClosed;
            assert_eq!(executor.spawn(pool, |_| forever()).unwrap_err().kind, closed);
            assert_eq!(spawner.spawn_local(pool, |_| forever()).unwrap_err().kind, closed);
            assert_eq!(region.spawn(pool, |_| forever()).unwrap_err().kind, closed);
            assert_eq!(executor.open_region(RegionOptions::new()).unwrap_err(), OpenError::Closed);
            assert_eq!(region.open_region(RegionOptions::new()).unwrap_err(), OpenError::Closed);
        });
    };
    refused(&region);
    settle(&mut runner, us(0));
    refused(&region);
    let told = (Cancelled(Reason::Shutdown), SpawnErrorKind::RegionClosed);
    assert_eq!(outside.try_join(), Some(Ok(told)));
    assert_eq!(member.try_join(), Some(Err(JoinError::Reclaimed)));
    assert_eq!(executor.tasks().count(), 0);
    executor.shut_down();
    settle(&mut runner, us(0));
    assert_eq!(executor.counters().cancelled_by_shutdown, 2);
}

#[test]
fn an_error_says_what_to_do() {
    let says = |error: &dyn Display, advice: &[&str]| {
        let text = error.to_string();
        assert!(advice.iter().all(|advice| text.contains(advice)), "{text:?} lacks one of {advice:?}");
        assert!(!text.ends_with('.') && text.starts_with(char::is_lowercase), "{text:?} is not a clause");
    };
    says(&SpawnErrorKind::RegionClosed, &["region is closing"]);
    says(&SpawnErrorKind::QuotaExceeded, &["quota is used up", "raise it", "wait"]);
    says(&SpawnErrorKind::SetFull, &["join set is full", "raise its N", "take a result"]);
    says(&SpawnErrorKind::Stale, &["has ended", "executor"]);
    says(&OpenError::Full, &["no room", "with_regions", "close one"]);
    says(&OpenError::Closed, &["closing"]);
    says(&OpenError::Stale, &["ended"]);
    says(&CloseError::Closed, &["closed before", "close once"]);
    says(&CloseError::Inside, &["in the region", "outside"]);
    says(&CloseError::Cancelled(Reason::Shutdown), &["asked to stop", "shuts down"]);
    says(&CancelError::Stale, &["stale"]);
    says(&CancelError::Oneself, &["itself", "return"]);
    says(&DeadlineError::Cancelled, &["asked to stop", "no deadline"]);
    says(&Cancelled(Reason::SiblingFailed), &["asked to stop", "failed"]);
    says(&JoinError::Reclaimed, &["region was closed", "join before you close"]);
    says(&JoinError::Interrupted(Reason::User), &["waits", "asked to stop"]);
    says(&JoinError::Cancelled(Reason::ParentClosed), &["by force", "region was closed"]);
    says(&TimeoutError::Cancelled(Reason::User), &["asked to stop"]);
}

#[test]
fn a_draining_task_is_asked_again_without_harm() {
    let mut runner = unit();
    let executor = runner.executor();
    let task = executor.spawn(pool::<1>(), |_| parked()).unwrap();
    task.cancel().unwrap();
    unchanged(executor, || {
        for _ in 0..5 {
            assert_eq!(task.cancel(), Ok(()));
        }
    });
    settle(&mut runner, us(0));
    assert_eq!(executor.counters().cancelled_by_user, 1);
}
