//! An interrupt for tests and benches, pended by software now or later.

use cortex_m::peripheral::NVIC;
use trilane_cortex_m::SoftIrq;
use trilane_cortex_m::cmsdk::HalfTimer;

use crate::time::TICKS_PER_MICRO;
use crate::vectors::{DUALTIMER_IRQ, SOFT_IRQ};

static SOFT: SoftIrq = SoftIrq::new(SOFT_IRQ);

trilane_cortex_m::software_irq!(SOFT);

// SAFETY: the first half of the AN385's DUALTIMER.
const DELAY: HalfTimer = unsafe { HalfTimer::at(0x4000_2000) };

/// Pends the interrupt `micros` from now, up to 171 s, in place of an earlier call's: for what has to happen
/// while the program sleeps.
pub fn trigger_after(micros: u32) {
    DELAY.run_once(micros.saturating_mul(TICKS_PER_MICRO));
    // SAFETY: no critical section is built on this interrupt being disabled, and its handler is in the vector
    // table.
    unsafe { NVIC::unmask(DUALTIMER_IRQ) };
}

/// The handler of DUALTIMER. Both interrupts have one priority, so the bound handler runs after this one.
pub(crate) fn on_delay() {
    // Down when an earlier call's delay was over, but kept out, and a later call has replaced it.
    if DELAY.flag() {
        DELAY.stop();
        NVIC::pend(SOFT_IRQ);
    }
}
