//! A platform without a machine: the caller is the clock.

use super::run::platform::Platform;
use crate::sync::{Guarded, const_fn, with_lock};
use crate::time::Instant;

/// For an executor that is driven by hand: time is what was last passed to
/// [`Runner::poll_pending`](super::Runner::poll_pending), nothing is pended, and nobody sleeps.
pub struct Manual(Guarded<Instant>);

impl Manual {
    const_fn! {
    /// A clock at its origin.
    pub const fn new() -> Self {
        Self(Guarded::new(Instant::ZERO))
    }
    }
}

impl Default for Manual {
    fn default() -> Self {
        Self::new()
    }
}

impl Platform for Manual {
    const PENDS: bool = false;

    fn now(&self) -> Instant {
        // SAFETY: a copy is made, nothing is called (Guarded Invariant).
        with_lock(|cs| unsafe { self.0.with(cs, |now| *now) })
    }

    fn set_alarm(&self, _at: Option<Instant>) {}

    fn pend(&self) {}

    fn idle(&self, _quiet: &dyn Fn() -> bool) {}

    fn pass_begins(&self, now: Instant) {
        // SAFETY: one store, nothing is called (Guarded Invariant).
        with_lock(|cs| unsafe { self.0.with(cs, |latest| *latest = (*latest).max(now)) });
    }
}
