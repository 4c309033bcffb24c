//! What one selector counts, on cache lines of its own.

use super::column::Column;
use crate::sync::{AtomicBool, AtomicUsize, Ordering, array_of, const_fn};

/// The counts of an endpoint in one stripe. They only ever rise, and wrap; so what is in flight is their
/// difference, and nothing is lost when an endpoint is removed and its slot has another while leases of the
/// first are out.
pub(super) struct Counts {
    /// Leases taken: written by the stripe's selector alone.
    taken: AtomicUsize,
    /// Leases ended, by how: written by any context.
    ended: [AtomicUsize; 3],
}

/// How a lease ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(super) enum Verdict {
    Succeeded = 0,
    Failed = 1,
    Released = 2,
}

/// One selector's part of the counts.
///
/// # Stripe Invariant
///
/// `claimed` is set exactly while a selector has the stripe; that selector alone writes `taken`, hence by
/// load and store.
#[cfg_attr(target_has_atomic = "64", repr(align(64)))]
pub(super) struct Stripe<const BANKS: usize, const PER_BANK: usize> {
    counts: Column<Counts, BANKS, PER_BANK>,
    /// What the four counts were when the endpoint was added.
    bases: Column<[AtomicUsize; 4], BANKS, PER_BANK>,
    claimed: AtomicBool,
    pub errors: [AtomicUsize; super::SelectError::KINDS],
    pub refills: AtomicUsize,
}

impl<const BANKS: usize, const PER_BANK: usize> Stripe<BANKS, PER_BANK> {
    const_fn! {
    pub const fn new() -> Self {
        Self {
            counts: Column::of(array_of![array_of![Counts::new(); PER_BANK]; BANKS]),
            bases: Column::of(array_of![array_of![array_of![AtomicUsize::new(0); 4]; PER_BANK]; BANKS]),
            claimed: AtomicBool::new(false),
            errors: array_of![AtomicUsize::new(0); super::SelectError::KINDS],
            refills: AtomicUsize::new(0),
        }
    }
    }

    pub fn claim(&self) -> bool {
        !self.claimed.swap(true, Ordering::Acquire)
    }

    pub fn unclaim(&self) {
        self.claimed.store(false, Ordering::Release);
    }

    /// The stripe's selector has taken a lease.
    #[inline(always)]
    pub fn take(&self, slot: u16) {
        let taken = &self.counts.at(slot).taken;
        // Stripe Invariant: no other writer, so no lost count.
        taken.store(taken.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    /// A lease has ended. Release: what its holder did comes before the count.
    #[inline(always)]
    pub fn end(&self, slot: u16, verdict: Verdict) {
        self.counts.at(slot).ended[verdict as usize].fetch_add(1, Ordering::Release);
    }

    /// How many leases of this stripe's selector are out.
    #[inline(always)]
    pub fn in_flight(&self, slot: u16) -> u32 {
        let counts = self.counts.at(slot);
        // The ends first: a lease that is taken and ended in between must not count as minus one.
        let ended =
            counts.ended.iter().fold(0usize, |sum, ended| sum.wrapping_add(ended.load(Ordering::Acquire)));
        counts.taken.load(Ordering::Relaxed).wrapping_sub(ended) as u32
    }

    /// Taken, succeeded, failed and released, since the endpoint was added.
    pub fn since_added(&self, slot: u16) -> [usize; 4] {
        let (counts, bases) = (self.counts.at(slot), self.bases.at(slot));
        core::array::from_fn(|at| counts.now(at).wrapping_sub(bases[at].load(Ordering::Relaxed)))
    }

    /// A new endpoint has the slot.
    pub fn begin(&self, slot: u16) {
        let counts = self.counts.at(slot);
        for (at, base) in self.bases.at(slot).iter().enumerate() {
            base.store(counts.now(at), Ordering::Relaxed);
        }
    }
}

impl Counts {
    const_fn! {
    const fn new() -> Self {
        Self {
            taken: AtomicUsize::new(0),
            ended: array_of![AtomicUsize::new(0); 3],
        }
    }
    }

    fn now(&self, at: usize) -> usize {
        match at.checked_sub(1) {
            None => self.taken.load(Ordering::Relaxed),
            Some(how) => self.ended[how % 3].load(Ordering::Relaxed),
        }
    }
}
