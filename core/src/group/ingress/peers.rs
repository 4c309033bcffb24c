//! What an ingress knows of the members.

use core::fmt;

use crate::group::acks::Acks;
use crate::group::message::{Ack, MemberIndex};
use crate::group::rules::{Rule, lacks};

/// What is known of a member.
#[derive(Clone, Copy, Debug)]
struct Peer {
    incarnation: u64,
    /// The generation that it has joined.
    generation: u64,
    held: u64,
    applied: u64,
    /// The record that it wants, less 1.
    wants: u64,
    /// Ticks since something was heard of it.
    silent: u32,
    is_silent: bool,
    /// It is not in the eviction set.
    is_excluded: bool,
}

/// All members.
#[derive(Debug)]
pub(super) struct Peers<const N: usize> {
    peers: [Peer; N],
    /// The successor of the term, and 1; 0 is none.
    successor: usize,
}

impl<const N: usize> Peers<N> {
    pub const fn new() -> Self {
        const { assert!(N >= 1, "a group has a member") };
        let none = Peer {
            incarnation: 0,
            generation: 0,
            held: 0,
            applied: 0,
            wants: 0,
            silent: 0,
            is_silent: false,
            is_excluded: false,
        };
        Self { peers: [none; N], successor: 0 }
    }

    /// The record that a member wants.
    pub fn next(&self, member: MemberIndex) -> Option<u64> {
        self.peers.get(member).map(|peer| peer.wants + 1)
    }

    /// The life of a member that was heard of last.
    pub fn incarnation(&self, member: MemberIndex) -> u64 {
        self.peers.get(member).map_or(0, |peer| peer.incarnation)
    }

    /// Notes an ack. Returns whether it counts: not that of an older incarnation. What one of another
    /// generation wants counts, and what its state has.
    #[inline]
    pub fn ack(&mut self, member: MemberIndex, ack: &Ack, generation: u64, end: u64, at_base: u64) -> bool {
        let Some(peer) = self.peers.get_mut(member) else { return false };
        if ack.incarnation < peer.incarnation {
            return false;
        }
        if ack.incarnation > peer.incarnation {
            *peer = Peer { is_excluded: peer.is_excluded, ..Self::new().peers[0] };
            peer.incarnation = ack.incarnation;
        }
        peer.silent = 0;
        peer.is_silent = false;
        peer.wants = ack.wants.saturating_sub(1);
        if ack.generation != generation && !lacks(Rule::AckOfGeneration) {
            return false;
        }
        peer.generation = generation;
        peer.held = peer.held.max(ack.held.min(end));
        peer.applied = peer.applied.max(ack.applied);
        peer.is_excluded &= peer.applied < at_base;
        true
    }

    /// The index that the `count` members that hold most hold.
    #[inline]
    pub fn held_by(&self, count: usize, generation: u64) -> u64 {
        let mut reached = 0;
        for peer in &self.peers {
            let at_least = |other: &&Peer| other.generation == generation && other.held >= peer.held;
            if self.peers.iter().filter(at_least).count() >= count {
                reached = reached.max(peer.held);
            }
        }
        reached
    }

    /// How many members hold the record at `index`.
    pub fn holders(&self, generation: u64, index: u64) -> usize {
        self.peers.iter().filter(|peer| peer.generation == generation && peer.held >= index).count()
    }

    /// Up to where all of the eviction set have applied.
    pub fn applied_by_all(&self) -> u64 {
        let remaining = self.peers.iter().filter(|peer| !peer.is_excluded);
        remaining.map(|peer| peer.applied).min().unwrap_or(0)
    }

    pub fn is_excluded(&self, member: MemberIndex) -> bool {
        self.peers.get(member).is_some_and(|peer| peer.is_excluded)
    }

    /// How many members of the eviction set have the state that the log goes on from.
    pub fn keepers(&self, at_base: u64) -> usize {
        self.peers.iter().filter(|peer| !peer.is_excluded && peer.applied >= at_base).count()
    }

    /// A.3.5.
    pub fn exclude(&mut self, member: MemberIndex, acks: Acks, at_base: u64) -> Result<(), ExcludeError> {
        let Some(peer) = self.peers.get(member).copied() else { return Err(ExcludeError::NoMember) };
        if peer.is_excluded {
            return Ok(());
        }
        if self.successor == member + 1 {
            return Err(ExcludeError::Successor);
        }
        let others = self.keepers(at_base) - usize::from(peer.applied >= at_base);
        // With `Acks::One` the set may shrink to a single one.
        let needed = if matches!(acks, Acks::One) { 1 } else { 2 };
        if others < needed && !lacks(Rule::TwoRemain) {
            return Err(ExcludeError::TooFew { others });
        }
        if let Some(peer) = self.peers.get_mut(member) {
            peer.is_excluded = true;
        }
        Ok(())
    }

    /// Takes out those of which nothing was heard, as far as may be.
    pub fn exclude_silent(&mut self, acks: Acks, at_base: u64) {
        for member in 0..N {
            if self.peers.get(member).is_some_and(|peer| peer.is_silent) {
                let _ = self.exclude(member, acks, at_base);
            }
        }
    }

    pub fn tick(&mut self, patience: u32) {
        for peer in &mut self.peers {
            peer.silent = peer.silent.saturating_add(1);
            peer.is_silent = peer.silent > patience;
        }
    }

    /// The successor is in the eviction set.
    pub fn set_successor(&mut self, successor: Option<MemberIndex>) {
        self.successor = successor.map_or(0, |member| member + 1);
        if let Some(peer) = successor.and_then(|member| self.peers.get_mut(member)) {
            peer.is_excluded = false;
        }
    }
}

/// Why a member stays in the eviction set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ExcludeError {
    /// There is no such member.
    NoMember,
    /// It was made the active of this term.
    Successor,
    /// Too few others have the state.
    TooFew {
        /// How many have it.
        others: usize,
    },
}

impl fmt::Display for ExcludeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoMember => f.write_str("there is no such member"),
            Self::Successor => f.write_str("the member was made the active: only another term replaces it"),
            Self::TooFew { others } => {
                write!(f, "{others} others have the state: bring another up to date first")
            }
        }
    }
}

impl core::error::Error for ExcludeError {}
