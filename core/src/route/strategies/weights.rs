//! Prefix sums of the candidates' weights: where on the line of all weights an endpoint's part lies.

use super::Pool;
use crate::bitmap::{Bits, slot};
use crate::route::Barred;

/// The factor of an endpoint with all of its weight, as a shift: factors are in 64ths.
const WHOLE: u32 = 6;

/// The weights of a class's candidates, laid end to end in slot order.
///
/// Two levels: where each bank begins, and where in its bank each endpoint does. So when one endpoint
/// changes, its bank's 32 sums and the banks' 32 are made anew, and no others. An endpoint is found by
/// counting how many begin at or before the position, in the banks and then in one bank.
///
/// While each candidate has all of its weight, sums are of weights as they were given. When the health or the
/// slow start of one takes from its weight, sums are in 64ths of that; banks that it isn't in keep their
/// sums, which [`find`](Self::find) then scales. The sum of all is at most 2^31: from there on, as with 1,000
/// endpoints of weights above 32,768 of which one is degraded, it is in 32nds, and a weight of an odd number
/// of 64ths is half a 64th more or less.
pub struct Weights<const BANKS: usize, const PER_BANK: usize> {
    /// Where each bank begins.
    banks: [i32; BANKS],
    /// Where each endpoint begins in its bank, in the bank's unit.
    entries: [[i32; PER_BANK]; BANKS],
    /// The sum of all.
    total: u32,
    /// The banks whose unit is the weight while the sum's is a part of it, one bit each.
    scaled: u32,
    /// 1 while the sum is in 32nds.
    halved: u32,
    /// The banks whose unit is the 64th.
    fine: u32,
    /// The sum of each bank, in its unit.
    sums: [u32; BANKS],
    /// What the sums are of: the candidates, and the version of their weights.
    words: [u32; BANKS],
    versions: [u32; BANKS],
}

impl<const BANKS: usize, const PER_BANK: usize> Weights<BANKS, PER_BANK> {
    pub(super) const fn new() -> Self {
        Self {
            banks: [0; BANKS],
            entries: [[0; PER_BANK]; BANKS],
            total: 0,
            scaled: 0,
            halved: 0,
            fine: 0,
            sums: [0; BANKS],
            words: [0; BANKS],
            versions: [0; BANKS],
        }
    }

    /// The sum of all weights, in whatever unit.
    #[inline(always)]
    pub(super) fn total(&self) -> u32 {
        self.total
    }

    /// Makes the sums anew of those banks whose candidates or weights have changed; returns whether any have.
    /// O(banks + 32 × banks changed).
    pub(super) fn refill<const STRIPES: usize>(&mut self, pool: &Pool<'_, BANKS, PER_BANK, STRIPES>) -> bool {
        let mut changed = false;
        for (bank, &word) in pool.candidates.words().iter().enumerate() {
            // Before the weights: what changes after this has another version, and another epoch.
            let version = pool.endpoints.weight_version(bank);
            if word != self.words[bank] || version != self.versions[bank] {
                (self.words[bank], self.versions[bank]) = (word, version);
                self.sum_up(pool, bank);
                changed = true;
            }
        }
        if changed {
            self.line_up();
        }
        changed
    }

    fn sum_up<const STRIPES: usize>(&mut self, pool: &Pool<'_, BANKS, PER_BANK, STRIPES>, bank: usize) {
        let (endpoints, word) = (pool.endpoints, self.words[bank]);
        let fine = endpoints.partial(bank) & word != 0;
        let mut sum = 0;
        for (index, entry) in self.entries[bank].iter_mut().enumerate() {
            *entry = sum as i32;
            let at = slot(bank, index as u32);
            let weight = if fine {
                // Nothing is left of a candidate's weight only when health is ignored.
                let factor = endpoints.factor(at);
                endpoints.weight(at) * if factor == 0 { 1 << WHOLE } else { factor }
            } else {
                endpoints.weight(at)
            };
            sum += weight * (word >> index & 1);
        }
        self.sums[bank] = sum;
        self.fine = self.fine & !(1 << bank) | (fine as u32) << bank;
    }

    fn line_up(&mut self) {
        self.scaled = if self.fine == 0 { 0 } else { !self.fine };
        let whole = |scaled: u32, bank: usize, sum: u32| sum << ((scaled >> bank & 1) * WHOLE);
        let halves = |(bank, &sum): (usize, &u32)| whole(self.scaled, bank, sum) / 2;
        self.halved = (self.sums.iter().enumerate().map(halves).sum::<u32>() >= 1 << 30) as u32;
        self.total = 0;
        for (bank, (start, &sum)) in self.banks.iter_mut().zip(&self.sums).enumerate() {
            *start = self.total as i32;
            self.total += (whole(self.scaled, bank, sum) + self.halved) >> self.halved;
        }
    }

    /// The endpoint at `position`, which is below the sum.
    #[inline(always)]
    pub(super) fn find(&self, position: u32) -> u16 {
        // The first begins at 0, so at least one begins at or before any position. Of several that begin at
        // the same, the last is the one that isn't empty.
        let bank = count_to(&self.banks, position).wrapping_sub(1).min(BANKS - 1);
        let offset = position.wrapping_sub(self.banks[bank] as u32);
        let offset = offset << self.halved >> ((self.scaled >> bank & 1) * WHOLE);
        let index = count_to(&self.entries[bank], offset).wrapping_sub(1);
        slot(bank, index as u32)
    }

    /// The first candidate after `after` in slot order, and then from the lowest on, that isn't barred.
    #[cold]
    pub(super) fn next_unbarred(&self, after: u16, barred: &Barred) -> Option<u16> {
        let (first, index) = crate::bitmap::split(after);
        let beyond = !1u32 << index;
        (0..=BANKS).find_map(|ahead| {
            let bank = (first + ahead) % BANKS;
            let mask = if ahead == 0 { beyond } else { u32::MAX };
            let left = self.words[bank] & mask & !barred.bits(bank);
            Bits(left).next().map(|index| slot(bank, index))
        })
    }
}

/// How many of `starts`, which don't fall, are at most `position`; all are below 2^31.
#[inline(always)]
fn count_to<const COUNT: usize>(starts: &[i32; COUNT], position: u32) -> usize {
    // To compare all of 32 at once takes fewer cycles than five steps of a search, each of which waits for
    // the one before. The compiler makes vectors of a loop that compares and counts, but then counts bits one
    // by one; and of one that avoids that, it makes none here.
    #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
    if let Some(starts) = starts.first_chunk() {
        // SAFETY: the target has SSE2.
        return unsafe { beyond(starts, position as i32) }.trailing_zeros() as usize;
    }
    starts.partition_point(|&start| start as u32 <= position)
}

/// A bit for each of `starts` that is greater than `position`.
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
#[inline]
#[target_feature(enable = "sse2")]
fn beyond(starts: &[i32; 32], position: i32) -> u32 {
    use core::arch::x86_64::{
        _mm_cmpgt_epi32, _mm_movemask_epi8, _mm_packs_epi16, _mm_packs_epi32, _mm_set1_epi32, _mm_setr_epi32,
    };
    let position = _mm_set1_epi32(position);
    let four = |at: usize| {
        let starts = _mm_setr_epi32(starts[at], starts[at + 1], starts[at + 2], starts[at + 3]);
        _mm_cmpgt_epi32(starts, position)
    };
    let eight = |at: usize| _mm_packs_epi32(four(at), four(at + 4));
    let sixteen = |at: usize| _mm_movemask_epi8(_mm_packs_epi16(eight(at), eight(at + 8))) as u32;
    sixteen(0) | sixteen(16) << 16
}
