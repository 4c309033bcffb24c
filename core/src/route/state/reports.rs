//! Which endpoints have reported lately: an epoch, and a log of a few entries.
//!
//! A selector that comes by often enough finds in the log what to look at, and one that doesn't looks at
//! everything.
//!
//! # Change Invariant
//!
//! A context takes in a report first, then advances the epoch (release), then writes the entry of the epoch
//! that it ended, all inside the critical section. A selector that has seen an epoch (acquire) has seen all
//! reports up to it: each section comes after those before. An entry tells who has reported if it is of the
//! epoch asked for. If it isn't yet, or no longer, nothing is lost: the selector looks everywhere.

use crate::route::state::link::{Link, Table};
use crate::sync::{AtomicU32, Ordering, array_of, const_fn};

/// The bits of an entry that hold the slot; the others hold the low ones of the epoch after it.
const SLOT_BITS: u32 = 11;
/// So many changes are kept.
const KEPT: usize = 32;

/// The reports that have come or grown old. Away from what every select reads and writes.
#[cfg_attr(target_has_atomic = "64", repr(align(64)))]
pub(in crate::route) struct Reports {
    epoch: AtomicU32,
    entries: [AtomicU32; KEPT],
    /// What looks at them: set with the first.
    pub rules: Link,
}

const fn entry(epoch: u32, slot: u16) -> u32 {
    epoch.wrapping_add(1) << SLOT_BITS | slot as u32
}

impl Reports {
    const_fn! {
    pub const fn new() -> Self {
        // Entries are of the epoch before the first, which nobody asks for before the log has gone round.
        Self { epoch: AtomicU32::new(0), entries: array_of![AtomicU32::new(0); KEPT], rules: Link::new(Table::NONE) }
    }
    }

    /// The slot has another report, or an old one; the caller is in the critical section. A load and two
    /// stores.
    pub fn note(&self, slot: u16) {
        let epoch = self.peek();
        self.epoch.store(epoch.wrapping_add(1), Ordering::Release);
        // Change Invariant: after the epoch.
        self.entries[epoch as usize % KEPT].store(entry(epoch, slot), Ordering::Relaxed);
    }

    /// The epoch; the caller sees all changes before it.
    pub fn epoch(&self) -> u32 {
        self.epoch.load(Ordering::Acquire)
    }

    /// The epoch alone.
    #[inline(always)]
    pub fn peek(&self) -> u32 {
        self.epoch.load(Ordering::Relaxed)
    }

    /// The banks in which something has changed from epoch `from` to `to`, a bit each; `None` if not all is
    /// known. O(32).
    pub fn since(&self, from: u32, to: u32) -> Option<u32> {
        let count = to.wrapping_sub(from);
        if count as usize > KEPT {
            return None;
        }
        let mut banks = 0;
        for epoch in (0..count).map(|ahead| from.wrapping_add(ahead)) {
            let found = self.entries[epoch as usize % KEPT].load(Ordering::Relaxed);
            let slot = found & !(u32::MAX << SLOT_BITS);
            if found != entry(epoch, slot as u16) {
                return None;
            }
            banks |= 1 << crate::bitmap::split(slot as u16).0;
        }
        Some(banks)
    }
}
