//! What one selector counts, on cache lines of its own.

use crate::sync::{AtomicBool, AtomicUsize, Ordering, array_of, const_fn};

/// The counts of an endpoint in one stripe. They only ever rise, and wrap; so what is in flight is their
/// difference, and nothing is lost when an endpoint is removed and its slot has another while leases of the
/// first are out.
#[cfg_attr(target_has_atomic = "64", repr(align(64)))]
pub(in crate::route) struct Counts {
    /// Leases taken: written by the stripe's selector alone.
    taken: AtomicUsize,
    /// Leases ended, by how: written by any context.
    ended: [AtomicUsize; 3],
    /// What the four counts were when the endpoint was added.
    bases: [AtomicUsize; 4],
}

/// How a lease ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(in crate::route) enum Verdict {
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
pub(in crate::route) struct Stripe {
    claimed: AtomicBool,
    pub errors: [AtomicUsize; crate::route::SelectError::KINDS],
    pub refills: AtomicUsize,
}

impl Stripe {
    const_fn! {
    pub const fn new() -> Self {
        Self {
            claimed: AtomicBool::new(false),
            errors: array_of![AtomicUsize::new(0); crate::route::SelectError::KINDS],
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
}

impl Counts {
    const_fn! {
    pub const fn new() -> Self {
        Self {
            taken: AtomicUsize::new(0),
            ended: array_of![AtomicUsize::new(0); 3],
            bases: array_of![AtomicUsize::new(0); 4],
        }
    }
    }

    /// The stripe's selector has taken a lease.
    #[inline(always)]
    pub fn take(&self) {
        // Stripe Invariant: no other writer, so no lost count.
        self.taken.store(self.taken.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    /// A lease has ended. Release: what its holder did comes before the count.
    #[inline(always)]
    pub fn end(&self, verdict: Verdict) {
        self.ended[verdict as usize].fetch_add(1, Ordering::Release);
    }

    /// How many leases of this stripe's selector are out.
    #[inline(never)]
    pub fn in_flight(&self) -> u32 {
        // The ends first: a lease that is taken and ended in between must not count as minus one.
        let ended =
            self.ended.iter().fold(0usize, |sum, ended| sum.wrapping_add(ended.load(Ordering::Acquire)));
        self.taken.load(Ordering::Relaxed).wrapping_sub(ended) as u32
    }

    /// Taken, succeeded, failed and released, since the endpoint was added.
    pub fn since_added(&self) -> [usize; 4] {
        core::array::from_fn(|at| self.now(at).wrapping_sub(self.bases[at].load(Ordering::Relaxed)))
    }

    /// A new endpoint has the slot.
    #[inline(never)]
    pub fn begin(&self) {
        for (at, base) in self.bases.iter().enumerate() {
            base.store(self.now(at), Ordering::Relaxed);
        }
    }

    fn now(&self, at: usize) -> usize {
        match at.checked_sub(1) {
            None => self.taken.load(Ordering::Relaxed),
            Some(how) => self.ended[how % 3].load(Ordering::Relaxed),
        }
    }
}
