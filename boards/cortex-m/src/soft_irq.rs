//! An interrupt that software pends.

use core::cell::Cell;

use cortex_m::interrupt::InterruptNumber;
use cortex_m::peripheral::NVIC;
use critical_section::Mutex;

/// The number of an external interrupt, counted from 0 as the chip's documents do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Irq(pub u16);

// SAFETY: `number` returns the same value each time, and the NVIC ignores numbers that the chip doesn't have.
unsafe impl InterruptNumber for Irq {
    fn number(self) -> u16 {
        self.0
    }
}

/// What the interrupt runs, if anything yet.
type Handler = Option<fn()>;

/// An interrupt of no device's, given to tests and benches to pend at will.
///
/// The board puts [`SoftIrq::on_interrupt`] into its vector table.
pub struct SoftIrq {
    irq: Irq,
    handler: Mutex<Cell<Handler>>,
}

impl SoftIrq {
    /// The interrupt `irq`, which no device on the chip raises.
    pub const fn new(irq: Irq) -> Self {
        Self { irq, handler: Mutex::new(Cell::new(None)) }
    }

    /// Makes `handler` what the interrupt runs, in place of any other, and enables the interrupt.
    pub fn bind(&self, handler: fn()) {
        critical_section::with(|cs| self.handler.borrow(cs).set(Some(handler)));
        // SAFETY: enabling an interrupt may break a critical section built on its being disabled; nothing
        // builds one on this interrupt, and its handler is in place.
        unsafe { NVIC::unmask(self.irq) };
    }

    /// Pends the interrupt. Unless it is masked or the caller's priority is as high, the handler has run when
    /// this returns.
    #[inline]
    pub fn trigger(&self) {
        NVIC::pend(self.irq);
        cortex_m::asm::dsb();
        cortex_m::asm::isb();
    }

    /// The interrupt's entry in the vector table.
    #[inline]
    pub fn on_interrupt(&self) {
        if let Some(handler) = critical_section::with(|cs| self.handler.borrow(cs).get()) {
            handler();
        }
    }
}
