//! Picks among the candidates at the lowest level of load.

use super::few::{self, Load};
use super::levels::Levels;
use super::{Pool, Turn};
use crate::bitmap::{Bits, slot};
use crate::route::{Endpoints, Random};
use crate::sync::Ordering;

/// How many endpoints a select raises to their true level at most.
const REPAIRS: u32 = 32;
/// How many candidates are drawn before a level is looked through.
const DRAWS: u32 = 6;

/// What a selector keeps for one class.
#[derive(Clone, Copy, Debug)]
pub struct Lowest<L> {
    /// The banks that have candidates.
    banks: u32,
    /// The lowest level at which a quarter of the candidates stood when it was looked through last: there it
    /// pays to draw one of all candidates and to see whether it stands there.
    crowded: u32,
    /// What a lease is to each, if they are few.
    load: L,
}

impl<L: Load> Lowest<L> {
    pub(super) const fn new() -> Self {
        Self { banks: 0, crowded: 0, load: L::NONE }
    }

    pub(super) fn refill<const BANKS: usize, const PER_BANK: usize, const STRIPES: usize>(
        &mut self,
        pool: &Pool<'_, BANKS, PER_BANK, STRIPES>,
    ) {
        let words = pool.candidates.words().iter().enumerate();
        self.banks = words.fold(0, |banks, (bank, &word)| banks | ((word != 0) as u32) << bank);
        self.load.refill(pool);
    }

    /// `standing` of the candidates were found at `level`.
    fn note(&mut self, level: u32, standing: u32, candidates: u32) {
        if standing * 4 >= candidates {
            self.crowded = level;
        } else if self.crowded <= level {
            self.crowded = level + 1;
        }
    }
}

/// A strategy that picks at the lowest level, and says what that is.
pub(super) trait Leveled<const BANKS: usize, const LEVELS: usize> {
    /// What a load is to a few candidates.
    type Load: Load;

    fn levels(&self) -> &Levels<BANKS, LEVELS>;

    /// The level of `count` leases on the slot, below `LEVELS`. It rises with the count.
    fn level<const PER_BANK: usize, const STRIPES: usize>(
        endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>,
        slot: u16,
        count: u32,
    ) -> u32;

    /// The level of the slot's load as it is now.
    #[inline(always)]
    fn level_now<const PER_BANK: usize, const STRIPES: usize>(
        endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>,
        slot: u16,
    ) -> u32 {
        Self::level(endpoints, slot, endpoints.exact.at(slot).0.load(Ordering::SeqCst))
    }

    /// A lease has ended, one of `count`. Level Invariant: looks at the level that this may have left.
    #[inline(always)]
    fn end<const PER_BANK: usize, const STRIPES: usize>(
        &self,
        endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>,
        slot: u16,
        count: u32,
    ) {
        let left = Self::level(endpoints, slot, count);
        let level = Self::level(endpoints, slot, count.wrapping_sub(1));
        if level != left {
            self.levels().leave(left, slot, || Self::level_now(endpoints, slot));
        }
    }

    /// One of the candidates at the lowest level, each as likely as any other.
    #[inline(always)]
    fn pick<const PER_BANK: usize, const STRIPES: usize>(
        &self,
        pool: &Pool<'_, BANKS, PER_BANK, STRIPES>,
        lowest: &mut Lowest<Self::Load>,
        turn: &mut Turn<'_>,
    ) -> Option<u16> {
        let mut drawn = None;
        if turn.barred.is_empty() && self.levels().next(0) == Some(lowest.crowded) {
            if let Some(slot) = self.draw(pool, lowest.crowded, turn.random) {
                return Some(slot);
            }
            drawn = Some(lowest.crowded);
        }
        let count = pool.candidates.len();
        if few::are_few(count)
            && turn.barred.is_empty()
            && let Some(slot) = self.look(pool, lowest, turn.random)
        {
            return Some(slot);
        }
        self.search(pool, lowest, turn, drawn)
    }

    /// One of the least loaded of few candidates; `None` if it is full.
    ///
    /// On a chip a call costs nothing beside it, and the code before it has more registers; elsewhere a call
    /// takes 2 ns.
    #[cfg_attr(target_pointer_width = "64", inline(always))]
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    fn look<const PER_BANK: usize, const STRIPES: usize>(
        &self,
        pool: &Pool<'_, BANKS, PER_BANK, STRIPES>,
        lowest: &mut Lowest<Self::Load>,
        random: &mut Random,
    ) -> Option<u16> {
        let (slot, equals) = few::least(pool, &lowest.load, random)?;
        if pool.endpoints.is_full(slot) {
            return None;
        }
        let crowded = equals * 4 >= pool.candidates.len();
        lowest.crowded = if crowded { Self::level_now(pool.endpoints, slot) } else { u32::MAX };
        Some(slot)
    }

    /// Draws a few candidates; the first that stands at `level`, rightly.
    ///
    /// One that stands too low is left there: by the next time it may have come down.
    #[inline(always)]
    fn draw<const PER_BANK: usize, const STRIPES: usize>(
        &self,
        pool: &Pool<'_, BANKS, PER_BANK, STRIPES>,
        level: u32,
        random: &mut Random,
    ) -> Option<u16> {
        let count = pool.candidates.len();
        for _ in 0..DRAWS {
            let slot = pool.candidates.nth(random.below(count))?;
            if self.levels().contains(level, slot) && !pool.endpoints.is_full(slot) {
                let count = pool.endpoints.exact.at(slot).0.load(Ordering::SeqCst);
                // The idle are at level 0, and no others.
                if count == 0 || level != 0 && Self::level(pool.endpoints, slot, count) <= level {
                    return Some(slot);
                }
            }
        }
        None
    }

    /// Level by level, lowest first; raises those that stand too low. `drawn`: the level at which drawing was
    /// tried.
    #[inline(never)]
    fn search<const PER_BANK: usize, const STRIPES: usize>(
        &self,
        pool: &Pool<'_, BANKS, PER_BANK, STRIPES>,
        lowest: &mut Lowest<Self::Load>,
        turn: &mut Turn<'_>,
        drawn: Option<u32>,
    ) -> Option<u16> {
        let mut repairs = 0;
        let mut best: Option<(u32, u16)> = None;
        let mut from = 0;
        while let Some(level) = self.levels().next(from) {
            from = level + 1;
            if level >= lowest.crowded
                && drawn != Some(level)
                && turn.barred.is_empty()
                && let Some(slot) = self.draw(pool, level, turn.random)
            {
                lowest.crowded = level;
                return Some(slot);
            }
            let mut standing = self.standing(level, pool, lowest, turn);
            while let Some((slot, count)) = standing.take(turn.random) {
                lowest.note(level, count, pool.candidates.len());
                let real = Self::level_now(pool.endpoints, slot);
                if real <= level {
                    return Some(slot);
                }
                if best.is_none_or(|(level, _)| real < level) {
                    best = Some((real, slot));
                }
                if repairs == REPAIRS {
                    return best.map(|(_, slot)| slot);
                }
                repairs += 1;
                self.levels().settle(slot, level, || Self::level_now(pool.endpoints, slot));
            }
        }
        best.map(|(_, slot)| slot)
    }

    /// The candidates that stand at `level` and can be had. O(banks).
    fn standing<const PER_BANK: usize, const STRIPES: usize>(
        &self,
        level: u32,
        pool: &Pool<'_, BANKS, PER_BANK, STRIPES>,
        lowest: &Lowest<Self::Load>,
        turn: &Turn<'_>,
    ) -> Standing<BANKS> {
        let levels = self.levels();
        let barred = !turn.barred.is_empty();
        let mut standing = Standing { words: [0; BANKS], banks: 0 };
        let mut empty = 0;
        for bank in Bits(levels.banks(level) & lowest.banks) {
            let at = bank as usize % BANKS;
            let word = levels.members(level, at);
            empty |= ((word == 0) as u32) << bank;
            let mut word = word & pool.candidates.words()[at];
            if word != 0 {
                word &= !pool.endpoints.full.bits(at);
                if barred {
                    word &= !turn.barred.bits(at);
                }
                standing.words[at] = word;
                standing.banks |= ((word != 0) as u32) << bank;
            }
        }
        if empty != 0 {
            levels.uncover(level, empty);
        }
        standing
    }
}

/// Some slots, and the banks that have any.
pub(super) struct Standing<const BANKS: usize> {
    words: [u32; BANKS],
    banks: u32,
}

impl<const BANKS: usize> Standing<BANKS> {
    /// Takes one of them, each as likely as any other; and how many there were with it. O(banks).
    fn take(&mut self, random: &mut Random) -> Option<(u16, u32)> {
        if self.banks == 0 {
            return None;
        }
        let mut bank = self.banks.trailing_zeros() as usize % BANKS;
        let (mut nth, count);
        if self.banks & (self.banks - 1) == 0 {
            count = self.words[bank].count_ones();
            nth = random.below(count);
        } else {
            let counts = self.words.map(u32::count_ones);
            count = counts.iter().sum();
            nth = random.below(count);
            bank = 0;
            while bank + 1 < BANKS && nth >= counts[bank] {
                nth -= counts[bank];
                bank += 1;
            }
        }
        let index = Bits(self.words[bank]).nth(nth as usize)?;
        self.words[bank] &= !(1 << index);
        if self.words[bank] == 0 {
            self.banks &= !(1 << bank);
        }
        Some((slot(bank, index), count))
    }
}
