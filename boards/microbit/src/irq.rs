//! An interrupt for tests and benches, pended by software now or later.

use trilane_cortex_m::SoftIrq;

use crate::time::{DELAY, NOW};
use crate::vectors::SOFT_IRQ;

static SOFT: SoftIrq = SoftIrq::new(SOFT_IRQ);

/// Makes `handler` what the interrupt runs, in place of any other.
pub fn bind(handler: fn()) {
    SOFT.bind(handler);
}

/// Pends the interrupt. In thread mode, unless interrupts are masked, the handler has run when this returns.
#[inline]
pub fn trigger() {
    SOFT.trigger();
}

/// Pends the interrupt `micros` from now, up to 71 minutes, in place of an earlier call's: for what has to happen while the
/// program sleeps.
pub fn trigger_after(micros: u32) {
    critical_section::with(|_| {
        if !DELAY.wait(NOW, micros) {
            on_delay();
        }
    });
}

/// TIMER0 has reached the instant. Both interrupts have one priority, so the bound handler runs after TIMER0's.
pub(crate) fn on_delay() {
    DELAY.stop();
    SOFT.trigger();
}

/// The handler of the pended interrupt.
#[inline]
pub(crate) fn on_trigger() {
    SOFT.on_interrupt();
}
