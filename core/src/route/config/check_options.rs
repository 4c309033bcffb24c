//! How often endpoints are checked, and how many outcomes it takes to believe them.

use core::fmt;

use crate::time::Duration;

/// When to check and what to conclude.
///
/// # Examples
///
/// ```
/// use trilane::route::CheckOptions;
/// use trilane::time::Duration;
///
/// const CHECKS: CheckOptions =
///     CheckOptions::new().interval(Duration::from_secs(5)).timeout(Duration::from_millis(500)).fall(2);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct CheckOptions {
    pub(in crate::route) interval: Duration,
    pub(in crate::route) unhealthy_interval: Duration,
    pub(in crate::route) timeout: Duration,
    pub(in crate::route) jitter: Duration,
    pub(in crate::route) rise: u16,
    pub(in crate::route) fall: u16,
}

impl CheckOptions {
    /// Every 10 s and up to 1 s more, with 1 s of time to answer; 3 bad outcomes make unhealthy, 2 good ones
    /// healthy.
    pub const fn new() -> Self {
        Self {
            interval: Duration::from_secs(10),
            unhealthy_interval: Duration::from_secs(10),
            timeout: Duration::from_secs(1),
            jitter: Duration::from_secs(1),
            rise: 2,
            fall: 3,
        }
    }

    /// From an outcome to the next check.
    #[must_use]
    pub const fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// The same while the endpoint is unhealthy.
    #[must_use]
    pub const fn unhealthy_interval(mut self, interval: Duration) -> Self {
        self.unhealthy_interval = interval;
        self
    }

    /// How long a probe may take.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Up to so much is added to each interval, and is the wait before the first check: checkers that start
    /// together don't all probe together. More than 71 minutes (2^32 us) count as that.
    #[must_use]
    pub const fn jitter(mut self, jitter: Duration) -> Self {
        self.jitter = jitter;
        self
    }

    /// Good outcomes in a row that make an unhealthy endpoint healthy.
    #[must_use]
    pub const fn rise(mut self, outcomes: u16) -> Self {
        self.rise = outcomes;
        self
    }

    /// Bad outcomes in a row that make a healthy endpoint unhealthy.
    #[must_use]
    pub const fn fall(mut self, outcomes: u16) -> Self {
        self.fall = outcomes;
        self
    }

    /// # Errors
    ///
    /// A zero where there must be none.
    pub(in crate::route) const fn validate(&self) -> Result<(), CheckOptionsError> {
        if self.interval.is_zero() || self.unhealthy_interval.is_zero() {
            return Err(CheckOptionsError::Interval);
        }
        if self.timeout.is_zero() {
            return Err(CheckOptionsError::Timeout);
        }
        if self.rise == 0 || self.fall == 0 {
            return Err(CheckOptionsError::Threshold);
        }
        Ok(())
    }
}

impl Default for CheckOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// Why options are no use to a [`HealthChecker`](crate::route::HealthChecker).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum CheckOptionsError {
    /// An interval is zero.
    Interval,
    /// The timeout is zero.
    Timeout,
    /// `rise` or `fall` is zero.
    Threshold,
}

impl fmt::Display for CheckOptionsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Interval => {
                "an interval between health checks is zero: choose one of at least a microsecond"
            }
            Self::Timeout => "the timeout of health checks is zero: no probe could answer in time",
            Self::Threshold => "`rise` and `fall` must be at least 1: it takes an outcome to change anything",
        })
    }
}

impl core::error::Error for CheckOptionsError {}
