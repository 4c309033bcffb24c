//! 32 first-in-first-out queues, one a priority, in 68 bytes.

use super::node::{Nodes, Priority};

/// A queue of slots: highest priority first, arrival order within.
///
/// Each priority is a ring of slots linked both ways through their nodes; only the ring's tail is kept here,
/// since the tail's successor is the head. A word says which rings have members. Every operation is O(1).
pub struct Fifo {
    occupied: u32,
    tails: [u16; 32],
}

impl Fifo {
    /// An empty queue.
    pub const fn new() -> Self {
        Self { occupied: 0, tails: [0; 32] }
    }

    /// Whether no slot is queued.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.occupied == 0
    }

    /// Queues `slot`, which is in no queue, behind all of its priority.
    #[inline]
    pub fn push<N: Nodes + ?Sized>(&mut self, nodes: &N, slot: u16) {
        let node = nodes.node(slot);
        let ring = self.ring(node.priority());
        let bit = 1 << ring;
        if self.occupied & bit == 0 {
            self.occupied |= bit;
            node.next.set(slot);
            node.prev.set(slot);
            self.tails[ring] = slot;
            return;
        }
        let tail = self.tails[ring];
        let head = nodes.node(tail).next.get();
        node.prev.set(tail);
        node.next.set(head);
        nodes.node(tail).next.set(slot);
        nodes.node(head).prev.set(slot);
        self.tails[ring] = slot;
    }

    /// Whether the slot that [`pop`](Self::pop) would take is of the lowest priority, or there is none.
    pub(super) fn is_lowest_next(&self) -> bool {
        self.occupied <= 1
    }

    /// The slot that [`pop`](Self::pop) would take.
    pub fn first<N: Nodes + ?Sized>(&self, nodes: &N) -> Option<u16> {
        if self.occupied == 0 {
            return None;
        }
        let ring = 31 - self.occupied.leading_zeros() as usize;
        Some(nodes.node(self.tails[ring]).next.get())
    }

    /// Takes the first slot out.
    #[inline]
    pub fn pop<N: Nodes + ?Sized>(&mut self, nodes: &N) -> Option<u16> {
        if self.occupied == 0 {
            return None;
        }
        let ring = 31 - self.occupied.leading_zeros() as usize;
        let tail = self.tails[ring];
        let head = nodes.node(tail).next.get();
        if head == tail {
            self.occupied &= !(1 << ring);
        } else {
            let second = nodes.node(head).next.get();
            nodes.node(tail).next.set(second);
            nodes.node(second).prev.set(tail);
        }
        Some(head)
    }

    /// Takes `slot`, which is queued here, out of the middle.
    pub fn remove<N: Nodes + ?Sized>(&mut self, nodes: &N, slot: u16) {
        let node = nodes.node(slot);
        let ring = self.ring(node.priority());
        let (next, prev) = (node.next.get(), node.prev.get());
        if next == slot {
            self.occupied &= !(1 << ring);
            return;
        }
        nodes.node(prev).next.set(next);
        nodes.node(next).prev.set(prev);
        if self.tails[ring] == slot {
            self.tails[ring] = prev;
        }
    }

    #[inline(always)]
    fn ring(&self, priority: Priority) -> usize {
        usize::from(priority.level() & 31)
    }
}

impl Default for Fifo {
    fn default() -> Self {
        Self::new()
    }
}
