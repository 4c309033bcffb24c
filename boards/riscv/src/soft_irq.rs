//! An interrupt that software pends.

use core::cell::Cell;

use critical_section::Mutex;
use riscv::register::mip;

/// What the interrupt runs, if anything yet.
type Handler = Option<fn()>;

/// The supervisor's software interrupt, which a hart without a supervisor lends to tests and benches to pend
/// at will.
///
/// Each hart has its own, all with this handler. The board enables it (`mie.SSIE`) and makes
/// [`SoftIrq::on_interrupt`] the handler of `SupervisorSoft`.
pub struct SoftIrq(Mutex<Cell<Handler>>);

impl SoftIrq {
    /// Nothing to run.
    pub const fn new() -> Self {
        Self(Mutex::new(Cell::new(None)))
    }

    /// Makes `handler` what the interrupt runs, in place of any other.
    pub fn bind(&self, handler: fn()) {
        critical_section::with(|cs| self.0.borrow(cs).set(Some(handler)));
    }

    /// Pends the interrupt of the hart that calls. Unless it is masked, the handler has run when this
    /// returns.
    #[inline]
    pub fn trigger(&self) {
        // SAFETY: a CSR of the hart's own; a pending interrupt breaks nothing.
        unsafe { mip::set_ssoft() };
    }

    /// The interrupt's handler.
    #[inline]
    pub fn on_interrupt(&self) {
        // SAFETY: a CSR of the hart's own; this is the interrupt that is pending.
        unsafe { mip::clear_ssoft() };
        if let Some(handler) = critical_section::with(|cs| self.0.borrow(cs).get()) {
            handler();
        }
    }
}

impl Default for SoftIrq {
    fn default() -> Self {
        Self::new()
    }
}
