//! The critical section: interrupts off on this core, and a lock that keeps the other one out.

use critical_section::{Impl, RawRestoreState, set_impl};
use trilane::sync::{AtomicU32, Ordering};

use crate::cores;

/// **Owner Invariant.** [`FREE`], or the number plus one of the core that is inside. Only that core makes it
/// free again, and while it is inside its interrupts are masked: so a core that reads its own number here is
/// nested in its own section.
static OWNER: AtomicU32 = AtomicU32::new(FREE);

const FREE: u32 = 0;

/// What the outermost end of a section restores; an inner one restores nothing.
const WERE_MASKED: RawRestoreState = 0;
const WERE_ENABLED: RawRestoreState = 1;
const NESTED: RawRestoreState = 2;

struct BothCores;
set_impl!(BothCores);

// SAFETY: Owner Invariant: `acquire` returns when this core is the owner, with its interrupts masked. The
// exchange acquires what the store has released, so that one section sees what those before it did, on
// whichever core.
unsafe impl Impl for BothCores {
    #[inline]
    unsafe fn acquire() -> RawRestoreState {
        let before = if cortex_m::register::primask::read().is_active() { WERE_ENABLED } else { WERE_MASKED };
        cortex_m::interrupt::disable();
        #[cfg(trilane_masked)]
        if before == WERE_ENABLED {
            crate::masked::MASKED.begins();
        }
        let me = cores::this() as u32 + 1;
        match OWNER.compare_exchange(FREE, me, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => before,
            Err(owner) if owner == me => NESTED,
            Err(_) => wait(me, before),
        }
    }

    #[inline]
    unsafe fn release(before: RawRestoreState) {
        if before == NESTED {
            return;
        }
        OWNER.store(FREE, Ordering::Release);
        if before == WERE_ENABLED {
            #[cfg(trilane_masked)]
            crate::masked::MASKED.ends();
            // SAFETY: the section is over, and interrupts were enabled before it.
            unsafe { cortex_m::interrupt::enable() };
        }
    }
}

/// Waits until the other core is out, with interrupts as they were `before`: what it does inside must not
/// delay this core's.
#[cold]
#[inline(never)]
fn wait(me: u32, before: RawRestoreState) -> RawRestoreState {
    loop {
        if before == WERE_ENABLED {
            // SAFETY: the section hasn't been entered yet, and interrupts were enabled before it.
            unsafe { cortex_m::interrupt::enable() };
        }
        // In QEMU, which runs the cores in turns, this gives the other one its turn.
        core::hint::spin_loop();
        cortex_m::interrupt::disable();
        if OWNER.compare_exchange(FREE, me, Ordering::Acquire, Ordering::Relaxed).is_ok() {
            return before;
        }
    }
}
