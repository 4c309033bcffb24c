//! What the tests share: naive oracles, platforms that watch the executor, and a few short forms.

pub mod chains;
pub mod choosing;
pub mod counting;
pub mod future;
pub mod group;
pub mod oracle;
pub mod platform;
pub mod routing;
pub mod statics;
pub mod watch;

use std::sync::Mutex;

use trilane::exec::{Executor, Manual, Platform, Regions, Runner, TaskPool};
use trilane::time::Instant;

/// Moves `value` to where executors and pools have to be: a place that is never freed.
pub fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

/// A started executor whose caller is the clock.
pub fn manual<const BANKS: usize, const PER_BANK: usize>() -> Runner<Manual, BANKS, PER_BANK> {
    leak(Executor::new(Manual::new())).start().unwrap_or_else(|error| panic!("{error}"))
}

/// The same with room for `REGIONS` regions.
pub fn with_regions<const REGIONS: usize, const BANKS: usize, const PER_BANK: usize>()
-> Runner<Manual, BANKS, PER_BANK> {
    let regions: &Regions<REGIONS> = leak(Regions::new());
    leak(Executor::new(Manual::new())).with_regions(regions).start().unwrap_or_else(|error| panic!("{error}"))
}

/// All that an executor tells of itself: what was refused leaves it as it was.
pub fn dump<P: Platform, const BANKS: usize, const PER_BANK: usize>(
    executor: &'static Executor<P, BANKS, PER_BANK>,
) -> String {
    let (tasks, regions): (Vec<_>, Vec<_>) = (executor.tasks().collect(), executor.regions().collect());
    format!("{tasks:#?} {regions:#?} {:#?}", executor.counters())
}

/// A pool with room for what the tests spawn.
pub fn pool<const SLOTS: usize>() -> &'static TaskPool<1024, SLOTS> {
    leak(TaskPool::new())
}

/// `at` as an instant.
pub const fn us(at: u64) -> Instant {
    Instant::from_micros(at)
}

/// Passes at `now` until nothing is runnable; how many polls they made. It gives up on a task that never
/// rests.
pub fn settle<P, const BANKS: usize, const PER_BANK: usize>(
    runner: &mut Runner<P, BANKS, PER_BANK>,
    now: Instant,
) -> u32
where
    P: Platform,
{
    let mut polls = 0;
    for _ in 0..10_000 {
        let pass = runner.poll_pending(now);
        polls += pass.polls;
        if !pass.more {
            return polls;
        }
    }
    panic!("something was runnable after 10,000 passes");
}

/// Runs the executor on from alarm to alarm until no timer is armed.
pub fn run_out<P, const BANKS: usize, const PER_BANK: usize>(runner: &mut Runner<P, BANKS, PER_BANK>)
where
    P: Platform,
{
    let now = runner.now();
    settle(runner, now);
    while let Some(at) = runner.next_alarm() {
        settle(runner, at);
    }
}

/// A list that tasks write to and the test reads.
#[derive(Debug)]
pub struct Log<T>(Mutex<Vec<T>>);

impl<T> Log<T> {
    /// An empty log.
    pub const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// Appends `entry`.
    pub fn push(&self, entry: T) {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(entry);
    }

    /// Takes everything out.
    pub fn take(&self) -> Vec<T> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))
    }
}

impl<T> Default for Log<T> {
    fn default() -> Self {
        Self::new()
    }
}
