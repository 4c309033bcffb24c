//! What strikes, and how all heals.

use trilane::group::{Acks, Arbiter};

use super::{MemberNode, World};
use crate::message::Node;
use crate::notes::What;

impl<const N: usize> World<N> {
    /// The faults of one tick.
    pub(super) fn strike(&mut self) {
        let plan = self.plan.clone();
        if self.rng.permille(plan.clock_steps) {
            let step = self.rng.below(4_000) as u64;
            self.clock =
                if self.rng.below(2) == 0 { self.clock + step } else { self.clock.saturating_sub(step) };
        }
        // With `Acks::One` a single member may be left with the state while another is not heard of. So it
        // doesn't die then.
        let may_be_unheard = plan.acks != Acks::One || self.are_others_counted(None);
        if may_be_unheard && self.rng.permille(plan.slow) {
            let member = self.rng.below(N);
            let until = self.now + self.rng.below(120) as u64;
            self.members[member].slow_until = until;
            self.note(Node::Member(member), || What::Slow { until });
        }
        if self.rng.permille(plan.slow) {
            let newest = self.newest();
            let until = self.now + self.rng.below(60) as u64;
            self.ingresses[newest].slow_until = until;
            self.note(Node::Ingress(newest), || What::Slow { until });
        }
        if may_be_unheard && self.rng.permille(plan.partition) {
            self.part();
        }
        if self.rng.permille(plan.arbiter_restarts) {
            self.note(Node::Arbiter, || What::Restarts);
            let nonce = self.next_nonce();
            self.arbiter = Arbiter::new(plan.acks, nonce);
            // It hears of one again, perhaps of an older one first.
            self.heard_term = 0;
        }
        if self.rng.permille(plan.outlet_restarts / 4) {
            self.restart_outlet();
        }
        if self.rng.below(40) == 0 {
            self.outlet.stale = self.outlet.copies.clone();
        }
        if self.rng.permille(plan.member_deaths) {
            let member = self.rng.below(N);
            let is_heard = |node: &MemberNode| node.slow_until <= self.now;
            let all_are_heard = self.now >= self.partition_until && self.members.iter().all(is_heard);
            let may_die = all_are_heard || plan.acks != Acks::One;
            if may_die && self.members[member].alive && self.are_others_counted(Some(member)) {
                self.kill(member);
            }
        }
        for member in 0..N {
            if !self.members[member].alive && self.rng.permille(plan.rebirth) {
                self.restart(member);
            }
        }
        let newest = self.newest();
        let may_die = plan.acks != Acks::One && self.ingresses[newest].alive;
        if may_die && self.rng.permille(plan.ingress_deaths) && self.are_others_counted(None) {
            self.note(Node::Ingress(newest), || What::Dies);
            self.ingresses[newest].alive = false;
        }
    }

    /// The next single death begins when every member is counted again, in the newest generation; with
    /// `Acks::One`, when two have the state that its log goes on from.
    fn are_others_counted(&self, dying: Option<usize>) -> bool {
        let newest = &self.ingresses[self.newest()];
        let generation = newest.ingress.state().map_or(0, |state| state.generation);
        newest.alive
            && !(self.plan.acks == Acks::One && newest.ingress.is_degraded())
            && (0..N).filter(|other| Some(*other) != dying).all(|other| {
                let node = &self.members[other];
                let ack = node.member.ack();
                node.alive && node.member.is_counted() && ack.is_some_and(|ack| ack.generation == generation)
            })
    }

    fn kill(&mut self, member: usize) {
        self.note(Node::Member(member), || What::Dies);
        self.members[member].alive = false;
        self.deaths += 1;
    }

    fn restart(&mut self, member: usize) {
        self.note(Node::Member(member), || What::Restarts);
        let nonce = self.next_nonce();
        let node = &mut self.members[member];
        node.alive = true;
        node.transfer.end();
        node.member.restart(nonce);
    }

    /// Some can't reach some others for a while, perhaps in one direction alone.
    fn part(&mut self) {
        let mut nodes: Vec<Node> = (0..N).map(Node::Member).collect();
        nodes.extend((0..self.ingresses.len()).map(Node::Ingress));
        nodes.extend([Node::Outlet, Node::Arbiter]);
        let side: Vec<bool> = nodes.iter().map(|_| self.rng.below(2) == 0).collect();
        let both = self.rng.below(2) == 0;
        self.partition.clear();
        for (from, from_side) in nodes.iter().zip(&side) {
            for (to, to_side) in nodes.iter().zip(&side) {
                if from_side != to_side && (both || *from_side) {
                    self.partition.push((*from, *to));
                }
            }
        }
        self.partition_until = self.now + self.rng.below(150) as u64;
        let until = self.partition_until;
        self.note(Node::Arbiter, || {
            let apart = nodes.iter().zip(&side).filter(|(_, side)| **side).map(|(node, _)| *node).collect();
            What::Parted { until, apart, both }
        });
    }

    /// The faults end. One member may stand still, if the others can do without it.
    pub fn heal(&mut self) {
        self.note(Node::Arbiter, || What::Heals);
        self.has_faults = false;
        self.partition_until = 0;
        for member in 0..N {
            self.members[member].slow_until = 0;
            if !self.members[member].alive {
                self.restart(member);
            }
        }
        for ingress in &mut self.ingresses {
            ingress.slow_until = 0;
        }
        let frozen = self.rng.below(N);
        let enough = N > 2 && N > self.plan.acks_count();
        // Else the list of cuts may fill up before they have come past the first.
        let term = self.outlet.outlet.term();
        let near = |node: &MemberNode| node.member.passed().is_some_and(|passed| passed.term + 4 >= term);
        let are_near = (0..N).filter(|other| *other != frozen).all(|other| near(&self.members[other]));
        if self.plan.freeze && enough && are_near && self.are_others_counted(Some(frozen)) {
            self.note(Node::Member(frozen), || What::StandsStill);
            self.frozen = Some(frozen);
        }
    }
}
