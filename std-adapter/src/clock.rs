//! The host's monotonic clock as trilane's time.

use std::sync::OnceLock;

use trilane::time::Instant;

/// A clock whose origin is its first reading.
///
/// Construction is `const` and can't read the time; hence the origin. It never goes backwards.
///
/// # Examples
///
/// ```
/// use trilane::time::Instant;
/// use trilane_std::clock::Clock;
///
/// static CLOCK: Clock = Clock::new();
/// assert_eq!(CLOCK.now(), Instant::ZERO);
/// ```
#[derive(Debug, Default)]
pub struct Clock {
    origin: OnceLock<std::time::Instant>,
}

impl Clock {
    /// A clock that starts at its first reading.
    pub const fn new() -> Self {
        Self { origin: OnceLock::new() }
    }

    /// The time since the first reading, rounded down to a microsecond.
    pub fn now(&self) -> Instant {
        let now = std::time::Instant::now();
        // Another thread may have set an origin after `now` was read; that is zero, not an underflow.
        let elapsed = now.saturating_duration_since(*self.origin.get_or_init(|| now));
        Instant::from_micros(
            elapsed.as_secs().saturating_mul(1_000_000).saturating_add(elapsed.subsec_micros().into()),
        )
    }

    /// The real time from now until `at`; zero when that is past.
    pub(crate) fn until(&self, at: Instant) -> std::time::Duration {
        (at - self.now()).into()
    }
}
