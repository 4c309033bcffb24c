//! Tasks that are not spawned.

use std::sync::OnceLock;
use std::task::Poll;

use trilane::exec::{Cx, JoinSet, Manual, OpenError, Region, RegionOptions, SpawnErrorKind, TaskOptions};
use trilane::time::Duration;
use trilane_tests::future::{Bell, poll_once};
use trilane_tests::{leak, pool, settle, us};

use crate::{Unit, forever, in_region, is_empty, open, unchanged, unit};

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
    let [one, other] = [0; 2].map(|_| leak(Unit::new(Manual::new())).with_regions(regions));
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
