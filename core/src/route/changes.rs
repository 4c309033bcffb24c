//! What has changed lately: an epoch, and a log of a few entries that says where.
//!
//! There are two. One is of the bits that classes of requests are made of; its entries are banks. The other
//! is of reports, which come and grow old; its entries are slots. A selector that comes by often enough finds
//! in the log what to look at, and one that doesn't looks at everything.
//!
//! # Change Invariant
//!
//! A context makes its change first, then advances the epoch (release), then writes the entry of the epoch
//! that it ended, all inside the critical section. A selector that has seen an epoch (acquire) has seen all
//! changes up to it: each section comes after those before. An entry tells where one is if it is of the epoch
//! asked for. If it isn't yet, or no longer, nothing is lost: the selector looks everywhere.

use crate::sync::{AtomicU32, Ordering, array_of, const_fn};

/// The bits of an entry that hold the value; the others hold the low ones of the epoch.
const VALUE_BITS: u32 = 11;
/// The value of a change that is everywhere.
pub(super) const EVERYWHERE: u16 = (1 << VALUE_BITS) - 1;

/// An epoch, and the values of the last `KEPT` changes.
pub(super) struct Log<const KEPT: usize> {
    epoch: AtomicU32,
    entries: [AtomicU32; KEPT],
}

impl<const KEPT: usize> Log<KEPT> {
    const_fn! {
    pub const fn new() -> Self {
        // Entries are of epoch 0, which nobody asks for before the log has gone round.
        Self { epoch: AtomicU32::new(1), entries: array_of![AtomicU32::new(0); KEPT] }
    }
    }

    /// What `value` stands for has changed; the caller is in the critical section. A load and two stores.
    #[inline(always)]
    pub fn note(&self, value: u16) {
        let epoch = self.peek();
        self.epoch.store(epoch.wrapping_add(1), Ordering::Release);
        // Change Invariant: after the epoch.
        self.entries[epoch as usize % KEPT].store(epoch << VALUE_BITS | u32::from(value), Ordering::Relaxed);
    }

    /// The epoch; the caller sees all changes before it.
    #[inline(always)]
    pub fn epoch(&self) -> u32 {
        self.epoch.load(Ordering::Acquire)
    }

    /// The epoch alone.
    #[inline(always)]
    pub fn peek(&self) -> u32 {
        self.epoch.load(Ordering::Relaxed)
    }

    /// Hands the values of the changes from epoch `from` to `to` to `each`; `None` if not all are known, or
    /// if one is everywhere. O(`KEPT`).
    pub fn since(&self, from: u32, to: u32, mut each: impl FnMut(u16)) -> Option<()> {
        let count = to.wrapping_sub(from);
        if count as usize > KEPT {
            return None;
        }
        for epoch in (0..count).map(|ahead| from.wrapping_add(ahead)) {
            let entry = self.entries[epoch as usize % KEPT].load(Ordering::Relaxed);
            let value = entry & u32::from(EVERYWHERE);
            if entry ^ value != epoch << VALUE_BITS || value == u32::from(EVERYWHERE) {
                return None;
            }
            each(value as u16);
        }
        Some(())
    }
}

/// The changes of reports. Away from what every select reads and writes.
#[cfg_attr(target_has_atomic = "64", repr(align(64)))]
pub(super) struct Reports(pub Log<32>);
