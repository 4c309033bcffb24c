//! The platform of the executor that runs in thread mode.

use core::marker::PhantomData;

use trilane::exec::{AlarmDue, Platform};
use trilane::time::Instant;
use trilane_chip::{Clock, Level};

use crate::{Hart, Timer, current};

/// The platform of a thread-mode executor on the hart `H`: a function that never returns is its run loop, and
/// each interrupt of the hart pre-empts it.
///
/// Tickless: between wakes the hart is in WFI, and the only interrupt that time causes is the alarm asked
/// for.
///
/// Takes no room; it is one per executor all the same, since [`Hart::alarm`] waits for one instant of
/// [`Level::Thread`].
pub struct ThreadMode<H>(PhantomData<fn() -> H>);

impl<H: Hart> ThreadMode<H> {
    /// The platform. The board sets the hart up itself.
    pub const fn new() -> Self {
        Self(PhantomData)
    }

    /// As [`idle`](Platform::idle); calls `awake` if it slept, before the handler of the interrupt that ended
    /// the sleep.
    #[inline]
    pub fn sleep(&self, quiet: impl Fn() -> bool, awake: impl FnOnce()) {
        // Interrupts are masked from the check to the sleep, so no wake falls between them. WFI ends on a
        // pending interrupt even then; its handler runs when the mask is lifted. This mask is the hart's own,
        // and not the critical section, which may be a lock that other harts wait for.
        #[cfg(trilane_masked)]
        critical_section::with(|_| quiet()); // Measured in place of the one below, which is as long.
        riscv::interrupt::free(|| {
            if quiet() {
                // What this hart wrote has to reach the devices before it sleeps.
                riscv::asm::fence();
                riscv::asm::wfi();
                awake();
            }
        });
    }
}

impl<H: Hart> Default for ThreadMode<H> {
    fn default() -> Self {
        Self::new()
    }
}

impl<H: Hart> Platform for ThreadMode<H> {
    const PENDS: bool = true;
    const WATCHES: bool = true;

    #[inline]
    fn now(&self) -> Instant {
        Instant::from_micros(Timer::<H>::now())
    }

    #[inline]
    fn set_alarm(&self, at: Option<Instant>) {
        H::alarm().set(Level::Thread, at.map(Instant::as_micros));
    }

    #[inline]
    fn watch_alarm(&self, due: &'static AlarmDue) -> bool {
        H::alarm().watch(Level::Thread, due);
        true
    }

    /// Two instructions on the hart itself, where whoever wakes a task while it sleeps is an interrupt, and
    /// an interrupt ends WFI. From another hart, an interrupt that does nothing else.
    #[inline]
    fn pend(&self) {
        if current() != H::ID {
            H::CLINT.pend(H::ID);
        }
    }

    #[inline]
    fn idle(&self, quiet: &dyn Fn() -> bool) {
        self.sleep(quiet, || ());
    }
}
