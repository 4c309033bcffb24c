//! Where one worker sleeps until others nudge it.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use crate::sync::{Condvar, HAS_TIME, Mutex, MutexGuard, thread};

/// A nudge is kept until it is forgotten. Whoever nudges knows that the worker sleeps, or is about to, so the
/// lock is not on a hot path.
#[derive(Debug, Default)]
pub(super) struct Bed {
    state: Mutex<State>,
    rises: Condvar,
}

#[derive(Debug, Default)]
struct State {
    nudged: bool,
    /// The worker waits for its nudge.
    is_asleep: bool,
    /// The worker waits for something else than its nudge, and is woken by that.
    is_away: bool,
}

impl Bed {
    /// Ends the sleep, or prevents the next. Returns whether the worker waits elsewhere: the caller ends
    /// that.
    pub fn nudge(&self) -> bool {
        let mut state = self.lock();
        state.nudged = true;
        let State { is_asleep, is_away, .. } = *state;
        // Whoever is woken takes the lock, and would sleep again until it is free.
        drop(state);
        if is_asleep {
            self.rises.notify_one();
        }
        is_away
    }

    pub fn forget_nudge(&self) {
        self.lock().nudged = false;
    }

    /// Waits by `wait` instead of a sleep, unless there was a nudge. A nudge during it doesn't end it.
    pub fn wait_elsewhere(&self, wait: impl FnOnce()) {
        let mut state = self.lock();
        if state.nudged {
            return;
        }
        state.is_away = true;
        drop(state);
        wait();
        self.lock().is_away = false;
    }

    /// Sleeps until a nudge, for `limit` at most.
    pub fn sleep(&self, limit: Option<Duration>) {
        if !HAS_TIME && limit.is_some() {
            // A model has no time: it is over.
            return thread::yield_now();
        }
        let end = limit.and_then(|limit| Instant::now().checked_add(limit));
        let mut state = self.lock();
        while !state.nudged {
            state.is_asleep = true;
            let wait = match end {
                None => self.rises.wait(state),
                Some(end) => {
                    let left = end.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        break;
                    }
                    self.rises
                        .wait_timeout(state, left)
                        .map(|(state, _)| state)
                        .map_err(|poisoned| PoisonError::new(poisoned.into_inner().0))
                }
            };
            state = wait.unwrap_or_else(PoisonError::into_inner);
        }
        state.is_asleep = false;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
