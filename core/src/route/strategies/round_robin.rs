//! Each in turn.

use super::{Needs, Pool, Strategy, Turn};
use crate::route::{Barred, Random};

/// How many are passed over in one select at most.
const SKIPS: u32 = 64;

/// Round robin: each candidate in turn, lowest slot first. O(1).
///
/// Where weights differ, or slow start or health takes from them, each keeps its turn with the chance that
/// its weight has beside the greatest one, and else it is the next one's: so shares are by weight in the long
/// run, while none is less than a 64th of another. [`WeightedRoundRobin`](super::WeightedRoundRobin) is exact
/// in each cycle, and takes more memory.
///
/// Each class of requests has a cursor of its own, so that two filters don't take each other's turns; it
/// begins at a random candidate, so that many balancers that start together don't all pick the same one. When
/// candidates come or go it stays where it was: nobody gets a second turn because a neighbour has gone.
#[derive(Clone, Copy, Debug, Default)]
pub struct RoundRobin;

/// The cursor of one class.
#[derive(Clone, Copy, Debug)]
pub struct Cursor {
    /// Whose turn is next, as an index into the candidates.
    index: u32,
    /// Who was picked last; [`NOBODY`] before the first.
    last: u16,
    /// The greatest weight, if weights differ.
    heaviest: Option<u32>,
}

const NOBODY: u16 = u16::MAX;

impl Cursor {
    pub(super) const fn new() -> Self {
        Self { index: 0, last: NOBODY, heaviest: None }
    }

    /// The candidates have changed: goes on after the one that was picked last.
    pub(super) fn refill<const BANKS: usize, const PER_BANK: usize, const STRIPES: usize>(
        &mut self,
        pool: &Pool<'_, BANKS, PER_BANK, STRIPES>,
        random: &mut Random,
    ) {
        self.heaviest = pool.heaviest();
        self.index = match self.last {
            NOBODY => random.below(pool.candidates.len()),
            last => pool.candidates.rank(last + 1),
        };
    }

    #[inline(always)]
    pub(super) fn pick<const BANKS: usize, const PER_BANK: usize, const STRIPES: usize>(
        &mut self,
        pool: &Pool<'_, BANKS, PER_BANK, STRIPES>,
        turn: &mut Turn<'_>,
    ) -> Option<u16> {
        if turn.attempt != 0 || !turn.barred.is_empty() {
            return self.pick_unbarred(pool, turn);
        }
        let mut slot = self.step(pool)?;
        if let Some(heaviest) = self.heaviest {
            let mut skips = SKIPS;
            while skips > 0 && !pool.keeps(slot, heaviest, turn.random) {
                slot = self.step(pool)?;
                skips -= 1;
            }
        }
        self.last = slot;
        Some(slot)
    }

    #[inline(always)]
    fn step<const BANKS: usize, const PER_BANK: usize, const STRIPES: usize>(
        &mut self,
        pool: &Pool<'_, BANKS, PER_BANK, STRIPES>,
    ) -> Option<u16> {
        let slot = pool.candidates.nth(self.index).or_else(|| {
            self.index = 0;
            pool.candidates.nth(0)
        })?;
        self.index += 1;
        Some(slot)
    }

    /// Who comes after those that can't be had. A first attempt is the select's step; others take none.
    #[cold]
    fn pick_unbarred<const BANKS: usize, const PER_BANK: usize, const STRIPES: usize>(
        &mut self,
        pool: &Pool<'_, BANKS, PER_BANK, STRIPES>,
        turn: &mut Turn<'_>,
    ) -> Option<u16> {
        let mut ahead = *self;
        let mut found = None;
        for _ in 0..SKIPS + Barred::MOST as u32 {
            let slot = ahead.step(pool)?;
            if !turn.barred.contains(slot) {
                found = Some(slot);
                if self.heaviest.is_none_or(|heaviest| pool.keeps(slot, heaviest, turn.random)) {
                    break;
                }
            }
        }
        if turn.attempt == 0 {
            (self.index, self.last) = (ahead.index, found.unwrap_or(self.last));
        }
        found
    }
}

impl<const BANKS: usize, const PER_BANK: usize, const STRIPES: usize> Strategy<BANKS, PER_BANK, STRIPES>
    for RoundRobin
{
    type Cache = Cursor;

    #[inline(always)]
    fn needs(&self) -> Needs {
        Needs { lists: true, ..Needs::default() }
    }

    fn cache(&self) -> Cursor {
        Cursor::new()
    }

    fn refill(&self, pool: &Pool<'_, BANKS, PER_BANK, STRIPES>, cache: &mut Cursor, random: &mut Random) {
        cache.refill(pool, random);
    }

    #[inline(always)]
    fn pick(
        &self,
        pool: &Pool<'_, BANKS, PER_BANK, STRIPES>,
        cache: &mut Cursor,
        turn: &mut Turn<'_>,
    ) -> Option<u16> {
        cache.pick(pool, turn)
    }
}
