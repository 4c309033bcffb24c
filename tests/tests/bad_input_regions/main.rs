//! What regions and cancellation refuse is a named error and changes nothing.

use std::pin::pin;
use std::task::Poll;

use trilane::exec::{
    Executor, Manual, Region, RegionId, RegionOptions, Runner, SpawnErrorKind, TaskOptions, TaskPool,
};
use trilane_tests::future::poll_once;
use trilane_tests::{dump, settle, with_regions};

mod closes;
mod opens;
mod requests;
mod spawns;

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
