//! An interrupt for tests and benches, pended by software now or later.

use cortex_m::peripheral::NVIC;
use trilane_cortex_m::{Register, SoftIrq};

use crate::CLOCK_HZ;
use crate::vectors::{DUALTIMER_IRQ, SOFT_IRQ};

static SOFT: SoftIrq = SoftIrq::new(SOFT_IRQ);

// SAFETY: TIMER1LOAD, TIMER1CONTROL and TIMER1INTCLR of the AN385's DUALTIMER; a timer writes no memory.
const LOAD: Register = unsafe { Register::at(0x4000_2000) };
// SAFETY: as above.
const CONTROL: Register = unsafe { Register::at(0x4000_2008) };
// SAFETY: as above.
const INTERRUPT_CLEAR: Register = unsafe { Register::at(0x4000_200C) };

const ONE_SHOT: u32 = 1 << 0;
const WIDTH_32: u32 = 1 << 1;
const INTERRUPT_ENABLE: u32 = 1 << 5;
const ENABLE: u32 = 1 << 7;

/// Makes `handler` what the interrupt runs, in place of any other.
pub fn bind(handler: fn()) {
    SOFT.bind(handler);
}

/// Pends the interrupt. In thread mode, unless interrupts are masked, the handler has run when this returns.
#[inline]
pub fn trigger() {
    SOFT.trigger();
}

/// Pends the interrupt `micros` from now, up to 171 s, in place of an earlier call's: for what has to happen while the
/// program sleeps.
pub fn trigger_after(micros: u32) {
    CONTROL.write(0);
    INTERRUPT_CLEAR.write(0);
    LOAD.write(micros.saturating_mul(CLOCK_HZ / 1_000_000).max(1));
    CONTROL.write(ENABLE | INTERRUPT_ENABLE | WIDTH_32 | ONE_SHOT);
    // SAFETY: no critical section is built on this interrupt being disabled, and its handler is in the vector table.
    unsafe { NVIC::unmask(DUALTIMER_IRQ) };
}

/// The handler of DUALTIMER. Both interrupts have one priority, so the bound handler runs after this one.
pub(crate) fn on_delay() {
    CONTROL.write(0);
    INTERRUPT_CLEAR.write(0);
    NVIC::pend(SOFT_IRQ);
}

/// The handler of the pended interrupt.
#[inline]
pub(crate) fn on_trigger() {
    SOFT.on_interrupt();
}
