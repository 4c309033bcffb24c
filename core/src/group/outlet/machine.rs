//! The outlet: the one door through which outputs leave, in one order, each once.

use core::fmt;

use crate::causal::{Chain, Event, Frame, Head, LinkHash, Ordinal, Origin, Sequence};
use crate::group::message::{Joined, LowerTerm, Marked, MemberIndex, Output, Passed, Through};
use crate::group::rules::{Rule, lacks};
use crate::group::{Cut, Cuts, CutsFull, GroupId, Mark};

/// The outlet of a group of up to `MEMBERS` members, with room for `CUTS` cuts and outputs of up to `FRAME`
/// bytes, the 36 of length and link included.
///
/// All that it knows is its *record*, which must outlive a restart: [`write`](Self::write) gives its bytes,
/// [`open`](Self::open) reads them. An output is let out in three steps, so that a restart between any two
/// of them loses nothing: [`take`](Self::take) notes it in the record, whoever runs the outlet stores the
/// record, and lets out [`pending`](Self::pending), and then [`released`](Self::released) takes note.
///
/// A static outlet is all zeros, and closed.
#[derive(Debug)]
pub struct Outlet<const MEMBERS: usize, const CUTS: usize, const FRAME: usize> {
    pub(super) group: GroupId,
    /// 0: it is closed.
    pub(super) term: u64,
    /// The origin of its outputs.
    pub(super) origin: Origin,
    /// The newest ingress.
    pub(super) generation: u64,
    /// The life of the arbiter that was given the term.
    pub(super) arbiter: u64,
    pub(super) mark: Mark,
    pub(super) hash: LinkHash,
    pub(super) cuts: Cuts<CUTS>,
    pub(super) incarnations: [u64; MEMBERS],
    /// What each member said last of the cuts that it has passed.
    pub(super) passed: [Passed; MEMBERS],
    pub(super) frame: [u8; FRAME],
    pub(super) length: usize,
    pub(super) is_pending: bool,
    /// The number of the record that was written last.
    pub(super) version: u64,
}

/// What has become of an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Taken {
    /// It is in the record. Once that is stored, it is to be let out.
    Next,
    /// It was let out before.
    Again,
}

impl<const MEMBERS: usize, const CUTS: usize, const FRAME: usize> Outlet<MEMBERS, CUTS, FRAME> {
    /// A closed outlet. All zeros.
    pub const fn new() -> Self {
        const {
            assert!(FRAME >= crate::group::HandOver::FRAME, "a hand-over fits");
            assert!(CUTS >= 1, "there is room for a cut");
        }
        Self {
            group: GroupId::new(0),
            term: 0,
            origin: Origin::new(0),
            generation: 0,
            arbiter: 0,
            mark: Mark {
                term: 0,
                sequence: Sequence::GENESIS,
                done: 0,
                ordinal: Ordinal { index: 0, output: 0 },
            },
            hash: LinkHash::NONE,
            cuts: Cuts::new(),
            incarnations: [0; MEMBERS],
            passed: [Passed { incarnation: 0, term: 0 }; MEMBERS],
            frame: [0; FRAME],
            length: 0,
            is_pending: false,
            version: 0,
        }
    }

    /// The outlet of a group that has let nothing out. Only once: one that lost its record is closed until
    /// the consumer's record is given to it.
    pub fn found(&mut self, group: GroupId) {
        *self = Self::new();
        (self.group, self.term, self.generation, self.mark.term) = (group, 1, 1, 1);
        self.origin = group.origin(1);
        self.hash = Chain::new(self.origin).head().next_parent;
        self.cuts.begin();
    }

    /// The term that goes on; 0 of one that is closed.
    pub const fn term(&self) -> u64 {
        self.term
    }

    /// Where it is: what members, ingress and arbiter are told again and again.
    ///
    /// # Errors
    ///
    /// [`OutletError::Closed`].
    pub const fn marked(&self) -> Result<Marked<'_, CUTS>, OutletError> {
        if self.term == 0 {
            return Err(OutletError::Closed);
        }
        let Self { term, generation, mark, ref cuts, .. } = *self;
        Ok(Marked { term, mark, cuts, generation })
    }

    // === Outputs ===

    /// Takes an output of the active: A.5. O(length), by one hash and a copy.
    ///
    /// # Errors
    ///
    /// [`OutletError`]; nothing has changed then. At [`OutletError::Diverged`] the sender is to stop.
    #[inline]
    pub fn take(&mut self, output: &Output<'_>) -> Result<Taken, OutletError> {
        self.check(output.term)?;
        let (frame, rest) = Frame::split(output.frame).map_err(|_| OutletError::NoFrame)?;
        if !rest.is_empty() {
            return Err(OutletError::NoFrame);
        }
        let event = frame.event();
        let link = event.link();
        if link.origin != self.origin
            && !(lacks(Rule::OutletFence) && self.is_of_earlier(output, link.origin))
        {
            return Err(OutletError::Origin);
        }
        let is_own = self.mark.term == output.term;
        let expected = if is_own { self.mark.sequence.next() } else { Some(Sequence::new(1)) };
        let Some(expected) = expected else { return Err(OutletError::UsedUp) };
        if link.sequence < expected {
            let is_last = link.sequence == self.mark.sequence;
            return if is_last && event.hash() != self.hash {
                Err(OutletError::Diverged)
            } else if is_own {
                Ok(Taken::Again)
            } else {
                Err(OutletError::NoFrame)
            };
        }
        if link.sequence > expected {
            return Err(OutletError::Gap { expected });
        }
        let is_hand_over = output.ordinal.is_none();
        if link.parent != self.hash || is_own == is_hand_over {
            return Err(OutletError::Diverged);
        }
        if self.is_pending {
            return Err(OutletError::Pending);
        }
        self.keep(output.frame)?;
        self.is_pending = true;
        self.hash = event.hash();
        self.mark.term = output.term;
        self.mark.sequence = link.sequence;
        if let Some(ordinal) = output.ordinal {
            let done = if output.is_last { ordinal.index } else { ordinal.index.saturating_sub(1) };
            self.mark.done = self.mark.done.max(done);
            self.mark.ordinal = ordinal;
        }
        Ok(Taken::Next)
    }

    /// What is not asked where outputs of earlier terms are refused.
    fn is_of_earlier(&self, output: &Output<'_>, origin: Origin) -> bool {
        output.term < self.term && origin == self.group.origin(output.term)
    }

    fn keep(&mut self, frame: &[u8]) -> Result<(), OutletError> {
        let too_long = OutletError::TooLong { length: frame.len(), limit: FRAME };
        self.frame.get_mut(..frame.len()).ok_or(too_long)?.copy_from_slice(frame);
        self.length = frame.len();
        Ok(())
    }

    /// The frame that is in the record and to be let out. After a restart nobody knows whether the last one
    /// was: then it is this one, and the receiver drops it if it comes again.
    pub fn pending(&self) -> Option<&[u8]> {
        if self.is_pending { self.frame.get(..self.length) } else { None }
    }

    /// The pending frame was let out: the next one can be taken.
    pub const fn released(&mut self) {
        self.is_pending = false;
    }

    /// Takes note that events have no outputs. Returns whether that changed the mark.
    ///
    /// # Errors
    ///
    /// [`OutletError::LowerTerm`] or [`OutletError::Closed`].
    pub fn take_through(&mut self, through: &Through) -> Result<bool, OutletError> {
        self.check(through.term)?;
        let Mark { term, sequence, done, .. } = self.mark;
        let is_behind = term == through.term && sequence >= through.sequence;
        if !(is_behind || lacks(Rule::ThroughBehindOutputs)) || through.index <= done {
            return Ok(false);
        }
        self.mark.done = through.index;
        Ok(true)
    }

    #[inline]
    fn check(&self, term: u64) -> Result<(), OutletError> {
        if self.term == 0 {
            return Err(OutletError::Closed);
        }
        if term < self.term && !lacks(Rule::OutletFence) {
            return Err(OutletError::LowerTerm(LowerTerm { term: self.term }));
        }
        // Nobody has a term that was not given out here.
        if term > self.term { Err(OutletError::HigherTerm { ours: self.term }) } else { Ok(()) }
    }

    // === Terms and lives ===

    /// Gives out the next term, if the one that goes on is `from`, and appends the cut: A.6.1. From now on
    /// lower terms are refused. The same life of an arbiter that asks again gets the same answer. The record
    /// is to be stored before the answer goes out.
    ///
    /// # Errors
    ///
    /// The outlet is closed, or in another term, or the list of cuts is full.
    pub fn raise(&mut self, from: u64, arbiter: u64) -> Result<Marked<'_, CUTS>, OutletError> {
        if self.term == 0 {
            return Err(OutletError::Closed);
        }
        if from == self.term {
            let Some(term) = self.term.checked_add(1) else { return Err(OutletError::UsedUp) };
            self.make_room_for_cut();
            let mut mark = self.mark;
            if lacks(Rule::CutOfAnyTerm) && mark.term < self.term {
                (mark.term, mark.sequence) = (self.term, Sequence::GENESIS);
            }
            let horizon = self.last_event().map_or(crate::causal::Bloom::EMPTY, |event| event.link().horizon);
            self.cuts.push(Cut { term, mark, hash: self.hash, horizon }).map_err(OutletError::CutsFull)?;
            self.term = term;
            self.origin = self.group.origin(term);
            self.arbiter = arbiter;
        } else if from.checked_add(1) != Some(self.term) || self.arbiter != arbiter {
            return Err(OutletError::LowerTerm(LowerTerm { term: self.term }));
        }
        self.marked()
    }

    /// Notes that a new ingress begins in `term`: from now on no other is heard, in this term or a later one
    /// (A.6.3). The record is to be stored before the answer goes out.
    ///
    /// # Errors
    ///
    /// The outlet is closed, or in another term.
    pub fn replace_ingress(&mut self, term: u64) -> Result<(), OutletError> {
        self.check(term)?;
        self.generation = term;
        Ok(())
    }

    /// The last event let out; none in the first term's genesis.
    fn last_event(&self) -> Option<Event<'_>> {
        let (frame, _) = Frame::split(self.frame.get(..self.length)?).ok()?;
        Some(frame.event())
    }

    /// Begins a life of a member that has forgotten the one before: A.7.1. The record is to be stored before
    /// the answer goes out.
    ///
    /// # Errors
    ///
    /// There is no such member, or the outlet is closed.
    pub fn join(&mut self, member: MemberIndex, nonce: u64) -> Result<Joined<'_, CUTS>, OutletError> {
        if self.term == 0 {
            return Err(OutletError::Closed);
        }
        let Some(count) = self.incarnations.get_mut(member) else { return Err(OutletError::NoMember) };
        *count = count.checked_add(1).ok_or(OutletError::UsedUp)?;
        let incarnation = *count;
        Ok(Joined { nonce, incarnation, marked: self.marked()? })
    }

    /// Takes note that a member has passed cuts. Those that all have passed are forgotten (A.6.8).
    pub fn take_passed(&mut self, member: MemberIndex, passed: &Passed) {
        let Some(known) = self.passed.get_mut(member) else { return };
        if (passed.incarnation, passed.term) > (known.incarnation, known.term) {
            *known = *passed;
        }
        let by_all = self.passed.iter().map(|passed| passed.term).min().unwrap_or(0);
        self.cuts.forget_through(by_all);
    }

    /// Without room for a cut the oldest goes, if two members have passed it: the others, if they can't get
    /// past it without, begin anew with the state of one of those.
    fn make_room_for_cut(&mut self) {
        let Some(term) = self.cuts.oldest_in_the_way() else { return };
        if self.passed.iter().filter(|passed| passed.term >= term).count() >= MEMBERS.min(2) {
            self.cuts.forget_through(term);
        }
    }

    /// Where the chain of outputs ends.
    pub const fn head(&self) -> Head {
        Head { sequence: self.mark.sequence, next_parent: self.hash }
    }
}

impl<const MEMBERS: usize, const CUTS: usize, const FRAME: usize> Default for Outlet<MEMBERS, CUTS, FRAME> {
    fn default() -> Self {
        Self::new()
    }
}

/// Why an outlet did not do what was asked. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum OutletError {
    /// It has no record yet.
    Closed,
    /// The sender's term has ended.
    LowerTerm(LowerTerm),
    /// The sender's term was never given out.
    HigherTerm {
        /// The outlet's.
        ours: u64,
    },
    /// The bytes are no frame, or no whole one.
    NoFrame,
    /// The link's origin is not that of the sender's term.
    Origin,
    /// An output before it is missing.
    Gap {
        /// The one that is next.
        expected: Sequence,
    },
    /// The output does not follow the last one, or is another than was let out: the sender has gone astray.
    Diverged,
    /// The one before has not been let out yet: send again.
    Pending,
    /// The frame is longer than there is room for.
    TooLong {
        /// How many bytes it has.
        length: usize,
        /// How many there is room for.
        limit: usize,
    },
    /// The list of cuts is full: there is no new term until members have come past the oldest cut.
    CutsFull(CutsFull),
    /// There is no such member.
    NoMember,
    /// Terms, sequences or lives are used up.
    UsedUp,
}

impl fmt::Display for OutletError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the outlet is closed: give it its record, or the consumer's"),
            Self::LowerTerm(error) => error.fmt(f),
            Self::HigherTerm { ours } => write!(f, "no such term was given out, {ours} goes on"),
            Self::NoFrame => f.write_str("an output is one frame: pass that alone"),
            Self::Origin => f.write_str("the link's origin is not that of the sender's term"),
            Self::Gap { expected } => write!(f, "output {} is next: send from there", expected.get()),
            Self::Diverged => f.write_str("the output does not follow those let out: stop the sender"),
            Self::Pending => f.write_str("the output before is being let out: send the same again"),
            Self::TooLong { length, limit } => {
                write!(f, "the output has {length} bytes, there is room for {limit}: raise FRAME")
            }
            Self::CutsFull(error) => error.fmt(f),
            Self::NoMember => f.write_str("there is no such member: raise MEMBERS"),
            Self::UsedUp => f.write_str("the numbers are used up: begin a group anew"),
        }
    }
}

impl core::error::Error for OutletError {}
