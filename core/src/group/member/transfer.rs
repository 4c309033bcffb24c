//! How a member writes its state for another, and takes that of another over: A.7.

use core::fmt;

use super::machine::{Fault, Member, Stopped};
use crate::causal::{
    Chain, Head, LinkHash, Origin, OriginMap, OriginsFull, Progress, Snapshot, SnapshotError,
    SnapshotWriteError, SnapshotWriter,
};
use crate::daemon::{Daemon, StateError};
use crate::group::outputs::Outputs;
use crate::group::rules::{Rule, lacks};

impl<D: Daemon, const BYTES: usize, const RECORDS: usize, const PRODUCERS: usize, const CUTS: usize>
    Member<D, BYTES, RECORDS, PRODUCERS, CUTS>
{
    /// A member that began anew: whatever its memory says, it is empty.
    pub fn restart(&mut self, nonce: u64) {
        self.stopped = Stopped::No;
        self.become_empty();
        self.incarnation = 0;
        self.term = 0;
        self.nonce = nonce;
    }

    /// Writes state and progress as a snapshot, in one piece. O(state), with one hash over all.
    ///
    /// # Errors
    ///
    /// The member has no state, its daemon can't write it, or the buffer is too small.
    pub fn snapshot<'b>(&self, buffer: &'b mut [u8]) -> Result<&'b [u8], SnapshotFailed> {
        if !self.is_full() {
            return Err(SnapshotFailed::Empty);
        }
        let mut chain = *self.outputs.chain();
        if lacks(Rule::ParentInSnapshot) {
            let head = Head { next_parent: LinkHash::NONE, ..chain.head() };
            chain = Chain::resume(chain.origin(), head);
        }
        let progress =
            Progress { term: self.term, applied: self.applied, output: self.outputs.computed(), chain };
        let (none, horizon) = (OriginMap::new(), self.filter.horizon());
        let filter = if lacks(Rule::FilterInSnapshot) { &none } else { self.filter.heads() };
        let mut writer = SnapshotWriter::new(&progress, filter, &horizon, buffer)?;
        let length = self.daemon.snapshot(writer.state())?;
        Ok(writer.seal(length)?)
    }

    /// Takes over the snapshot of another member: A.7.2. It is of this member's term, and no further than
    /// the outlet is known to be: what lies behind could still be cut off.
    ///
    /// O(state).
    ///
    /// # Errors
    ///
    /// [`InstallError`]. The member is as it was then, but that it may have become empty if its daemon
    /// did not take the state.
    pub fn install(&mut self, bytes: &[u8]) -> Result<(), InstallError> {
        if let Some(fault) = self.fault() {
            return Err(InstallError::Fault(fault));
        }
        if self.incarnation == 0 {
            return Err(InstallError::NotJoined);
        }
        let snapshot = Snapshot::read(bytes).map_err(InstallError::Snapshot)?;
        let Progress { term, applied, output, chain } = snapshot.progress;
        if term != self.term {
            return Err(InstallError::Term { ours: self.term, its: term });
        }
        if applied.index > self.mark.done {
            return Err(InstallError::BeyondMark { done: self.mark.done, applied: applied.index });
        }
        let is_older = if self.is_cut_off { applied < self.applied } else { applied <= self.applied };
        if self.has_log && is_older {
            return Err(InstallError::NotNewer);
        }
        let chain_term = self.term_of(chain.origin()).ok_or(InstallError::UnknownChain)?;
        if !Outputs::<BYTES, RECORDS>::can_resume(self.group, &self.cuts, chain_term, chain) {
            return Err(InstallError::BeyondCut);
        }
        if snapshot.filter().len() > PRODUCERS {
            return Err(InstallError::OriginsFull(OriginsFull { limit: PRODUCERS }));
        }
        if let Err(error) = self.daemon.restore(snapshot.state) {
            self.become_empty();
            return Err(InstallError::State(error));
        }
        let continues = self.has_log && self.log.has(applied);
        if !continues {
            self.log.restart(applied);
            self.is_counted = lacks(Rule::CountedWhenCaughtUp);
            self.generation = 0;
        }
        // They have been counted.
        let _ = self.filter.replace(snapshot.filter());
        self.has_log = true;
        self.is_cut_off = false;
        self.is_behind = false;
        self.applied = applied;
        self.outputs.resume(chain_term, chain, output);
        // If it stops at a cut, it says so itself.
        let _ = self.follow();
        Ok(())
    }

    /// The term of which `origin` is the group's, if it is the present one or in the list of cuts.
    fn term_of(&self, origin: Origin) -> Option<u64> {
        let of_cuts = self.cuts.iter().flat_map(|cut| [cut.mark.term, cut.term]);
        of_cuts.chain([self.term, 1]).find(|term| self.group.origin(*term) == origin)
    }
}

/// Why no snapshot was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SnapshotFailed {
    /// The member has no state itself.
    Empty,
    /// The daemon did not write its state.
    State(StateError),
    /// The snapshot does not fit.
    Write(SnapshotWriteError),
}

impl From<StateError> for SnapshotFailed {
    fn from(error: StateError) -> Self {
        Self::State(error)
    }
}

impl From<SnapshotWriteError> for SnapshotFailed {
    fn from(error: SnapshotWriteError) -> Self {
        Self::Write(error)
    }
}

impl fmt::Display for SnapshotFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the member has no state: ask another"),
            Self::State(error) => error.fmt(f),
            Self::Write(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for SnapshotFailed {}

/// Why a snapshot was not taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum InstallError {
    /// The member has stopped.
    Fault(Fault),
    /// The member has not joined its group.
    NotJoined,
    /// The bytes are no snapshot.
    Snapshot(SnapshotError),
    /// It is of another term.
    Term {
        /// The member's.
        ours: u64,
        /// The snapshot's.
        its: u64,
    },
    /// It has events whose outputs are not known to be let out.
    BeyondMark {
        /// Up to here they are.
        done: u64,
        /// Up to here the snapshot has applied them.
        applied: u64,
    },
    /// The member is as far itself.
    NotNewer,
    /// Its chain ends in a term that the member does not know of.
    UnknownChain,
    /// Its chain lies beyond a cut: its source has not heard of that yet.
    BeyondCut,
    /// It has more producers than there is room for.
    OriginsFull(OriginsFull),
    /// The daemon did not take its state.
    State(StateError),
}

impl fmt::Display for InstallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fault(fault) => fault.fmt(f),
            Self::NotJoined => f.write_str("the member has not joined: ask the outlet first"),
            Self::Snapshot(error) => error.fmt(f),
            Self::Term { ours, its } => {
                write!(f, "the snapshot is of term {its}, the member in {ours}: ask for a newer one")
            }
            Self::BeyondMark { done, applied } => write!(
                f,
                "the snapshot has event {applied}, the outlet is known to have come to {done}: try again once the mark has come"
            ),
            Self::NotNewer => f.write_str("the member is as far itself: nothing is to be done"),
            Self::UnknownChain => {
                f.write_str("the snapshot's chain ends in a term that is not known here: ask for a newer one")
            }
            Self::BeyondCut => f.write_str(
                "the snapshot's chain lies beyond a cut: ask again once its source has heard of that",
            ),
            Self::OriginsFull(error) => error.fmt(f),
            Self::State(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for InstallError {}
