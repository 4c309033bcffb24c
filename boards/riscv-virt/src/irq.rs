//! An interrupt for tests and benches, pended by software now or later.
//!
//! The machine has no device whose interrupt software could pend: its PLIC can't, and its RTC runs on the
//! host's time. But no hart has a supervisor here, so the supervisor's interrupts are free, and as nothing
//! delegates them the machine gets them: the software interrupt is the one for programs, and the timer's
//! (`stimecmp`, extension Sstc) pends it later.
//!
//! Each hart has these interrupts for itself: what a hart triggers, it handles.

use core::arch::asm;

use riscv::register::mie;
use trilane_riscv::{Hart, SoftIrq};

use crate::harts::Hart0;
use crate::time::TICKS_PER_MICRO;

static SOFT: SoftIrq = SoftIrq::new();

trilane_chip::software_irq!(SOFT);

/// Pends the interrupt `micros` from now, in place of an earlier call's: for what has to happen while the
/// program sleeps.
pub fn trigger_after(micros: u32) {
    set_timer(Hart0::CLINT.now() + u64::from(micros) * u64::from(TICKS_PER_MICRO));
}

/// The handler of the supervisor's timer. Interrupts are masked in it, so the bound handler runs after this
/// one.
pub(crate) fn on_delay() {
    set_timer(u64::MAX);
    SOFT.trigger();
}

/// Enables the interrupts on the hart that calls.
pub(crate) fn set_up() {
    /// Lets `stimecmp` pend the timer's interrupt.
    const STCE: u32 = 1 << 31;
    // SAFETY: sets a bit of menvcfgh, which concerns modes that no hart enters and `stimecmp` alone.
    unsafe { asm!("csrs 0x31A, {}", in(reg) STCE, options(nomem, nostack)) };
    set_timer(u64::MAX);
    // SAFETY: no critical section is built on these interrupts being disabled, and their handlers are linked
    // in.
    unsafe {
        mie::set_ssoft();
        mie::set_stimer();
    }
}

/// Pends the interrupt of the supervisor's timer as long as the clock is at `ticks` or later; `u64::MAX`
/// never.
fn set_timer(ticks: u64) {
    // SAFETY: writes stimecmp and stimecmph, without a value in between that is earlier than both the old and
    // the new one.
    unsafe {
        asm!(
            "csrw 0x15D, {max}",
            "csrw 0x14D, {low}",
            "csrw 0x15D, {high}",
            max = in(reg) u32::MAX,
            low = in(reg) ticks as u32,
            high = in(reg) (ticks >> 32) as u32,
            options(nomem, nostack),
        );
    }
}
