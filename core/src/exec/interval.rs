//! Ticks at a fixed period.

use core::fmt;

use super::memory::cx::Cx;
use super::task::reason::Cancelled;
use crate::time::{Duration, Instant};

/// An interval's period must be longer than zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ZeroPeriod;

impl fmt::Display for ZeroPeriod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an interval's period must be at least one microsecond; to let others run, use yield_now")
    }
}

impl core::error::Error for ZeroPeriod {}

/// What an [`Interval`] does about ticks that nobody awaited in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum MissedTick {
    /// Makes up for them one right after the other; the schedule stays.
    #[default]
    Burst,
    /// Drops them; the schedule begins anew one period after the late tick.
    Delay,
    /// Drops them; the schedule stays, the next tick is the first of it that is still to come.
    Skip,
}

/// Ticks at a fixed period; made by [`Cx::interval`].
#[derive(Debug)]
pub struct Interval {
    cx: Cx,
    next: Instant,
    period: Duration,
    missed: MissedTick,
}

impl Interval {
    /// Waits for the next tick and returns the time for which it was scheduled.
    ///
    /// # Errors
    ///
    /// [`Cancelled`] when the task is asked to stop.
    ///
    /// # Cancellation
    ///
    /// A tick whose future is dropped is not lost: the next call waits for the same one.
    pub async fn tick(&mut self) -> Result<Instant, Cancelled> {
        let due = self.next;
        self.cx.sleep_until(due).await?;
        self.next = match self.missed {
            MissedTick::Burst => due + self.period,
            MissedTick::Delay => (due + self.period).max(self.cx.now() + self.period_if_late(due)),
            MissedTick::Skip => {
                let late = self.cx.now() - due;
                due + self.period.saturating_mul(late.as_micros() / self.period.as_micros() + 1)
            }
        };
        Ok(due)
    }

    /// The period when a whole one has passed since `due`, else nothing: a tick is missed by a period, not by
    /// the time it takes to dispatch its task.
    fn period_if_late(&self, due: Instant) -> Duration {
        if self.cx.now() - due >= self.period { self.period } else { Duration::ZERO }
    }
}

impl Cx {
    /// Ticks every `period`, the first time one `period` from now.
    ///
    /// # Errors
    ///
    /// [`ZeroPeriod`] when `period` is zero.
    pub fn interval(&self, period: impl Into<Duration>, missed: MissedTick) -> Result<Interval, ZeroPeriod> {
        let period = period.into();
        if period.is_zero() {
            return Err(ZeroPeriod);
        }
        Ok(Interval { cx: *self, next: self.now() + period, period, missed })
    }
}
