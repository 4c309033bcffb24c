//! Earliest deadline first: an indexed binary heap of slots.

use super::{Node, Nodes};

/// A heap of slots: earliest deadline first, then higher priority, then arrival.
///
/// The heap holds slot numbers; the keys and each slot's position are in its node, so re-keying and removal are in place,
/// O(log N), with no tombstones. Capacity is that of the nodes: it can't overflow as long as each slot is pushed once.
///
/// EDF is optimal on one processor for independent pre-emptible jobs (Liu and Layland, 1973); polls here are not pre-empted
/// within an executor, so a job is late by at most the longest poll of another task.
///
/// Arrival order among equal keys is a 16-bit stamp: it holds for a slot that has waited through at most 32,767 later
/// arrivals.
pub struct Edf<const BANKS: usize, const PER_BANK: usize> {
    len: u16,
    arrivals: u16,
    heap: [[u16; PER_BANK]; BANKS],
}

impl<const BANKS: usize, const PER_BANK: usize> Edf<BANKS, PER_BANK> {
    /// An empty heap.
    pub const fn new() -> Self {
        Self { len: 0, arrivals: 0, heap: [[0; PER_BANK]; BANKS] }
    }

    /// The number of slots queued.
    #[inline(always)]
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether no slot is queued.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The slot that [`pop`](Self::pop) would take.
    #[inline(always)]
    pub fn first(&self) -> Option<u16> {
        if self.len == 0 { None } else { Some(self.heap[0][0]) }
    }

    /// Queues `slot`, which is in no queue. `stamp` breaks ties in place of the arrival order. O(log N).
    pub fn push<N: Nodes + ?Sized>(&mut self, nodes: &N, slot: u16, stamp: Option<u16>) {
        self.stamp(nodes.node(slot), stamp);
        let hole = self.len();
        self.len += 1;
        self.sift_up(nodes, hole, slot);
    }

    /// Takes the first slot out. O(log N).
    pub fn pop<N: Nodes + ?Sized>(&mut self, nodes: &N) -> Option<u16> {
        let first = self.first()?;
        self.len -= 1;
        if self.len > 0 {
            let last = self.slots()[self.len()];
            self.sift_down(nodes, 0, last);
        }
        Some(first)
    }

    /// The same as [`push`](Self::push) and then [`pop`](Self::pop), in one walk; the heap isn't empty. O(log N), O(1)
    /// when `slot` comes first.
    pub fn push_pop<N: Nodes + ?Sized>(&mut self, nodes: &N, slot: u16, stamp: Option<u16>) -> u16 {
        let node = nodes.node(slot);
        self.stamp(node, stamp);
        let first = self.heap[0][0];
        if before(node, nodes.node(first)) {
            return slot;
        }
        self.sift_down(nodes, 0, slot);
        first
    }

    /// Whether the deadline of `slot` is earlier than that of every queued slot; the heap isn't empty. O(1).
    #[inline(always)]
    pub fn is_before_first<N: Nodes + ?Sized>(&self, nodes: &N, slot: u16) -> bool {
        nodes.node(slot).deadline_or_never() < nodes.node(self.heap[0][0]).deadline_or_never()
    }

    /// Takes `slot`, which is queued here, out. O(log N).
    pub fn remove<N: Nodes + ?Sized>(&mut self, nodes: &N, slot: u16) {
        let hole = usize::from(nodes.node(slot).next.get());
        self.len -= 1;
        if hole != self.len() {
            let last = self.slots()[self.len()];
            self.settle(nodes, hole, last);
        }
    }

    /// Restores the order after the keys of `slot`, which is queued here, changed. It keeps its arrival. O(log N).
    pub fn rekey<N: Nodes + ?Sized>(&mut self, nodes: &N, slot: u16) {
        let hole = usize::from(nodes.node(slot).next.get());
        self.settle(nodes, hole, slot);
    }

    #[inline(always)]
    fn stamp(&mut self, node: &Node, stamp: Option<u16>) {
        node.prev.set(stamp.unwrap_or(self.arrivals));
        self.arrivals = self.arrivals.wrapping_add(1);
    }

    /// Puts `slot` into the `hole` or wherever above or below it belongs.
    fn settle<N: Nodes + ?Sized>(&mut self, nodes: &N, hole: usize, slot: u16) {
        let goes_up = hole > 0 && before(nodes.node(slot), nodes.node(self.slots()[(hole - 1) / 2]));
        if goes_up {
            self.sift_up(nodes, hole, slot);
        } else {
            self.sift_down(nodes, hole, slot);
        }
    }

    #[inline(never)]
    fn sift_up<N: Nodes + ?Sized>(&mut self, nodes: &N, mut hole: usize, slot: u16) {
        let node = nodes.node(slot);
        let heap = self.heap.as_flattened_mut();
        while hole > 0 {
            let parent = (hole - 1) / 2;
            let above = heap[parent];
            let above_node = nodes.node(above);
            if !before(node, above_node) {
                break;
            }
            heap[hole] = above;
            above_node.next.set(hole as u16);
            hole = parent;
        }
        heap[hole] = slot;
        node.next.set(hole as u16);
    }

    #[inline(never)]
    fn sift_down<N: Nodes + ?Sized>(&mut self, nodes: &N, mut hole: usize, slot: u16) {
        let node = nodes.node(slot);
        let heap = &mut self.heap.as_flattened_mut()[..self.len as usize];
        loop {
            let left = 2 * hole + 1;
            if left >= heap.len() {
                break;
            }
            let mut child = left;
            let mut child_node = nodes.node(heap[left]);
            if left + 1 < heap.len() {
                let right_node = nodes.node(heap[left + 1]);
                if before(right_node, child_node) {
                    child = left + 1;
                    child_node = right_node;
                }
            }
            if !before(child_node, node) {
                break;
            }
            heap[hole] = heap[child];
            child_node.next.set(hole as u16);
            hole = child;
        }
        heap[hole] = slot;
        node.next.set(hole as u16);
    }

    fn slots(&self) -> &[u16] {
        self.heap.as_flattened()
    }
}

impl<const BANKS: usize, const PER_BANK: usize> Default for Edf<BANKS, PER_BANK> {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether `a` is dispatched before `b`.
#[inline(always)]
fn before(a: &Node, b: &Node) -> bool {
    let (a_due, b_due) = (a.deadline_or_never(), b.deadline_or_never());
    if a_due != b_due { a_due < b_due } else { before_among_equals(a, b) }
}

#[inline(never)]
fn before_among_equals(a: &Node, b: &Node) -> bool {
    if a.priority() != b.priority() {
        return a.priority() > b.priority();
    }
    (a.prev.get().wrapping_sub(b.prev.get()) as i16) < 0
}
