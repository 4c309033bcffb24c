//! Sets of slots as bits: banks of 32 and one summary word.
//!
//! A set of up to 1,024 slots is [`BANKS`](AtomicBitmap) words of 32 bits and a summary whose bit *b* says
//! that bank *b* may have something. Finding the first member costs two bit scans, whatever the capacity.
//!
//! Two forms: [`Bitmap`] for data with one owner, [`AtomicBitmap`] for sets which any context may add to
//! while one owner drains. Both are built of words; the executor keeps its [`Bank`] words beside the task
//! headers that they describe, because a waker then reaches its bit from the header's address alone.
//!
//! # Summary Invariant
//!
//! A set bit in a bank is covered by the summary's bit, or the context that set it is about to cover it.
//! Hence: set the bank's bit *before* the summary's; clear the summary *before* the bank. The reverse order
//! loses members.

use crate::sync::{AtomicU32, Ordering, array_of, const_fn};

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

    /// The same with the bit itself; returns the bit if it was set before, else 0.
    #[inline(always)]
    pub(crate) fn insert_bit(&self, bit: u32) -> u32 {
        self.0.fetch_or(bit, Ordering::Release) & bit
    }

    /// Clears bit `index` and returns whether it was set. Any context, O(1).
    #[inline(always)]
    pub fn remove(&self, index: u32) -> bool {
        let bit = bit(index);
        self.0.fetch_and(!bit, Ordering::AcqRel) & bit != 0
    }

    /// Clears bits that are set, and returns which of them were. Any context, O(1); a plain load when none
    /// is.
    #[inline(always)]
    pub(crate) fn remove_bits(&self, bits: u32) -> u32 {
        if self.bits() & bits == 0 { 0 } else { self.0.fetch_and(!bits, Ordering::AcqRel) & bits }
    }

    /// Clears bits when the one owner who clears any has just seen them.
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
    /// and a store. Release: whoever sees the bit sees what came before.
    #[inline(always)]
    pub(crate) fn write(&self, index: u32, set: bool) {
        let (bits, bit) = (self.bits(), bit(index));
        self.0.store(if set { bits | bit } else { bits & !bit }, Ordering::Release);
    }

    /// Clears the word and returns what it held. The empty case is one plain load: an exclusive load in an
    /// idle pass would set the event flag of some cores and keep them from sleeping.
    #[inline(always)]
    pub fn take(&self) -> u32 {
        if self.is_empty() { 0 } else { self.0.swap(0, Ordering::Acquire) }
    }

    /// [`take`](Self::take) when the one owner who clears bits has just seen one.
    #[inline(always)]
    pub(crate) fn take_seen(&self) -> u32 {
        let bits = self.0.swap(0, Ordering::Acquire);
        // SAFETY: the caller is the only one who clears bits, and has seen one.
        unsafe { core::hint::assert_unchecked(bits != 0) };
        bits
    }

    /// Clears the lowest set bit and returns its number, or `None` if there is none. Any context; lock-free.
    #[inline]
    pub fn claim(&self) -> Option<u32> {
        let mut bits = self.0.load(Ordering::Relaxed);
        while bits != 0 {
            let lowest = bits & bits.wrapping_neg();
            let before = self.0.fetch_and(!lowest, Ordering::AcqRel);
            if before & lowest != 0 {
                return Some(lowest.trailing_zeros());
            }
            bits = before;
        }
        None
    }

    /// Whether no bit is set: one plain load.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.bits() == 0
    }

    /// As [`bits`](Self::bits); what came before a [`write`](Self::write) that it sees is seen.
    #[inline(always)]
    pub(crate) fn bits_acquire(&self) -> u32 {
        self.0.load(Ordering::Acquire)
    }

    /// The word as it is now: one plain load, no ordering.
    #[inline(always)]
    pub fn bits(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A set of up to `BANKS * 32` slots with any number of inserters and one drainer.
///
/// # Examples
///
/// ```
/// use trilane::bitmap::AtomicBitmap;
///
/// static WOKEN: AtomicBitmap<2> = AtomicBitmap::new();
/// assert!(!WOKEN.insert(40));
/// assert!(WOKEN.insert(40)); // it was a member already
/// let mut seen = 0;
/// WOKEN.drain(|slot| seen = slot);
/// assert_eq!(seen, 40);
/// assert!(WOKEN.is_empty());
/// ```
pub struct AtomicBitmap<const BANKS: usize> {
    summary: Bank,
    banks: [Bank; BANKS],
}

impl<const BANKS: usize> AtomicBitmap<BANKS> {
    const_fn! {
    /// The empty set.
    pub const fn new() -> Self {
        const { assert!(BANKS >= 1 && BANKS <= MAX_BANKS, "a bitmap has 1 to 32 banks") }
        Self { summary: Bank::new(0), banks: array_of![Bank::new(0); BANKS] }
    }
    }

    /// Adds `slot` and returns whether it was a member. Any context, O(1). A slot beyond the capacity is left
    /// out and reported as no member.
    #[inline]
    pub fn insert(&self, slot: u16) -> bool {
        let (bank, index) = split(slot);
        let Some(word) = self.banks.get(bank) else { return false };
        let was = word.insert(index);
        self.summary.insert(bank as u32);
        was
    }

    /// Removes `slot` and returns whether it was a member. Any context, O(1).
    pub fn remove(&self, slot: u16) -> bool {
        let (bank, index) = split(slot);
        self.banks.get(bank).is_some_and(|word| word.remove(index))
    }

    /// Whether `slot` is a member now.
    pub fn contains(&self, slot: u16) -> bool {
        let (bank, index) = split(slot);
        self.banks.get(bank).is_some_and(|word| word.bits() >> index & 1 == 1)
    }

    /// Takes every member out, lowest first, and hands each to `each` once. One drainer at a time; members
    /// that arrive meanwhile stay for the next drain or are part of this one. O(members + banks touched);
    /// empty: one plain load.
    pub fn drain(&self, mut each: impl FnMut(u16)) {
        let mut summary = self.summary.take();
        while summary != 0 {
            let bank = summary.trailing_zeros() as usize;
            summary &= summary - 1;
            let mut bits = self.banks[bank].take();
            while bits != 0 {
                each(slot(bank, bits.trailing_zeros()));
                bits &= bits - 1;
            }
        }
    }

    /// Whether no bank is covered: one plain load. A member whose inserter has not covered it yet isn't seen.
    pub fn is_empty(&self) -> bool {
        self.summary.is_empty()
    }
}

impl<const BANKS: usize> Default for AtomicBitmap<BANKS> {
    fn default() -> Self {
        Self::new()
    }
}

/// A set of up to `BANKS * 32` slots with one owner.
///
/// # Examples
///
/// ```
/// use trilane::bitmap::Bitmap;
///
/// let mut free: Bitmap<1> = Bitmap::filled(8);
/// assert_eq!(free.pop_first(), Some(0));
/// assert!(free.insert(0));
/// assert_eq!(free.iter().count(), 8);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bitmap<const BANKS: usize> {
    summary: u32,
    banks: [u32; BANKS],
}

impl<const BANKS: usize> Bitmap<BANKS> {
    /// The empty set.
    pub const fn new() -> Self {
        const { assert!(BANKS >= 1 && BANKS <= MAX_BANKS, "a bitmap has 1 to 32 banks") }
        Self { summary: 0, banks: [0; BANKS] }
    }

    /// The set that holds the first `per_bank` entries of each bank; more than 32 counts as 32.
    pub const fn filled(per_bank: usize) -> Self {
        let mut map = Self::new();
        let bits = low_bits(per_bank);
        let mut bank = 0;
        while bank < BANKS && bits != 0 {
            map.banks[bank] = bits;
            map.summary |= 1 << bank;
            bank += 1;
        }
        map
    }

    /// Adds `slot`; returns whether it is new. A slot beyond the capacity is not added. O(1).
    pub fn insert(&mut self, slot: u16) -> bool {
        let (bank, index) = split(slot);
        let Some(word) = self.banks.get_mut(bank) else { return false };
        let new = *word >> index & 1 == 0;
        *word |= 1 << index;
        self.summary |= 1 << bank;
        new
    }

    /// Removes `slot`; returns whether it was a member. O(1).
    pub fn remove(&mut self, slot: u16) -> bool {
        let (bank, index) = split(slot);
        let Some(word) = self.banks.get_mut(bank) else { return false };
        let was = *word >> index & 1 == 1;
        *word &= !(1 << index);
        if *word == 0 {
            self.summary &= !(1 << bank);
        }
        was
    }

    /// Whether `slot` is a member. O(1).
    pub fn contains(&self, slot: u16) -> bool {
        let (bank, index) = split(slot);
        self.banks.get(bank).is_some_and(|word| word >> index & 1 == 1)
    }

    /// The lowest member. O(1).
    pub fn first(&self) -> Option<u16> {
        if self.summary == 0 {
            return None;
        }
        let bank = self.summary.trailing_zeros() as usize;
        Some(slot(bank, self.banks[bank].trailing_zeros()))
    }

    /// Removes and returns the lowest member. O(1).
    pub fn pop_first(&mut self) -> Option<u16> {
        let first = self.first()?;
        self.remove(first);
        Some(first)
    }

    /// The number of members. O(banks).
    pub fn len(&self) -> usize {
        self.banks.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether there are no members. O(1).
    pub fn is_empty(&self) -> bool {
        self.summary == 0
    }

    /// The members, lowest first.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        self.banks.iter().enumerate().flat_map(|(bank, &word)| Bits(word).map(move |index| slot(bank, index)))
    }
}

impl<const BANKS: usize> Default for Bitmap<BANKS> {
    fn default() -> Self {
        Self::new()
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
        if self.0 == 0 {
            return None;
        }
        let index = self.0.trailing_zeros();
        self.0 &= self.0 - 1;
        Some(index)
    }
}
