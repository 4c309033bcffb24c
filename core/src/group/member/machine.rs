//! Members: each holds the records, and applies them to its copy of the daemon's state.

use core::fmt;

use crate::causal::{Chain, Ordinal, Position};
use crate::daemon::{Daemon, Outbox, ProcessError};
use crate::group::filter::Filter;
use crate::group::log::Log;
use crate::group::message::{
    Ack, Fenced, Grant, Granted, Joined, LowerTerm, Marked, Output, Passed, Through,
};
use crate::group::outputs::{AppendBlocked, Blocked, Outputs};
use crate::group::rules::{Rule, lacks};
use crate::group::{Cuts, GroupId, Mark};

/// What a member does while it isn't active.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Standby {
    /// It applies what is let out: a fail-over to it replays what is in flight.
    #[default]
    Hot,
    /// It holds the records, and takes the state of another now and then: a fail-over to it replays all
    /// since.
    Warm,
}

/// One of the members of a group, as a state machine.
///
/// A log of `RECORDS` records and `BYTES` bytes, as much again for outputs that are not yet let out,
/// `PRODUCERS` producers, `CUTS` cuts: the same in all members. A static member is all zeros, but for its
/// daemon.
///
/// It begins empty and outside of its group, with [`start`](Self::start), and asks the outlet to
/// [`join`](Self::join). Whoever lets it run, after each message: [`apply`](Self::apply) while that says that
/// something was applied, then [`outputs`](Self::outputs) to the outlet.
#[derive(Debug)]
pub struct Member<D, const BYTES: usize, const RECORDS: usize, const PRODUCERS: usize, const CUTS: usize> {
    pub(super) daemon: D,
    pub(super) group: GroupId,
    pub(super) standby: Standby,
    /// What tells this life's question to the outlet from those of others.
    pub(super) nonce: u64,
    /// 0: it has not joined.
    pub(super) incarnation: u64,
    pub(super) term: u64,
    /// The generation joined; 0 is none.
    pub(super) generation: u64,
    /// The daemon's state is the one before the first event.
    pub(super) is_fresh: bool,
    /// Its state and its log are those of the group up to some index.
    pub(super) has_log: bool,
    /// Its chain of outputs can't be brought past a cut.
    pub(super) is_cut_off: bool,
    pub(super) is_counted: bool,
    /// The ingress has evicted the next record before it came.
    pub(super) is_behind: bool,
    pub(super) is_active: bool,
    pub(super) stopped: Stopped,
    pub(super) log: Log<BYTES, RECORDS>,
    pub(super) applied: Position,
    pub(super) commit: u64,
    pub(super) filter: Filter<PRODUCERS>,
    pub(super) outputs: Outputs<BYTES, RECORDS>,
    pub(super) mark: Mark,
    pub(super) cuts: Cuts<CUTS>,
}

/// Why a member has stopped. It is started again, with a daemon in its first state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Fault {
    /// The daemon said that it can't go on, or had more outputs than it says.
    Daemon {
        /// The event's index.
        index: u64,
    },
    /// Its outputs are others than those that were let out: the daemon isn't deterministic, or its state was
    /// corrupted.
    Diverged,
    /// Another event has come for a place in the log.
    Conflict {
        /// The place.
        index: u64,
    },
    /// The event is of another producer than there is room for: the capacities of the group differ.
    FilterFull,
    /// The chain of outputs has no sequence left.
    UsedUp,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Daemon { index } => write!(f, "the daemon can't go on at event {index}"),
            Self::Diverged => {
                f.write_str("the outputs are others than those let out: the daemon is not deterministic")
            }
            Self::Conflict { index } => write!(f, "there are two events {index} of one term"),
            Self::FilterFull => {
                f.write_str("there is no room for another producer: give all of the group the same")
            }
            Self::UsedUp => f.write_str("the sequences of the outputs are used up"),
        }?;
        f.write_str("; start the member again")
    }
}

impl core::error::Error for Fault {}

/// Whether a member has stopped. An `Option` would have another tag than 0 for none, and so a static member
/// would not be all zeros.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(super) enum Stopped {
    No,
    By(Fault),
}

/// What came of a call of [`Member::apply`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Applied {
    /// The next event was applied; the state may have outputs more.
    One,
    /// The daemon did not take the next event: it is done, and has no outputs.
    Refused,
    /// There is nothing that may be applied now.
    Nothing,
    /// There is no room for outputs: the outlet has to let out some first.
    Full,
}

impl<D: Daemon, const BYTES: usize, const RECORDS: usize, const PRODUCERS: usize, const CUTS: usize>
    Member<D, BYTES, RECORDS, PRODUCERS, CUTS>
{
    /// The room for an event's outputs.
    const ROOM: usize = Outbox::size(D::MAX_OUTPUTS, D::MAX_OUTPUT_BYTES);

    /// A member outside of its group, with a daemon in its first state.
    pub const fn new(daemon: D) -> Self {
        const {
            assert!(BYTES >= 2 * Self::ROOM, "there is room for the outputs of two events");
            assert!(RECORDS >= D::MAX_OUTPUTS, "there is room for the outputs of an event");
            assert!(CUTS >= 1, "there is room for a cut");
        }
        Self {
            daemon,
            group: GroupId::new(0),
            standby: Standby::Hot,
            nonce: 0,
            incarnation: 0,
            term: 0,
            generation: 0,
            is_fresh: false,
            has_log: false,
            is_cut_off: false,
            is_counted: false,
            is_behind: false,
            is_active: false,
            stopped: Stopped::No,
            log: Log::new(),
            applied: Position { term: 0, index: 0 },
            commit: 0,
            filter: Filter::new(),
            outputs: Outputs::new(),
            mark: Mark {
                term: 0,
                sequence: crate::causal::Sequence::GENESIS,
                done: 0,
                ordinal: Ordinal { index: 0, output: 0 },
            },
            cuts: Cuts::new(),
        }
    }

    /// Begins a life: A.7.1. The member asks the outlet to [`join`](Self::join), with `nonce`, which no
    /// earlier life had: an answer to one of those must not be taken for its own.
    pub const fn start(&mut self, group: GroupId, standby: Standby, nonce: u64) {
        self.group = group;
        self.standby = standby;
        self.nonce = nonce;
        self.is_fresh = true;
    }

    /// What it asks the outlet with, until it has joined.
    pub fn wants_to_join(&self) -> Option<u64> {
        (self.incarnation == 0 && self.fault().is_none()).then_some(self.nonce)
    }

    /// The outlet's answer. With a daemon in its first state the member can follow from the first event on;
    /// else, or if that event is gone, it needs a snapshot.
    pub fn join(&mut self, joined: &Joined<'_, CUTS>) {
        if self.wants_to_join() != Some(joined.nonce) {
            return;
        }
        self.incarnation = joined.incarnation;
        if self.is_fresh {
            self.is_fresh = false;
            self.has_log = true;
            self.outputs.begin(self.group);
        }
        self.learn(&joined.marked);
    }

    // === What it is ===

    /// The daemon.
    pub const fn daemon(&self) -> &D {
        &self.daemon
    }

    /// The highest term seen.
    pub const fn term(&self) -> u64 {
        self.term
    }

    /// Whether its outputs are the group's.
    pub const fn is_active(&self) -> bool {
        self.is_active && self.fault().is_none()
    }

    /// Whether only a snapshot brings it further: it has no state, or the log doesn't go on from there.
    pub const fn wants_snapshot(&self) -> bool {
        self.incarnation > 0 && self.fault().is_none() && (!self.is_full() || self.is_behind)
    }

    /// Whether it has the state and the chain of outputs of some event, and can go on from there.
    pub const fn is_full(&self) -> bool {
        self.has_a_log() && !self.is_cut_off
    }

    /// Whether it has a place in the log: what it holds from there on counts.
    pub(in crate::group) const fn has_a_log(&self) -> bool {
        self.has_log && self.fault().is_none()
    }

    /// Whether what it holds counts for commits, and for the log of a new ingress.
    pub const fn is_counted(&self) -> bool {
        self.is_counted && self.has_a_log()
    }

    /// Which life it is; 0 before it has joined.
    pub const fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// The last event that its state has.
    pub const fn applied(&self) -> Position {
        self.applied
    }

    /// The index of the last record that it holds.
    pub const fn held(&self) -> u64 {
        self.log.end()
    }

    /// Whether it holds the event at `position`, or has it in its state.
    pub fn holds(&self, position: Position) -> bool {
        self.has_a_log() && (position.index <= self.applied.index || self.log.has(position))
    }

    /// How far it knows the outlet to be.
    pub const fn mark(&self) -> Mark {
        self.mark
    }

    /// Why it has stopped, if it has.
    pub const fn fault(&self) -> Option<Fault> {
        match self.stopped {
            Stopped::No => None,
            Stopped::By(fault) => Some(fault),
        }
    }

    /// The chain of its outputs.
    pub const fn chain(&self) -> &Chain {
        self.outputs.chain()
    }

    pub(in crate::group) const fn log(&self) -> &Log<BYTES, RECORDS> {
        &self.log
    }

    pub(in crate::group) const fn filter(&self) -> &Filter<PRODUCERS> {
        &self.filter
    }

    // === Applying ===

    /// Applies the next event, if it may be: A.4.3. Position, filter, horizon and outputs change together,
    /// with no user code between.
    ///
    /// One call of [`Daemon::process`], one hash an output.
    ///
    /// # Errors
    ///
    /// [`Fault`]; the member has stopped then.
    #[inline]
    pub fn apply(&mut self) -> Result<Applied, Fault> {
        let index = self.applied.index + 1;
        if !self.may_apply(index) {
            return self.fault().map_or(Ok(Applied::Nothing), Err);
        }
        let Some(record) = self.log.get(index) else { return Ok(Applied::Nothing) };
        let producer = record.delivery.event.link().origin;
        let seat = self.filter.find(producer);
        if !self.filter.has_room(seat) {
            return Err(self.stop(Fault::FilterFull));
        }
        let (daemon, filter) = (&mut self.daemon, &mut self.filter);
        let mut delivery = record.delivery;
        if lacks(Rule::TimeAtAcceptance) {
            delivery.time = crate::time::Instant::from_micros(self.incarnation);
        }
        let mut result = Ok(());
        let fill = |buffer: &mut [u8]| {
            let mut outbox = Outbox::new(buffer, D::MAX_OUTPUTS, D::MAX_OUTPUT_BYTES);
            result = daemon.process(&delivery, &mut outbox);
            let length = match result {
                Ok(()) => outbox.finish().map_err(|_| ())?,
                Err(ProcessError::Refuse) => 0,
                Err(ProcessError::Fault) => return Err(()),
            };
            // It has room.
            let _ = filter.set_at(seat, record.head());
            Ok((length, filter.bloom()))
        };
        let limits = (D::MAX_OUTPUTS, Self::ROOM);
        let position = delivery.position;
        match self.outputs.append(self.group, &self.cuts, index, limits, fill) {
            Ok(()) => {}
            Err(AppendBlocked::Full) => return Ok(Applied::Full),
            Err(AppendBlocked::UsedUp) => return Err(self.stop(Fault::UsedUp)),
            Err(AppendBlocked::Failed(())) => return Err(self.stop(Fault::Daemon { index })),
            Err(AppendBlocked::Blocked(blocked)) => self.block(blocked)?,
        }
        self.applied = position;
        if !self.is_cut_off {
            self.follow()?;
        }
        Ok(if result.is_ok() { Applied::One } else { Applied::Refused })
    }

    #[inline]
    fn may_apply(&self, index: u64) -> bool {
        let is_committed = index <= self.commit || lacks(Rule::ApplyCommitted);
        let is_let_out = index <= self.mark.done;
        let may = self.is_active || (self.standby == Standby::Hot && is_let_out);
        self.is_full() && may && is_committed
    }

    /// A.6.6, A.6.7 and A.4.5.
    #[inline]
    pub(super) fn follow(&mut self) -> Result<(), Fault> {
        if self.outputs.is_settled(&self.cuts, &self.mark) {
            return Ok(());
        }
        match self.outputs.follow(self.group, &self.cuts, &self.mark) {
            Ok(()) => Ok(()),
            Err(blocked) => self.block(blocked),
        }
    }

    #[cold]
    fn block(&mut self, blocked: Blocked) -> Result<(), Fault> {
        match blocked {
            Blocked::Diverged => Err(self.stop(Fault::Diverged)),
            Blocked::Lost => {
                // State and log are right, and count; but only another member knows the chain that belongs
                // to them.
                self.is_cut_off = true;
                self.is_active = false;
                Ok(())
            }
        }
    }

    #[cold]
    pub(super) fn stop(&mut self, fault: Fault) -> Fault {
        self.is_active = false;
        let first = self.fault().unwrap_or(fault);
        self.stopped = Stopped::By(first);
        first
    }

    /// A.4.2: it loses its state and its log, and takes a new incarnation, so that its earlier answers and
    /// acks no longer count.
    #[cold]
    pub(super) fn become_empty(&mut self) {
        self.nonce = self.nonce.wrapping_add(1);
        self.incarnation = 0;
        self.generation = 0;
        self.has_log = false;
        self.is_cut_off = false;
        self.is_counted = false;
        self.is_behind = false;
        self.is_active = false;
        self.log.restart(Position::default());
        self.applied = Position::default();
        self.commit = 0;
        self.filter.clear();
        self.outputs.resume(0, Chain::new(crate::causal::Origin::new(0)), Ordinal::default());
    }

    // === What it sends ===

    /// What the active has to let out, oldest first: the hand-over and the outputs that the mark hasn't
    /// passed. They are sent again until it has. Nothing of a member that isn't active.
    pub fn outputs(&self, mut send: impl FnMut(Output<'_>)) {
        if !self.is_active() || !self.is_full() || self.outputs.term() != self.term {
            return;
        }
        let term = self.term;
        if self.mark.term < self.outputs.term()
            && let Some(frame) = self.outputs.hand_over(self.group, &self.cuts)
        {
            send(Output { term, frame: &frame, ordinal: None, is_last: false });
        }
        for output in self.outputs.kept() {
            let (frame, ordinal) = (output.frame, Some(output.ordinal));
            send(Output { term, frame, ordinal, is_last: output.is_last });
        }
    }

    /// What the active tells the outlet of events without outputs, if there are some.
    pub fn through(&self) -> Option<Through> {
        let (term, index) = (self.term, self.applied.index);
        let is_told = self.outputs.term() == term && index > self.mark.done && !lacks(Rule::Through);
        let has_none = self.outputs.computed().index < index;
        let sequence = self.outputs.chain().head().sequence;
        (self.is_active() && is_told && has_none).then_some(Through { term, index, sequence })
    }

    /// What it tells the outlet of the cuts: those that it has passed needn't be kept for it.
    pub fn passed(&self) -> Option<Passed> {
        let (incarnation, term) = (self.incarnation, self.outputs.term());
        (incarnation > 0 && self.is_full()).then_some(Passed { incarnation, term })
    }

    /// What it tells the ingress; nothing before it has joined its group.
    pub fn ack(&self) -> Option<Ack> {
        let Self { incarnation, generation, .. } = *self;
        let held = self.log.end();
        (incarnation > 0 && self.has_a_log()).then_some(Ack {
            incarnation,
            generation,
            held,
            applied: self.applied.index,
            wants: held + 1,
        })
    }

    // === Fail-over ===

    /// The fence of `term`: A.6.2. From now on lower terms are refused.
    ///
    /// # Errors
    ///
    /// [`LowerTerm`]. `Ok(None)` of a member that has not joined, which has no answer.
    pub fn fence(&mut self, term: u64) -> Result<Option<Fenced>, LowerTerm> {
        if self.incarnation == 0 || self.fault().is_some() {
            return Ok(None);
        }
        self.take_term(term)?;
        Ok(Some(Fenced {
            term,
            incarnation: self.incarnation,
            generation: self.generation,
            held: self.log.end(),
            applied: self.applied.index,
            is_full: self.is_full(),
            is_counted: self.is_counted(),
        }))
    }

    /// The member becomes active: A.6.5. `Ok(None)` if another life of it is meant, or it has no state.
    ///
    /// # Errors
    ///
    /// [`LowerTerm`].
    pub fn grant(&mut self, grant: &Grant<'_, CUTS>) -> Result<Option<Granted>, LowerTerm> {
        let term = grant.marked.term;
        let is_meant = self.incarnation == grant.incarnation;
        if !is_meant || !self.is_full() {
            return Ok(None);
        }
        self.take_term(term)?;
        self.is_active = true;
        self.learn(&grant.marked);
        Ok(self.is_active().then_some(Granted { term, incarnation: self.incarnation }))
    }

    /// Where the outlet is.
    ///
    /// # Errors
    ///
    /// [`LowerTerm`].
    pub fn mark_reached(&mut self, marked: &Marked<'_, CUTS>) -> Result<(), LowerTerm> {
        if self.incarnation == 0 {
            return Ok(());
        }
        self.take_term(marked.term)?;
        self.learn(marked);
        Ok(())
    }

    fn learn(&mut self, marked: &Marked<'_, CUTS>) {
        if marked.term < self.term {
            return;
        }
        if marked.term > self.term {
            self.term = marked.term;
            self.is_active = false;
        }
        self.mark = self.mark.max(marked.mark);
        if marked.term >= self.cuts.term() && *marked.cuts != self.cuts {
            self.cuts.clone_from(marked.cuts);
        }
        if lacks(Rule::KeepOutputs) {
            self.outputs.drop_all();
        }
        if self.is_full() {
            // A member that has stopped says so itself.
            let _ = self.follow();
        }
    }

    /// A.4.1: a higher term ends being active.
    #[inline]
    pub(super) fn take_term(&mut self, term: u64) -> Result<(), LowerTerm> {
        if term < self.term && !lacks(Rule::LowerTermsRefused) {
            return Err(LowerTerm { term: self.term });
        }
        if term > self.term {
            self.term = term;
            self.is_active = false;
        }
        Ok(())
    }
}
