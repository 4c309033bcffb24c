//! Picks by weight, looked up a few at a time.

use super::weights::Weights;
use super::{Barred, Pool, Turn};
use crate::route::Random;

/// How many picks are looked up in one go.
///
/// On a processor that reorders, the look-ups of a batch overlap, where that of a single pick is waited for:
/// that saves 10 ns a select at 1,000 endpoints, on an EPYC. Others gain nothing, and would have it all in
/// one select. What is picked doesn't depend on it.
const BATCH: usize = if cfg!(any(target_arch = "x86_64", target_arch = "aarch64")) { 8 } else { 1 };

/// How often what can't be had is drawn anew.
const DRAWS: u32 = 4;

/// In which order positions are visited.
pub trait Order: Clone {
    /// There are `total` positions from now on, one at least.
    fn resize(&mut self, total: u32, random: &mut Random);

    /// The next one, below `total`.
    fn next(&mut self) -> u32;
}

/// The weights of one class's candidates, and the picks to come.
pub struct Ahead<O, const BANKS: usize, const PER_BANK: usize> {
    weights: Weights<BANKS, PER_BANK>,
    order: O,
    /// The order before the batch.
    before: O,
    batch: [u16; BATCH],
    /// How many of them are still to come.
    left: usize,
}

impl<O: Order, const BANKS: usize, const PER_BANK: usize> Ahead<O, BANKS, PER_BANK> {
    pub(super) const fn new(order: O, before: O) -> Self {
        Self { weights: Weights::new(), order, before, batch: [0; BATCH], left: 0 }
    }

    pub(super) fn refill<const STRIPES: usize>(
        &mut self,
        pool: &Pool<'_, BANKS, PER_BANK, STRIPES>,
        random: &mut Random,
    ) {
        if !self.weights.refill(pool) {
            return;
        }
        if self.left != 0 {
            // Back to the last pick that was given.
            self.order = self.before.clone();
            (self.left..BATCH).for_each(|_| _ = self.order.next());
            self.left = 0;
        }
        if self.weights.total() != 0 {
            self.order.resize(self.weights.total(), random);
        }
    }

    #[inline(always)]
    pub(super) fn pick(&mut self, turn: &mut Turn<'_>) -> Option<u16> {
        if turn.attempt != 0 {
            return self.draw_unbarred(turn.random, turn.barred);
        }
        if self.left == 0 {
            if self.weights.total() == 0 {
                return None;
            }
            self.before = self.order.clone();
            for slot in &mut self.batch {
                *slot = self.weights.find(self.order.next());
            }
            self.left = BATCH;
        }
        self.left -= 1;
        Some(self.batch[BATCH - 1 - self.left.min(BATCH - 1)])
    }

    /// One by weight, at random, that isn't barred. Where all draws meet barred ones, the next by slot.
    #[cold]
    fn draw_unbarred(&self, random: &mut Random, barred: &Barred) -> Option<u16> {
        if self.weights.total() == 0 {
            return None;
        }
        let mut drawn = 0;
        for _ in 0..DRAWS {
            drawn = self.weights.find(random.below(self.weights.total()));
            if !barred.contains(drawn) {
                return Some(drawn);
            }
        }
        self.weights.next_unbarred(drawn, barred)
    }
}
