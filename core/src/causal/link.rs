//! The link: the 32 bytes before each event's payload that say where it stands in its emitter's chain.

use crate::causal::{Bloom, LinkHash, Origin, Sequence, words};

/// Whose event it is, its place in the chain, what its emitter had seen, and the hash of the event before.
///
/// | bytes | what, as 64 bits with the little end first |
/// | --- | --- |
/// | 0..8 | origin |
/// | 8..16 | horizon |
/// | 16..24 | sequence |
/// | 24..32 | parent hash |
///
/// # Examples
///
/// ```
/// use trilane::causal::{Link, LinkHash, Origin, Sequence};
///
/// let genesis = Link::genesis(Origin::new(0xabcd));
/// assert_eq!((genesis.sequence, genesis.parent), (Sequence::GENESIS, LinkHash::NONE));
/// assert_eq!(Link::from_bytes(&genesis.to_bytes()), genesis);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Link {
    /// Who emitted the event.
    pub origin: Origin,
    /// Whose events the emitter had seen.
    pub horizon: Bloom,
    /// The event's place in the chain of its origin.
    pub sequence: Sequence,
    /// The hash of the event before it.
    pub parent: LinkHash,
}

impl Link {
    /// How many bytes a link has.
    pub const LEN: usize = 32;

    /// What stands before the first event of `origin` and is never sent: sequence 0, no parent, nothing seen.
    pub const fn genesis(origin: Origin) -> Self {
        Self { origin, horizon: Bloom::EMPTY, sequence: Sequence::GENESIS, parent: LinkHash::NONE }
    }

    /// The link that these bytes are. Each 32 bytes are one; whether it fits its chain, the chain says.
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Self {
        let [origin, horizon, sequence, parent] = words::read(bytes);
        Self {
            origin: Origin::new(origin),
            horizon: Bloom::from_bits(horizon),
            sequence: Sequence::new(sequence),
            parent: LinkHash::new(parent),
        }
    }

    /// The bytes of the link.
    pub fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        let words = [self.origin.get(), self.horizon.bits(), self.sequence.get(), self.parent.get()];
        words::write(words, &mut bytes);
        bytes
    }
}
