//! Regions: what is in them ends with them, in order, and nothing is lost on the way.

use std::pin::pin;
use std::task::Poll;

use trilane::exec::{Manual, Region, RegionOptions};
use trilane_tests::future::poll_once;
use trilane_tests::{settle, with_regions};

mod closing;
mod failures;
mod results;

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
