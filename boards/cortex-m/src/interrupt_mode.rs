//! The platform of an executor that runs in an interrupt.

use core::cell::OnceCell;
use core::marker::PhantomData;

use cortex_m::peripheral::{NVIC, Peripherals};
use critical_section::{CriticalSection, Mutex};
use trilane::exec::{AlarmDue, Handler, Platform};
use trilane::time::Instant;

use crate::{Clock, Irq, Level};

/// An interrupt of no device's, in which a board lets an executor run.
pub trait Line: 'static {
    /// The timer that the executor shares with thread mode's.
    type Clock: Clock;

    /// The interrupt.
    const IRQ: Irq;

    /// Its priority, as the register holds it: lower is more urgent, and the chip looks at the upper bits
    /// alone, at no more than two of them on a Cortex-M0.
    ///
    /// Less urgent than the clock's and the alarm's timers, which go on while tasks run, and than the devices
    /// whose interrupts wake the tasks. `0xC0` is the least urgent on each chip, and pre-empts thread mode.
    const PRIORITY: u8;

    /// Pends the interrupt, from any context. A chip with another core, which has an NVIC of its own, does it
    /// by a device that both reach.
    #[inline]
    fn pend() {
        NVIC::pend(Self::IRQ);
    }

    /// What the interrupt drives.
    fn bound() -> &'static Bound;
}

/// The handler that has been bound to a [`Line`], if one has yet.
///
/// **Bound Invariant.** Written once, before the interrupt is enabled, and never again.
pub struct Bound(Mutex<OnceCell<Handler>>);

impl Bound {
    /// None yet.
    pub const fn new() -> Self {
        Self(Mutex::new(OnceCell::new()))
    }
}

impl Default for Bound {
    fn default() -> Self {
        Self::new()
    }
}

/// The platform of an executor that runs in the interrupt `L` and pre-empts thread mode: a wake pends the
/// interrupt.
///
/// Takes no room; it is one per executor all the same, since the interrupt drives one.
pub struct InterruptMode<L>(PhantomData<fn() -> L>);

impl<L: Line> InterruptMode<L> {
    /// The platform. The board starts the clock itself, before `main`.
    pub const fn new() -> Self {
        Self(PhantomData)
    }

    /// Lets the interrupt drive the executor of `handler`, for ever, and enables it. What was spawned or
    /// woken before runs now, if the caller's priority is lower.
    ///
    /// To be called on the core on which the executor is to run.
    ///
    /// # Panics
    ///
    /// When the interrupt drives an executor already.
    pub fn start(handler: Handler) {
        critical_section::with(|cs| {
            let bound = L::bound().0.borrow(cs).set(handler);
            assert!(bound.is_ok(), "the interrupt drives an executor already: it has room for one");
            // SAFETY: a Cortex-M0 changes a priority by writing those of four interrupts, and nothing does so
            // at the same time: this is a critical section.
            unsafe { Peripherals::steal().NVIC.set_priority(L::IRQ, L::PRIORITY) };
        });
        // SAFETY: enabling an interrupt may break a critical section built on its being disabled; nothing
        // builds one on this interrupt, and its handler is in place.
        unsafe { NVIC::unmask(L::IRQ) };
    }

    /// The interrupt's entry in the vector table.
    ///
    /// # Safety
    ///
    /// The caller is the handler of the interrupt `L`, on one core, and nobody but [`start`](Self::start) has
    /// enabled that.
    #[inline]
    pub unsafe fn on_interrupt() {
        // SAFETY: Bound Invariant: as the interrupt is enabled, nobody writes, and reading needs no critical
        // section.
        let cs = unsafe { CriticalSection::new() };
        let handler = L::bound().0.borrow(cs).get();
        debug_assert!(handler.is_some(), "the interrupt was enabled before it was bound");
        // SAFETY: the interrupt is enabled, so there is a handler. An interrupt doesn't interrupt itself, and
        // `start` took the handler by value: the promise of the caller makes this the runner's context
        // (Executor Invariant 5).
        unsafe { handler.unwrap_unchecked().on_interrupt() }
    }
}

impl<L: Line> Default for InterruptMode<L> {
    fn default() -> Self {
        Self::new()
    }
}

impl<L: Line> Platform for InterruptMode<L> {
    const PENDS: bool = true;

    #[inline]
    fn now(&self) -> Instant {
        Instant::from_micros(L::Clock::now())
    }

    #[inline]
    fn set_alarm(&self, at: Option<Instant>) {
        L::Clock::alarm().set(Level::Interrupt, at.map(Instant::as_micros));
    }

    #[inline]
    fn watch_alarm(&self, due: &'static AlarmDue) -> bool {
        L::Clock::alarm().watch(Level::Interrupt, due);
        true
    }

    /// The interrupt begins within a few instructions of a wake in thread mode, and after a handler that is
    /// as urgent or more.
    #[inline]
    fn pend(&self) {
        L::pend();
    }

    /// Never called: the handler returns instead.
    fn idle(&self, _quiet: &dyn Fn() -> bool) {}
}
