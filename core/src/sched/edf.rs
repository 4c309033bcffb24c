//! Earliest deadline first: an indexed binary heap of slots.

use super::node::{Node, Nodes};
use crate::sync::Cell;

/// A heap of slots: earliest deadline first, then higher priority, then arrival.
///
/// The heap is an array of slot numbers, which lies with the nodes ([`Nodes::heap`]); the keys and each
/// slot's position are in its node, so re-keying and removal are in place, O(log N), with no tombstones.
/// Capacity is that of the nodes: it can't overflow as long as each slot is pushed once.
///
/// EDF is optimal on one processor for independent pre-emptible jobs (Liu and Layland, 1973); polls here are
/// not pre-empted within an executor, so a job is late by at most the longest poll of another task.
///
/// Arrival order among equal keys is a 16-bit stamp: it holds for a slot that has waited through at most
/// 32,767 later arrivals.
pub struct Edf {
    len: u16,
    arrivals: u16,
}

impl Edf {
    /// An empty heap.
    pub const fn new() -> Self {
        Self { len: 0, arrivals: 0 }
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
    pub fn first<N: Nodes + ?Sized>(&self, nodes: &N) -> Option<u16> {
        if self.len == 0 { None } else { Some(nodes.heap()[0].get()) }
    }

    /// Queues `slot`, which is in no queue. O(log N).
    pub fn push<N: Nodes + ?Sized>(&mut self, nodes: &N, slot: u16) {
        self.stamp(nodes.node(slot));
        let hole = self.len();
        self.len += 1;
        // SAFETY: the hole is the last of the cells.
        unsafe { sift_up(nodes, self.cells(nodes), hole, slot) }
    }

    /// Takes the first slot out. O(log N).
    pub fn pop<N: Nodes + ?Sized>(&mut self, nodes: &N) -> Option<u16> {
        let [first, .., last] = self.cells(nodes) else {
            let first = self.first(nodes)?;
            self.len = 0;
            return Some(first);
        };
        let (first, last) = (first.get(), last.get());
        self.len -= 1;
        // SAFETY: there were two at least.
        unsafe { sift_down(nodes, self.cells(nodes), 0, last) };
        Some(first)
    }

    /// The same as [`push`](Self::push) and then [`pop`](Self::pop), in one walk; the heap isn't empty. O(log
    /// N), O(1) when `slot` comes first.
    pub fn push_pop<N: Nodes + ?Sized>(&mut self, nodes: &N, slot: u16) -> u16 {
        let node = nodes.node(slot);
        self.stamp(node);
        let heap = self.cells(nodes);
        let first = heap[0].get();
        if before(node, nodes.node(first)) {
            return slot;
        }
        // SAFETY: the heap isn't empty.
        unsafe { sift_down(nodes, heap, 0, slot) };
        first
    }

    /// Takes `slot`, which is queued here, out. O(log N).
    pub fn remove<N: Nodes + ?Sized>(&mut self, nodes: &N, slot: u16) {
        let hole = usize::from(nodes.node(slot).next.get());
        let last = nodes.heap()[self.len() - 1].get();
        self.len -= 1;
        if hole != self.len() {
            settle(nodes, self.cells(nodes), hole, last);
        }
    }

    /// Restores the order after the keys of `slot`, which is queued here, changed. It keeps its arrival.
    /// O(log N).
    pub fn rekey<N: Nodes + ?Sized>(&mut self, nodes: &N, slot: u16) {
        let hole = usize::from(nodes.node(slot).next.get());
        settle(nodes, self.cells(nodes), hole, slot);
    }

    #[inline(always)]
    fn stamp(&mut self, node: &Node) {
        node.prev.set(self.arrivals);
        self.arrivals = self.arrivals.wrapping_add(1);
    }

    #[inline(always)]
    fn cells<'a, N: Nodes + ?Sized>(&self, nodes: &'a N) -> &'a [Cell<u16>] {
        &nodes.heap()[..self.len()]
    }
}

impl Default for Edf {
    fn default() -> Self {
        Self::new()
    }
}

/// Puts `slot` into the `hole` or wherever above or below it belongs.
fn settle<N: Nodes + ?Sized>(nodes: &N, heap: &[Cell<u16>], hole: usize, slot: u16) {
    let goes_up = hole > 0 && before(nodes.node(slot), nodes.node(heap[(hole - 1) / 2].get()));
    // Which checks that there is such a cell.
    heap[hole].set(slot);
    // SAFETY: so there is.
    unsafe {
        if goes_up {
            sift_up(nodes, heap, hole, slot);
        } else {
            sift_down(nodes, heap, hole, slot);
        }
    }
}

/// A cell of the heap. Not checked: on the way through a heap that would be two instructions in nine.
///
/// # Safety
///
/// There is a cell of this number.
#[inline(always)]
unsafe fn cell(heap: &[Cell<u16>], place: usize) -> &Cell<u16> {
    debug_assert!(place < heap.len());
    // SAFETY: the caller's promise.
    unsafe { heap.get_unchecked(place) }
}

/// Puts `slot` into the `hole` or wherever above it belongs.
///
/// # Safety
///
/// The hole is one of the cells.
#[inline(never)]
unsafe fn sift_up<N: Nodes + ?Sized>(nodes: &N, heap: &[Cell<u16>], mut hole: usize, slot: u16) {
    let node = nodes.node(slot);
    // SAFETY: a parent's number is lower.
    unsafe {
        while hole > 0 {
            let parent = (hole - 1) / 2;
            let above = cell(heap, parent).get();
            let above_node = nodes.node(above);
            if !before(node, above_node) {
                break;
            }
            cell(heap, hole).set(above);
            above_node.next.set(hole as u16);
            hole = parent;
        }
        cell(heap, hole).set(slot);
    }
    node.next.set(hole as u16);
}

/// Puts `slot` into the `hole` or wherever below it belongs. The way down follows the earlier children to the
/// end, at one comparison a level, and the way back up finds the place (bottom-up, Wegener, 1993): what comes
/// into the hole is late as a rule.
///
/// # Safety
///
/// The hole is one of the cells.
#[inline(never)]
unsafe fn sift_down<N: Nodes + ?Sized>(nodes: &N, heap: &[Cell<u16>], hole: usize, slot: u16) {
    let node = nodes.node(slot);
    let mut place = hole;
    // SAFETY: `place` is one of the cells all the time: the hole, one below it that is there, or one between.
    unsafe {
        loop {
            // Of 16 bits, so that no check is needed for an overflow.
            let right = 2 * usize::from(place as u16) + 2;
            let Some(second) = heap.get(right) else {
                if right == heap.len() {
                    place = right - 1;
                }
                break;
            };
            place = right;
            if !before(nodes.node(second.get()), nodes.node(cell(heap, right - 1).get())) {
                place -= 1;
            }
        }
        while place > hole && before(node, nodes.node(cell(heap, place).get())) {
            place = (place - 1) / 2;
        }
        // Everybody between moves up by one.
        let mut moved = cell(heap, place).replace(slot);
        node.next.set(place as u16);
        while place > hole {
            place = (place - 1) / 2;
            nodes.node(moved).next.set(place as u16);
            moved = cell(heap, place).replace(moved);
        }
    }
}

/// Whether `a` is dispatched before `b`.
#[inline(always)]
fn before(a: &Node, b: &Node) -> bool {
    let (a_due, b_due) = (a.deadline_or_never(), b.deadline_or_never());
    a_due < b_due || a_due == b_due && before_among_equals(a, b)
}

#[inline(never)]
fn before_among_equals(a: &Node, b: &Node) -> bool {
    if a.priority() != b.priority() {
        return a.priority() > b.priority();
    }
    (a.prev.get().wrapping_sub(b.prev.get()) as i16) < 0
}
