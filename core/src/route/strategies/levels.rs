//! Which endpoint stands at which level of load: a bitmap a level, shared by all selectors.
//!
//! Finding somebody at the lowest level takes three steps: the levels that have anybody are one bit each, so
//! are the banks of a level that have anybody, and a bank is one word.

use crate::bitmap::{Bits, slot, split};
use crate::route::column::within;
use crate::sync::{AtomicU32, Ordering, array_of, const_fn};

/// The words that `occupied` takes: one bit a level.
const WORDS: usize = 4;

/// Every slot at one of `LEVELS` levels. What all the functions here do to one another's words is
/// sequentially consistent; on hosts that costs nothing, since each change is one locked instruction anyway.
///
/// # Token Invariant
///
/// A slot's bit is set at one level, or at none while one context holds it: whoever clears the bit holds it,
/// and sets it at one level. Nothing else sets bits. So an endpoint is never at two levels, and never lost.
///
/// # Level Invariant
///
/// A load that only rises leaves the bit where it is, too low: a pick that meets it there raises it. When no
/// context is inside [`settle`](Self::settle) for a slot, its bit isn't above the level of its load. For
/// whoever lowers the load does that first, then looks at the level that it has left; whoever holds the bit
/// sets it first, then looks at the load. In the one order of these four, either the first finds the bit, or
/// the second finds the load fallen. The bit can't be at another level above: bits are set at levels that the
/// load had, and of those, the one just left is the next above.
///
/// # Cover Invariant
///
/// When no context is inside a function of this type, a slot's bit is covered by its bank's in `banks`, and
/// that by its level's in `occupied`. Whoever sets a bit looks at its cover after that; whoever clears a
/// cover looks at what it covers after that, and sets it again. Either of them comes second.
pub(super) struct Levels<const BANKS: usize, const LEVELS: usize> {
    /// The levels that may have members. Alone on their line where there are lines, for every select reads
    /// them.
    occupied: Occupied,
    /// For each level, the banks that may have members there. Not used if there is one bank.
    banks: [AtomicU32; LEVELS],
    /// Bank by bank: a move from one level to the next stays on one cache line, and moves in two banks don't
    /// meet.
    members: [[AtomicU32; LEVELS]; BANKS],
}

#[cfg_attr(target_has_atomic = "64", repr(align(64)))]
struct Occupied([AtomicU32; WORDS]);

const_fn! {
/// All of a bank at level 0. Those that aren't endpoints too: nobody picks them, and a new endpoint is found
/// at once.
const fn bank<const LEVELS: usize>() -> [AtomicU32; LEVELS] {
    let mut levels = array_of![AtomicU32::new(0); LEVELS];
    levels[0] = AtomicU32::new(u32::MAX);
    levels
}
}

impl<const BANKS: usize, const LEVELS: usize> Levels<BANKS, LEVELS> {
    const_fn! {
    /// Every slot at level 0.
    pub const fn new() -> Self {
        const { assert!(LEVELS >= 1 && LEVELS <= WORDS * 32) }
        let mut occupied = array_of![AtomicU32::new(0); WORDS];
        occupied[0] = AtomicU32::new(1);
        let mut banks = array_of![AtomicU32::new(0); LEVELS];
        banks[0] = AtomicU32::new(crate::bitmap::low_bits(BANKS));
        Self { occupied: Occupied(occupied), banks, members: array_of![bank(); BANKS] }
    }
    }

    // === Looking ===

    /// The lowest level from `from` on that may have members.
    #[inline(always)]
    pub fn next(&self, from: u32) -> Option<u32> {
        let mut mask = u32::MAX.checked_shl(from % 32).unwrap_or(0);
        for word in from as usize / 32..LEVELS.div_ceil(32) {
            let bits = self.occupied.0[word].load(Ordering::Relaxed) & mask;
            if bits != 0 {
                return Some(word as u32 * 32 + bits.trailing_zeros());
            }
            mask = u32::MAX;
        }
        None
    }

    /// The banks that may have members of `level`, one bit each.
    #[inline(always)]
    pub fn banks(&self, level: u32) -> u32 {
        if BANKS == 1 { 1 } else { self.bank_word(level).load(Ordering::Relaxed) }
    }

    /// The members of `level` in a bank, one bit each.
    #[inline(always)]
    pub fn members(&self, level: u32, bank: usize) -> u32 {
        self.word(level, bank).load(Ordering::SeqCst)
    }

    /// Whether the slot is at `level`.
    #[inline(always)]
    pub fn contains(&self, level: u32, slot: u16) -> bool {
        let (bank, index) = split(slot);
        self.members(level, bank) >> index & 1 == 1
    }

    // === Moving ===

    /// A load has fallen: moves the slot if it stands at the level that this has left. `level` reads the load
    /// anew.
    #[inline(always)]
    pub fn leave(&self, left: u32, slot: u16, level: impl Fn() -> u32) {
        in_order();
        if self.contains(left, slot) {
            self.settle(slot, left, level);
        }
    }

    /// If the slot is at level `from`, moves it to where it belongs. `level` reads the load anew each time.
    ///
    /// O(1) unless others change the load meanwhile: one more turn for each change of level.
    #[inline(never)]
    pub fn settle(&self, slot: u16, from: u32, level: impl Fn() -> u32) {
        let mut from = from;
        while self.take(from, slot) {
            let to = level();
            self.put(to, slot);
            // Level Invariant: the load after the bit.
            in_order();
            if level() == to {
                return;
            }
            from = to;
        }
    }

    /// Moves all of a bank to where they belong: what a load is has changed, not the loads. O(levels + 32).
    pub fn settle_bank(&self, bank: usize, level: impl Fn(u16) -> u32) {
        for at in 0..LEVELS as u32 {
            for index in Bits(self.members(at, bank)) {
                let slot = slot(bank, index);
                if level(slot) != at {
                    self.settle(slot, at, || level(slot));
                }
            }
        }
    }

    /// Takes the token, if it is at `level`.
    #[inline(always)]
    fn take(&self, level: u32, slot: u16) -> bool {
        let (bank, index) = split(slot);
        self.word(level, bank).fetch_and(!(1 << index), Ordering::SeqCst) >> index & 1 == 1
    }

    /// Puts the token to `level`.
    #[inline(always)]
    fn put(&self, level: u32, slot: u16) {
        let (bank, index) = split(slot);
        self.word(level, bank).fetch_or(1 << index, Ordering::SeqCst);
        if BANKS > 1 {
            let banks = self.bank_word(level);
            in_order();
            if banks.load(Ordering::SeqCst) >> bank & 1 == 1 {
                return;
            }
            banks.fetch_or(1 << bank, Ordering::SeqCst);
        }
        self.occupy(level);
    }

    /// Cover Invariant: the level has members.
    fn occupy(&self, level: u32) {
        let (word, bit) = self.occupied_word(level);
        in_order();
        if word.load(Ordering::SeqCst) & bit == 0 {
            word.fetch_or(bit, Ordering::SeqCst);
        }
    }

    /// `banks` were found empty at this level: takes their cover away, and gives it back to those that
    /// aren't.
    #[cold]
    pub fn uncover(&self, level: u32, banks: u32) {
        let (word, bit) = self.occupied_word(level);
        if BANKS > 1 {
            let covers = self.bank_word(level);
            covers.fetch_and(!banks, Ordering::SeqCst);
            in_order();
            let back = Bits(banks).filter(|&bank| self.members(level, bank as usize) != 0);
            let back = back.fold(0, |back, bank| back | 1 << bank);
            if back != 0 {
                covers.fetch_or(back, Ordering::SeqCst);
                self.occupy(level);
            }
            if covers.load(Ordering::SeqCst) != 0 {
                return;
            }
        }
        word.fetch_and(!bit, Ordering::SeqCst);
        in_order();
        let covered = if BANKS > 1 { self.bank_word(level) } else { self.word(level, 0) };
        if covered.load(Ordering::SeqCst) != 0 {
            word.fetch_or(bit, Ordering::SeqCst);
        }
    }

    /// The one level at which a slot is; `None` if it is at none, at two, or not covered. For tests: it takes
    /// O(levels).
    pub fn level_of(&self, slot: u16) -> Option<u32> {
        let (bank, _) = split(slot);
        let mut levels = (0..LEVELS as u32).filter(|&level| self.contains(level, slot));
        let level = levels.next().filter(|_| levels.next().is_none())?;
        let covered = self.banks(level) >> bank & 1 == 1 && self.next(level) == Some(level);
        covered.then_some(level)
    }

    // === Words ===

    #[inline(always)]
    fn word(&self, level: u32, bank: usize) -> &AtomicU32 {
        &self.members[within(bank, BANKS)][within(level as usize, LEVELS)]
    }

    #[inline(always)]
    fn bank_word(&self, level: u32) -> &AtomicU32 {
        &self.banks[within(level as usize, LEVELS)]
    }

    #[inline(always)]
    fn occupied_word(&self, level: u32) -> (&AtomicU32, u32) {
        (&self.occupied.0[level as usize / 32 % WORDS], 1 << (level % 32))
    }
}

/// Between a change and a look at something else. The accesses are sequentially consistent, which is enough;
/// but the model checker takes that for acquire and release, and only a fence for what it is.
#[inline(always)]
fn in_order() {
    #[cfg(trilane_loom)]
    crate::sync::fence(Ordering::SeqCst);
}
