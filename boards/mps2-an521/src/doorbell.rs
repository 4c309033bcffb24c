//! How one core reaches the other: the interrupts of the message handling units.
//!
//! Each unit has an interrupt to each core. Unit 0 ends a core's sleep; unit 1 is the interrupt in which an
//! executor pre-empts core 0's thread mode.

use cortex_m::peripheral::NVIC;
use trilane_cortex_m::{Bound, Irq, Line, Nudge, Register};

use crate::vectors::{MHU0_IRQ, MHU1_IRQ};
use crate::{Preemptive, cores, time};

/// What raises one interrupt and takes it down.
struct Bell {
    set: Register,
    clear: Register,
}

impl Bell {
    /// One of the four bits that may raise the interrupt.
    const BIT: u32 = 1;

    /// # Safety
    ///
    /// `base` is the address of a core's registers in a message handling unit.
    const unsafe fn at(base: usize) -> Self {
        // SAFETY: the unit's registers, none of which makes it write to memory.
        unsafe { Self { set: Register::at(base + 0x4), clear: Register::at(base + 0x8) } }
    }

    #[inline]
    fn ring(&self) {
        // What was written before, a woken bit above all, must be in memory when the other core hears of it.
        cortex_m::asm::dmb();
        self.set.write(Self::BIT);
    }

    /// Takes the interrupt down, before the handler looks at what it announced: another ring from then on
    /// raises it again.
    #[inline]
    fn answer(&self) {
        self.clear.write(Self::BIT);
        cortex_m::asm::dsb();
    }
}

// SAFETY: unit 0 of the SSE-200, core by core.
const AWAKE: [Bell; 2] = unsafe { [Bell::at(0x5000_3000), Bell::at(0x5000_3010)] };
// SAFETY: core 0's part of unit 1.
const PREEMPT: Bell = unsafe { Bell::at(0x5000_4000) };

/// Ends the sleep of core `CORE`.
///
/// Only the other core has to ring: what wakes a task on the core itself is its run loop, which doesn't
/// sleep, or an interrupt, which ends the sleep by itself.
pub struct Doorbell<const CORE: usize>;

impl<const CORE: usize> Nudge for Doorbell<CORE> {
    const NEEDED: bool = true;

    #[inline]
    fn nudge() {
        if cores::this() != CORE {
            AWAKE[CORE].ring();
        }
    }
}

/// The interrupt of [`Preemptive`], on core 0.
pub struct Preempting;

impl Line for Preempting {
    type Clock = time::Timers;

    const IRQ: Irq = MHU1_IRQ;
    const PRIORITY: u8 = 0xC0;

    #[inline]
    fn pend() {
        PREEMPT.ring();
    }

    #[inline]
    fn bound() -> &'static Bound {
        static BOUND: Bound = Bound::new();
        &BOUND
    }
}

/// Lets the core that calls it hear the bell that ends its sleep.
pub(crate) fn start() {
    // SAFETY: no critical section is built on this interrupt being disabled, and its handler is in the vector
    // table.
    unsafe { NVIC::unmask(MHU0_IRQ) };
}

/// The handler of MHU0, on either core. To end the WFI is enough; the executor finds what is woken by its
/// bits.
pub(crate) fn on_awake() {
    AWAKE[cores::this()].answer();
}

/// The handler of MHU1.
///
/// # Safety
///
/// The caller is the handler of that interrupt, on core 0.
pub(crate) unsafe fn on_preempt() {
    PREEMPT.answer();
    // SAFETY: the caller's promise.
    unsafe { Preemptive::on_interrupt() }
}
