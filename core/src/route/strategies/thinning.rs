//! Shares by weight where each candidate is picked as often as any other: some of the picks go to the next.

use super::Pool;
use crate::bitmap::{Bits, slot};
use crate::route::Random;

/// So many picks in a row go past candidates before the greatest weight is looked for.
const PATIENCE: u32 = 16;
/// So many do in one select at most.
const SKIPS: u32 = 64;

/// Keeps a pick with the chance that the weight has beside the greatest one.
#[derive(Clone, Copy, Debug)]
pub struct Thinning {
    /// At least the greatest weight of those that have been picked; 0: all weigh the same.
    bound: u32,
}

impl Thinning {
    pub(super) const fn new() -> Self {
        Self { bound: 0 }
    }

    /// The candidates or their weights have changed. O(banks). A bound that is too high by now only costs time,
    /// and so is found out.
    pub(super) fn refill<const BANKS: usize, const PER_BANK: usize, const STRIPES: usize>(
        &mut self,
        pool: &Pool<'_, BANKS, PER_BANK, STRIPES>,
    ) {
        match (pool.is_uneven(), self.bound) {
            (false, _) => self.bound = 0,
            (true, 0) => self.look(pool),
            (true, _) => {}
        }
    }

    /// The first of the `picks` that is kept; after [`SKIPS`] of them, the next in any case.
    #[inline]
    pub(super) fn first<const BANKS: usize, const PER_BANK: usize, const STRIPES: usize>(
        &mut self,
        pool: &Pool<'_, BANKS, PER_BANK, STRIPES>,
        random: &mut Random,
        mut pick: impl FnMut(&mut Random) -> Option<u16>,
    ) -> Option<u16> {
        if self.bound == 0 {
            return pick(random);
        }
        let mut skips = 0;
        loop {
            let slot = pick(random)?;
            let weight = pool.endpoints.weight_left(slot);
            if weight >= self.bound {
                self.bound = weight;
                return Some(slot);
            }
            if skips >= SKIPS || random.below(self.bound) < weight {
                return Some(slot);
            }
            skips += 1;
            if skips == PATIENCE {
                self.look(pool);
            }
        }
    }

    /// Looks for the greatest weight. O(candidates).
    #[cold]
    #[inline(never)]
    fn look<const BANKS: usize, const PER_BANK: usize, const STRIPES: usize>(
        &mut self,
        pool: &Pool<'_, BANKS, PER_BANK, STRIPES>,
    ) {
        let words = pool.candidates.words();
        let slots = (0..BANKS).flat_map(|bank| Bits(words[bank]).map(move |index| slot(bank, index)));
        self.bound = slots.map(|slot| pool.endpoints.weight_left(slot)).max().unwrap_or(1);
    }
}
