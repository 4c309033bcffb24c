//! The generator that a selector draws from.
//!
//! xoroshiro64**, by David Blackman and Sebastiano Vigna ("Scrambled linear pseudorandom number generators",
//! ACM TOMS 47(4), 2021; <https://prng.di.unimi.it/xoroshiro64starstar.c>): 32-bit words, 8 bytes of state,
//! period 2^64 - 1, no weak low bits. A seed becomes a state by splitmix64 (Steele, Lea, Flood, OOPSLA 2014),
//! so near seeds give unrelated sequences: selectors may be seeded 0, 1, 2 without all picking the same
//! endpoint first.
//!
//! It is for spreading load. Whoever sees a few outputs can compute the rest: don't make secrets with it.

/// A pseudo-random sequence; the same seed gives the same sequence on every target.
///
/// # Examples
///
/// ```
/// use trilane::route::Random;
///
/// let mut random = Random::new(7);
/// assert!(random.below(6) < 6);
/// assert_eq!(Random::new(7).next(), Random::new(7).next());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Random {
    // Never both zero: that state would stay.
    low: u32,
    high: u32,
}

impl Random {
    /// The sequence of `seed`; every seed works, 0 too.
    pub const fn new(seed: u64) -> Self {
        // splitmix64 is a bijection, so one seed meets the state that must not be; it gets the sequence of
        // another.
        let state = match splitmix64(seed) {
            0 => splitmix64(0),
            state => state,
        };
        Self { low: state as u32, high: (state >> 32) as u32 }
    }

    /// The next 32 bits. O(1).
    #[inline(always)]
    #[allow(
        clippy::should_implement_trait,
        reason = "the sequence doesn't end, and an Option would cost a branch"
    )]
    pub const fn next(&mut self) -> u32 {
        let (low, high) = (self.low, self.high ^ self.low);
        self.low = low.rotate_left(26) ^ high ^ (high << 9);
        self.high = high.rotate_left(13);
        low.wrapping_mul(0x9E37_79BB).rotate_left(5).wrapping_mul(5)
    }

    /// A number below `bound`; 0 for a bound of 0. O(1): one draw and one multiplication, no division.
    ///
    /// Of the 2^32 draws, each result gets either the whole part of 2^32 / `bound` or one more: the chance of
    /// a result is off by less than 1 / 2^32, and so by less than `bound` / 2^32 of itself (1 in 4 million
    /// for 1,024 endpoints).
    #[inline(always)]
    pub const fn below(&mut self, bound: u32) -> u32 {
        product(self.next(), bound).0
    }
}

/// The words of a product, the high one first.
///
/// A Cortex-M0 multiplies words to words: 64 bits are a call of 43 instructions. There, a `b` below 2^16
/// (every number of endpoints) takes multiplications of halves. The targets without compare-and-swap are
/// those without the longer product, or near enough.
#[inline(always)]
pub(in crate::route) const fn product(a: u32, b: u32) -> (u32, u32) {
    if cfg!(target_has_atomic = "32") || b >> 16 != 0 {
        let product = a as u64 * b as u64;
        ((product >> 32) as u32, product as u32)
    } else {
        (high_word_by_halves(a, b), a.wrapping_mul(b))
    }
}

/// The product's high word, for a `b` below 2^16.
#[inline(always)]
const fn high_word_by_halves(a: u32, b: u32) -> u32 {
    // At most (2^16 - 1)^2 + 2^16 - 2: no overflow.
    let carried = ((a & 0xffff) * b) >> 16;
    ((a >> 16) * b + carried) >> 16
}

/// The first output of splitmix64 whose state is `seed`.
pub(in crate::route) const fn splitmix64(seed: u64) -> u64 {
    let mixed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_to_multiply_give_the_same_word() {
        let mut random = Random::new(3);
        let ends = [0, 1, 0xffff, 0x1_0000, 0xffff_0000, u32::MAX];
        let draws = (0..100_000).map(|_| random.next());
        for a in ends.into_iter().chain(draws) {
            for b in [0, 1, 2, 3, 1_000, 1_024, 0x7fff, 0xfffe, 0xffff] {
                assert_eq!(high_word_by_halves(a, b), product(a, b).0, "{a} times {b}");
            }
        }
    }
}
