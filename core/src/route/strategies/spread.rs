//! Keys on candidates without a table: even, the same in every selector, and steady when one candidate comes
//! or goes.
//!
//! It stands in where a table's answers are no candidates: for classes that few endpoints belong to, and
//! while most are out. Every candidate counts the same; weights don't.
//!
//! # How
//!
//! A key tries banks at random, one draw after the other, and stays with a chance that is proportional to the
//! number of candidates there. In the bank, the candidate with the highest draw for this key has it
//! (rendezvous hashing: Thaler and Ravishankar, "Using Name-Based Mappings to Increase Hit Rates", IEEE/ACM
//! Transactions on Networking 6(1), 1998). So the chances of all candidates are equal, and what happens in
//! one bank moves hardly any keys of others.
//!
//! The chance to stay is *m / P* in a bank with *m* candidates. Were *P* the greatest *m*, one candidate more
//! in the fullest bank would send keys of all others away. So *P* is 2 Σ*m*² / Σ*m*, twice the size of the
//! bank that a candidate finds itself in on average, which one candidate changes little; the few in banks of
//! more than *P* get a little less than their share. But it is at most a bank's size, so that where banks are
//! well filled all shares are equal.
//!
//! A few candidates make their draws against each other without banks. How few is a matter of the key, lest
//! all keys move when that limit is crossed.

use super::{Barred, Pool};
use crate::bitmap::{Bits, MAX_BANKS, MAX_PER_BANK, slot};
use crate::route::rehash;

/// How many banks a key tries.
const TRIES: u32 = 64;
/// Numbers of draws: for candidates, then for banks; the smaller ones are the table's.
const CANDIDATE: u32 = 1 << 10;
const BANK: u32 = 1 << 9;
/// With this many candidates or more, all keys go by banks; with half of it or fewer, none does.
const FEW: u32 = 12;
/// The bits of a slot.
const SLOT: u32 = (MAX_BANKS * MAX_PER_BANK - 1) as u32;
/// The unit of shares as a shift.
const ONE: u32 = 20;

/// How a class's candidates are spread over its banks.
pub(super) struct Spread<const BANKS: usize> {
    /// The chance to stay, in 2^32nds.
    stay: [u32; BANKS],
    /// How many bits the number of a bank has: those which members are in, up to a power of two.
    bits: u32,
}

impl<const BANKS: usize> Spread<BANKS> {
    pub const fn new() -> Self {
        Self { stay: [0; BANKS], bits: 0 }
    }

    /// O(banks).
    pub fn refill<const PER_BANK: usize, const STRIPES: usize>(
        &mut self,
        pool: &Pool<'_, BANKS, PER_BANK, STRIPES>,
    ) {
        let counts = pool.candidates.words().map(u32::count_ones);
        let sum: u32 = counts.iter().sum();
        let squares: u32 = counts.iter().map(|count| count * count).sum();
        // 1 / P. Both sums are at most 2^15, and the first isn't the greater one.
        let unit = (sum << (ONE - 1)).checked_div(squares).unwrap_or(0).max((1 << ONE) / MAX_PER_BANK as u32);
        for (stay, count) in self.stay.iter_mut().zip(counts) {
            *stay = (count * unit).min((1 << ONE) - 1) << (32 - ONE);
        }
        // Members, not candidates: health must not change which bank a key tries.
        let last = (1..BANKS).rev().find(|&bank| pool.endpoints.members.bits(bank) != 0).unwrap_or(0);
        self.bits = usize::BITS - last.leading_zeros();
    }

    /// The candidate for `place` of those that `may` serve and aren't barred; `None` if there are none, or if
    /// none was found.
    pub fn find<const PER_BANK: usize, const STRIPES: usize>(
        &self,
        pool: &Pool<'_, BANKS, PER_BANK, STRIPES>,
        place: u32,
        barred: &Barred,
        may: impl Fn(u16) -> bool,
    ) -> Option<u16> {
        let candidates = pool.candidates;
        let count = candidates.len();
        if count < FEW && count <= FEW / 2 + place % (FEW / 2) {
            let few = candidates.as_slice().iter().copied();
            return highest(place, few.filter(|&slot| may(slot) && !barred.contains(slot)));
        }
        for attempt in 0..TRIES {
            let draw = rehash(place, BANK + attempt);
            let bank = (draw >> 1 >> (31 - self.bits)) as usize;
            let rest = draw << self.bits;
            if self.stay.get(bank).is_some_and(|&stay| rest < stay) {
                let word =
                    candidates.words()[bank] & if barred.is_empty() { u32::MAX } else { !barred.bits(bank) };
                let those = Bits(word).map(|index| slot(bank, index)).filter(|&slot| may(slot));
                if let Some(found) = highest(place, those) {
                    return Some(found);
                }
            }
        }
        None
    }
}

/// The one of `slots` with the highest draw for `place`.
#[inline(always)]
fn highest(place: u32, slots: impl Iterator<Item = u16>) -> Option<u16> {
    // The slot stands in the low bits of its draw: what is compared is one number, without a branch that
    // can't be predicted.
    let draws = slots.map(|slot| rehash(place, CANDIDATE + slot as u32) & !SLOT | slot as u32);
    draws.max().map(|draw| (draw & SLOT) as u16)
}
