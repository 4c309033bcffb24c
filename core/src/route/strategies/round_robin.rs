//! Each in turn.

use super::{Needs, Pool, Strategy, Turn};
use crate::route::Random;

/// Round robin: each candidate in turn, lowest slot first. O(1).
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
}

const NOBODY: u16 = u16::MAX;

impl Cursor {
    pub(super) const fn new() -> Self {
        Self { index: 0, last: NOBODY }
    }

    /// The candidates have changed: goes on after the one that was picked last.
    pub(super) fn refill<const BANKS: usize, const PER_BANK: usize, const STRIPES: usize>(
        &mut self,
        pool: &Pool<'_, BANKS, PER_BANK, STRIPES>,
        random: &mut Random,
    ) {
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
        if turn.attempt != 0 {
            return self.peek(pool, turn);
        }
        let slot = pool.candidates.nth(self.index).or_else(|| {
            self.index = 0;
            pool.candidates.nth(0)
        })?;
        self.index += 1;
        self.last = slot;
        Some(slot)
    }

    /// Who comes after the one that could not be had, without a step.
    #[cold]
    fn peek<const BANKS: usize, const PER_BANK: usize, const STRIPES: usize>(
        &self,
        pool: &Pool<'_, BANKS, PER_BANK, STRIPES>,
        turn: &Turn<'_>,
    ) -> Option<u16> {
        let count = pool.candidates.len();
        (0..count.min(super::Barred::MOST as u32 + 1))
            .filter_map(|ahead| pool.candidates.nth((self.index % count + ahead) % count))
            .find(|&slot| !turn.barred.contains(slot))
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
