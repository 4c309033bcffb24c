//! How one thread sleeps until others nudge it.
//!
//! **No Lost Nudge.** `nudged` is the only truth; the thread's park token is a hint to look at it. The owner
//! says that it is `asleep` and then looks at `nudged` once more; whoever nudges sets `nudged` and then looks
//! at `asleep`. All four are `SeqCst`, so they form one total order:
//!
//! * a nudge ordered before the owner's last look is seen by it, and the owner does not sleep;
//! * a nudge ordered after it sees the owner asleep, hence its registration, and unparks it. The token makes
//!   the park return even if it has not begun.
//!
//! Every nudge that finds the owner asleep unparks it, not the first alone: whoever made that may have been
//! pre-empted before it could. One that finds it awake costs no system call. A stale token (user code on the
//! owner thread may park too) ends a sleep early, which the platform contract allows.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread::{self, Thread};
use std::time::Duration;

/// Puts its owner to sleep. The owner is the first thread that does so.
#[derive(Debug, Default)]
pub(crate) struct Parker {
    owner: OnceLock<Thread>,
    nudged: AtomicBool,
    asleep: AtomicBool,
}

impl Parker {
    pub(crate) const fn new() -> Self {
        Self { owner: OnceLock::new(), nudged: AtomicBool::new(false), asleep: AtomicBool::new(false) }
    }

    /// Ends the owner's sleep, or prevents the next. One swap; a system call only if it was asleep.
    pub(crate) fn nudge(&self) {
        self.nudged.swap(true, SeqCst);
        if self.asleep.load(SeqCst)
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
        self.nudged.swap(false, SeqCst)
    }

    /// Sleeps until a nudge later than the last [`take_nudge`](Self::take_nudge), for `limit` at most when
    /// there is one; maybe less. The owner only.
    pub(crate) fn sleep(&self, limit: Option<Duration>) {
        self.asleep.store(true, SeqCst);
        if !self.nudged.load(SeqCst) {
            match limit {
                None => thread::park(),
                Some(limit) => thread::park_timeout(limit),
            }
        }
        self.asleep.store(false, SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_nudge_ends_the_sleep_although_an_earlier_one_is_about_to() {
        let parker = Parker::new();
        thread::scope(|scope| {
            let owner = scope.spawn(|| {
                parker.take_nudge();
                let began = Instant::now();
                parker.sleep(Some(Duration::from_secs(20)));
                began.elapsed()
            });
            while !parker.asleep.load(SeqCst) {
                thread::yield_now();
            }
            // Now it looks once more, and parks.
            thread::sleep(Duration::from_millis(10));
            // The earlier one, whose thread is stopped here.
            parker.nudged.store(true, SeqCst);
            parker.nudge();
            assert!(owner.join().unwrap() < Duration::from_secs(10));
        });
    }
}
