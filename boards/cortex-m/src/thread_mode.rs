//! The platform of the executor that runs in thread mode.

use core::marker::PhantomData;

use trilane::exec::Platform;
use trilane::time::Instant;

use crate::{Clock, Level};

/// The platform of a thread-mode executor on a single core: `main` is its run loop, and each interrupt pre-empts it.
///
/// Tickless: between wakes the core is in WFI, and the only interrupt that time causes is the alarm asked for.
///
/// Takes no room; it is one per executor all the same, since [`Clock::alarm`] waits for one instant of [`Level::Thread`].
pub struct ThreadMode<C>(PhantomData<fn() -> C>);

impl<C: Clock> ThreadMode<C> {
    /// The platform. The board starts the clock itself, before `main`.
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<C: Clock> Default for ThreadMode<C> {
    fn default() -> Self {
        Self::new()
    }
}

impl<C: Clock> Platform for ThreadMode<C> {
    /// Whoever wakes a task while the core sleeps is an interrupt, and an interrupt ends WFI.
    const PENDS: bool = false;

    #[inline]
    fn now(&self) -> Instant {
        Instant::from_micros(C::now())
    }

    #[inline]
    fn set_alarm(&self, at: Option<Instant>) {
        C::alarm().set(Level::Thread, at.map(Instant::as_micros));
    }

    #[inline]
    fn pend(&self) {}

    #[inline]
    fn idle(&self, quiet: &dyn Fn() -> bool) {
        // Interrupts are masked from the check to the sleep, so no wake falls between them. WFI ends on a pending
        // interrupt even then; its handler runs when the mask is lifted. The mask is PRIMASK and not the critical
        // section, which may be a lock that other cores wait for. WFI and not WFE, which needs a SEV with each wake.
        cortex_m::interrupt::free(|_| {
            if quiet() {
                // What this core wrote has to reach the devices before it sleeps.
                cortex_m::asm::dsb();
                cortex_m::asm::wfi();
            }
        });
    }
}
