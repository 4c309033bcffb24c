//! Each in turn.

use super::thinning::Thinning;
use super::{Needs, Pool, Strategy, Turn};
use crate::bitmap::rolled;
use crate::route::state::view::View;
use crate::route::{Barred, Random};

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
    /// The slot after the one that was picked last; 0 before the first.
    after: u16,
    thinning: Thinning,
}

impl Cursor {
    pub(super) const EMPTY: Self = Self { index: 0, after: 0, thinning: Thinning::EMPTY };

    /// The candidates have changed: goes on after the one that was picked last.
    pub(super) fn refill<const BANKS: usize, const PER_BANK: usize, const STRIPES: usize>(
        &mut self,
        pool: &Pool<'_, BANKS, PER_BANK, STRIPES>,
        random: &mut Random,
    ) {
        self.thinning.refill(pool);
        self.index = match self.after {
            0 => random.below(pool.candidates.len()),
            after => pool.candidates.rank(after),
        };
    }

    #[inline(always)]
    pub(super) fn pick<const BANKS: usize, const PER_BANK: usize, const STRIPES: usize>(
        &mut self,
        pool: &Pool<'_, BANKS, PER_BANK, STRIPES>,
        turn: &mut Turn<'_>,
    ) -> Option<u16> {
        let candidates = pool.candidates;
        if turn.attempt == 0 && turn.barred.is_empty() && self.thinning.is_even() {
            let slot = match candidates.nth(self.index) {
                Some(slot) => slot,
                None => {
                    self.index = 0;
                    candidates.nth(0)?
                }
            };
            (self.index, self.after) = (self.index + 1, slot + 1);
            return Some(slot);
        }
        let candidates = candidates.as_slice();
        let Turn { random, barred, attempt, .. } = turn;
        self.pick_thinned(pool.endpoints.view(), candidates, random, barred, *attempt)
    }

    /// The first that is kept after those that can't be had. A first attempt is the select's step; others
    /// take none.
    #[inline(never)]
    fn pick_thinned(
        &mut self,
        view: View<'_>,
        candidates: &[u16],
        random: &mut Random,
        barred: &Barred,
        attempt: u8,
    ) -> Option<u16> {
        let (mut index, mut skips, mut passed) = (self.index, 0, 0);
        let found = loop {
            rolled();
            let slot = step(&mut index, candidates)?;
            if !barred.is_empty() && barred.contains(slot) {
                passed += 1;
                // More in a row aren't barred.
                if passed > Barred::MOST {
                    break None;
                }
                continue;
            }
            if self.thinning.keeps(view, candidates, slot, &mut skips, random) {
                break Some(slot);
            }
            passed = 0;
        };
        if attempt == 0 {
            (self.index, self.after) = (index, found.map_or(self.after, |slot| slot + 1));
        }
        found
    }
}

/// The next one's turn.
#[inline(always)]
fn step(index: &mut u32, candidates: &[u16]) -> Option<u16> {
    let next = candidates.get(*index as usize).or_else(|| {
        *index = 0;
        candidates.first()
    });
    *index += 1;
    next.copied()
}

impl<const BANKS: usize, const PER_BANK: usize, const STRIPES: usize> Strategy<BANKS, PER_BANK, STRIPES>
    for RoundRobin
{
    type Cache = Cursor;
    const EMPTY: Cursor = Cursor::EMPTY;
    const BUILDS: bool = false;

    #[inline(always)]
    fn needs(&self) -> Needs {
        Needs { lists: true, ..Needs::default() }
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
