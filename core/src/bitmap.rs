//! Sets of slots as bits: banks of 32 and one summary word.
//!
//! A set of up to 1,024 slots is words of 32 bits, [`Bank`]s, and a summary whose bit *b* says that bank *b*
//! may have something. Finding the first member costs two bit scans, whatever the capacity. The executor
//! keeps its words beside the task headers that they describe, because a waker then reaches its bit from the
//! header's address alone.
//!
//! # Summary Invariant
//!
//! A set bit in a bank is covered by the summary's bit, or the context that set it is about to cover it.
//! Hence: set the bank's bit *before* the summary's; clear the summary *before* the bank. The reverse order
//! loses members.

#[cfg(target_os = "none")]
use crate::sync::fence;
use crate::sync::{AtomicU32, Ordering, const_fn};

/// The most entries a bank holds: the bits of a word.
pub const MAX_PER_BANK: usize = 32;

/// The most banks a bitmap has: the bits of its summary.
pub const MAX_BANKS: usize = 32;

/// The slot number of entry `index` of bank `bank`.
#[inline(always)]
pub const fn slot(bank: usize, index: u32) -> u16 {
    (bank as u32 * MAX_PER_BANK as u32 + index) as u16
}

/// The bank and the bit number of `slot`.
#[inline(always)]
pub const fn split(slot: u16) -> (usize, u32) {
    (slot as usize / MAX_PER_BANK, slot as u32 % MAX_PER_BANK as u32)
}

/// The word with bit `index` of a bank. An index beyond the bank wraps around.
#[inline(always)]
const fn bit(index: u32) -> u32 {
    1u32.wrapping_shl(index)
}

/// On hosts several clear bits, and sleep when there is none: whoever sets one then looks who sleeps.
const INSERTS: Ordering = if cfg!(target_os = "none") { Ordering::Release } else { Ordering::SeqCst };

/// One word of a set that several contexts share.
pub struct Bank(AtomicU32);

impl Bank {
    const_fn! {
    /// A word with the bits of `bits`.
    pub const fn new(bits: u32) -> Self {
        Self(AtomicU32::new(bits))
    }
    }

    /// Sets bit `index` and returns whether it was set before. Any context, O(1).
    ///
    /// Release: what the caller wrote before is seen by whoever takes the bit, also when the bit was set
    /// already, since the OR then continues the release sequence that the taker reads from. There is no "set
    /// already" shortcut by a plain load: it would lose wakes.
    #[inline(always)]
    pub fn insert(&self, index: u32) -> bool {
        self.insert_bit(bit(index)) != 0
    }

    /// Sets bit `index` of a summary on hosts, where it is mostly set and several look at the word: a load
    /// comes first. The caller has set the bank's bit with acquire and release, and whoever clears the
    /// summary takes from the bank by a read-modify-write after it: so one of the two sees the other.
    #[inline(always)]
    #[cfg(not(target_os = "none"))]
    pub(crate) fn cover(&self, index: u32) {
        if self.0.load(Ordering::SeqCst) & bit(index) == 0 {
            self.insert(index);
        }
    }

    /// Sets bit `index` of a summary.
    #[inline(always)]
    #[cfg(target_os = "none")]
    pub(crate) fn cover(&self, index: u32) {
        self.insert(index);
    }

    /// [`insert`](Self::insert) with the bit itself; returns the bit if it was set before, else 0.
    #[inline(always)]
    pub(crate) fn insert_bit(&self, bit: u32) -> u32 {
        self.0.fetch_or(bit, INSERTS) & bit
    }

    /// As [`insert_bit`](Self::insert_bit), with any number of bits; returns those that were set before.
    #[cfg(target_os = "none")]
    #[inline(always)]
    pub(crate) fn insert_bits(&self, bits: u32) -> u32 {
        self.insert_bit(bits)
    }

    /// Clears bit `index` and returns whether it was set. Any context, O(1).
    #[inline(always)]
    pub fn remove(&self, index: u32) -> bool {
        let bit = bit(index);
        self.0.fetch_and(!bit, Ordering::AcqRel) & bit != 0
    }

    /// Clears bits that are set, and returns which of them were. Any context, O(1); a plain load when none
    /// is.
    #[cfg(target_os = "none")]
    #[inline(always)]
    pub(crate) fn remove_bits(&self, bits: u32) -> u32 {
        if self.bits() & bits == 0 { 0 } else { self.0.fetch_and(!bits, Ordering::Acquire) & bits }
    }

    /// Clears bits when the one owner who clears any has just seen them.
    #[cfg(target_os = "none")]
    #[inline(always)]
    pub(crate) fn take_bits(&self, bits: u32) {
        self.0.fetch_and(!bits, Ordering::Acquire);
    }

    /// Exchanges the word, for one that only its owner changes: a store.
    #[inline(always)]
    pub(crate) fn set(&self, bits: u32) {
        self.0.store(bits, Ordering::Relaxed);
    }

    /// Sets or clears bit `index`, for words that the holder of the critical section alone changes: a load
    /// and a store.
    #[inline(always)]
    pub(crate) fn write(&self, index: u32, set: bool) {
        let (bits, bit) = (self.bits(), bit(index));
        self.set(if set { bits | bit } else { bits & !bit });
    }

    /// As [`write`](Self::write) of false; whoever sees the bit cleared sees what came before.
    #[inline(always)]
    pub(crate) fn clear_releasing(&self, index: u32) {
        self.0.store(self.bits() & !bit(index), Ordering::Release);
    }

    /// Clears the word and returns what it held. The empty case is one plain load: an exclusive load in an
    /// idle pass would set the event flag of some cores and keep them from sleeping.
    #[inline(always)]
    pub fn take(&self) -> u32 {
        if self.is_empty() { 0 } else { self.0.swap(0, Ordering::Acquire) }
    }

    /// [`take`](Self::take) when the one owner who clears bits has just seen one. Loads from before it
    /// acquire, too.
    #[cfg(target_os = "none")]
    #[inline(always)]
    pub(crate) fn take_seen(&self) -> u32 {
        let bits = self.0.swap(0, Ordering::Relaxed);
        fence(Ordering::Acquire);
        // SAFETY: the caller is the only one who clears bits, and has seen one.
        unsafe { core::hint::assert_unchecked(bits != 0) };
        bits
    }

    /// Whether no bit is set: one plain load.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.bits() == 0
    }

    /// As [`bits`](Self::bits); what came before a [`clear_releasing`](Self::clear_releasing) that it sees is
    /// seen.
    #[inline(always)]
    pub(crate) fn bits_acquire(&self) -> u32 {
        self.0.load(Ordering::Acquire)
    }

    /// As [`bits`](Self::bits), for somebody who has told that he is about to sleep, by a sequentially
    /// consistent step, and sees each [`insert`](Self::insert) whose context goes on to miss that. The model
    /// checker knows no such loads; a read-modify-write is one.
    #[cfg(not(target_os = "none"))]
    pub(crate) fn bits_before_sleep(&self) -> u32 {
        if cfg!(trilane_loom) { self.0.fetch_or(0, Ordering::SeqCst) } else { self.0.load(Ordering::SeqCst) }
    }

    /// The word as it is now: one plain load, no ordering.
    #[inline(always)]
    pub fn bits(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A word whose lowest `count` bits are set.
pub(crate) const fn low_bits(count: usize) -> u32 {
    if count >= 32 { u32::MAX } else { (1 << count) - 1 }
}

/// The bit numbers of a word, lowest first.
pub(crate) struct Bits(pub u32);

impl Iterator for Bits {
    type Item = u32;

    #[inline(always)]
    fn next(&mut self) -> Option<u32> {
        rolled();
        if self.0 == 0 {
            return None;
        }
        let index = self.0.trailing_zeros();
        self.0 &= self.0 - 1;
        Some(index)
    }
}

/// Keeps a loop from being unrolled: one that is short, and whose copies would be flash.
#[inline(always)]
pub(crate) fn rolled() {
    // SAFETY: there is no instruction.
    #[cfg(all(target_arch = "arm", not(miri)))]
    unsafe {
        core::arch::asm!("", options(nomem, nostack, preserves_flags));
    }
}
