//! How an example starts its executor in thread mode, and runs it.

use trilane::exec::{Executor, LocalSpawner, Platform, Runner};

/// Starts `executor` in thread mode; as [`Executor::start`].
///
/// Every board has a function of this name. The host's gives a runner that has several threads poll the tasks
/// if the command line says so.
///
/// # Panics
///
/// When the executor has been started before.
#[inline(always)]
#[track_caller]
pub fn start<P: Platform, const BANKS: usize, const PER_BANK: usize>(
    executor: &'static Executor<P, BANKS, PER_BANK>,
) -> Runner<P, BANKS, PER_BANK> {
    executor.start().expect("nobody else starts it")
}

/// Starts `executor` in thread mode, lets `init` spawn, and runs for ever; as [`Executor::run`]. See
/// [`start`].
///
/// # Panics
///
/// When the executor has been started before.
#[inline(always)]
pub fn run<P: Platform, const BANKS: usize, const PER_BANK: usize>(
    executor: &'static Executor<P, BANKS, PER_BANK>,
    init: impl FnOnce(LocalSpawner<P, BANKS, PER_BANK>),
) -> ! {
    executor.run(init)
}
