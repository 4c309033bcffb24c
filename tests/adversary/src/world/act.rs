//! What everybody does by itself, each tick.

use trilane::group::message::{Marked, Output};
use trilane::group::{Acks, Applied, Fault, Standby, ToMember, ToOutlet};

use super::{PATIENCE, TRANSFER_LIMIT, Violation, World};
use crate::message::{Message, Node, OwnedMarked};
use crate::notes::What;

impl<const N: usize> World<N> {
    pub(super) fn act(&mut self) {
        for number in 0..self.producers.len() {
            self.produce(number);
        }
        for number in 0..self.ingresses.len() {
            self.run_ingress(number);
        }
        for number in 0..N {
            if self.runs(number) {
                self.run_member(number);
            }
        }
        self.run_outlet();
        self.run_arbiter();
    }

    /// Sends what isn't acknowledged, again and again, to an ingress that it knows of.
    fn produce(&mut self, number: usize) {
        if self.rng.below(3) > 0 {
            return;
        }
        let producer = &self.producers[number];
        let events: Vec<_> = producer.events.iter().skip(producer.acked as usize).take(3).cloned().collect();
        let newest = self.newest();
        let stale = self.has_faults && self.rng.below(4) == 0;
        let to = if stale { self.rng.below(self.ingresses.len()) } else { newest };
        for event in events {
            self.send(Node::Producer(number), Node::Ingress(to), Message::Submit { event });
        }
    }

    fn run_ingress(&mut self, number: usize) {
        // With `Acks::One` it may go down to a single member that has the state, so it waits for long.
        let silence = if self.plan.acks == Acks::One { 500 } else { 30 };
        let node = &mut self.ingresses[number];
        if !node.alive || node.slow_until > self.now {
            return;
        }
        node.ingress.tick(silence);
        if self.rng.below(3) > 0 {
            return;
        }
        for member in 0..N {
            self.deliveries(number, member);
        }
    }

    fn run_member(&mut self, number: usize) {
        let node = Node::Member(number);
        let seat = &mut self.members[number];
        seat.transfer.tick(TRANSFER_LIMIT);
        if let Some(nonce) = seat.member.wants_to_join() {
            if self.rng.below(3) == 0 {
                self.send(node, Node::Outlet, Message::Join { nonce });
            }
            return;
        }
        for _ in 0..2 {
            let Ok(Applied::One | Applied::Refused) = self.members[number].member.apply() else { break };
            self.note_digest(number);
        }
        self.look_at(number);
        if self.rng.below(2) == 0 {
            let mut outputs = Vec::new();
            let member = &self.members[number].member;
            member.outputs(|Output { term, frame, ordinal, is_last }| {
                outputs.push(Message::Output { term, frame: frame.to_vec(), ordinal, is_last });
            });
            outputs.extend(member.through().map(Message::Through));
            outputs.extend(member.passed().map(Message::Passed));
            for output in outputs {
                self.send(node, Node::Outlet, output);
            }
        }
        self.ask_for_snapshot(number);
    }

    /// An empty member asks another for its state, and a warm one does now and then.
    fn ask_for_snapshot(&mut self, number: usize) {
        let seat = &self.members[number];
        let is_warm = seat.standby == Standby::Warm && !seat.member.is_active();
        let is_wanted = seat.member.wants_snapshot();
        let often = if is_wanted { 6 } else { 30 };
        if !is_wanted && !is_warm || self.rng.below(often) > 0 {
            return;
        }
        let other = (number + 1 + self.rng.below(N - 1)) % N;
        if self.members[number].transfer.request().is_some() {
            return self.ask_for_slice(number, Node::Member(other));
        }
        self.send(Node::Member(number), Node::Member(other), Message::AskOffer);
    }

    /// The state behind each index is the same in all members.
    pub(super) fn note_digest(&mut self, number: usize) {
        let member = &self.members[number].member;
        let (index, counter) = (member.applied().index, member.daemon());
        let digest = counter.digest;
        if counter.is_wrong {
            return self.violate(Violation::EventTwice, Node::Member(number));
        }
        if *self.digests.entry(index).or_insert(digest) != digest {
            self.violate(Violation::StatesDisagree, Node::Member(number));
        }
    }

    /// No member stops: its daemon is deterministic.
    pub(super) fn look_at(&mut self, number: usize) {
        if let Some(fault) = self.members[number].member.fault() {
            self.note(Node::Member(number), || What::Says(fault.to_string()));
            let violation = if fault == Fault::Diverged { Violation::Diverged } else { Violation::Rejected };
            self.violate(violation, Node::Member(number));
        }
    }

    fn run_outlet(&mut self) {
        if self.outlet.outlet.pending().is_some() {
            self.release();
        }
        if self.rng.below(3) > 0 {
            return;
        }
        for member in 0..N {
            self.send_marked(Node::Member(member));
        }
        for ingress in 0..self.ingresses.len() {
            self.send_marked(Node::Ingress(ingress));
        }
        self.send_marked(Node::Arbiter);
    }

    fn run_arbiter(&mut self) {
        let node = Node::Arbiter;
        self.suspect();
        let _ = self.arbiter.tick(PATIENCE);
        if self.rng.below(2) > 0 {
            return;
        }
        let asked = self.arbiter.to_outlet().map(|asked| match asked {
            ToOutlet::Raise { from, nonce } => Message::Raise { from, nonce },
            ToOutlet::ReplaceIngress { term } => Message::ReplaceIngress { term },
        });
        if let Some(message) = asked {
            self.send(node, Node::Outlet, message);
        }
        if let Some(asked) = self.arbiter.to_ingress() {
            for ingress in 0..self.ingresses.len() {
                // An old one is asked, too, if it is not known to be replaced.
                self.send(node, Node::Ingress(ingress), Message::ToIngress(asked));
            }
        }
        for member in 0..N {
            let message = match self.arbiter.to_member(member) {
                Some(ToMember::Fence { term }) => Message::Fence { term },
                Some(ToMember::Begin { term, incarnation }) => Message::Begin { term, incarnation },
                Some(ToMember::Grant(grant)) => {
                    let Marked { term, mark, cuts, generation } = grant.marked;
                    let marked = OwnedMarked { term, mark, cuts: cuts.clone(), generation };
                    Message::Grant { incarnation: grant.incarnation, marked }
                }
                None => continue,
            };
            self.send(node, Node::Member(member), message);
        }
    }

    /// Without progress the active, or the ingress, is thought to be dead.
    fn suspect(&mut self) {
        let quiet = self.now - self.heard_done.1.min(self.now);
        let is_first = self.heard_term == 1 && self.arbiter.is_idle() && self.now > 5;
        let is_suspect = quiet > 6 * u64::from(PATIENCE) && !self.is_done();
        let is_false = self.has_faults && self.rng.permille(self.plan.suspicion);
        if self.heard_term > 0 && (is_first || is_suspect || is_false) {
            self.heard_done.1 = self.now;
            self.note(Node::Arbiter, || What::Suspects { is_false: !is_first && !is_suspect });
            self.arbiter.raise(self.heard_term);
        }
    }
}
