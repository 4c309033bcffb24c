//! A bank's word on hosts: which slots were woken, and which are claimed.
//!
//! The runner of an executor takes whatever is woken. Several workers that share one, a
//! [`Shard`](crate::exec::Shard), each claim one task at a time, and the word is their run queue: a wake is
//! one OR, a claim one exchange. Nothing can overflow, nothing is queued twice, and no two workers poll one
//! task.
//!
//! # Claim Invariant
//!
//! Of an executor that workers share:
//!
//! 1. Whoever sets a slot's claimed bit owns its live future and its header's plain fields (Executor
//!    Invariant 3 names the runner) until the bit is cleared. That is a worker, or the lanes while the task
//!    is queued there: a queued task keeps its claim, and whoever takes it out of its lane under the lock has
//!    the claim then.
//! 2. Clearing the bit is the last that its owner does with the slot. If a wake came meanwhile, the owner
//!    covers the bank, and tells the platform, before he leaves the shard at the latest.
//! 3. A wake sets the woken bit, claimed or not. If a plain task is claimed after that, that is all: whoever
//!    has the claim sees the bit when he gives it up, or somebody has taken it for a poll by then.
//!
//! # Look Again
//!
//! A wake sets the woken bit, then loads the summary, and leaves it alone if it covers the bank. A worker
//! clears the summary's bit, then looks at the bank by a read-modify-write. In the order of the changes of
//! the bank's word one comes first: the worker sees the wake, or the wake sees the cleared summary. Both are
//! acquire and release.
//!
//! # Seen Wake
//!
//! A wake that finds its bit set has nothing to change, so it only looks: threads that wake what is woken
//! don't take the word from each other. But the poll that answers is to see what came before each of the
//! wakes. So there is a full fence before that look, and one after each step that takes wakes for a poll by a
//! worker: the look finds the wake taken, or what was written before it is seen by whoever takes it.

use crate::sync::{AtomicU64, Ordering, const_fn, fence, fence_after_change};

/// The slots of a bank that were woken, in the low half; those that are claimed, in the high half.
pub(in crate::exec) struct Claims(AtomicU64);

/// The slots of a word that are woken and not claimed.
#[inline(always)]
const fn claimable(word: u64) -> u32 {
    word as u32 & !((word >> 32) as u32)
}

#[inline(always)]
const fn claimed(index: u32) -> u64 {
    1 << (index + 32)
}

/// `word` with the lowest claimable slot of `mask` claimed and its wake taken; and that slot's index.
#[inline(always)]
const fn with_first(word: u64, mask: u32) -> Option<(u64, u32)> {
    let able = claimable(word) & mask;
    if able == 0 {
        return None;
    }
    let index = able.trailing_zeros();
    Some((word & !(1 << index) | claimed(index), index))
}

impl Claims {
    const_fn! {
    /// A word with these slots woken.
    pub const fn new(woken: u32) -> Self {
        Self(AtomicU64::new(woken as u64))
    }
    }

    /// Sets one woken bit. Returns it if it was set before, else 0. Any context, O(1).
    #[inline(always)]
    pub fn insert_bit(&self, bit: u32) -> u32 {
        // A shift: so the compiler sees that it is one bit, and on x86 takes one instruction, and no loop.
        let woken = 1 << bit.trailing_zeros();
        if self.0.fetch_or(woken, Ordering::SeqCst) & woken != 0 { bit } else { 0 }
    }

    /// Whether the bit is set; whoever takes it sees what came before this (Seen Wake). Any context, O(1).
    #[inline(always)]
    pub fn is_seen(&self, bit: u32) -> bool {
        self.bits() & bit != 0 && {
            fence(Ordering::SeqCst);
            self.bits() & bit != 0
        }
    }

    /// Sets woken bits, any number. Returns those that were set before. Any context, O(1).
    #[inline(always)]
    pub fn insert_bits(&self, bits: u32) -> u32 {
        self.0.fetch_or(bits.into(), Ordering::SeqCst) as u32 & bits
    }

    /// The woken slots: one plain load, no ordering.
    #[inline(always)]
    pub fn bits(&self) -> u32 {
        self.0.load(Ordering::Relaxed) as u32
    }

    /// Whether none is woken: one plain load.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.bits() == 0
    }

    // === the one runner takes all that is woken ===

    /// Takes all wakes. Not a load first (Look Again).
    #[inline(always)]
    pub fn take(&self) -> u32 {
        self.remove_bits(u32::MAX)
    }

    /// As [`take`](Self::take), when the caller has just seen one and nobody else takes any. Loads from
    /// before it acquire, too.
    #[inline(always)]
    pub fn take_seen(&self) -> u32 {
        let bits = self.take();
        fence(Ordering::Acquire);
        bits
    }

    /// Takes the wakes of `bits`. Returns which there were.
    #[inline(always)]
    pub fn remove_bits(&self, bits: u32) -> u32 {
        self.0.fetch_and(!u64::from(bits), Ordering::AcqRel) as u32 & bits
    }

    /// As [`remove_bits`](Self::remove_bits), of wakes that the caller has just seen.
    #[inline(always)]
    pub fn take_bits(&self, bits: u32) {
        self.remove_bits(bits);
        fence_after_change();
    }

    // === several workers claim one slot each ===

    /// The slots that are woken and that nobody has claimed. Plain load.
    #[inline(always)]
    pub fn claimable(&self) -> u32 {
        claimable(self.0.load(Ordering::Relaxed))
    }

    /// [`claimable`](Self::claimable) after the summary was cleared: see Look Again.
    #[inline(always)]
    pub fn claimable_again(&self) -> u32 {
        claimable(self.0.fetch_or(0, Ordering::AcqRel))
    }

    /// The slots that are claimed. Plain load.
    #[inline(always)]
    pub fn claimed(&self) -> u32 {
        (self.0.load(Ordering::Relaxed) >> 32) as u32
    }

    /// Claims the lowest slot of `mask` that is woken and unclaimed, and takes its wake. Returns its index,
    /// and which others are claimable.
    #[inline(always)]
    pub fn claim(&self, mask: u32) -> Option<(u32, u32)> {
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            let (next, index) = with_first(word, mask)?;
            match self.0.compare_exchange_weak(word, next, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => {
                    fence_after_change();
                    return Some((index, claimable(next)));
                }
                Err(other) => word = other,
            }
        }
    }

    /// Claims this slot, woken or not, and takes its wake. Returns whether nobody else had it.
    pub fn claim_this(&self, index: u32) -> bool {
        let claim = |word: u64| (word & claimed(index) == 0).then_some(word & !(1 << index) | claimed(index));
        self.0.fetch_update(Ordering::AcqRel, Ordering::Relaxed, claim).is_ok()
    }

    /// Gives a claim up. Returns whether the slot was woken meanwhile: then its bank is to be covered.
    #[inline(always)]
    pub fn release(&self, index: u32) -> bool {
        self.0.fetch_and(!claimed(index), Ordering::AcqRel) >> index & 1 == 1
    }

    /// [`release`](Self::release) and [`claim`](Self::claim) in one step: of the lowest claimable slot that
    /// is neither in `seen` nor this one, or else of a slot of `mask`.
    #[inline(always)]
    pub fn release_and_claim(&self, index: u32, seen: u32, mask: u32) -> (bool, Option<(u32, u32)>) {
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            let released = word & !claimed(index);
            let new = claimable(released) & !(seen | 1 << index);
            let (next, first) = match with_first(released, if new != 0 { new } else { mask }) {
                Some((next, first)) => (next, Some((first, claimable(next)))),
                None => (released, None),
            };
            match self.0.compare_exchange_weak(word, next, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => {
                    fence_after_change();
                    return (word >> index & 1 == 1, first);
                }
                Err(other) => word = other,
            }
        }
    }
}
