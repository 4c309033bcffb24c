//! What has changed lately: an epoch, and a log of a few entries that says where.
//!
//! There are two. One is of the bits that classes of requests are made of; its entries are banks. The other
//! is of ranks, for strategies that keep endpoints in an order: a reported load, a latency, being at the cap;
//! its entries are slots. A selector that comes by often enough finds in the log what to look at, and one
//! that doesn't looks at everything.
//!
//! # Change Invariant
//!
//! A context makes its change first, then advances the epoch (release), then writes the entry of the epoch
//! that it ended. A selector that has seen an epoch (acquire) has seen all changes up to it: these advances
//! are one release sequence, or each is inside the critical section, after those before. An entry tells where
//! one is if it is of the epoch asked for. If it isn't yet, or no longer, nothing is lost: the selector looks
//! everywhere.

use super::endpoints::Endpoints;
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

    /// What `value` stands for has changed. Any context; one atomic addition and one store. It acquires what
    /// the contexts that have noted changes before had written.
    #[inline(always)]
    pub fn note(&self, value: u16) {
        let epoch = self.epoch.fetch_add(1, Ordering::AcqRel);
        // Change Invariant: after the epoch.
        self.entries[epoch as usize % KEPT].store(epoch << VALUE_BITS | u32::from(value), Ordering::Relaxed);
    }

    /// The same, in a log of which all changes are noted inside the critical section: the caller is in it. A
    /// load and two stores; what the contexts before had written is acquired with the section.
    #[inline(always)]
    pub fn note_inside(&self, value: u16) {
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

/// The changes of ranks. Away from what every select reads and writes.
#[cfg_attr(target_has_atomic = "64", repr(align(64)))]
pub(super) struct Ranks(pub Log<32>);

/// What a strategy has to look at again, of one class.
pub struct Dirt {
    /// Banks in which anything may have changed, a bit each.
    pub(super) banks: u32,
    /// All changes of ranks before this epoch have been seen to.
    seen: u32,
}

impl Dirt {
    /// Everything.
    pub(super) const ALL: Self = Self { banks: u32::MAX, seen: 0 };

    /// Whether nothing has changed. Two loads.
    #[inline(always)]
    pub fn is_none<const BANKS: usize, const PER_BANK: usize, const STRIPES: usize>(
        &self,
        endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>,
    ) -> bool {
        self.banks == 0 && self.seen == endpoints.ranks.0.peek()
    }

    /// Takes note that all will be seen to: hands the slots whose ranks have changed to `each`, then returns
    /// the banks, a bit each, that are to be looked at as a whole. At most 32 slots.
    pub fn take<const BANKS: usize, const PER_BANK: usize, const STRIPES: usize>(
        &mut self,
        endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>,
        mut each: impl FnMut(u16),
    ) -> u32 {
        let banks = core::mem::take(&mut self.banks);
        let now = endpoints.ranks.0.epoch();
        let from = core::mem::replace(&mut self.seen, now);
        if banks == u32::MAX || endpoints.ranks.0.since(from, now, &mut each).is_none() {
            return u32::MAX;
        }
        banks
    }
}
