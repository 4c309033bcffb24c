//! Messages as they travel: owned, for they outlive the state of their sender.

use std::fmt;

use trilane::causal::{Event, LinkHash, Ordinal, Position};
use trilane::daemon::Delivery;
use trilane::group::message::{Ack, Deliver, Fenced, Granted, IngressState, LowerTerm, Passed, Through};
use trilane::group::{Cuts, HighWater, Mark, Offer, Record, Request, Submitted, ToIngress};
use trilane::time::Instant;

/// The cuts that there is room for.
pub const CUTS: usize = 8;

/// Who sends and receives. An ingress has its number among all that there were.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Node {
    Producer(usize),
    Ingress(usize),
    Member(usize),
    Outlet,
    Arbiter,
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Producer(number) => write!(f, "producer {number}"),
            Self::Ingress(number) => write!(f, "ingress {number}"),
            Self::Member(number) => write!(f, "member {number}"),
            Self::Outlet => f.write_str("outlet"),
            Self::Arbiter => f.write_str("arbiter"),
        }
    }
}

/// A record as it travels.
#[derive(Clone, Debug)]
pub struct OwnedRecord {
    position: Position,
    time: Instant,
    seed: u64,
    hash: LinkHash,
    event: Vec<u8>,
}

impl OwnedRecord {
    fn new(record: &Record<'_>) -> Self {
        let Record { delivery: Delivery { position, time, seed, event }, hash } = *record;
        Self { position, time, seed, hash, event: event.bytes().to_vec() }
    }

    fn get(&self) -> Record<'_> {
        let Self { position, time, seed, hash, .. } = *self;
        let event = Event::new(&self.event).expect("it was an event");
        Record { delivery: Delivery { position, time, seed, event }, hash }
    }
}

/// [`Deliver`], owned.
#[derive(Clone, Debug)]
pub struct OwnedDeliver {
    head: [u64; 6],
    before: Position,
    record: Option<OwnedRecord>,
}

impl OwnedDeliver {
    /// A copy.
    pub fn new(deliver: &Deliver<'_>) -> Self {
        let Deliver { term, generation, start, base, commit, incarnation, before, record } = deliver;
        let head = [*term, *generation, *start, *base, *commit, *incarnation];
        Self { head, before: *before, record: record.as_ref().map(OwnedRecord::new) }
    }

    /// The message.
    pub fn get(&self) -> Deliver<'_> {
        let [term, generation, start, base, commit, incarnation] = self.head;
        let record = self.record.as_ref().map(OwnedRecord::get);
        Deliver { term, generation, start, base, commit, incarnation, before: self.before, record }
    }
}

/// [`Marked`](trilane::group::message::Marked), owned.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct OwnedMarked {
    pub term: u64,
    pub mark: Mark,
    pub cuts: Cuts<CUTS>,
    pub generation: u64,
}

impl OwnedMarked {
    /// The message.
    pub fn get(&self) -> trilane::group::message::Marked<'_, CUTS> {
        trilane::group::message::Marked {
            term: self.term,
            mark: self.mark,
            cuts: &self.cuts,
            generation: self.generation,
        }
    }
}

/// All that is sent.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub enum Message {
    Submit {
        event: Vec<u8>,
    },
    Answer {
        sequence: u64,
        answer: Submitted,
    },
    /// Not taken: where the producer's chain is at the ingress.
    Refused {
        high_water: HighWater,
    },
    Deliver(OwnedDeliver),
    Ack(Ack),
    Output {
        term: u64,
        frame: Vec<u8>,
        ordinal: Option<Ordinal>,
        is_last: bool,
    },
    Through(Through),
    Marked(OwnedMarked),
    Join {
        nonce: u64,
    },
    Joined {
        nonce: u64,
        incarnation: u64,
        marked: OwnedMarked,
    },
    Raise {
        from: u64,
        nonce: u64,
    },
    RaiseRefused(LowerTerm),
    Raised(OwnedMarked),
    ReplaceIngress {
        term: u64,
    },
    IngressReplaced {
        term: u64,
    },
    Fence {
        term: u64,
    },
    Fenced(Fenced),
    Begin {
        term: u64,
        incarnation: u64,
    },
    Grant {
        incarnation: u64,
        marked: OwnedMarked,
    },
    Granted(Granted),
    ToIngress(ToIngress),
    Ingress(IngressState),
    Passed(Passed),
    AskOffer,
    Offer(Offer),
    Request(Request),
    Slice {
        hash: u64,
        offset: u32,
        check: u32,
        bytes: Vec<u8>,
    },
}

/// A message on its way.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Packet {
    pub due: u64,
    pub from: Node,
    pub to: Node,
    pub message: Message,
}
