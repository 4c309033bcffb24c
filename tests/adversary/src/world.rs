//! A group with all that is around it, in virtual time.

mod act;
mod faults;
mod receive;

use std::collections::HashMap;

use trilane::causal::{Bloom, Chain, Link, Origin};
use trilane::group::{Arbiter, GroupId, Ingress, Member, Outlet, Rule, Standby, Transfer, lacks_rule};

use crate::counter::Counter;
use crate::message::{CUTS, Message, Node, OwnedMarked, Packet};
use crate::notes::{Note, Notes, What};
use crate::plan::Plan;
use crate::rng::Rng;

/// The sizes of the group: small, so that everything fills up.
pub const BYTES: usize = 1024;
/// Records of a log.
pub const RECORDS: usize = 8;
/// Producers.
pub const PRODUCERS: usize = 4;
/// The longest output.
pub const FRAME: usize = 100;
/// The longest snapshot.
pub const SNAPSHOT: usize = 4096;
/// Ticks after which a transfer without progress ends.
const TRANSFER_LIMIT: u32 = 60;
/// Ticks after which the arbiter goes on with what it has.
const PATIENCE: u32 = 20;

/// The group.
pub const GROUP: GroupId = GroupId::new(7);

pub(crate) type GroupMember = Member<Counter, BYTES, RECORDS, PRODUCERS, CUTS>;
pub(crate) type GroupIngress<const N: usize> = Ingress<N, BYTES, RECORDS, PRODUCERS>;
pub(crate) type GroupOutlet<const N: usize> = Outlet<N, CUTS, FRAME>;

/// What went wrong.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[allow(missing_docs)]
pub enum Violation {
    EventLost,
    EventTwice,
    NotHeld,
    OutputLost,
    OutputTwice,
    OutputChanged,
    Diverged,
    StatesDisagree,
    Rejected,
    Stuck,
}

pub(crate) struct MemberNode {
    pub member: GroupMember,
    pub transfer: Box<Transfer<SNAPSHOT>>,
    pub alive: bool,
    /// It does nothing until then.
    pub slow_until: u64,
    pub standby: Standby,
}

pub(crate) struct IngressNode<const N: usize> {
    pub ingress: Box<GroupIngress<N>>,
    pub alive: bool,
    pub slow_until: u64,
}

pub(crate) struct OutletNode<const N: usize> {
    pub outlet: Box<GroupOutlet<N>>,
    pub copies: [Vec<u8>; 2],
    /// The copies as they were some time ago.
    pub stale: [Vec<u8>; 2],
}

/// Who is behind the outlet.
#[derive(Default)]
pub(crate) struct Receiver {
    /// The frames, one behind the other.
    pub frames: Vec<u8>,
    /// The payloads, without hand-overs.
    pub outputs: Vec<Vec<u8>>,
    pub last: (u64, u64),
}

pub(crate) struct Producer {
    pub origin: u64,
    /// All its events, link and payload.
    pub events: Vec<Vec<u8>>,
    /// So many are acknowledged.
    pub acked: u64,
}

/// Everything.
pub struct World<const N: usize> {
    pub(crate) plan: Plan,
    pub(crate) rng: Rng,
    pub(crate) now: u64,
    pub(crate) clock: u64,
    pub(crate) members: Vec<MemberNode>,
    pub(crate) ingresses: Vec<IngressNode<N>>,
    pub(crate) outlet: OutletNode<N>,
    pub(crate) arbiter: Arbiter<N, CUTS>,
    /// The outlet's term, as the arbiter has heard of it.
    pub(crate) heard_term: u64,
    /// The mark that the arbiter heard of last, and when it was new.
    pub(crate) heard_done: (u64, u64),
    pub(crate) receiver: Receiver,
    pub(crate) producers: Vec<Producer>,
    pub(crate) packets: Vec<Packet>,
    /// Who can't reach whom, until when.
    pub(crate) partition: Vec<(Node, Node)>,
    pub(crate) partition_until: u64,
    /// The digest of the state behind each index.
    pub(crate) digests: HashMap<u64, u64>,
    pub(crate) nonces: u64,
    pub(crate) has_faults: bool,
    pub(crate) frozen: Option<usize>,
    pub(crate) violation: Option<Violation>,
    pub(crate) deaths: u64,
    /// What has happened, if it is wanted.
    pub notes: Option<Notes>,
}

impl<const N: usize> World<N> {
    /// All that a plan needs, before its first tick.
    pub fn new(plan: &Plan) -> Self {
        let mut rng = Rng::new(plan.seed ^ 0xa5a5);
        let producers = (0..plan.producers).map(|number| producer(&mut rng, number, plan.events)).collect();
        let mut outlet = Box::new(GroupOutlet::new());
        outlet.found(GROUP);
        let copies = [vec![0; GroupOutlet::<N>::RECORD], vec![0; GroupOutlet::<N>::RECORD]];
        let mut outlet = OutletNode { outlet, stale: copies.clone(), copies };
        outlet.store();
        outlet.store();
        outlet.stale = outlet.copies.clone();
        let mut ingress = Box::new(GroupIngress::new());
        ingress.found(plan.acks);
        let member = |number| {
            let standby = if number >= N - plan.warm { Standby::Warm } else { Standby::Hot };
            let mut member = Member::new(Counter::default());
            member.start(GROUP, standby, number as u64 + 1);
            MemberNode { member, transfer: Box::default(), alive: true, slow_until: 0, standby }
        };
        Self {
            plan: plan.clone(),
            rng,
            now: 0,
            clock: 1_000,
            members: (0..N).map(member).collect(),
            ingresses: vec![IngressNode { ingress, alive: true, slow_until: 0 }],
            outlet,
            arbiter: Arbiter::new(plan.acks, 1),
            heard_term: 0,
            heard_done: (0, 0),
            receiver: Receiver::default(),
            producers,
            packets: Vec::new(),
            partition: Vec::new(),
            partition_until: 0,
            digests: HashMap::new(),
            nonces: 1_000,
            has_faults: true,
            frozen: None,
            violation: None,
            deaths: 0,
            notes: None,
        }
    }

    pub(crate) fn violate(&mut self, violation: Violation, node: Node) {
        self.note(node, || What::Violates(violation));
        self.violation.get_or_insert(violation);
    }

    pub(crate) fn note(&mut self, node: Node, what: impl FnOnce() -> What) {
        if let Some(notes) = &mut self.notes {
            notes.list.push(Note { tick: self.now, node, what: what() });
        }
    }

    /// Puts a message on its way, or several of it, or none.
    pub(crate) fn send(&mut self, from: Node, to: Node, message: Message) {
        let (plan, rng) = (&self.plan, &mut self.rng);
        let is_cut = self.now < self.partition_until && self.partition.contains(&(from, to));
        if self.has_faults && (is_cut || rng.permille(plan.drop)) {
            return self.note(from, || What::Lost);
        }
        let delay = if self.has_faults { plan.delay } else { 2 };
        let copies = 1 + usize::from(self.has_faults && rng.permille(plan.repeat));
        for _ in 1..copies {
            let due = self.now + 1 + rng.below(delay) as u64;
            self.packets.push(Packet { due, from, to, message: message.clone() });
        }
        let due = self.now + 1 + rng.below(delay) as u64;
        self.packets.push(Packet { due, from, to, message });
    }

    /// One tick.
    pub fn tick(&mut self) {
        self.now += 1;
        self.clock += 10;
        if self.has_faults {
            self.strike();
        }
        let now = self.now;
        let mut due = Vec::new();
        self.packets.retain_mut(|packet| {
            let is_due = packet.due <= now;
            if is_due {
                due.push(std::mem::replace(packet, Packet { message: Message::AskOffer, ..*packet }));
            }
            !is_due
        });
        // In any order.
        for place in (1..due.len()).rev() {
            let other = self.rng.below(place + 1);
            due.swap(place, other);
        }
        for packet in due {
            self.receive(packet);
            if self.violation.is_some() {
                return;
            }
        }
        self.act();
        self.note_states();
    }

    pub(crate) fn marked(&self) -> OwnedMarked {
        let marked = self.outlet.outlet.marked().expect("it is open");
        OwnedMarked {
            term: marked.term,
            mark: marked.mark,
            cuts: marked.cuts.clone(),
            generation: marked.generation,
        }
    }

    /// Whether the member does anything now.
    pub(crate) fn runs(&self, member: usize) -> bool {
        let node = &self.members[member];
        node.alive && node.slow_until <= self.now && self.frozen != Some(member)
    }

    pub(crate) fn next_nonce(&mut self) -> u64 {
        // A member counts its own ones up from here.
        self.nonces += 1_000;
        self.nonces
    }

    /// The number of the newest ingress, by what the outlet knows.
    pub(crate) fn newest(&self) -> usize {
        let newest = self.outlet.outlet.marked().map_or(0, |marked| marked.generation);
        let is_it =
            |node: &IngressNode<N>| node.ingress.state().is_some_and(|state| state.generation == newest);
        self.ingresses.iter().position(is_it).unwrap_or(0)
    }

    /// Everything is acknowledged and let out, and somebody would go on.
    pub fn is_done(&self) -> bool {
        let all = self.producers.iter().all(|producer| producer.acked == self.plan.events);
        let newest = &self.ingresses[self.newest()].ingress;
        let outlet = &self.outlet.outlet;
        let done = outlet.marked().is_ok_and(|marked| marked.mark.done == newest.end());
        let has_active = (0..N).any(|number| {
            let member = &self.members[number].member;
            self.runs(number) && member.is_active() && member.applied().index == newest.end()
        });
        all && done && has_active && outlet.pending().is_none()
    }
}

fn producer(rng: &mut Rng, number: usize, events: u64) -> Producer {
    let origin = 100 + number as u64;
    let mut chain = Chain::new(Origin::new(origin));
    let event = |_| {
        let mut bytes = vec![0; Link::LEN + 8 + 8 * rng.below(3)];
        bytes[Link::LEN..Link::LEN + 8].copy_from_slice(&rng.next().to_le_bytes());
        chain.append(Bloom::EMPTY, &mut bytes).expect("there is a sequence");
        bytes
    };
    Producer { origin, events: (0..events).map(event).collect(), acked: 0 }
}

impl<const N: usize> OutletNode<N> {
    /// Stores the record.
    pub fn store(&mut self) {
        let [even, odd] = &mut self.copies;
        self.outlet.write([even, odd]).expect("the copies have their size");
    }

    /// Restarts from the record.
    pub fn restart(&mut self) {
        if lacks_rule(Rule::OutletRecord) {
            self.copies = self.stale.clone();
        }
        let [even, odd] = &self.copies;
        if let Err(error) = self.outlet.open(GROUP, [even, odd]) {
            assert!(lacks_rule(Rule::TwoCopies), "{error}");
            // Without a record it is another outlet.
            self.outlet.found(GROUP);
        }
    }
}
