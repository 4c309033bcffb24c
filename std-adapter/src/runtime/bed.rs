//! Where one worker sleeps until others nudge it.

use std::sync::PoisonError;
#[cfg(not(trilane_loom))]
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

#[cfg(trilane_loom)]
use loom::sync::{Condvar, Mutex, MutexGuard};

/// A nudge is kept until it is forgotten. Whoever nudges knows that the worker sleeps, or is about to, so the
/// lock is not on a hot path.
#[derive(Debug, Default)]
pub(super) struct Bed {
    nudged: Mutex<bool>,
    rises: Condvar,
}

impl Bed {
    /// Ends the sleep, or prevents the next.
    pub fn nudge(&self) {
        *self.lock() = true;
        self.rises.notify_one();
    }

    pub fn forget_nudge(&self) {
        *self.lock() = false;
    }

    /// Sleeps until a nudge, for `limit` at most.
    pub fn sleep(&self, limit: Option<Duration>) {
        let end = limit.and_then(|limit| Instant::now().checked_add(limit));
        let mut nudged = self.lock();
        while !*nudged {
            let wait = match end {
                None => self.rises.wait(nudged),
                Some(end) => {
                    let left = end.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return;
                    }
                    self.rises
                        .wait_timeout(nudged, left)
                        .map(|(nudged, _)| nudged)
                        .map_err(|poisoned| PoisonError::new(poisoned.into_inner().0))
                }
            };
            nudged = wait.unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.nudged.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
