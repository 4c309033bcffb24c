//! An interrupt for tests and benches, pended by software now or later.

use trilane_cortex_m::SoftIrq;

use crate::time::{DELAY, NOW};
use crate::vectors::SOFT_IRQ;

static SOFT: SoftIrq = SoftIrq::new(SOFT_IRQ);

trilane_cortex_m::software_irq!(SOFT);

/// Pends the interrupt `micros` from now, up to 71 minutes, in place of an earlier call's: for what has to
/// happen while the program sleeps.
pub fn trigger_after(micros: u32) {
    critical_section::with(|_| {
        if !DELAY.wait(NOW, micros) {
            on_delay();
        }
    });
}

/// TIMER0 has reached the instant. Both interrupts have one priority, so the bound handler runs after
/// TIMER0's.
pub(crate) fn on_delay() {
    DELAY.stop();
    SOFT.trigger();
}
