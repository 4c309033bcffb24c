//! Whose rank has changed lately, for strategies that keep endpoints in an order.
//!
//! A rank is whatever such a strategy goes by: a reported load, a latency, being at the cap. Who changes one notes the slot in a
//! log that is a few entries long; a selector that comes by often enough finds there what to look at, and one that
//! doesn't looks at everything.
//!
//! # Rank Invariant
//!
//! A context changes the rank first, then advances the epoch (release), then writes the entry of the epoch that it ended. A
//! selector that has seen an epoch (acquire) has seen the ranks of all changes up to it, since these advances are one
//! release sequence. An entry tells whose they are if it is of the epoch asked for. If it isn't yet, or no longer, nothing
//! is lost: the selector looks everywhere.

use super::endpoints::Endpoints;
use crate::sync::{AtomicU32, Ordering, array_of, const_fn};

/// How many changes are remembered.
const KEPT: usize = 32;
/// The bits of an entry that hold the slot; the others hold the low ones of the epoch.
const SLOT_BITS: u32 = 10;

/// The last changes of ranks. Away from what every select reads and writes.
#[cfg_attr(target_has_atomic = "64", repr(align(64)))]
pub(super) struct Changes {
    epoch: AtomicU32,
    entries: [AtomicU32; KEPT],
}

impl Changes {
    const_fn! {
    pub const fn new() -> Self {
        // Entries are of epoch 0, which nobody asks for before the log has gone round.
        Self { epoch: AtomicU32::new(1), entries: array_of![AtomicU32::new(0); KEPT] }
    }
    }

    /// The rank of `slot` has changed. Any context; one atomic addition and one store.
    #[inline]
    pub fn note(&self, slot: u16) {
        let epoch = self.epoch.fetch_add(1, Ordering::Release);
        // Rank Invariant: after the epoch.
        self.entries[epoch as usize % KEPT].store(epoch << SLOT_BITS | u32::from(slot), Ordering::Relaxed);
    }

    fn entry(&self, epoch: u32) -> Option<u16> {
        let entry = self.entries[epoch as usize % KEPT].load(Ordering::Relaxed);
        (entry >> SLOT_BITS == epoch << SLOT_BITS >> SLOT_BITS).then_some((entry % (1 << SLOT_BITS)) as u16)
    }
}

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
        self.banks == 0 && self.seen == endpoints.ranks.epoch.load(Ordering::Relaxed)
    }

    /// Takes note that all will be seen to: hands the slots whose ranks have changed to `each`, then returns the banks, a
    /// bit each, that are to be looked at as a whole. At most 32 slots.
    pub fn take<const BANKS: usize, const PER_BANK: usize, const STRIPES: usize>(
        &mut self,
        endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>,
        mut each: impl FnMut(u16),
    ) -> u32 {
        let banks = core::mem::take(&mut self.banks);
        let now = endpoints.ranks.epoch.load(Ordering::Acquire);
        let from = core::mem::replace(&mut self.seen, now);
        if banks == u32::MAX {
            return banks;
        }
        if now.wrapping_sub(from) as usize > KEPT {
            return u32::MAX;
        }
        for ahead in 0..now.wrapping_sub(from) {
            match endpoints.ranks.entry(from.wrapping_add(ahead)) {
                Some(slot) => each(slot),
                None => return u32::MAX,
            }
        }
        banks
    }
}
