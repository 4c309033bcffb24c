//! SysTick on the core's clock, as a free-running 24-bit down-counter that measures code.
//!
//! It is not the clock of the executor (that would make measuring disturb what is measured), and it raises no
//! interrupt.

use crate::Register;

/// The counter's width.
pub const BITS: u32 = 24;

const RELOAD: u32 = (1 << BITS) - 1;
const ENABLE: u32 = 1 << 0;
const CORE_CLOCK: u32 = 1 << 2;

// SAFETY: the architecture's addresses of SYST_CSR, SYST_RVR and SYST_CVR, on each Cortex-M that has a
// SysTick.
const CONTROL: Register = unsafe { Register::at(0xE000_E010) };
// SAFETY: as above.
const RELOAD_VALUE: Register = unsafe { Register::at(0xE000_E014) };
// SAFETY: as above.
const CURRENT_VALUE: Register = unsafe { Register::at(0xE000_E018) };

/// Starts the counter. It then wraps each 2^24 ticks and needs no care.
pub fn start() {
    RELOAD_VALUE.write(RELOAD);
    CURRENT_VALUE.write(0);
    CONTROL.write(ENABLE | CORE_CLOCK);
}

/// The count: one load instruction.
#[inline(always)]
pub fn read() -> u32 {
    CURRENT_VALUE.read()
}
