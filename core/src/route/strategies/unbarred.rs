//! The candidates without those that a select has found full, taken or tried before.

use super::Barred;
use crate::route::Candidates;

/// The candidates that aren't barred, in order; for the later attempts of a select.
pub(super) struct Unbarred<'a, const BANKS: usize, const PER_BANK: usize> {
    candidates: &'a Candidates<BANKS, PER_BANK>,
    /// The ranks of the barred ones among the candidates, rising.
    ranks: [u32; Barred::MOST],
    count: usize,
}

impl<'a, const BANKS: usize, const PER_BANK: usize> Unbarred<'a, BANKS, PER_BANK> {
    /// O(1): there are at most [`Barred::MOST`].
    #[cold]
    pub fn new(candidates: &'a Candidates<BANKS, PER_BANK>, barred: &Barred) -> Self {
        let mut unbarred = Self { candidates, ranks: [u32::MAX; Barred::MOST], count: 0 };
        for slot in barred.iter().filter(|&slot| candidates.contains(slot)) {
            let mut rank = candidates.rank(slot);
            // A sorted insert; a rank that is there already is one that was barred twice.
            for entry in &mut unbarred.ranks {
                if *entry == rank {
                    break;
                }
                if *entry > rank {
                    core::mem::swap(entry, &mut rank);
                    if rank == u32::MAX {
                        unbarred.count += 1;
                        break;
                    }
                }
            }
        }
        unbarred
    }

    /// How many there are.
    pub fn len(&self) -> u32 {
        self.candidates.len() - self.count as u32
    }

    /// The `index`-th; `None` beyond the last.
    pub fn nth(&self, index: u32) -> Option<u16> {
        // Each barred one at or below the place moves it up by one.
        let place =
            self.ranks.iter().take(self.count).fold(index, |place, &rank| place + (rank <= place) as u32);
        self.candidates.nth(place)
    }
}
