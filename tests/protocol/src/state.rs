//! The state of the whole: everybody's fields, small enough to keep millions of them apart.

use std::hash::{Hash, Hasher};

use crate::chain::{Chain, Cut, Cuts, GENESIS, Mark, TERMS};
use crate::log::Log;
use crate::mutation::Mutation;
use crate::row::Row;
use crate::setting::{MEMBERS, Setting};

/// The ingresses that a search may see: one, and one for each that was replaced.
pub const INGRESSES: usize = 3;

/// What went wrong.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Violation {
    /// An acknowledged event is in no log and no state.
    EventLost,
    /// A state has an event twice.
    EventTwice,
    /// The receiver saw an output again.
    OutputTwice,
    /// The receiver saw an output before the one in front of it.
    OutputSkipped,
    /// Two links, or two hashes, for one place in the chain.
    Diverged,
    /// Two members are in different states at the same place.
    StatesDisagree,
    /// No member has the state.
    StateGone,
    /// With all faults ended, the events can no longer all be let out.
    Stuck,
}

/// A.2, member. All that is volatile is gone with its death.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[allow(missing_docs)]
pub struct Member {
    pub alive: bool,
    pub hot: bool,
    pub incarnation: u8,
    /// The highest term seen.
    pub term: u8,
    /// The generation joined; 0 is none.
    pub generation: u8,
    pub full: bool,
    pub counted: bool,
    pub active: bool,
    /// The version of the cut list that it knows.
    pub cuts: u8,
    pub mark: Mark,
    pub commit: u8,
    pub log: Log,
    pub applied: u8,
    pub applied_term: u8,
    /// The events applied, in their order.
    pub state: Row,
    /// The events that its filter has, each a bit.
    pub filter: u8,
    pub chain: Chain,
}

/// What an ingress knows of a member.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[allow(missing_docs)]
pub struct Peer {
    pub incarnation: u8,
    pub held: u8,
    pub applied: u8,
    /// It left the eviction set.
    pub left: bool,
}

/// A member's answer to the fence of a term.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[allow(missing_docs)]
pub struct Answer {
    /// 0 if there is none.
    pub incarnation: u8,
    pub generation: u8,
    pub held: u8,
    pub applied: u8,
    pub full: bool,
    pub counted: bool,
}

/// A member with all that others keep about it: members are interchangeable, and are sorted by this.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[allow(missing_docs)]
pub struct Column {
    pub member: Member,
    pub peers: [Peer; INGRESSES],
    pub answer: Answer,
    /// The latest grant sent to it: term and incarnation.
    pub grant: (u8, u8),
    /// The transfer in progress comes from it.
    pub sends: bool,
    /// The transfer in progress goes to it.
    pub receives: bool,
}

/// A.2, ingress.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)]
pub struct Ingress {
    pub alive: bool,
    pub term: u8,
    /// 0 if there is no such ingress.
    pub generation: u8,
    pub start: u8,
    pub log: Log,
    /// The events that its filter has, each a bit.
    pub filter: u8,
    pub commit: u8,
    /// It was told the successor of its term.
    pub confirmed: bool,
}

/// A.2, outlet, and what the receiver behind it saw.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)]
pub struct Outlet {
    pub term: u8,
    pub mark: Mark,
    pub hash: u32,
    pub horizon: u8,
    /// The last link is recorded, but not let out.
    pub recorded: bool,
    /// The event whose output the last link is, with its k; 0 for a hand-over.
    pub last: (u8, u8),
    pub cuts: Cuts,
    pub receiver: Receiver,
}

/// What let-out outputs go to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[allow(missing_docs)]
pub struct Receiver {
    /// The events whose outputs it saw, in their order.
    pub events: Row,
    /// The k of the last output.
    pub k: u8,
    /// Origin and sequence of the last link.
    pub last: (u8, u8),
}

/// What an arbiter knows of the ingress in its term.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)]
pub enum Found {
    Unknown,
    Stays,
    Replaced,
}

/// A.2, arbiter. The answers are in the columns.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)]
pub struct Arbiter {
    /// 0 after a restart.
    pub term: u8,
    pub ingress: Found,
    pub picked: bool,
}

/// A snapshot on its way.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[allow(missing_docs)]
pub struct Transfer {
    /// 0: none; 1: the first slice is read; 2: all are.
    pub slices: u8,
    pub term: u8,
    pub applied: u8,
    pub applied_term: u8,
    pub filter: u8,
    pub state: Row,
    pub chain: Chain,
}

/// Faults so far.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[allow(missing_docs)]
pub struct Used {
    pub raises: u8,
    pub member_crashes: u8,
    pub ingress_crashes: u8,
    pub arbiter_restarts: u8,
    pub outlet_restarts: u8,
    pub abandons: u8,
    pub leaves: u8,
}

/// Everything.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)]
pub struct State {
    pub columns: [Column; MEMBERS],
    /// By age.
    pub ingresses: [Ingress; INGRESSES],
    pub outlet: Outlet,
    pub arbiter: Arbiter,
    pub transfer: Transfer,
    /// The events that an ingress acknowledged, each a bit.
    pub acknowledged: u8,
    pub used: Used,
    pub violation: Option<Violation>,
}

impl Member {
    fn first(hot: bool) -> Self {
        Self {
            alive: true,
            hot,
            incarnation: 1,
            term: 1,
            generation: 1,
            full: true,
            counted: true,
            active: false,
            cuts: 1,
            mark: Mark { origin: 1, ..Mark::default() },
            commit: 0,
            log: Log::behind(0, 0),
            applied: 0,
            applied_term: 0,
            state: Row::default(),
            filter: 0,
            chain: Chain::at(1, 0, GENESIS),
        }
    }

    /// One of an incarnation that has nothing (A.7.1).
    pub fn empty(hot: bool, incarnation: u8) -> Self {
        let chain = Chain::default();
        let mark = Mark::default();
        let none = Self { full: false, counted: false, generation: 0, term: 0, cuts: 0, ..Self::first(hot) };
        Self { incarnation, chain, mark, ..none }
    }

    /// It loses its state and its log, but not its life.
    pub fn become_empty(&mut self) {
        let Self { hot, incarnation, term, cuts, mark, .. } = *self;
        *self = Self { term, cuts, mark, ..Self::empty(hot, incarnation) };
    }
}

impl State {
    /// All members alive, full and in the first generation; one is active.
    pub fn first(setting: &Setting) -> Self {
        let warm = MEMBERS - usize::from(setting.warm);
        let column = |place| Column {
            member: Member { active: place == 0, ..Member::first(place < warm) },
            peers: [Peer { incarnation: 1, ..Peer::default() }; INGRESSES],
            answer: Answer::default(),
            grant: (0, 0),
            sends: false,
            receives: false,
        };
        let none = Ingress {
            alive: false,
            term: 0,
            generation: 0,
            start: 0,
            log: Log::behind(0, 0),
            filter: 0,
            commit: 0,
            confirmed: false,
        };
        let mut ingresses = [none; INGRESSES];
        ingresses[0] = Ingress { alive: true, term: 1, generation: 1, confirmed: true, ..none };
        let mut state = Self {
            columns: std::array::from_fn(column),
            ingresses,
            outlet: Outlet {
                term: 1,
                mark: Mark { origin: 1, ..Mark::default() },
                hash: GENESIS,
                horizon: 0,
                recorded: false,
                last: (0, 0),
                cuts: [Cut::default(); TERMS],
                receiver: Receiver { last: (1, 0), ..Receiver::default() },
            },
            arbiter: Arbiter { term: 1, ingress: Found::Stays, picked: true },
            transfer: Transfer::default(),
            acknowledged: 0,
            used: Used::default(),
            violation: None,
        };
        state.columns[0].grant = (1, 1);
        state.normalize(setting);
        state
    }

    /// The place of the newest ingress.
    pub fn newest(&self) -> usize {
        self.ingresses.iter().rposition(|ingress| ingress.generation > 0).expect("there is a first one")
    }

    /// Forgets what can no longer make a difference, and gives interchangeable members one order.
    pub fn normalize(&mut self, setting: &Setting) {
        let has_eviction = setting.ring < setting.events;
        let has_commit = setting.acks > 1;
        let may_be_replaced = setting.suspicion || setting.ingress_crashes > 0;
        for Column { member, peers, answer, grant, .. } in &mut self.columns {
            if !member.active && member.chain.keeps_none() {
                // A standby keeps nothing that the mark could pass: the index alone counts.
                member.mark = Mark { done: member.mark.done, ..Mark::default() };
            }
            if member.alive && grant.0 < member.term {
                *grant = (0, 0);
            }
            if !has_commit {
                member.counted = member.full;
            }
            for (peer, ingress) in peers.iter_mut().zip(&self.ingresses) {
                peer.applied *= u8::from(has_eviction);
                peer.held *= u8::from(has_commit);
                if !ingress.alive || !(has_eviction || has_commit) {
                    *peer = Peer::default();
                }
            }
            answer.applied *= u8::from(has_eviction || setting.lacks(Mutation::LogFromHeld));
            if !(may_be_replaced && self.arbiter.ingress == Found::Unknown) {
                *answer = Answer { generation: 0, held: 0, counted: false, ..*answer };
            }
        }
        for ingress in self.ingresses.iter_mut().filter(|ingress| !ingress.alive && !has_eviction) {
            ingress.log = Log::behind(0, 0);
        }
        self.columns.sort_unstable();
    }

    /// Notes what went wrong, the first time.
    pub fn violate(&mut self, violation: Violation) {
        self.violation.get_or_insert(violation);
    }

    /// 64 bits that stand for the state.
    pub fn fingerprint(&self) -> u64 {
        let mut folding = Folding::default();
        self.hash(&mut folding);
        folding.finish()
    }
}

/// Folds words by 128-bit products; bytes are gathered to words.
#[derive(Default)]
struct Folding {
    sum: u64,
    word: u64,
    bits: u32,
}

impl Folding {
    fn fold(&mut self, word: u64) {
        let product = u128::from(self.sum ^ 0x2d35_8dcc_aa6c_78a5) * u128::from(word ^ 0x8bb8_4b93_962e_acc9);
        self.sum = (product >> 64) as u64 ^ (product as u64).rotate_left(23) ^ word;
    }

    fn add(&mut self, value: u64, bits: u32) {
        if self.bits + bits > 64 {
            let word = self.word;
            self.fold(word);
            (self.word, self.bits) = (0, 0);
        }
        self.word |= value << self.bits;
        self.bits += bits;
    }
}

impl Hasher for Folding {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u8(*byte));
    }
    fn write_u8(&mut self, value: u8) {
        self.add(value.into(), 8);
    }
    fn write_u32(&mut self, value: u32) {
        self.add(value.into(), 32);
    }
    fn write_u64(&mut self, value: u64) {
        self.fold(value);
    }
    fn write_usize(&mut self, value: usize) {
        self.write_u8(value as u8);
    }
    fn write_isize(&mut self, value: isize) {
        self.write_u8(value as u8);
    }
    fn finish(&self) -> u64 {
        let mut last = Self { ..*self };
        last.fold(self.word);
        last.fold(0);
        last.sum
    }
}
