//! The names of the strategies.

use core::fmt;

/// One of the strategies that [`AnyStrategy`](super::AnyStrategy) knows.
///
/// # Examples
///
/// ```
/// use trilane::route::Kind;
///
/// assert_eq!(Kind::LeastLoad.to_string(), "least load");
/// assert_eq!(Kind::ALL.len(), 11);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Kind {
    /// [`RoundRobin`](super::RoundRobin).
    RoundRobin,
    /// [`WeightedRoundRobin`](super::WeightedRoundRobin).
    WeightedRoundRobin,
    /// [`LeastConnections`](super::LeastConnections).
    LeastConnections,
    /// [`WeightedLeastConnections`](super::WeightedLeastConnections).
    WeightedLeastConnections,
    /// [`UniformRandom`](super::UniformRandom).
    Random,
    /// [`WeightedRandom`](super::WeightedRandom).
    WeightedRandom,
    /// [`ConsistentHash`](super::ConsistentHash).
    ConsistentHash,
    /// [`LeastLatency`](super::LeastLatency).
    LeastLatency,
    /// [`LeastLoad`](super::LeastLoad).
    LeastLoad,
    /// [`PowerOfTwo`](super::PowerOfTwo).
    PowerOfTwo,
    /// [`Adaptive`](super::Adaptive).
    Adaptive,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::RoundRobin,
        Self::WeightedRoundRobin,
        Self::LeastConnections,
        Self::WeightedLeastConnections,
        Self::Random,
        Self::WeightedRandom,
        Self::ConsistentHash,
        Self::LeastLatency,
        Self::LeastLoad,
        Self::PowerOfTwo,
        Self::Adaptive,
    ];

    /// In lower case, words apart.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RoundRobin => "round robin",
            Self::WeightedRoundRobin => "weighted round robin",
            Self::LeastConnections => "least connections",
            Self::WeightedLeastConnections => "weighted least connections",
            Self::Random => "random",
            Self::WeightedRandom => "weighted random",
            Self::ConsistentHash => "consistent hash",
            Self::LeastLatency => "least latency",
            Self::LeastLoad => "least load",
            Self::PowerOfTwo => "power of two",
            Self::Adaptive => "adaptive",
        }
    }

    pub(super) const fn number(self) -> u32 {
        self as u32
    }

    pub(super) fn from_number(number: u32) -> Self {
        Self::ALL.get(number as usize).copied().unwrap_or(Self::RoundRobin)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
