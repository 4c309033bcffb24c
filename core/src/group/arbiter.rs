//! The arbiter: fences, measures and grants, so that each term has one active member.
//!
//! ```text
//!           raise                 answer of the outlet          the ingress stays or is replaced, and a
//!  [idle] --------> [raising] ------------------------> [measuring] -------------------------------------+
//!    ^                                                       member is fit: it is picked                 |
//!    +------- the member says that it is active, the ingress that it was told <---- [granting] <---------+
//! ```

use core::fmt;

use crate::group::acks::Acks;
use crate::group::message::{Fenced, Grant, Granted, IngressState, LowerTerm, Marked, MemberIndex};
use crate::group::rules::{Rule, lacks};
use crate::group::{Cuts, Mark};

/// The arbiter of a group of up to `MEMBERS` members, as a state machine. It needs no memory: one that
/// restarted asks the outlet for its term, and takes the next.
///
/// Whoever runs it sends what it [asks](Self::to_outlet) the outlet, each [member](Self::to_member) and the
/// [ingress](Self::to_ingress), again and again until that changes, and passes on the answers.
#[derive(Debug)]
pub struct Arbiter<const MEMBERS: usize, const CUTS: usize> {
    acks: Acks,
    /// Which life of the arbiter it is.
    nonce: u64,
    phase: Phase,
    /// The term of the phase; while raising, the one to be ended.
    term: u64,
    mark: Mark,
    cuts: Cuts<CUTS>,
    /// The newest ingress.
    generation: u64,
    answers: [Fenced; MEMBERS],
    ingress: Found,
    /// The successor's life.
    picked: Option<(MemberIndex, u64)>,
    is_granted: bool,
    is_confirmed: bool,
    /// Ticks since the phase began.
    waited: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    Raising,
    InTerm,
}

/// What is known of the ingress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Unknown,
    Stays {
        base: u64,
    },
    /// A member is to begin another from its log.
    Begins {
        member: MemberIndex,
        incarnation: u64,
    },
    /// It has begun, and the outlet is to note that it is the newest. If this arbiter is gone before, the one
    /// there was may go on.
    Begun {
        base: u64,
    },
}

/// What the outlet is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ToOutlet {
    /// [`Outlet::raise`](crate::group::Outlet::raise).
    Raise {
        /// The term to be ended.
        from: u64,
        /// The life of the arbiter.
        nonce: u64,
    },
    /// [`Outlet::replace_ingress`](crate::group::Outlet::replace_ingress).
    ReplaceIngress {
        /// The term.
        term: u64,
    },
}

/// What a member is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToMember<'a, const CUTS: usize> {
    /// [`Member::fence`](crate::group::Member::fence).
    Fence {
        /// The term.
        term: u64,
    },
    /// [`Ingress::begin`](crate::group::Ingress::begin), beside it.
    Begin {
        /// The term.
        term: u64,
        /// The life of the member that is meant.
        incarnation: u64,
    },
    /// [`Member::grant`](crate::group::Member::grant).
    Grant(Grant<'a, CUTS>),
}

/// What the ingress is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ToIngress {
    /// [`Ingress::fence`](crate::group::Ingress::fence).
    Fence {
        /// The term.
        term: u64,
    },
    /// [`Ingress::confirm`](crate::group::Ingress::confirm).
    Confirm {
        /// The term.
        term: u64,
        /// The ingress that is meant.
        generation: u64,
        /// The successor.
        successor: MemberIndex,
    },
}

/// Why no member has been picked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum NotPicked {
    /// No term is in progress, or its member has been picked.
    NotMeasuring,
    /// The ingress has not answered, and it can't be replaced: too few members that count have.
    NoIngress {
        /// So many have answered.
        answered: usize,
        /// So many are needed.
        needed: usize,
    },
    /// No member that has answered has a state from which the log goes on: wait for others, or for a
    /// transfer.
    Behind,
}

impl fmt::Display for NotPicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotMeasuring => f.write_str("no fail-over waits for a member to be picked"),
            Self::NoIngress { answered, needed } => write!(
                f,
                "the ingress has not answered, and {answered} of {needed} members needed for another: wait for more"
            ),
            Self::Behind => f.write_str("no member that has answered is fit to be active: wait for others"),
        }
    }
}

impl core::error::Error for NotPicked {}

impl<const MEMBERS: usize, const CUTS: usize> Arbiter<MEMBERS, CUTS> {
    const NO_ANSWER: Fenced = Fenced {
        term: 0,
        incarnation: 0,
        generation: 0,
        held: 0,
        applied: 0,
        is_full: false,
        is_counted: false,
    };

    /// An arbiter that knows nothing. No earlier life had the same `nonce`: the outlet gives a term to one of
    /// them alone.
    pub const fn new(acks: Acks, nonce: u64) -> Self {
        Self {
            acks,
            nonce,
            phase: Phase::Idle,
            term: 0,
            mark: Mark {
                term: 0,
                sequence: crate::causal::Sequence::GENESIS,
                done: 0,
                ordinal: crate::causal::Ordinal { index: 0, output: 0 },
            },
            cuts: Cuts::new(),
            generation: 0,
            answers: [Self::NO_ANSWER; MEMBERS],
            ingress: Found::Unknown,
            picked: None,
            is_granted: false,
            is_confirmed: false,
            waited: 0,
        }
    }

    /// Begins a fail-over: the term that the outlet is in ends. The reason may be wrong; nothing is lost.
    ///
    /// One that is in progress and has picked its member ends with this, for a term has one successor. One
    /// that still measures goes on.
    pub fn raise(&mut self, outlet_term: u64) {
        let outlet_term = outlet_term.max(self.term);
        let measures = match self.phase {
            Phase::Idle => false,
            Phase::Raising => self.term == outlet_term,
            Phase::InTerm => self.term == outlet_term && self.picked.is_none(),
        };
        if measures {
            return;
        }
        self.phase = Phase::Raising;
        self.term = outlet_term;
        self.waited = 0;
        if lacks(Rule::NextTermAfterRestart) && self.cuts.term() == 0 && outlet_term > 1 {
            // It takes up the term again of which it knows.
            self.phase = Phase::InTerm;
            self.forget_answers();
        }
    }

    /// What the outlet is asked.
    pub fn to_outlet(&self) -> Option<ToOutlet> {
        match (self.phase, self.ingress) {
            (Phase::Raising, _) => Some(ToOutlet::Raise { from: self.term, nonce: self.nonce }),
            (Phase::InTerm, Found::Begun { .. }) => Some(ToOutlet::ReplaceIngress { term: self.term }),
            _ => None,
        }
    }

    /// The outlet's answer.
    pub fn raised(&mut self, marked: &Marked<'_, CUTS>) {
        if self.phase != Phase::Raising || self.term.checked_add(1) != Some(marked.term) {
            return;
        }
        self.phase = Phase::InTerm;
        self.term = marked.term;
        self.mark = marked.mark;
        self.cuts.clone_from(marked.cuts);
        self.generation = marked.generation;
        self.forget_answers();
    }

    /// The outlet is in a later term than was to be ended: that one is ended instead.
    pub fn refused(&mut self, refused: LowerTerm) {
        if self.phase == Phase::Raising {
            self.term = self.term.max(refused.term);
        }
    }

    /// The outlet has noted that there is another ingress.
    pub fn ingress_replaced(&mut self, term: u64) {
        if let Found::Begun { base } = self.ingress
            && self.phase == Phase::InTerm
            && term == self.term
        {
            self.ingress = Found::Stays { base };
            self.generation = term;
        }
    }

    fn forget_answers(&mut self) {
        self.answers = [Self::NO_ANSWER; MEMBERS];
        self.ingress = Found::Unknown;
        self.picked = None;
        self.is_granted = false;
        self.is_confirmed = false;
        self.waited = 0;
    }

    // === Asking ===

    /// What `member` is asked.
    pub fn to_member(&self, member: MemberIndex) -> Option<ToMember<'_, CUTS>> {
        let term = self.term;
        if self.phase != Phase::InTerm {
            return None;
        }
        match (self.picked, self.ingress) {
            (Some((picked, incarnation)), _) => {
                let Self { generation, mark, ref cuts, .. } = *self;
                let marked = Marked { term, mark, cuts, generation };
                let is_asked = picked == member && !self.is_granted;
                is_asked.then_some(ToMember::Grant(Grant { incarnation, marked }))
            }
            (None, Found::Begins { member: first, incarnation }) if first == member => {
                Some(ToMember::Begin { term, incarnation })
            }
            (None, _) => Some(ToMember::Fence { term }),
        }
    }

    /// What the ingress is asked.
    pub fn to_ingress(&self) -> Option<ToIngress> {
        let term = self.term;
        if self.phase != Phase::InTerm {
            return None;
        }
        match (self.ingress, self.picked) {
            (Found::Unknown, _) => Some(ToIngress::Fence { term }),
            (_, Some((successor, _))) if !self.is_confirmed => {
                Some(ToIngress::Confirm { term, generation: self.generation, successor })
            }
            _ => None,
        }
    }

    // === Answers ===

    /// A member's answer to the fence. The freshest counts: A.6.2.
    pub fn fenced(&mut self, member: MemberIndex, answer: &Fenced) {
        if self.phase != Phase::InTerm || answer.term != self.term {
            return;
        }
        if let Some(known) = self.answers.get_mut(member) {
            let fresher =
                |answer: &Fenced| (answer.incarnation, answer.generation, answer.applied, answer.held);
            if fresher(answer) >= fresher(known) {
                *known = *answer;
            }
        }
    }

    /// The ingress's answer: to the fence, of having begun, or of having been told the successor.
    pub fn ingress_answered(&mut self, state: &IngressState) {
        if self.phase != Phase::InTerm || state.term != self.term {
            return;
        }
        let is_newest = state.generation == self.generation || lacks(Rule::NewestIngress);
        match self.ingress {
            Found::Unknown if is_newest => self.ingress = Found::Stays { base: state.base },
            Found::Begins { .. } if state.generation == self.term => {
                self.ingress = Found::Begun { base: state.base };
            }
            Found::Unknown | Found::Begins { .. } | Found::Begun { .. } => {}
            Found::Stays { .. } if !is_newest => {}
            Found::Stays { .. } => self.is_confirmed |= state.is_confirmed && self.picked.is_some(),
        }
        self.end_if_done();
    }

    /// A member's answer to the grant.
    pub fn granted(&mut self, member: MemberIndex, answer: &Granted) {
        if self.phase == Phase::InTerm
            && answer.term == self.term
            && self.picked == Some((member, answer.incarnation))
        {
            self.is_granted = true;
            self.end_if_done();
        }
    }

    fn end_if_done(&mut self) {
        if self.is_granted && self.is_confirmed {
            self.phase = Phase::Idle;
        }
    }

    // === Deciding ===

    /// Takes the ingress for dead, as it has not answered: the member with the highest (generation, held) of
    /// at least n - k + 1 that count begins another (A.6.3). Once a term.
    ///
    /// # Errors
    ///
    /// [`NotPicked::NoIngress`] if too few have answered.
    pub fn replace_ingress(&mut self) -> Result<(), NotPicked> {
        self.take_ingress_for_dead()?;
        // However long it has waited until now: the term goes on with this.
        self.waited = 0;
        Ok(())
    }

    fn take_ingress_for_dead(&mut self) -> Result<(), NotPicked> {
        if self.phase != Phase::InTerm || self.ingress != Found::Unknown {
            return Err(NotPicked::NotMeasuring);
        }
        let counted = |answer: &&Fenced| answer.is_counted;
        let answered = self.answers.iter().filter(counted).count();
        let needed = if lacks(Rule::EnoughFenced) {
            1
        } else {
            (MEMBERS + 1).saturating_sub(self.acks.count()).max(1)
        };
        let ahead = |answer: &Fenced| (answer.generation, answer.held);
        let first = self.answers.iter().enumerate().filter(|(_, answer)| counted(answer));
        let first = first.max_by_key(|(_, answer)| ahead(answer));
        match first {
            Some((member, answer)) if answered >= needed => {
                self.ingress = Found::Begins { member, incarnation: answer.incarnation };
                Ok(())
            }
            _ => Err(NotPicked::NoIngress { answered, needed }),
        }
    }

    /// Picks the successor of those that have answered: the highest (generation, applied), the longest life,
    /// the lowest index (A.6.4). Who has waited longer hears of more.
    ///
    /// # Errors
    ///
    /// [`NotPicked`].
    pub fn pick(&mut self) -> Result<MemberIndex, NotPicked> {
        if self.phase != Phase::InTerm || self.picked.is_some() {
            return Err(NotPicked::NotMeasuring);
        }
        let Found::Stays { base } = self.ingress else {
            let answered = self.answers.iter().filter(|answer| answer.is_counted).count();
            let needed = (MEMBERS + 1).saturating_sub(self.acks.count()).max(1);
            return Err(NotPicked::NoIngress { answered, needed });
        };
        let is_fit = |answer: &Fenced| answer.is_full && answer.applied + 1 >= base;
        let rank = |member: MemberIndex, answer: &Fenced| {
            let youth = (u64::MAX - answer.incarnation, MEMBERS - member);
            (answer.generation, answer.applied, youth)
        };
        let fit = self.answers.iter().enumerate().filter(|(_, answer)| is_fit(answer));
        let best = fit.max_by_key(|(member, answer)| rank(*member, answer));
        let Some((member, answer)) = best else { return Err(NotPicked::Behind) };
        self.picked = Some((member, answer.incarnation));
        self.is_granted = false;
        Ok(member)
    }

    /// Counts a tick and decides what it can: picks as soon as all have answered, or some after `patience`
    /// ticks; takes the ingress for dead after as many; and after three times as many without an end, ends
    /// the term for another. With [`Acks::One`], where another ingress may not know all that was
    /// acknowledged, it waits for the one there is: [`replace_ingress`](Self::replace_ingress) is for whoever
    /// knows that it won't come back.
    ///
    /// # Errors
    ///
    /// [`NotPicked`], for which it goes on waiting.
    pub fn tick(&mut self, patience: u32) -> Result<(), NotPicked> {
        if self.phase != Phase::InTerm {
            return Ok(());
        }
        self.waited = self.waited.saturating_add(1);
        if self.waited > patience.saturating_mul(3) {
            let is_stuck = self.picked.is_some() || self.ingress != Found::Unknown;
            if is_stuck {
                // The member, or the ingress that was to begin, is gone.
                self.phase = Phase::Raising;
                self.waited = 0;
                return Ok(());
            }
        }
        let has_waited = self.waited > patience;
        if self.picked.is_some() {
            return Ok(());
        }
        let may_replace = !matches!(self.acks, Acks::One);
        if self.ingress == Found::Unknown && has_waited && may_replace {
            self.take_ingress_for_dead()?;
        }
        let all = self.answers.iter().all(|answer| answer.incarnation > 0);
        if matches!(self.ingress, Found::Stays { .. }) && (all || has_waited) {
            self.pick()?;
        }
        Ok(())
    }

    /// Whether there is nothing to be done.
    pub fn is_idle(&self) -> bool {
        self.phase == Phase::Idle
    }

    /// The term in progress, or of the last fail-over.
    pub const fn term(&self) -> u64 {
        self.term
    }

    /// The active of the last fail-over, once it is picked.
    pub fn successor(&self) -> Option<MemberIndex> {
        self.picked.map(|(member, _)| member)
    }
}
