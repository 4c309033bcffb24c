//! The names of the strategies.

use core::fmt;
use core::str::FromStr;

/// One of the strategies that [`AnyStrategy`](super::AnyStrategy) knows.
///
/// # Examples
///
/// ```
/// use trilane::route::Kind;
///
/// assert_eq!(Kind::LeastLoad.to_string(), "least load");
/// assert_eq!("power of two".parse(), Ok(Kind::PowerOfTwo));
/// assert!("power of three".parse::<Kind>().is_err());
/// assert_eq!(Kind::ALL.len(), 10);
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
    pub const ALL: [Self; 10] = [
        Self::RoundRobin,
        Self::WeightedRoundRobin,
        Self::LeastConnections,
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

/// No strategy has this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct UnknownKind;

impl fmt::Display for UnknownKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no strategy has this name; there are:")?;
        Kind::ALL.iter().try_for_each(|kind| write!(f, " \"{kind}\""))
    }
}

impl core::error::Error for UnknownKind {}

impl FromStr for Kind {
    type Err = UnknownKind;

    /// By its [`name`](Self::name), exactly.
    fn from_str(name: &str) -> Result<Self, UnknownKind> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or(UnknownKind)
    }
}
