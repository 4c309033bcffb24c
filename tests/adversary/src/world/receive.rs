//! What becomes of a message at its receiver.

use trilane::causal::{Event, Frame};
use trilane::group::message::{Grant, Joined, Output};
use trilane::group::{
    HandOver, OutletError, Rule, Slice, SubmitError, Submitted, Taken, ToIngress, lacks_rule,
};
use trilane::time::Instant;

use super::{IngressNode, MemberNode, PRODUCERS, Violation, World};
use crate::message::{Message, Node, OwnedDeliver, OwnedMarked, Packet};
use crate::notes::What;

impl<const N: usize> World<N> {
    pub(super) fn receive(&mut self, packet: Packet) {
        let Packet { from, to, message, .. } = packet;
        match to {
            Node::Producer(number) => self.receive_at_producer(number, message),
            Node::Ingress(number) => self.receive_at_ingress(number, from, message),
            Node::Member(number) => self.receive_at_member(number, from, message),
            Node::Outlet => self.receive_at_outlet(from, message),
            Node::Arbiter => self.receive_at_arbiter(from, message),
        }
    }

    fn receive_at_producer(&mut self, number: usize, message: Message) {
        let acked = self.producers[number].acked;
        match message {
            // Each answer is to one event; those before it are acknowledged with it, for they are in order.
            Message::Answer { sequence, answer: Submitted::Acknowledged } if sequence == acked + 1 => {
                self.producers[number].acked += 1;
                self.note(Node::Producer(number), || What::Acknowledged(acked + 1));
            }
            Message::Refused { high_water } => {
                let own = high_water.sequence.get();
                let event = own.checked_sub(1).and_then(|at| self.producers[number].events.get(at as usize));
                let is_same = event.is_none_or(|event| Event::new(event).unwrap().hash() == high_water.hash);
                if !is_same {
                    self.violate(Violation::Rejected, Node::Producer(number));
                }
            }
            _ => {}
        }
    }

    fn receive_at_ingress(&mut self, number: usize, from: Node, message: Message) {
        let IngressNode { ingress, alive, slow_until } = &mut self.ingresses[number];
        if !*alive || *slow_until > self.now {
            return;
        }
        let node = Node::Ingress(number);
        let before = ingress.commit();
        match message {
            Message::Submit { event } => {
                let event = Event::new(&event).expect("it is an event");
                let sequence = event.link().sequence.get();
                let seed = self.rng.next();
                let answer = match ingress.submit(event, Instant::from_micros(self.clock), seed) {
                    Ok(answer) => Message::Answer { sequence, answer },
                    Err(SubmitError::Link { high_water, .. }) => {
                        let Node::Producer(producer) = from else { return };
                        let is_newest = number == self.newest();
                        if is_newest && high_water.sequence.get() < self.producers[producer].acked {
                            return self.violate(Violation::EventLost, node);
                        }
                        Message::Refused { high_water }
                    }
                    Err(SubmitError::NotConfirmed | SubmitError::Full) => return,
                    Err(error) => return self.reject(node, &error),
                };
                self.send(node, from, answer);
            }
            Message::Ack(ack) => {
                let Node::Member(member) = from else { return };
                ingress.ack(member, &ack);
            }
            Message::Marked(marked) => ingress.mark_reached(marked.mark.done),
            Message::ToIngress(asked) => {
                let state = match asked {
                    ToIngress::Fence { term } => ingress.fence(term),
                    ToIngress::Confirm { term, generation, successor } => {
                        ingress.confirm(term, generation, successor)
                    }
                };
                if let Ok(Some(state)) = state {
                    self.send(node, from, Message::Ingress(state));
                }
            }
            _ => {}
        }
        self.check_commit(number, before);
    }

    /// What is acknowledged is held by as many members as was said, but for those that have died meanwhile.
    fn check_commit(&mut self, number: usize, before: u64) {
        let ingress = &self.ingresses[number].ingress;
        let needed = self.plan.acks_count();
        let is_held = |index: u64| {
            let Some(position) = ingress.position(index) else { return true };
            let holds =
                |node: &&MemberNode| !node.alive || !node.member.is_counted() || node.member.holds(position);
            needed == 1 || self.members.iter().filter(holds).count() >= needed
        };
        if !(before + 1..=ingress.commit()).all(is_held) {
            self.violate(Violation::NotHeld, Node::Ingress(number));
        }
    }

    fn reject(&mut self, node: Node, error: &impl std::fmt::Display) {
        self.note(node, || What::Says(error.to_string()));
        self.violate(Violation::Rejected, node);
    }

    fn receive_at_member(&mut self, number: usize, from: Node, message: Message) {
        if !self.runs(number) {
            return;
        }
        let node = Node::Member(number);
        let seat = &mut self.members[number];
        let member = &mut seat.member;
        match message {
            Message::Deliver(deliver) => {
                if let Ok(Some(ack)) = member.deliver(&deliver.get()) {
                    self.send(node, from, Message::Ack(ack));
                }
            }
            Message::Marked(marked) => {
                let _ = member.mark_reached(&marked.get());
            }
            Message::Joined { nonce, incarnation, marked } => {
                member.join(&Joined { nonce, incarnation, marked: marked.get() });
            }
            Message::Fence { term } => {
                if let Ok(Some(answer)) = member.fence(term) {
                    self.send(node, from, Message::Fenced(answer));
                }
            }
            Message::Begin { term, incarnation } => self.begin(number, term, incarnation),
            Message::Grant { incarnation, marked } => {
                if let Ok(Some(answer)) = member.grant(&Grant { incarnation, marked: marked.get() }) {
                    self.note(node, || What::Active { term: answer.term });
                    self.send(node, from, Message::Granted(answer));
                }
            }
            Message::AskOffer => {
                if let Ok(offer) = seat.transfer.offer(&seat.member) {
                    self.send(node, from, Message::Offer(offer));
                }
            }
            Message::Offer(offer) => {
                let is_wanted = !seat.member.is_full() || offer.applied > seat.member.applied();
                if is_wanted && offer.term == seat.member.term() {
                    if let Err(error) = seat.transfer.accept(offer, PRODUCERS)
                        && error != trilane::group::TransferError::Busy
                    {
                        self.reject(node, &error);
                    }
                    self.ask_for_slice(number, from);
                }
            }
            Message::Request(request) => {
                let most = 48 + self.rng.below(200);
                let seat = &mut self.members[number];
                if let Ok(Slice { hash, offset, check, bytes }) = seat.transfer.slice(request, most) {
                    let mut bytes = bytes.to_vec();
                    if self.has_faults && self.rng.permille(self.plan.corrupt) && !bytes.is_empty() {
                        let at = self.rng.below(bytes.len());
                        bytes[at] ^= 1 << self.rng.below(8);
                    }
                    self.send(node, from, Message::Slice { hash, offset, check, bytes });
                }
            }
            Message::Slice { hash, offset, check, bytes } => {
                self.take_slice(number, from, &Slice { hash, offset, check, bytes: &bytes });
            }
            _ => {}
        }
        self.look_at(number);
    }

    /// Another member is asked next for the rest.
    pub(super) fn ask_for_slice(&mut self, number: usize, from: Node) {
        if let Some(request) = self.members[number].transfer.request() {
            self.send(Node::Member(number), from, Message::Request(request));
        }
    }

    fn take_slice(&mut self, number: usize, from: Node, slice: &Slice<'_>) {
        let seat = &mut self.members[number];
        let Ok(whole) = seat.transfer.take(slice) else { return };
        if let Some(bytes) = whole {
            let outcome = seat.member.install(bytes);
            seat.transfer.end();
            self.note(Node::Member(number), || What::Snapshot(outcome));
            if outcome.is_ok() {
                self.note_digest(number);
            }
        } else {
            self.ask_for_slice(number, from);
        }
    }

    /// A new ingress, beside a member.
    fn begin(&mut self, number: usize, term: u64, incarnation: u64) {
        let node = Node::Member(number);
        let already = self
            .ingresses
            .iter()
            .position(|old| old.ingress.state().is_some_and(|state| state.generation == term && term > 1));
        let place = match already {
            Some(place) => place,
            None => {
                let mut ingress = Box::new(super::GroupIngress::new());
                let member = &self.members[number].member;
                if ingress.begin(self.plan.acks, term, incarnation, member).is_err() {
                    return;
                }
                self.ingresses.push(IngressNode { ingress, alive: true, slow_until: 0 });
                let place = self.ingresses.len() - 1;
                self.note(Node::Ingress(place), || What::Begins { term, member: number });
                place
            }
        };
        if let Some(state) = self.ingresses[place].ingress.state()
            && self.ingresses[place].alive
        {
            self.send(node, Node::Arbiter, Message::Ingress(state));
        }
    }

    fn receive_at_outlet(&mut self, from: Node, message: Message) {
        let node = Node::Outlet;
        match message {
            Message::Output { term, frame, ordinal, is_last } => {
                let output = Output { term, frame: &frame, ordinal, is_last };
                self.take(&output, from);
            }
            Message::Through(through) if self.outlet.outlet.take_through(&through) == Ok(true) => {
                self.outlet.store();
            }
            Message::Join { nonce } => {
                let Node::Member(member) = from else { return };
                if let Ok(joined) = self.outlet.outlet.join(member, nonce) {
                    let Joined { nonce, incarnation, .. } = joined;
                    let marked = self.marked();
                    self.outlet.store();
                    self.send(node, from, Message::Joined { nonce, incarnation, marked });
                }
            }
            Message::Raise { from: term, nonce } => {
                let before = self.outlet.outlet.term();
                match self.outlet.outlet.raise(term, nonce) {
                    Ok(_) => {}
                    Err(OutletError::LowerTerm(refused)) => {
                        return self.send(node, from, Message::RaiseRefused(refused));
                    }
                    Err(_) => return,
                }
                let marked = self.marked();
                self.outlet.store();
                if marked.term > before {
                    self.note(node, || What::Term { term: marked.term, cut: marked.mark });
                }
                self.send(node, from, Message::Raised(marked));
            }
            Message::ReplaceIngress { term } if self.outlet.outlet.replace_ingress(term).is_ok() => {
                self.outlet.store();
                self.send(node, from, Message::IngressReplaced { term });
            }
            Message::Passed(passed) => {
                let Node::Member(member) = from else { return };
                self.outlet.outlet.take_passed(member, &passed);
            }
            _ => {}
        }
    }

    /// Take, store, let out, note: with a restart between any two of them.
    fn take(&mut self, output: &Output<'_>, from: Node) {
        match self.outlet.outlet.take(output) {
            Ok(Taken::Next) => {}
            Ok(Taken::Again) => return,
            Err(OutletError::Diverged) => return self.violate(Violation::Diverged, from),
            Err(OutletError::CutsFull(_) | OutletError::TooLong { .. } | OutletError::NoFrame) => {
                return self.violate(Violation::Rejected, from);
            }
            Err(_) => return,
        }
        let crash = if self.has_faults && self.rng.permille(self.plan.outlet_restarts) {
            self.rng.below(4)
        } else {
            usize::MAX
        };
        if crash == 0 {
            return self.restart_outlet();
        }
        let is_first = !lacks_rule(Rule::RecordFirst);
        if is_first {
            self.store(crash == 1);
            if crash <= 2 {
                return self.restart_outlet();
            }
        }
        self.release();
        if crash <= 3 {
            return self.restart_outlet();
        }
        if !is_first {
            self.store(false);
        }
    }

    /// Stores the record, or a part of it.
    fn store(&mut self, is_torn: bool) {
        let before = self.outlet.copies.clone();
        self.outlet.store();
        if is_torn {
            let whole = self.outlet.copies.clone();
            let from = self.rng.below(whole[0].len());
            for (copy, (before, whole)) in self.outlet.copies.iter_mut().zip(before.iter().zip(&whole)) {
                copy[..from].copy_from_slice(&whole[..from]);
                copy[from..].copy_from_slice(&before[from..]);
            }
        }
    }

    pub(super) fn restart_outlet(&mut self) {
        self.note(Node::Outlet, || What::Restarts);
        self.outlet.restart();
    }

    /// The receiver drops the last one if it comes again.
    pub(super) fn release(&mut self) {
        let Some(frame) = self.outlet.outlet.pending().map(<[u8]>::to_vec) else { return };
        self.outlet.outlet.released();
        let event = Frame::split(&frame).expect("it is a frame").0.event();
        let link = event.link();
        let place = (link.origin.get(), link.sequence.get());
        if self.receiver.last == place {
            return;
        }
        self.receiver.last = place;
        let term = self.marked().mark.term;
        let is_hand_over = HandOver::read(event).is_some();
        if !is_hand_over {
            self.receiver.outputs.push(event.payload().to_vec());
        }
        self.note(Node::Outlet, || {
            let (origin, sequence) = place;
            What::LetsOut { origin, sequence, term, is_hand_over }
        });
        self.receiver.frames.extend_from_slice(&frame);
    }

    fn receive_at_arbiter(&mut self, from: Node, message: Message) {
        match (message, from) {
            (Message::Raised(marked), _) => self.arbiter.raised(&marked.get()),
            (Message::RaiseRefused(refused), _) => self.arbiter.refused(refused),
            (Message::IngressReplaced { term }, _) => self.arbiter.ingress_replaced(term),
            (Message::Fenced(answer), Node::Member(member)) => self.arbiter.fenced(member, &answer),
            (Message::Granted(answer), Node::Member(member)) => self.arbiter.granted(member, &answer),
            (Message::Ingress(state), _) => self.arbiter.ingress_answered(&state),
            (Message::Marked(marked), _) => {
                self.heard_term = self.heard_term.max(marked.term);
                if marked.mark.done > self.heard_done.0 {
                    self.heard_done = (marked.mark.done, self.now);
                }
            }
            _ => {}
        }
    }

    /// Deliveries of one ingress to one member.
    pub(super) fn deliveries(&mut self, number: usize, member: usize) {
        let ingress = &self.ingresses[number].ingress;
        let Some(first) = ingress.deliver(member) else { return };
        let index = first.before.index + 1;
        let several =
            [Some(first), ingress.deliver_at(member, index + 1), ingress.deliver_at(member, index + 2)];
        let several: Vec<_> = several.iter().flatten().map(OwnedDeliver::new).collect();
        for deliver in several {
            self.send(Node::Ingress(number), Node::Member(member), Message::Deliver(deliver));
        }
    }

    pub(super) fn send_marked(&mut self, to: Node) {
        let marked: OwnedMarked = self.marked();
        self.send(Node::Outlet, to, Message::Marked(marked));
    }
}
