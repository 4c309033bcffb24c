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
///
/// A slot is in one place at a time, so the array has room for a second heap that grows from its other end: that of the
/// *parked* slots, which are not to be run but to be noticed when their time has come.
pub struct Edf<const BANKS: usize, const PER_BANK: usize> {
    len: u16,
    arrivals: u16,
    parked: u16,
    heap: [[u16; PER_BANK]; BANKS],
}

/// Which end of the array a heap grows from.
const FRONT: bool = false;
const BACK: bool = true;

/// One of the two heaps, by position.
struct Heap<'a, const END: bool>(&'a mut [u16]);

impl<'a, const END: bool> Heap<'a, END> {
    #[inline(always)]
    fn new(array: &'a mut [u16], len: usize) -> Self {
        let whole = array.len();
        Self(if END == FRONT { &mut array[..len] } else { &mut array[whole - len..] })
    }

    #[inline(always)]
    fn len(&self) -> usize {
        self.0.len()
    }

    #[inline(always)]
    fn at(&mut self, position: usize) -> &mut u16 {
        let index = if END == FRONT { position } else { self.0.len() - 1 - position };
        &mut self.0[index]
    }
}

impl<const BANKS: usize, const PER_BANK: usize> Edf<BANKS, PER_BANK> {
    /// An empty heap.
    pub const fn new() -> Self {
        Self { len: 0, arrivals: 0, parked: 0, heap: [[0; PER_BANK]; BANKS] }
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
        sift_up(nodes, self.front(), hole, slot);
    }

    /// Takes the first slot out. O(log N).
    pub fn pop<N: Nodes + ?Sized>(&mut self, nodes: &N) -> Option<u16> {
        let first = self.first()?;
        self.len -= 1;
        if self.len > 0 {
            let last = self.heap.as_flattened()[self.len()];
            sift_down(nodes, self.front(), 0, last);
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
        sift_down(nodes, self.front(), 0, slot);
        first
    }

    /// Whether the deadline of `slot` is earlier than that of every queued slot; the heap isn't empty. O(1).
    #[inline(always)]
    pub fn is_before_first<N: Nodes + ?Sized>(&self, nodes: &N, slot: u16) -> bool {
        nodes.node(slot).deadline_or_never() < nodes.node(self.heap[0][0]).deadline_or_never()
    }

    /// Takes `slot`, which is queued here, out. O(log N).
    pub fn remove<N: Nodes + ?Sized>(&mut self, nodes: &N, slot: u16) {
        take_out(nodes, self.front(), slot);
        self.len -= 1;
    }

    /// Restores the order after the keys of `slot`, which is queued here, changed. It keeps its arrival. O(log N).
    pub fn rekey<N: Nodes + ?Sized>(&mut self, nodes: &N, slot: u16) {
        let hole = usize::from(nodes.node(slot).next.get());
        settle(nodes, self.front(), hole, slot);
    }

    /// Parks `slot`, which is in no queue, until its deadline. O(log N).
    pub(super) fn park<N: Nodes + ?Sized>(&mut self, nodes: &N, slot: u16) {
        let hole = usize::from(self.parked);
        self.parked += 1;
        sift_up(nodes, self.back(), hole, slot);
    }

    /// Whether `slot`, which is in no lane, is parked. A position is believed if the slot is found there, whatever left
    /// it in the node (Briggs and Torczon, 1993). O(1).
    #[inline(always)]
    pub(super) fn is_parked<N: Nodes + ?Sized>(&self, nodes: &N, slot: u16) -> bool {
        let position = nodes.node(slot).next.get();
        position < self.parked && self.parked_at(position) == slot
    }

    /// Takes `slot`, which is parked, out. O(log N).
    pub(super) fn unpark<N: Nodes + ?Sized>(&mut self, nodes: &N, slot: u16) {
        take_out(nodes, self.back(), slot);
        self.parked -= 1;
    }

    /// Restores the order after the keys of `slot`, which is parked, changed. O(log N).
    pub(super) fn rekey_parked<N: Nodes + ?Sized>(&mut self, nodes: &N, slot: u16) {
        let hole = usize::from(nodes.node(slot).next.get());
        settle(nodes, self.back(), hole, slot);
    }

    /// The parked slot whose time comes first. O(1).
    #[inline(always)]
    pub(super) fn first_parked(&self) -> Option<u16> {
        if self.parked == 0 { None } else { Some(self.parked_at(0)) }
    }

    fn parked_at(&self, position: u16) -> u16 {
        let heap = self.heap.as_flattened();
        heap[heap.len() - 1 - usize::from(position)]
    }

    #[inline(always)]
    fn stamp(&mut self, node: &Node, stamp: Option<u16>) {
        node.prev.set(stamp.unwrap_or(self.arrivals));
        self.arrivals = self.arrivals.wrapping_add(1);
    }

    #[inline(always)]
    fn front(&mut self) -> Heap<'_, FRONT> {
        Heap::new(self.heap.as_flattened_mut(), self.len as usize)
    }

    #[inline(always)]
    fn back(&mut self) -> Heap<'_, BACK> {
        Heap::new(self.heap.as_flattened_mut(), self.parked as usize)
    }
}

/// Takes `slot` out of its place; the heap is then one shorter.
fn take_out<N: Nodes + ?Sized, const END: bool>(nodes: &N, mut heap: Heap<'_, END>, slot: u16) {
    let hole = usize::from(nodes.node(slot).next.get());
    let end = heap.len() - 1;
    if hole != end {
        let last = *heap.at(end);
        // The last one's old place is not looked at: it would be found there again.
        let shorter = if END == FRONT { &mut heap.0[..end] } else { &mut heap.0[1..] };
        settle(nodes, Heap::<END>(shorter), hole, last);
    }
}

/// Puts `slot` into the `hole` or wherever above or below it belongs.
fn settle<N: Nodes + ?Sized, const END: bool>(nodes: &N, mut heap: Heap<'_, END>, hole: usize, slot: u16) {
    let goes_up = hole > 0 && before(nodes.node(slot), nodes.node(*heap.at((hole - 1) / 2)));
    if goes_up {
        sift_up(nodes, heap, hole, slot);
    } else {
        sift_down(nodes, heap, hole, slot);
    }
}

#[inline(never)]
fn sift_up<N: Nodes + ?Sized, const END: bool>(
    nodes: &N,
    mut heap: Heap<'_, END>,
    mut hole: usize,
    slot: u16,
) {
    let node = nodes.node(slot);
    while hole > 0 {
        let parent = (hole - 1) / 2;
        let above = *heap.at(parent);
        let above_node = nodes.node(above);
        if !before(node, above_node) {
            break;
        }
        *heap.at(hole) = above;
        above_node.next.set(hole as u16);
        hole = parent;
    }
    *heap.at(hole) = slot;
    node.next.set(hole as u16);
}

#[inline(never)]
fn sift_down<N: Nodes + ?Sized, const END: bool>(
    nodes: &N,
    mut heap: Heap<'_, END>,
    mut hole: usize,
    slot: u16,
) {
    let node = nodes.node(slot);
    loop {
        let left = 2 * hole + 1;
        if left >= heap.len() {
            break;
        }
        let mut child = left;
        let mut child_node = nodes.node(*heap.at(left));
        if left + 1 < heap.len() {
            let right_node = nodes.node(*heap.at(left + 1));
            if before(right_node, child_node) {
                child = left + 1;
                child_node = right_node;
            }
        }
        if !before(child_node, node) {
            break;
        }
        *heap.at(hole) = *heap.at(child);
        child_node.next.set(hole as u16);
        hole = child;
    }
    *heap.at(hole) = slot;
    node.next.set(hole as u16);
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
