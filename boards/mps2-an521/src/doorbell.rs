//! How one core ends the other's sleep: the interrupts of message handling unit 0.

use cortex_m::peripheral::NVIC;
use trilane_cortex_m::{Nudge, Register};

use crate::cores;
use crate::vectors::MHU0_IRQ;

/// The registers of the unit that belong to one core.
struct Bell {
    set: Register,
    clear: Register,
}

// SAFETY: CPU0INTR and CPU1INTR of MHU0 of the SSE-200, which writes no memory.
const BELLS: [Bell; 2] = unsafe {
    [
        Bell { set: Register::at(0x5000_3004), clear: Register::at(0x5000_3008) },
        Bell { set: Register::at(0x5000_3014), clear: Register::at(0x5000_3018) },
    ]
};

/// One of the four bits that a core's interrupt has there.
const RING: u32 = 1;

/// Ends the sleep of core `CORE`.
///
/// Only the other core has to ring: what wakes a task on the core itself is its run loop, which doesn't sleep, or an
/// interrupt, which ends the sleep by itself.
pub struct Doorbell<const CORE: usize>;

impl<const CORE: usize> Nudge for Doorbell<CORE> {
    const NEEDED: bool = true;

    #[inline]
    fn nudge() {
        if cores::this() != CORE {
            // The woken bit must be in memory before the other core hears of it.
            cortex_m::asm::dmb();
            BELLS[CORE].set.write(RING);
        }
    }
}

/// Lets the core that calls it hear its bell.
pub(crate) fn start() {
    // SAFETY: no critical section is built on this interrupt being disabled, and its handler is in the vector table.
    unsafe { NVIC::unmask(MHU0_IRQ) };
}

/// The handler of MHU0, on either core. Its work is to end the WFI; the executor finds what is woken by its bits.
pub(crate) fn on_interrupt() {
    BELLS[cores::this()].clear.write(RING);
    // The run loop looks at the bits after this: a bell that rings from now on pends the interrupt again.
    cortex_m::asm::dsb();
}
