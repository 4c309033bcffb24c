//! Time as the runtime sees it: unsigned 64-bit microseconds, handed in by the caller.
//!
//! Nothing in this crate reads a clock. A [`Platform`](crate::exec::Platform) supplies `now`, and every
//! operation that depends on time takes it as an argument, so that equal inputs give equal decisions on every
//! target.
//!
//! An [`Instant`] counts from an origin that the platform chooses (boot, usually). The range is 584,000
//! years; all arithmetic saturates instead of wrapping, so a far deadline stays far.

use core::fmt;
use core::ops::{Add, AddAssign, Sub};

/// A point in time, in microseconds since the platform's origin.
///
/// # Examples
///
/// ```
/// use trilane::time::{Duration, Instant};
///
/// let start = Instant::from_micros(1_500);
/// assert_eq!(start + Duration::from_millis(2), Instant::from_micros(3_500));
/// assert_eq!(start - Instant::from_micros(2_000), Duration::ZERO); // a clock that went backwards: no wrap
/// assert_eq!(format!("{start} {start:?}"), "1500 us 1500 us");
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Instant(u64);

/// A span of time, in microseconds.
///
/// # Examples
///
/// The standard library's spans become these, and the other way round; [`Cx::sleep`](crate::exec::Cx::sleep)
/// and the like take either:
///
/// ```
/// use trilane::time::Duration;
///
/// let span = core::time::Duration::from_nanos(1_500);
/// assert_eq!(Duration::from(span), Duration::from_micros(2)); // a wait is never shorter than asked
/// assert_eq!(core::time::Duration::from(Duration::MAX).as_micros(), u64::MAX.into());
/// assert_eq!(format!("{:?}", Some(Duration::from_millis(5))), "Some(5000 us)");
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Duration(u64);

impl Instant {
    /// The origin of the platform's clock.
    pub const ZERO: Self = Self(0);
    /// The last instant; used as "never".
    pub const MAX: Self = Self(u64::MAX);

    /// The instant `micros` microseconds after the origin.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// The instant `millis` milliseconds after the origin, saturating.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000))
    }

    /// The instant `secs` seconds after the origin, saturating.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1_000_000))
    }

    /// Microseconds since the origin.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Whole milliseconds since the origin.
    pub const fn as_millis(self) -> u64 {
        self.0 / 1_000
    }

    /// `self + span`, or [`Instant::MAX`].
    pub const fn saturating_add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// The span since `earlier`, or [`Duration::ZERO`] when `earlier` is later.
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration(self.0.saturating_sub(earlier.0))
    }
}

impl Duration {
    /// No time at all.
    pub const ZERO: Self = Self(0);
    /// The longest span.
    pub const MAX: Self = Self(u64::MAX);

    /// A span of `micros` microseconds.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// A span of `millis` milliseconds, saturating.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000))
    }

    /// A span of `secs` seconds, saturating.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1_000_000))
    }

    /// The span of `nanos` nanoseconds, rounded up: a wait is never shorter than asked.
    pub const fn from_nanos_ceil(nanos: u64) -> Self {
        Self(nanos.div_ceil(1_000))
    }

    /// Whole microseconds.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Whole milliseconds.
    pub const fn as_millis(self) -> u64 {
        self.0 / 1_000
    }

    /// Whether the span is zero.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// `self * factor`, or [`Duration::MAX`].
    pub const fn saturating_mul(self, factor: u64) -> Self {
        Self(self.0.saturating_mul(factor))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        self.saturating_add(span)
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, span: Duration) {
        *self = *self + span;
    }
}

impl Sub for Instant {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.saturating_since(earlier)
    }
}

impl Add for Duration {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl From<core::time::Duration> for Duration {
    /// Rounds up to a microsecond and saturates.
    fn from(span: core::time::Duration) -> Self {
        let micros = span.as_nanos().div_ceil(1_000);
        Self(if micros > u64::MAX as u128 { u64::MAX } else { micros as u64 })
    }
}

impl From<Duration> for core::time::Duration {
    /// Exact.
    fn from(span: Duration) -> Self {
        Self::from_micros(span.0)
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} us", self.0)
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} us", self.0)
    }
}

/// As [`Display`](fmt::Display): with the unit.
impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// As [`Display`](fmt::Display): with the unit.
impl fmt::Debug for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
