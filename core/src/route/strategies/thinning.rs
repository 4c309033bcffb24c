//! Shares by weight where each candidate is picked as often as any other: some of the picks go to the next.

use super::Pool;
use crate::bitmap::rolled;
use crate::route::Random;
use crate::route::state::view::View;

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
    pub(super) const EMPTY: Self = Self { bound: 0 };

    /// The candidates or their weights have changed. O(banks). A bound that is too high by now only costs
    /// time, and so is found out.
    pub(super) fn refill<const BANKS: usize, const PER_BANK: usize, const STRIPES: usize>(
        &mut self,
        pool: &Pool<'_, BANKS, PER_BANK, STRIPES>,
    ) {
        if !pool.is_uneven() {
            self.bound = 0;
        } else if self.bound == 0 {
            self.look(pool.endpoints.view(), pool.candidates.as_slice());
        }
    }

    /// Whether all weigh the same, so that every pick is kept.
    #[inline(always)]
    pub(super) fn is_even(&self) -> bool {
        self.bound == 0
    }

    /// Whether `slot` is kept, which one of the candidates is; `skips` is how many in a row weren't before
    /// it.
    #[inline(always)]
    pub(super) fn keeps(
        &mut self,
        view: View<'_>,
        candidates: &[u16],
        slot: u16,
        skips: &mut u32,
        random: &mut Random,
    ) -> bool {
        if self.bound == 0 {
            return true;
        }
        let weight = view.slot(slot).weight_left();
        if weight >= self.bound {
            self.bound = weight;
            return true;
        }
        if random.below(self.bound) < weight || *skips >= SKIPS {
            return true;
        }
        *skips += 1;
        if *skips == PATIENCE {
            self.look(view, candidates);
        }
        false
    }

    /// Looks for the greatest weight. O(candidates).
    #[cold]
    #[inline(never)]
    fn look(&mut self, view: View<'_>, candidates: &[u16]) {
        let weights = candidates.iter().map(|&slot| {
            rolled();
            view.slot(slot).weight_left()
        });
        self.bound = weights.max().unwrap_or(1);
    }
}
