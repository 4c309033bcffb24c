//! Forks: a chain that goes on in two places marks where it was left.

use xxhash_rust::xxh3::xxh3_64;

use crate::causal::{LinkHash, Origin, Sequence, words};

/// What a fork of `origin`'s chain that left it behind `sequence` bears in the place of a parent hash:
/// XXH3-64 (seed 0) of origin and sequence, eight bytes each with the little end first, and the four bytes
/// `fork`.
///
/// It names the place alone and no event there, so whoever checks a lineage computes it without the chain.
///
/// # Examples
///
/// ```
/// use trilane::causal::{Origin, Sequence, fork_sentinel};
///
/// assert_eq!(fork_sentinel(Origin::new(0xaaaa), Sequence::new(42)).get(), 0x41c3_e0f2_a06e_1228);
/// ```
pub fn fork_sentinel(origin: Origin, sequence: Sequence) -> LinkHash {
    let mut bytes = *b"originlesequencefork";
    words::write([origin.get(), sequence.get()], &mut bytes);
    LinkHash::new(xxh3_64(&bytes))
}
