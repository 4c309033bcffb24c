//! On which processors threads run.

use std::io;

#[cfg(target_os = "linux")]
use std::sync::OnceLock;

#[cfg(target_os = "linux")]
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The processors on which this thread may run, by the numbers that the system gives them, for
/// [`Builder::pin`](super::Builder::pin). On Linux.
///
/// # Errors
///
/// [`Unsupported`](io::ErrorKind::Unsupported) on other systems; the system's.
pub fn processors() -> io::Result<Vec<usize>> {
    #[cfg(target_os = "linux")]
    {
        let set = sched_getaffinity(None)?;
        Ok((0..CpuSet::MAX_CPU).filter(|&processor| set.is_set(processor)).collect())
    }
    #[cfg(not(target_os = "linux"))]
    Err(io::ErrorKind::Unsupported.into())
}

/// Those of the thread that first made a runtime with pinned workers.
#[cfg(target_os = "linux")]
static ALL: OnceLock<CpuSet> = OnceLock::new();

/// Before threads are pinned: whoever starts threads while it is pinned itself gives that to them.
pub(super) fn note_all() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    if ALL.get().is_none() {
        let _ = ALL.set(sched_getaffinity(None)?);
    }
    Ok(())
}

/// Has this thread run on `processor` only.
#[cfg_attr(not(target_os = "linux"), expect(unused_variables, reason = "there is no way"))]
pub(super) fn pin(processor: usize) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        let mut set = CpuSet::new();
        if processor >= CpuSet::MAX_CPU {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        set.set(processor);
        Ok(sched_setaffinity(None, &set)?)
    }
    #[cfg(not(target_os = "linux"))]
    Err(io::ErrorKind::Unsupported.into())
}

/// Has this thread run anywhere, though a pinned one may have started it.
#[cfg(feature = "blocking")]
pub(super) fn unpin() {
    #[cfg(target_os = "linux")]
    {
        thread_local! {
            static DONE: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
        }
        if let Some(all) = ALL.get()
            && !DONE.replace(true)
        {
            // If it fails, the thread stays where it is, and does its work there.
            let _ = sched_setaffinity(None, all);
        }
    }
}
