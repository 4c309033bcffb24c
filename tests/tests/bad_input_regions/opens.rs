//! Regions that are not opened.

use std::pin::pin;
use std::task::Poll;

use trilane::exec::{Cx, JoinError, OpenError, Region, RegionOptions};
use trilane_tests::future::poll_once;
use trilane_tests::{manual, pool, settle, us};

use crate::{close, forever, open, unchanged, unit};

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
