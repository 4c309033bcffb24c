//! Why the runner looks up from its round.

use crate::sync::{AtomicU32, Ordering, const_fn};

/// Flags that the runner loads between two polls.
#[repr(transparent)]
pub struct AlarmDue(AtomicU32);

impl AlarmDue {
    /// The alarm has gone off.
    pub(in crate::exec) const DUE: u32 = 1 << 0;
    /// Regions wait for the runner.
    pub(in crate::exec) const WORK: u32 = 1 << 1;
    /// A task that isn't plain may have been woken, or a task that was taken into a round isn't plain any
    /// more.
    pub(in crate::exec) const SPECIAL: u32 = 1 << 2;
    /// A timer was armed that is due before all others: the alarm is to be set, since tasks that are runnable
    /// may compute beyond it.
    pub(in crate::exec) const SOONER: u32 = 1 << 3;
    /// What ends a pass or is done before its next poll, whatever else is runnable.
    pub(in crate::exec) const NOW: u32 = Self::DUE | Self::WORK | Self::SOONER;

    const_fn! {
    pub(in crate::exec) const fn new() -> Self {
        Self(AtomicU32::new(0))
    }
    }

    /// Tells the executor that its alarm has gone off, or that its time has come to an instant at which it
    /// would have: the runner ends its pass after the poll under way, if there is one, and reads the clock.
    /// Any context; one atomic OR.
    ///
    /// Whoever calls this from another context than the runner's still has to end the sleep of a runner that
    /// sleeps.
    pub fn raise(&self) {
        self.set(Self::DUE);
    }

    pub(in crate::exec) fn set(&self, flags: u32) {
        self.0.fetch_or(flags, Ordering::Release);
    }

    #[inline(always)]
    pub(in crate::exec) fn bits(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    /// Whether no flag is up.
    #[inline(always)]
    pub(in crate::exec) fn is_clear(&self) -> bool {
        self.bits() == 0
    }

    #[inline(always)]
    pub(in crate::exec) fn has(&self, flags: u32) -> bool {
        self.bits() & flags != 0
    }

    /// Takes flags down; returns whether one was up. A plain load when none is.
    #[inline(always)]
    pub(in crate::exec) fn take(&self, flags: u32) -> bool {
        self.has(flags) && self.0.fetch_and(!flags, Ordering::AcqRel) & flags != 0
    }

    #[inline(always)]
    pub(in crate::exec) fn take_due(&self) -> bool {
        self.take(Self::DUE)
    }

    #[inline(always)]
    pub(in crate::exec) fn is_due(&self) -> bool {
        self.has(Self::DUE)
    }
}

impl ::core::fmt::Debug for AlarmDue {
    fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
        f.debug_tuple("AlarmDue").field(&self.is_due()).finish()
    }
}
