//! What a runtime takes for the time.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use trilane::time::Instant;

use crate::clock::Clock;
use crate::sync::HAS_TIME;

/// The clock of a crew.
#[derive(Debug)]
pub(super) enum Time {
    Real(Clock),
    /// In microseconds.
    Virtual(AtomicU64),
}

impl Time {
    pub const fn new(is_virtual: bool) -> Self {
        if is_virtual || !HAS_TIME { Self::Virtual(AtomicU64::new(0)) } else { Self::Real(Clock::new()) }
    }

    pub fn now(&self) -> Instant {
        match self {
            Self::Real(clock) => clock.now(),
            // Each look takes a microsecond, so that what is due comes without a real clock.
            Self::Virtual(micros) if !HAS_TIME => Instant::from_micros(micros.fetch_add(1, Relaxed)),
            Self::Virtual(micros) => Instant::from_micros(micros.load(Relaxed)),
        }
    }

    /// Of virtual time. Real time goes by itself.
    pub fn set(&self, at: Instant) {
        if let Self::Virtual(micros) = self {
            micros.store(at.as_micros(), Relaxed);
        }
    }

    /// The real time from now until `at`.
    pub fn until(&self, at: Instant) -> std::time::Duration {
        match self {
            Self::Real(clock) => clock.until(at),
            Self::Virtual(_) => std::time::Duration::ZERO,
        }
    }
}
