//! What the parts of a group tell each other.
//!
//! Each message is a function of what its sender has when it is sent. So it may be lost, come late, come
//! twice or out of order: it is sent again until the answer shows that it has come, and an old one is refused
//! or changes nothing. That bytes aren't changed on the way is the connection's part.

use crate::causal::Position;
use crate::group::{Cuts, Mark, Record};

/// Which member of a group: 0, 1, 2 and so on.
pub type MemberIndex = usize;

/// From the ingress to a member: the record behind a position, or how far the group has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deliver<'a> {
    /// The ingress's term.
    pub term: u64,
    /// Which ingress it is.
    pub generation: u64,
    /// The last index of the log that this ingress began with.
    pub start: u64,
    /// The index of the oldest record that the ingress has.
    pub base: u64,
    /// Up to here all is committed.
    pub commit: u64,
    /// The life of the member that the ingress has heard of last.
    pub incarnation: u64,
    /// The position before `record`, or the last one.
    pub before: Position,
    /// The record behind it.
    pub record: Option<Record<'a>>,
}

/// From a member to the ingress: what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Ack {
    /// Which life of the member it is.
    pub incarnation: u64,
    /// The generation that it has joined.
    pub generation: u64,
    /// It holds the records up to this index.
    pub held: u64,
    /// Its state has the events up to this index.
    pub applied: u64,
    /// The record that it wants next.
    pub wants: u64,
}

/// From the active to the outlet: an output, or a hand-over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Output<'a> {
    /// The sender's term.
    pub term: u64,
    /// Length, link and payload.
    pub frame: &'a [u8],
    /// Which output it is; a hand-over is none.
    pub ordinal: Option<crate::causal::Ordinal>,
    /// Whether its event has no more.
    pub is_last: bool,
}

/// From the active to the outlet: the events up to an index have no outputs but those up to a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Through {
    /// The sender's term.
    pub term: u64,
    /// The last event applied.
    pub index: u64,
    /// The last link of the sender's chain.
    pub sequence: crate::causal::Sequence,
}

/// From a member to the outlet: its chain is past the cut by which a term began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Passed {
    /// Which life of the member it is.
    pub incarnation: u64,
    /// The term whose origin its chain has.
    pub term: u64,
}

/// From the outlet to all: how far it has let out, and where terms began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marked<'a, const CUTS: usize> {
    /// The outlet's term.
    pub term: u64,
    /// How far it has let out.
    pub mark: Mark,
    /// The cuts.
    pub cuts: &'a Cuts<CUTS>,
    /// The newest ingress: those of other generations have been replaced.
    pub generation: u64,
}

/// From the outlet to a member that began anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Joined<'a, const CUTS: usize> {
    /// What the member gave with its question.
    pub nonce: u64,
    /// Which life of the member it is.
    pub incarnation: u64,
    /// Where the group is.
    pub marked: Marked<'a, CUTS>,
}

/// From a member to the arbiter, fenced: what it has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Fenced {
    /// The term of the fence.
    pub term: u64,
    /// Which life of the member it is.
    pub incarnation: u64,
    /// The generation that it has joined.
    pub generation: u64,
    /// It holds the records up to this index.
    pub held: u64,
    /// Its state has the events up to this index.
    pub applied: u64,
    /// Whether it can be active.
    pub is_full: bool,
    /// Whether its log counts.
    pub is_counted: bool,
}

/// From the arbiter to the member that is to be active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant<'a, const CUTS: usize> {
    /// The life of the member that is meant.
    pub incarnation: u64,
    /// The new term and its cuts.
    pub marked: Marked<'a, CUTS>,
}

/// From a member to the arbiter: it is active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Granted {
    /// The term.
    pub term: u64,
    /// The life of the member.
    pub incarnation: u64,
}

/// From the ingress to the arbiter, fenced or told the successor: what it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct IngressState {
    /// Its term.
    pub term: u64,
    /// Which ingress it is.
    pub generation: u64,
    /// The index of its oldest record.
    pub base: u64,
    /// Whether it was told the successor of its term.
    pub is_confirmed: bool,
}

/// A message of a term that has ended. Its sender takes the term over from the outlet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct LowerTerm {
    /// The term that goes on.
    pub term: u64,
}

impl core::fmt::Display for LowerTerm {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "the message is of a term that has ended, {} goes on: ask the outlet for it", self.term)
    }
}

impl core::error::Error for LowerTerm {}
