//! What is said of a run, if it is wanted.

use std::collections::BTreeMap;
use std::fmt;

use trilane::group::{InstallError, Mark, Standby, ToOutlet};

use crate::message::Node;
use crate::world::{Violation, World};

/// One thing that happened.
pub struct Note {
    /// When.
    pub tick: u64,
    /// To whom.
    pub node: Node,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum What {
    Dies,
    Restarts,
    StandsStill,
    Slow {
        until: u64,
    },
    /// These can't reach the others, perhaps nor these them.
    Parted {
        until: u64,
        apart: Vec<Node>,
        both: bool,
    },
    /// That the active or the ingress is dead: because nothing goes on, or for no reason.
    Suspects {
        is_false: bool,
    },
    /// A new ingress.
    Begins {
        term: u64,
        member: usize,
    },
    Term {
        term: u64,
        cut: Mark,
    },
    Active {
        term: u64,
    },
    /// By its origin, sequence, and the origin's term.
    LetsOut {
        origin: u64,
        sequence: u64,
        term: u64,
        is_hand_over: bool,
    },
    /// So many events of the producer.
    Acknowledged(u64),
    Snapshot(Result<(), InstallError>),
    /// A message that it sent.
    Lost,
    State(State),
    Heals,
    Violates(Violation),
    Says(String),
}

impl What {
    /// Whether it would hide the rest in a list.
    pub const fn is_detail(&self) -> bool {
        matches!(self, Self::Lost | Self::State(_) | Self::Acknowledged(_) | Self::Slow { .. })
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dies => f.write_str("dies"),
            Self::Restarts => f.write_str("restarts"),
            Self::StandsStill => f.write_str("stands still"),
            Self::Slow { until } => write!(f, "does nothing until {until}"),
            Self::Parted { until, apart, both } => {
                let apart: Vec<String> = apart.iter().map(Node::to_string).collect();
                let ways = if *both { "either way" } else { "from these" };
                write!(
                    f,
                    "a partition until {until}: nothing gets through between {} and the others, {ways}",
                    apart.join(", ")
                )
            }
            Self::Suspects { is_false: true } => f.write_str("suspects for no reason"),
            Self::Suspects { is_false: false } => f.write_str("suspects, for nothing goes on"),
            Self::Begins { term, member } => {
                write!(f, "begins in term {term} with the log of member {member}")
            }
            Self::Term { term, cut } => {
                let (of, sequence) = (cut.term, cut.sequence.get());
                write!(f, "term {term}, cut at {of}:{sequence}, done {}", cut.done)
            }
            Self::Active { term } => write!(f, "active in term {term}"),
            Self::LetsOut { origin, sequence, term, is_hand_over } => {
                let what = if *is_hand_over { "the hand-over " } else { "" };
                write!(f, "lets out {what}{:x}:{sequence} of term {term}", origin >> 48)
            }
            Self::Acknowledged(events) => write!(f, "{events} events are acknowledged"),
            Self::Snapshot(Ok(())) => f.write_str("has installed a snapshot"),
            Self::Snapshot(Err(error)) => write!(f, "has got a snapshot: {error}"),
            Self::Lost => f.write_str("a message that it sent is lost"),
            Self::State(state) => state.fmt(f),
            Self::Heals => f.write_str("the faults end"),
            Self::Violates(violation) => write!(f, "VIOLATION {violation:?}"),
            Self::Says(text) => f.write_str(text),
        }
    }
}

/// How somebody is, from a note on to its next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct State {
    pub phase: Phase,
    pub term: u64,
    /// It does nothing for a while.
    pub is_still: bool,
    /// The newest ingress keeps no records for it.
    pub is_excluded: bool,
}

/// What somebody is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Phase {
    Dead,
    /// A member that has restarted asks for its incarnation.
    Joining,
    Empty,
    /// Full, but its log does not count yet.
    Uncounted,
    Hot,
    Warm,
    Active,
    /// A fenced ingress that waits to be told the successor.
    Fenced,
    Serving,
    Replaced,
    Raising,
    Measuring,
    Granting,
    /// The outlet, the producers, and the arbiter when there is nothing to do.
    Idle,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self.phase {
            Phase::Dead => return f.write_str("dead"),
            Phase::Joining => "has restarted, asks for its incarnation",
            Phase::Empty => "empty, wants a snapshot",
            Phase::Uncounted => "full, not counted yet",
            Phase::Hot => "full, hot standby",
            Phase::Warm => "full, warm standby",
            Phase::Active => "active",
            Phase::Fenced => "fenced, takes nothing before it is told the successor",
            Phase::Serving => "takes events",
            Phase::Replaced => "goes on, but is replaced",
            Phase::Raising => "asks the outlet for a new term",
            Phase::Measuring => "fences ingress and members",
            Phase::Granting => "grants the term to its pick",
            Phase::Idle => "runs",
        };
        write!(f, "{text}; term {}", self.term)?;
        f.write_str(if self.is_still { "; does nothing now" } else { "" })?;
        f.write_str(if self.is_excluded { "; out of the eviction set" } else { "" })
    }
}

/// The notes of a run.
#[derive(Default)]
pub struct Notes {
    pub(crate) list: Vec<Note>,
    states: BTreeMap<Node, State>,
}

impl<const N: usize> World<N> {
    /// Notes who is not as before.
    pub(crate) fn note_states(&mut self) {
        if self.notes.is_none() {
            return;
        }
        let now: Vec<(Node, State)> = (0..self.producers.len())
            .map(|number| (Node::Producer(number), Phase::Idle.of(0)))
            .chain(
                (0..self.ingresses.len()).map(|number| (Node::Ingress(number), self.ingress_state(number))),
            )
            .chain((0..N).map(|number| (Node::Member(number), self.member_state(number))))
            .chain([(Node::Outlet, Phase::Idle.of(self.outlet.outlet.term()))])
            .chain([(Node::Arbiter, self.arbiter_state())])
            .collect();
        for (node, state) in now {
            let notes = self.notes.as_mut().expect("they are wanted");
            if notes.states.insert(node, state) != Some(state) {
                self.note(node, || What::State(state));
            }
        }
    }

    fn ingress_state(&self, number: usize) -> State {
        let node = &self.ingresses[number];
        let state = node.ingress.state().expect("it has begun");
        let phase = if !node.alive {
            Phase::Dead
        } else if state.generation < self.outlet.outlet.marked().map_or(0, |marked| marked.generation) {
            Phase::Replaced
        } else if state.is_confirmed {
            Phase::Serving
        } else {
            Phase::Fenced
        };
        State { is_still: node.alive && node.slow_until > self.now, ..phase.of(node.ingress.term()) }
    }

    fn member_state(&self, number: usize) -> State {
        let (node, member) = (&self.members[number], &self.members[number].member);
        let phase = if !node.alive {
            Phase::Dead
        } else if member.wants_to_join().is_some() {
            Phase::Joining
        } else if member.is_active() {
            Phase::Active
        } else if !member.is_full() {
            Phase::Empty
        } else if !member.is_counted() {
            Phase::Uncounted
        } else if node.standby == Standby::Warm {
            Phase::Warm
        } else {
            Phase::Hot
        };
        let is_still = node.alive && !self.runs(number);
        let is_excluded = self.ingresses[self.newest()].ingress.is_excluded(number);
        State { is_still, is_excluded, ..phase.of(member.term()) }
    }

    fn arbiter_state(&self) -> State {
        let phase = if self.arbiter.is_idle() {
            Phase::Idle
        } else if matches!(self.arbiter.to_outlet(), Some(ToOutlet::Raise { .. })) {
            Phase::Raising
        } else if self.arbiter.successor().is_none() {
            Phase::Measuring
        } else {
            Phase::Granting
        };
        phase.of(self.arbiter.term())
    }
}

impl Phase {
    const fn of(self, term: u64) -> State {
        State { phase: self, term, is_still: false, is_excluded: false }
    }
}
