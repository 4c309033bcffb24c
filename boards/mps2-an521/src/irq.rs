//! An interrupt of core 0 for tests and benches, pended by software now or later.

use cortex_m::peripheral::NVIC;
use trilane_cortex_m::SoftIrq;
use trilane_cortex_m::cmsdk::HalfTimer;

use crate::time::TICKS_PER_MICRO;
use crate::vectors::SOFT_IRQ;

static SOFT: SoftIrq = SoftIrq::new(SOFT_IRQ);

trilane_cortex_m::software_irq!(SOFT);

// SAFETY: the first half of the DUALTIMER of the SSE-200.
const DELAY: HalfTimer = unsafe { HalfTimer::at(0x5000_2000) };

/// Pends the interrupt `micros` from now, up to 214 s, in place of an earlier call's: for what has to happen
/// while the program sleeps.
pub fn trigger_after(micros: u32) {
    DELAY.run_once(micros.saturating_mul(TICKS_PER_MICRO));
}

/// Half of the handler of DUALTIMER. Both interrupts have one priority, so the bound handler runs after this
/// one.
pub(crate) fn on_dual_timer() {
    if DELAY.flag() {
        DELAY.stop();
        NVIC::pend(SOFT_IRQ);
    }
}
