//! How far a member has come.

use crate::causal::Chain;

/// An event's place in the log of a group: the term in which it was accepted, and its index.
///
/// The two are compared together, the term first: equal indices of different terms are different events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Position {
    /// The term.
    pub term: u64,
    /// The index, dense over all terms.
    pub index: u64,
}

/// An output's place among the outputs of a group: the same whichever member computes it, in whatever term.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Ordinal {
    /// The index of the event that it is an output of.
    pub index: u64,
    /// Which of the event's outputs it is.
    pub output: u32,
}

/// How far a member has come, in events and in outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Progress {
    /// The term in which the snapshot was taken.
    pub term: u64,
    /// The last event that the state has applied.
    pub applied: Position,
    /// The last output in the chain.
    pub output: Ordinal,
    /// The chain of outputs.
    pub chain: Chain,
}
