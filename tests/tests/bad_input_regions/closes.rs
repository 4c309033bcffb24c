//! Closes that are refused.

use std::pin::pin;
use std::sync::Mutex;
use std::task::Poll;

use futures::join;
use trilane::exec::{CloseError, Region, RegionOptions, SpawnErrorKind};
use trilane::id::Stale;
use trilane_tests::future::poll_once;
use trilane_tests::{dump, leak, pool, settle, us};

use crate::{close, forever, in_region, open, unchanged, unit};

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
