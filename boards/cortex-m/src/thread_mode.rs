//! The platform of the executor that runs in thread mode.

use core::marker::PhantomData;

use trilane::exec::{AlarmDue, Platform};
use trilane::time::Instant;

use crate::{Clock, Level};

/// How a wake ends the sleep of a thread-mode executor.
pub trait Nudge: 'static {
    /// Whether a wake has to do anything about it.
    const NEEDED: bool;

    /// Ends the sleep of the executor's core, or keeps it from sleeping. Called from any context, on any
    /// core, after the wake is noted; short.
    fn nudge();
}

/// The nudge of a chip's only core: none. Whoever wakes a task while the core sleeps is an interrupt, and an
/// interrupt ends WFI.
pub struct OneCore;

impl Nudge for OneCore {
    const NEEDED: bool = false;

    #[inline]
    fn nudge() {}
}

/// The platform of a thread-mode executor: `main` is its run loop, and each interrupt pre-empts it. Another
/// core wakes it by `N`.
///
/// Tickless: between wakes the core is in WFI, and the only interrupt that time causes is the alarm asked
/// for.
///
/// Takes no room; it is one per executor all the same, since [`Clock::alarm`] waits for one instant of
/// [`Level::Thread`].
pub struct ThreadMode<C, N = OneCore>(PhantomData<fn() -> (C, N)>);

impl<C: Clock, N: Nudge> ThreadMode<C, N> {
    /// The platform. The board starts the clock itself, before `main`.
    pub const fn new() -> Self {
        Self(PhantomData)
    }

    /// As [`idle`](Platform::idle); calls `awake` if it slept, before the handler of the interrupt that ended
    /// the sleep.
    #[inline]
    pub fn sleep(&self, quiet: impl Fn() -> bool, awake: impl FnOnce()) {
        // Interrupts are masked from the check to the sleep, so no wake falls between them. WFI ends on a
        // pending interrupt even then; its handler runs when the mask is lifted. The mask is PRIMASK and not
        // the critical section, which may be a lock that other cores wait for. WFI and not WFE, which needs a
        // SEV with each wake.
        #[cfg(trilane_masked)]
        critical_section::with(|_| quiet()); // Measured in place of the one below, which is as long.
        cortex_m::interrupt::free(|_| {
            if quiet() {
                // What this core wrote has to reach the devices before it sleeps.
                cortex_m::asm::dsb();
                cortex_m::asm::wfi();
                awake();
            }
        });
    }
}

impl<C: Clock, N: Nudge> Default for ThreadMode<C, N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<C: Clock, N: Nudge> Platform for ThreadMode<C, N> {
    const PENDS: bool = N::NEEDED;
    const WATCHES: bool = true;

    #[inline]
    fn now(&self) -> Instant {
        Instant::from_micros(C::now())
    }

    #[inline]
    fn set_alarm(&self, at: Option<Instant>) {
        C::alarm().set(Level::Thread, at.map(Instant::as_micros));
    }

    #[inline]
    fn watch_alarm(&self, due: &'static AlarmDue) -> bool {
        C::alarm().watch(Level::Thread, due);
        true
    }

    #[inline]
    fn pend(&self) {
        N::nudge();
    }

    #[inline]
    fn idle(&self, quiet: &dyn Fn() -> bool) {
        self.sleep(quiet, || ());
    }
}
