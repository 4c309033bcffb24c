//! Keys on candidates without a table: even, the same in every selector, and steady when one candidate comes
//! or goes.
//!
//! It stands in where a table's answers are no candidates: for classes that few endpoints belong to, and
//! while most are out.
//!
//! # How
//!
//! A key tries banks at random, one draw after the other, and stays with a chance that is proportional to the
//! candidates' weights there. In the bank, the candidates draw when they come, sooner the more they weigh,
//! and the first has the key (rendezvous hashing: Thaler and Ravishankar, "Using Name-Based Mappings to
//! Increase Hit Rates", IEEE/ACM Transactions on Networking 6(1), 1998; by weight: Schindelhauer and
//! Schomaker, "Weighted Distributed Hash Tables", SPAA 2005). So chances are by weight, and what happens in
//! one bank moves hardly any keys of others.
//!
//! The chance to stay is *w / P* in a bank of weight *w*. Were *P* the greatest *w*, one candidate more in
//! the fullest bank would send keys of all others away. So *P* is 2 Σ*w*² / Σ*w*, twice the weight of the
//! bank that a unit of weight finds itself in on average, which one candidate changes little; the few in
//! banks of more than *P* get a little less than their share.
//!
//! A few candidates make their draws against each other without banks. How few is a matter of the key, lest
//! all keys move when that limit is crossed.

use super::Pool;
use crate::bitmap::{Bits, slot, split};
use crate::route::rehash;
use crate::route::state::bank::Sets;

/// How many banks a key tries.
const TRIES: u32 = 64;
/// Numbers of draws: for candidates, then for banks; the smaller ones are the table's.
const CANDIDATE: u32 = 1 << 10;
const BANK: u32 = 1 << 9;
/// With this many candidates or more, all keys go by banks; with half of it or fewer, none does.
const FEW: u32 = 12;
/// How a class's candidates are spread over its banks.
pub(super) struct Spread<const BANKS: usize> {
    /// The chance to stay, in 2^32nds.
    stay: [u32; BANKS],
    /// How many bits the number of a bank has: those which members are in, up to a power of two.
    bits: u32,
    /// Some candidate has another weight than 1.
    uneven: bool,
}

impl<const BANKS: usize> Spread<BANKS> {
    pub const EMPTY: Self = Self { stay: [0; BANKS], bits: 0, uneven: false };

    /// O(banks); where weights differ, O(banks + candidates).
    pub fn refill<const PER_BANK: usize, const STRIPES: usize>(
        &mut self,
        pool: &Pool<'_, BANKS, PER_BANK, STRIPES>,
    ) {
        let words = pool.candidates.words();
        let mut weights = words.map(u32::count_ones);
        self.uneven = pool.is_uneven();
        if self.uneven {
            for (bank, weight) in weights.iter_mut().enumerate() {
                *weight = slots_of(words[bank], bank).map(|slot| pool.endpoints.weight_left(slot)).sum();
            }
        }
        // At most 2^32, and 2^59.
        let sum: u64 = weights.iter().map(|&weight| weight as u64).sum();
        let squares: u64 = weights.iter().map(|&weight| weight as u64 * weight as u64).sum();
        let unit = (sum << 31).checked_div(squares).unwrap_or(0);
        for (stay, weight) in self.stay.iter_mut().zip(weights) {
            *stay = (weight as u64 * unit).min(u32::MAX as u64) as u32;
        }
        // Members, not candidates: health must not change which bank a key tries.
        let last =
            (1..BANKS).rev().find(|&bank| pool.endpoints.view().bits(Sets::members, bank) != 0).unwrap_or(0);
        self.bits = usize::BITS - last.leading_zeros();
    }

    /// The candidate for `place` of those that `may` serve, as if `also` were one; `None` if there are none,
    /// or if none was found.
    pub fn find<const PER_BANK: usize, const STRIPES: usize>(
        &self,
        pool: &Pool<'_, BANKS, PER_BANK, STRIPES>,
        place: u32,
        also: Option<u16>,
        may: impl Fn(u16) -> bool,
    ) -> Option<u16> {
        let even = !self.uneven && also.is_none();
        let count = pool.candidates.len();
        if count < FEW && count <= FEW / 2 + place % (FEW / 2) {
            let few = pool.candidates.as_slice().iter().copied().chain(also);
            return first(pool, place, even, few.filter(|&slot| may(slot)));
        }
        for attempt in 0..TRIES {
            let draw = rehash(place, BANK + attempt);
            let bank = (draw >> 1 >> (31 - self.bits)) as usize;
            let rest = draw << self.bits;
            if self.stay.get(bank).is_some_and(|&stay| rest < stay) {
                let also = also.filter(|&slot| split(slot).0 == bank);
                let those = slots_of(pool.candidates.words()[bank], bank).chain(also);
                if let Some(found) = first(pool, place, even, those.filter(|&slot| may(slot))) {
                    return Some(found);
                }
            }
        }
        None
    }
}

fn slots_of(word: u32, bank: usize) -> impl Iterator<Item = u16> {
    Bits(word).map(move |index| slot(bank, index))
}

/// The one of `slots` that comes first for `place`: after a time of an exponential distribution whose rate is
/// the weight. Where all weights are equal, that is the one with the highest draw.
fn first<const BANKS: usize, const PER_BANK: usize, const STRIPES: usize>(
    pool: &Pool<'_, BANKS, PER_BANK, STRIPES>,
    place: u32,
    even: bool,
    slots: impl Iterator<Item = u16>,
) -> Option<u16> {
    if even {
        // The lowest slot of equal draws, as below.
        let draws = slots.map(|slot| (rehash(place, CANDIDATE + slot as u32), !slot));
        return draws.max().map(|(_, slot)| !slot);
    }
    let mut best: Option<(u64, u64, u16)> = None;
    for slot in slots {
        let time = negative_log2(rehash(place, CANDIDATE + slot as u32)) as u64;
        let weight = pool.endpoints.weight_left(slot) as u64;
        if best.is_none_or(|(other, weight_of_other, _)| time * weight_of_other < other * weight) {
            best = Some((time, weight, slot));
        }
    }
    best.map(|(.., slot)| slot)
}

/// The negative binary logarithm of `draw` over 2^32, with 26 bits after the point: between powers of two a
/// parabola, off by at most 0.009. It falls where `draw` rises.
fn negative_log2(draw: u32) -> u32 {
    let draw = draw | 1;
    let zeros = draw.leading_zeros();
    // What is behind the leading one, in 2^31sts.
    let rest = ((draw << zeros) & (u32::MAX >> 1)) as u64;
    let bulge = (rest * ((1 << 31) - rest)) >> 31;
    let log2 = rest + ((bulge * 11_263) >> 15);
    ((zeros as u64 + 1) << 26).wrapping_sub(log2 >> 5) as u32
}
