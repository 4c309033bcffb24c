//! The one door to what threads share. `--cfg trilane_shuttle` puts a tester of schedules in the place of the
//! system's threads; only the package `tests/shuttle` is built so.

#[cfg(trilane_shuttle)]
pub(crate) use shuttle::sync::{Condvar, Mutex, MutexGuard, atomic};
#[cfg(trilane_shuttle)]
pub(crate) use shuttle::thread_local;
#[cfg(not(trilane_shuttle))]
pub(crate) use std::{
    sync::{Condvar, Mutex, MutexGuard, atomic},
    thread, thread_local,
};

/// Whether a sleep takes time.
pub(crate) const HAS_TIME: bool = !cfg!(trilane_shuttle);

#[cfg(trilane_shuttle)]
pub(crate) mod thread {
    pub(crate) use shuttle::thread::*;

    /// There is no time: others have their turns, and it is over.
    pub(crate) fn sleep(_: std::time::Duration) {
        yield_now();
    }
}
