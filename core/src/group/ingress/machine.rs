//! The ingress: takes each event once, gives it its place in the group's order, and hands it to the members.

use core::fmt;

use crate::causal::{Event, Head, LinkError, LinkHash, Origin, OriginsFull, Position, PushError, Sequence};
use crate::daemon::{Daemon, Delivery};
use crate::group::acks::Acks;
use crate::group::filter::Filter;
use crate::group::log::{Log, Record};
use crate::group::member::Member;
use crate::group::message::{Ack, Deliver, IngressState, LowerTerm, MemberIndex};
use crate::group::rules::{Rule, lacks};
use crate::time::Instant;

use super::peers::{ExcludeError, Peers};

/// The ingress of a group of up to `MEMBERS` members, as a state machine. The other parameters are those of
/// its [`Member`]s.
///
/// A static ingress is all zeros, and takes nothing before it is [found](Self::found) or
/// [begun](Self::begin).
#[derive(Debug)]
pub struct Ingress<const MEMBERS: usize, const BYTES: usize, const RECORDS: usize, const PRODUCERS: usize> {
    acks: Acks,
    term: u64,
    /// 0: it has not begun.
    generation: u64,
    is_confirmed: bool,
    /// The end of the log that it began with.
    start: u64,
    log: Log<BYTES, RECORDS>,
    filter: Filter<PRODUCERS>,
    commit: u64,
    /// The events up to here are done at the outlet.
    done: u64,
    peers: Peers<MEMBERS>,
}

/// Where the chain of a producer has come to at the ingress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct HighWater {
    /// The last event that was taken.
    pub sequence: Sequence,
    /// Its hash. If the producer's own chain has another there, it takes a new origin.
    pub hash: LinkHash,
}

impl From<Head> for HighWater {
    fn from(head: Head) -> Self {
        Self { sequence: head.sequence, hash: head.next_parent }
    }
}

/// The answer to an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Submitted {
    /// It is acknowledged: as durable as [`Acks`] says.
    Acknowledged,
    /// It is taken, but not held by enough members yet. The producer asks again, with the same bytes.
    Pending {
        /// So many members hold it.
        held: u8,
        /// So many are to hold it.
        needed: u8,
    },
}

impl<const MEMBERS: usize, const BYTES: usize, const RECORDS: usize, const PRODUCERS: usize>
    Ingress<MEMBERS, BYTES, RECORDS, PRODUCERS>
{
    /// An ingress that has not begun. All zeros.
    pub const fn new() -> Self {
        Self {
            acks: Acks::One,
            term: 0,
            generation: 0,
            is_confirmed: false,
            start: 0,
            log: Log::new(),
            filter: Filter::new(),
            commit: 0,
            done: 0,
            peers: Peers::new(),
        }
    }

    /// The first ingress of a group, in its first term. Only once: an ingress that lost its memory is dead,
    /// and the arbiter has another begin.
    pub fn found(&mut self, acks: Acks) {
        *self = Self::new();
        self.acks = acks;
        (self.term, self.generation, self.is_confirmed) = (1, 1, true);
    }

    /// A new ingress in the place of one that is gone, where the arbiter says so: A.6.3. It goes on from the
    /// log of `member`, the one that the arbiter chose, and waits to be told the successor.
    ///
    /// # Errors
    ///
    /// [`BeginError`] if the member isn't who answered the fence.
    pub fn begin<D: Daemon, const CUTS: usize>(
        &mut self,
        acks: Acks,
        term: u64,
        incarnation: u64,
        member: &Member<D, BYTES, RECORDS, PRODUCERS, CUTS>,
    ) -> Result<(), BeginError> {
        let is_other = member.incarnation() != incarnation && !lacks(Rule::LogOfIncarnation);
        if is_other || !member.has_a_log() || member.term() != term {
            return Err(BeginError);
        }
        *self = Self::new();
        self.acks = acks;
        (self.term, self.generation) = (term, term);
        self.log = member.log().clone();
        if lacks(Rule::LogFromHeld) {
            self.log.truncate_behind(member.applied().index);
        }
        self.filter = member.filter().clone();
        if lacks(Rule::NewFilter) {
            self.filter.clear();
        }
        let applied = member.applied().index;
        let behind = self.log.iter().filter(|record| record.delivery.position.index > applied);
        let taken = behind.map(|record| {
            let producer = record.delivery.event.link().origin;
            (producer, record.head().sequence, record.head())
        });
        self.filter.extend(taken).map_err(|OriginsFull { .. }| BeginError)?;
        self.start = self.log.end();
        // What is evicted was committed.
        self.commit = self.log.base() - 1;
        Ok(())
    }

    // === Producers ===

    /// Takes an event, with the time and the random bits that its members are to see: A.3.1 and A.3.2.
    ///
    /// O(log P) and one hash of the event; for an event seen before, O(R).
    ///
    /// # Errors
    ///
    /// [`SubmitError`]; nothing has changed then.
    #[inline]
    pub fn submit(&mut self, event: Event<'_>, time: Instant, seed: u64) -> Result<Submitted, SubmitError> {
        if !self.is_confirmed && !lacks(Rule::Confirm) || self.generation == 0 {
            return Err(SubmitError::NotConfirmed);
        }
        let link = event.link();
        let producer = link.origin;
        let seat = self.filter.find(producer);
        let head = self.filter.head_at(seat);
        if link.sequence <= head.sequence {
            return self.answer_again(event);
        }
        let head = match head.verify(producer, event) {
            Ok(head) => head,
            Err(error) => return Err(SubmitError::Link { error, high_water: head.into() }),
        };
        if !self.filter.has_room(seat) {
            return Err(SubmitError::OriginsFull(OriginsFull { limit: PRODUCERS }));
        }
        let length = event.bytes().len();
        if let Err(error) = self.log.room(length).or_else(|_| self.make_room(length)) {
            if lacks(Rule::FilterWithRing) {
                let _ = self.filter.set_at(seat, head);
            }
            return Err(match error {
                PushError::TooLong { .. } => {
                    SubmitError::TooLong { length, limit: Log::<BYTES, RECORDS>::LONGEST }
                }
                _ => SubmitError::Full,
            });
        }
        let Some(index) = self.log.end().checked_add(1) else { return Err(SubmitError::Full) };
        let position = Position { term: self.term, index };
        let delivery = Delivery { position, time, seed, event };
        self.log
            .push(&Record { delivery, hash: head.next_parent })
            .and_then(|()| self.filter.set_at(seat, head).map_err(|_| PushError::NoRecords))
            .map_err(|_| SubmitError::Full)?;
        self.commit_held();
        Ok(self.submitted(index))
    }

    #[cold]
    fn make_room(&mut self, length: usize) -> Result<(), PushError> {
        let at_base = self.log.base() - 1;
        self.peers.exclude_silent(self.acks, at_base);
        let applied = self.peers.applied_by_all().min(self.done);
        let through = if lacks(Rule::EvictApplied) { self.commit } else { applied };
        if through > at_base {
            self.log.evict_through(through);
        }
        self.log.room(length)
    }

    /// A.3.2: a duplicate is acknowledged by the rule of the original.
    #[cold]
    fn answer_again(&self, event: Event<'_>) -> Result<Submitted, SubmitError> {
        let link = event.link();
        let head = self.filter.head(link.origin);
        let is_it = |record: &Record<'_>| {
            let other = record.delivery.event.link();
            (other.origin, other.sequence) == (link.origin, link.sequence)
        };
        let found = self.log.iter().rev().find(is_it);
        let known = match &found {
            Some(record) => Some(record.hash),
            None => (link.sequence == head.sequence).then_some(head.next_parent),
        };
        if link.sequence == Sequence::GENESIS || known.is_some_and(|known| known != event.hash()) {
            return Err(SubmitError::Conflict { high_water: head.into() });
        }
        if lacks(Rule::DuplicateLikeOriginal) {
            return Ok(Submitted::Acknowledged);
        }
        // What is no longer in the log was committed.
        Ok(found.map_or(Submitted::Acknowledged, |record| self.submitted(record.delivery.position.index)))
    }

    fn submitted(&self, index: u64) -> Submitted {
        if index <= self.commit {
            return Submitted::Acknowledged;
        }
        let held = self.peers.holders(self.generation, index) as u8;
        Submitted::Pending { held, needed: self.acks.count() as u8 }
    }

    /// Where the chain of `producer` has come to: what a producer asks when it connects. Genesis of one that
    /// is not known.
    pub fn high_water(&self, producer: Origin) -> HighWater {
        self.filter.head(producer).into()
    }

    // === Members ===

    /// What `member` gets next; nothing while the ingress of a new term waits to be told the successor. The
    /// same until the member has answered.
    #[inline]
    pub fn deliver(&self, member: MemberIndex) -> Option<Deliver<'_>> {
        self.deliver_at(member, self.peers.next(member)?)
    }

    /// The record at `index`, or what is nearest to it, as it is delivered to `member`: so several go out at
    /// once.
    pub fn deliver_at(&self, member: MemberIndex, index: u64) -> Option<Deliver<'_>> {
        if self.generation == 0 || !self.is_confirmed && !lacks(Rule::Confirm) {
            return None;
        }
        let index = index.clamp(self.log.base(), self.log.end() + 1);
        Some(Deliver {
            term: self.term,
            generation: self.generation,
            start: self.start,
            base: self.log.base(),
            commit: self.commit,
            incarnation: self.peers.incarnation(member),
            before: self.log.position(index - 1)?,
            record: self.log.get(index),
        })
    }

    /// What `member` answered: A.3.3 and A.3.4.
    #[inline]
    pub fn ack(&mut self, member: MemberIndex, ack: &Ack) {
        let at_base = self.log.base() - 1;
        if self.peers.ack(member, ack, self.generation, self.log.end(), at_base) {
            self.commit_held();
        }
    }

    #[inline]
    fn commit_held(&mut self) {
        let reached = if matches!(self.acks, Acks::One) || lacks(Rule::CommitHeld) {
            self.log.end()
        } else {
            self.peers.held_by(self.acks.count(), self.generation)
        };
        self.commit = self.commit.max(reached);
    }

    /// Takes `member` out of the eviction set, which is what holds records back: A.3.5. It comes back by
    /// itself when it has caught up, or has installed a snapshot.
    ///
    /// # Errors
    ///
    /// [`ExcludeError`].
    pub fn exclude(&mut self, member: MemberIndex) -> Result<(), ExcludeError> {
        let at_base = self.log.base() - 1;
        self.peers.exclude(member, self.acks, at_base)
    }

    /// Whether `member` is out of the eviction set: it needs a snapshot, or has yet to catch up.
    pub fn is_excluded(&self, member: MemberIndex) -> bool {
        self.peers.is_excluded(member)
    }

    /// Counts a tick: a member of which nothing was heard for `patience` of them is taken out of the eviction
    /// set when room is needed.
    pub fn tick(&mut self, patience: u32) {
        self.peers.tick(patience);
    }

    /// How far the outlet has let out: nothing behind is evicted.
    pub const fn mark_reached(&mut self, done: u64) {
        if done > self.done {
            self.done = done;
        }
    }

    /// Whether fewer than two members hold the state, so that another death may lose it.
    pub fn is_degraded(&self) -> bool {
        self.peers.keepers(self.log.base() - 1) < 2
    }

    // === Fail-over ===

    /// The fence of `term`: A.6.2. It takes and delivers nothing until it is told the successor.
    ///
    /// # Errors
    ///
    /// [`LowerTerm`]. `Ok(None)` of one that has not begun.
    pub fn fence(&mut self, term: u64) -> Result<Option<IngressState>, LowerTerm> {
        if self.generation == 0 {
            return Ok(None);
        }
        if term < self.term {
            return Err(LowerTerm { term: self.term });
        }
        self.is_confirmed &= term == self.term;
        if term > self.term {
            self.term = term;
            self.peers.set_successor(None);
        }
        Ok(self.state())
    }

    /// The successor of `term`: from now on it goes on, and waits for that member as for no other.
    ///
    /// # Errors
    ///
    /// [`LowerTerm`]. `Ok(None)` of one that was not fenced in `term`, or has been replaced.
    pub fn confirm(
        &mut self,
        term: u64,
        generation: u64,
        successor: MemberIndex,
    ) -> Result<Option<IngressState>, LowerTerm> {
        if term < self.term {
            return Err(LowerTerm { term: self.term });
        }
        let is_meant = self.generation == generation || lacks(Rule::NewestIngress);
        if self.generation == 0 || term > self.term || !is_meant {
            return Ok(None);
        }
        if !self.is_confirmed {
            self.is_confirmed = true;
            self.peers.set_successor(Some(successor));
        }
        Ok(self.state())
    }

    /// What it tells the arbiter.
    pub fn state(&self) -> Option<IngressState> {
        let Self { term, generation, is_confirmed, .. } = *self;
        (generation > 0).then_some(IngressState { term, generation, base: self.log.base(), is_confirmed })
    }

    /// Its term.
    pub const fn term(&self) -> u64 {
        self.term
    }

    /// The index of the last event taken.
    pub const fn end(&self) -> u64 {
        self.log.end()
    }

    /// The place of the event at `index`, if that is still in the log.
    pub fn position(&self, index: u64) -> Option<Position> {
        self.log.position(index)
    }

    /// Up to here all is committed.
    pub const fn commit(&self) -> u64 {
        self.commit
    }
}

impl<const MEMBERS: usize, const BYTES: usize, const RECORDS: usize, const PRODUCERS: usize> Default
    for Ingress<MEMBERS, BYTES, RECORDS, PRODUCERS>
{
    fn default() -> Self {
        Self::new()
    }
}

/// Why an event was not taken. Nothing has changed; the producer goes on with the same event unless it says
/// otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SubmitError {
    /// The ingress has not begun, or waits to be told who is active.
    NotConfirmed,
    /// There is no room until members have applied more.
    Full,
    /// The event is longer than any that is taken.
    TooLong {
        /// How many bytes link and payload have.
        length: usize,
        /// How many they may have.
        limit: usize,
    },
    /// An event before it is missing, or was another.
    Link {
        /// What is wrong.
        error: LinkError,
        /// Where the producer's chain has come to.
        high_water: HighWater,
    },
    /// Another event was taken in its place: the producer has lost its memory, and takes a new origin.
    Conflict {
        /// Where the producer's chain has come to.
        high_water: HighWater,
    },
    /// There is no room for another producer.
    OriginsFull(OriginsFull),
}

impl fmt::Display for SubmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotConfirmed => f.write_str("the ingress waits for a fail-over: send the same again"),
            Self::Full => f.write_str("the ring is full: send the same again, later"),
            Self::TooLong { length, limit } => {
                write!(f, "the event has {length} bytes, {limit} are taken: give the ring more bytes")
            }
            Self::Link { error, high_water } => {
                write!(f, "{error}; the last event taken is {}", high_water.sequence.get())
            }
            Self::Conflict { high_water } => write!(
                f,
                "another event was taken in its place, {} of them in all: take a new origin",
                high_water.sequence.get()
            ),
            Self::OriginsFull(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for SubmitError {}

/// The member is not the one that answered the fence, or has another term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct BeginError;

impl fmt::Display for BeginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the member has begun anew since it answered: fence it again")
    }
}

impl core::error::Error for BeginError {}
