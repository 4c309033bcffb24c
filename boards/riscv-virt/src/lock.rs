//! The critical section: the hart's interrupts are masked, and the other hart is kept out by a lock.

use core::arch::asm;

use critical_section::{Impl, RawRestoreState};
use trilane_riscv::{SpinLock, current, relax};

static LOCK: SpinLock = SpinLock::new();

struct Section;
critical_section::set_impl!(Section);

/// The hart was in a critical section already, so its end changes nothing.
const NESTED: u8 = 0;
/// The hart's interrupts were masked, and stay so.
const MASKED: u8 = 1;
/// The hart's interrupts were not masked.
const UNMASKED: u8 = 2;

/// The bit of mstatus that unmasks interrupts.
const MIE: usize = 1 << 3;

// SAFETY: from `acquire` to `release` the hart's interrupts are masked, so nothing else runs on it, and it
// holds the lock, so the other hart doesn't pass `acquire`. The lock's acquire and release order the memory
// between them.
unsafe impl Impl for Section {
    unsafe fn acquire() -> RawRestoreState {
        let before: usize;
        // SAFETY: masking interrupts breaks nothing. One instruction, where reading mstatus and masking would
        // be four, and this is on each way through an executor.
        unsafe { asm!("csrrci {}, mstatus, {MIE}", out(reg) before, MIE = const MIE) };
        let unmasked = before & MIE != 0;
        #[cfg(trilane_masked)]
        if unmasked {
            crate::masked::MASKED.begins();
        }
        let outermost = LOCK.lock(current(), relax);
        #[cfg(trilane_masked)]
        if outermost && !unmasked {
            // In an interrupt's handler.
            crate::masked::MASKED.begins();
        }
        match (outermost, unmasked) {
            (false, _) => NESTED,
            (true, false) => MASKED,
            (true, true) => UNMASKED,
        }
    }

    unsafe fn release(before: RawRestoreState) {
        if before == NESTED {
            return;
        }
        LOCK.unlock();
        #[cfg(trilane_masked)]
        crate::masked::MASKED.ends();
        if before == UNMASKED {
            // SAFETY: they were unmasked before the section, which ends here.
            unsafe { asm!("csrsi mstatus, {MIE}", MIE = const MIE) };
        }
    }
}
