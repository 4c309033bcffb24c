//! The platform of an executor that runs in a hart's software interrupt.

use core::cell::OnceCell;
use core::marker::PhantomData;
use core::sync::atomic::{AtomicBool, Ordering};

use critical_section::{CriticalSection, Mutex};
use riscv::register::mie;
use trilane::exec::{AlarmDue, Handler, Platform};
use trilane::time::Instant;
use trilane_chip::{Clock, Level};

use crate::{Hart, Timer};

/// What a hart's software interrupt is for. Another hart pends it to end the hart's sleep, and for that the
/// interrupt has nothing to do; so the executor that runs in it has a flag besides.
///
/// **Bound Invariant.** The handler is written once, before `bound` is set, and never again.
pub struct Soft {
    pended: AtomicBool,
    bound: AtomicBool,
    handler: Mutex<OnceCell<Handler>>,
}

impl Soft {
    /// Nothing pended, nothing to run.
    pub const fn new() -> Self {
        Self {
            pended: AtomicBool::new(false),
            bound: AtomicBool::new(false),
            handler: Mutex::new(OnceCell::new()),
        }
    }
}

impl Default for Soft {
    fn default() -> Self {
        Self::new()
    }
}

/// The platform of an executor that runs in the software interrupt of the hart `H` and pre-empts thread mode.
///
/// While it runs, the hart's other interrupts are served, so they are of a higher priority.
///
/// Takes no room; it is one per hart all the same, since the interrupt drives one executor.
pub struct InterruptMode<H>(PhantomData<fn() -> H>);

impl<H: Hart> InterruptMode<H> {
    /// The platform. The board sets the hart up itself.
    pub const fn new() -> Self {
        Self(PhantomData)
    }

    /// Lets the interrupt drive the executor of `handler`, for ever. What was spawned or woken before runs
    /// now, if the caller is in thread mode on the hart `H`.
    ///
    /// # Panics
    ///
    /// When the interrupt drives an executor already.
    pub fn start(handler: Handler) {
        let bound = critical_section::with(|cs| H::soft().handler.borrow(cs).set(handler));
        assert!(bound.is_ok(), "the interrupt drives an executor already: it has room for one");
        H::soft().bound.store(true, Ordering::Release);
        pend::<H>();
    }

    /// The handler of the software interrupt.
    ///
    /// # Safety
    ///
    /// The caller is that handler, on the hart `H`, and has interrupts masked.
    #[inline]
    pub unsafe fn on_interrupt() {
        // Down first: whoever sets the flag after it was taken pends the interrupt again.
        H::CLINT.unpend(H::ID);
        let soft = H::soft();
        if !soft.pended.swap(false, Ordering::Acquire) || !soft.bound.load(Ordering::Acquire) {
            return;
        }
        // SAFETY: Bound Invariant: nobody writes any more, and reading needs no critical section.
        let cs = unsafe { CriticalSection::new() };
        let Some(handler) = soft.handler.borrow(cs).get() else { return };
        // SAFETY: a CSR of the hart's own; what is left disabled is enabled again below.
        unsafe { mie::clear_msoft() };
        // SAFETY: the caller is the interrupt's handler and in no critical section, and the interrupt is down
        // and disabled.
        unsafe {
            riscv::interrupt::nested(|| {
                // SAFETY: as the interrupt is disabled until this returns, it doesn't interrupt itself, and
                // `start` took the handler by value: this is the runner's context (Executor Invariant 5).
                handler.on_interrupt();
            });
        }
        // SAFETY: no critical section is built on this interrupt being disabled.
        unsafe { mie::set_msoft() };
    }
}

impl<H: Hart> Default for InterruptMode<H> {
    fn default() -> Self {
        Self::new()
    }
}

impl<H: Hart> Platform for InterruptMode<H> {
    const PENDS: bool = true;

    #[inline]
    fn now(&self) -> Instant {
        Instant::from_micros(Timer::<H>::now())
    }

    #[inline]
    fn set_alarm(&self, at: Option<Instant>) {
        H::alarm().set(Level::Interrupt, at.map(Instant::as_micros));
    }

    #[inline]
    fn watch_alarm(&self, due: &'static AlarmDue) -> bool {
        H::alarm().watch(Level::Interrupt, due);
        true
    }

    /// From any hart. In thread mode on the hart `H`, the interrupt begins within a few instructions.
    #[inline]
    fn pend(&self) {
        pend::<H>();
    }

    /// Never called: the handler returns instead.
    fn idle(&self, _quiet: &dyn Fn() -> bool) {}
}

fn pend<H: Hart>() {
    H::soft().pended.store(true, Ordering::Release);
    H::CLINT.pend(H::ID);
}
