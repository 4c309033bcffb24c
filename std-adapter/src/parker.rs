//! How one thread sleeps until others nudge it.
//!
//! **No Lost Nudge.** `nudged` is the only truth; the thread's park token is a hint to look at it. Every access to
//! `nudged` from either side is a read-modify-write, so they form one total order, and each is `AcqRel`:
//!
//! * a nudge ordered before the owner's last look is seen by it, and the owner does not sleep;
//! * a nudge ordered after it synchronises with that look, hence sees the owner's registration, and unparks it. The
//!   token makes the park return even if it has not begun.
//!
//! Only a nudge that finds the flag clear unparks: if the flag is set, whoever set it has unparked or is about to.
//! A stale token (user code on the owner thread may park too) ends a sleep early, which the platform contract allows.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::AcqRel};
use std::thread::{self, Thread};
use std::time::Duration;

/// Puts its owner to sleep. The owner is the first thread that does so.
#[derive(Debug, Default)]
pub(crate) struct Parker {
    owner: OnceLock<Thread>,
    nudged: AtomicBool,
}

impl Parker {
    pub(crate) const fn new() -> Self {
        Self { owner: OnceLock::new(), nudged: AtomicBool::new(false) }
    }

    /// Ends the owner's sleep, or prevents the next. One swap; a system call only if it was asleep.
    pub(crate) fn nudge(&self) {
        if !self.nudged.swap(true, AcqRel)
            && let Some(owner) = self.owner.get()
        {
            owner.unpark();
        }
    }

    /// Whether there was a nudge since the last call; forgets it. Registers the caller as the owner.
    ///
    /// # Panics
    ///
    /// When another thread is the owner: nudges would go to that one, and the caller would sleep for ever.
    #[track_caller]
    pub(crate) fn take_nudge(&self) -> bool {
        let caller = thread::current();
        let owner = self.owner.get_or_init(|| caller.clone());
        assert!(
            owner.id() == caller.id(),
            "a platform belongs to one thread: this one is {owner:?}'s, and {caller:?} wants to sleep on it"
        );
        self.nudged.swap(false, AcqRel)
    }

    /// Sleeps until a nudge later than the last [`take_nudge`](Self::take_nudge), for `limit` at most when there is one; maybe
    /// less.
    pub(crate) fn sleep(&self, limit: Option<Duration>) {
        match limit {
            None => thread::park(),
            Some(limit) => thread::park_timeout(limit),
        }
    }
}
