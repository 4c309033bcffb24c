//! The horizon as a link carries it: a Bloom filter of 64 bits over the origins that an emitter has seen.

use xxhash_rust::xxh3::xxh3_64;

use crate::causal::Origin;

/// A set of origins in 64 bits that answers "no" for sure and "yes" by chance.
///
/// Of `n` origins in it, one that isn't there is taken for one that is with probability (1 − e^(−3n/64))³:
/// 0.7 % at 4 origins, 3.4 % at 8, 15.6 % at 16, 48 % at 32. So it may save work or make a log readable; no
/// decision of this crate hangs on it. A [`Horizon`](crate::causal::Horizon) knows exactly.
///
/// Each origin has three bits. With `h` the XXH3-64 (seed 0) of its eight bytes, little end first, `h1` the
/// low half of `h` and `h2` the high half with its lowest bit set, they are `h1`, `h1 + h2` and `h1 + 2 h2`,
/// in 32 bits that wrap, modulo 64 (Kirsch and Mitzenmacher, "Less Hashing, Same Performance", 2006).
///
/// # Examples
///
/// ```
/// use trilane::causal::{Bloom, Origin};
///
/// let seen = Bloom::of(Origin::new(1)).union(Bloom::of(Origin::new(2)));
/// assert!(seen.may_contain(Origin::new(2)));
/// assert!(!seen.may_contain(Origin::new(3)));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Bloom(u64);

impl Bloom {
    /// No origins.
    pub const EMPTY: Self = Self(0);

    /// The set with these bits, as they came from a link.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// Its bits.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The set of one origin.
    pub fn of(origin: Origin) -> Self {
        let hash = xxh3_64(&origin.get().to_le_bytes());
        let (first, step) = (hash as u32, (hash >> 32) as u32 | 1);
        let bit = |n: u32| 1 << (first.wrapping_add(step.wrapping_mul(n)) % 64);
        Self(bit(0) | bit(1) | bit(2))
    }

    /// The origins of both.
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether `origin` may be in the set: always true of one that is.
    pub fn may_contain(self, origin: Origin) -> bool {
        let bits = Self::of(origin).0;
        self.0 & bits == bits
    }
}
