//! The part of a slot that the queues own.

use core::fmt;
use core::ops::Deref;

use crate::sync::{Cell, array_of, const_fn};

/// A priority, 0 to 31; the higher number runs first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Priority(u8);

impl Priority {
    /// The lowest priority, and the default.
    pub const LOWEST: Self = Self(0);
    /// The highest priority.
    pub const HIGHEST: Self = Self(31);

    /// The priority `level`.
    ///
    /// # Errors
    ///
    /// [`PriorityOutOfRange`] above 31.
    pub const fn new(level: u8) -> Result<Self, PriorityOutOfRange> {
        if level <= Self::HIGHEST.0 { Ok(Self(level)) } else { Err(PriorityOutOfRange(level)) }
    }

    /// The priority `LEVEL`, checked when it is compiled.
    ///
    /// ```compile_fail
    /// let _ = trilane::sched::Priority::of::<32>();
    /// ```
    pub const fn of<const LEVEL: u8>() -> Self {
        const { assert!(LEVEL <= 31, "a priority is 0 to 31") }
        Self(LEVEL)
    }

    /// The level, 0 to 31.
    pub const fn level(self) -> u8 {
        self.0
    }
}

/// A priority above 31.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct PriorityOutOfRange(pub u8);

impl fmt::Display for PriorityOutOfRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "priority {} is out of range: give 0 (lowest) to 31 (highest)", self.0)
    }
}

impl core::error::Error for PriorityOutOfRange {}

/// A lane. The lower number goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum Lane {
    /// Asked to stop: highest priority first, arrival order within.
    Cancel = 1,
    /// Runnable with a deadline: earliest first, then priority, then arrival.
    Timed = 2,
    /// The rest: highest priority first, arrival order within.
    Ready = 3,
}

impl Lane {
    #[inline(always)]
    pub(super) const fn from_bits(bits: u8) -> Option<Self> {
        match bits & 3 {
            1 => Some(Self::Cancel),
            2 => Some(Self::Timed),
            3 => Some(Self::Ready),
            _ => None,
        }
    }

    #[inline(always)]
    pub(super) const fn bit(self) -> u8 {
        1 << (self as u8 - 1)
    }

    /// The lane of a bit; `None` for no bit.
    #[inline(always)]
    pub(super) const fn from_bit(bit: u8) -> Option<Self> {
        match bit {
            1 => Some(Self::Cancel),
            2 => Some(Self::Timed),
            4 => Some(Self::Ready),
            _ => None,
        }
    }
}

/// Where a slot is queued and by which keys: 16 bytes, inside whatever the caller keeps per slot.
///
/// Only the lane structures write it. `Cell`s, because several slots' nodes change together; the caller's
/// synchronisation decides who may.
///
/// A new node is all zeros, so that a static of nodes takes no flash.
#[repr(C)]
pub struct Node {
    // Two words, so that a node needs four-byte alignment only and no padding stands beside it. Kept
    // inverted, so that "no deadline", the latest of all, is zero.
    deadline: Cell<[u32; 2]>,
    /// In a FIFO: the next slot. In the heap: the position.
    pub(super) next: Cell<u16>,
    /// In a FIFO: the slot before. In the heap: the arrival stamp.
    pub(super) prev: Cell<u16>,
    /// Bits 0 to 4: priority; 5 and 6: the lane it is queued in; 7: it has a deadline.
    place: Cell<u8>,
    /// Three bytes for whoever embeds the node, which alignment would waste otherwise; the queues don't look
    /// at them.
    pub(crate) embedder_index: Cell<u8>,
    pub(crate) embedder_word: Cell<u16>,
}

const PRIORITY: u8 = 0b0001_1111;
const LANE_SHIFT: u32 = 5;
const LANE: u8 = 0b0110_0000;
const TIMED: u8 = 0b1000_0000;

/// "No deadline": later than all.
const NEVER: u64 = u64::MAX;

impl Node {
    const_fn! {
    /// A node in no queue, with the lowest priority and no deadline.
    pub const fn new() -> Self {
        Self {
            deadline: Cell::new([0; 2]),
            next: Cell::new(0),
            prev: Cell::new(0),
            place: Cell::new(0),
            embedder_index: Cell::new(0),
            embedder_word: Cell::new(0),
        }
    }
    }

    /// The lane that the slot is queued in.
    #[inline(always)]
    pub fn lane(&self) -> Option<Lane> {
        Lane::from_bits(self.place.get() >> LANE_SHIFT)
    }

    /// The slot's priority.
    #[inline(always)]
    pub fn priority(&self) -> Priority {
        Priority(self.place.get() & PRIORITY)
    }

    /// The deadline in microseconds, if there is one.
    #[inline(always)]
    pub fn deadline(&self) -> Option<u64> {
        let deadline = self.deadline_or_never();
        (deadline != NEVER).then_some(deadline)
    }

    /// Whether the deadline lies before `now`.
    #[inline(always)]
    pub fn is_late(&self, now: u64) -> bool {
        self.deadline_or_never() < now
    }

    /// Whether the deadline has come at `now`.
    #[inline(always)]
    pub(crate) fn is_due(&self, now: u64) -> bool {
        self.deadline_or_never() <= now
    }

    /// Starts a new life outside any queue.
    pub(crate) fn reset(&self, priority: Priority, deadline: Option<u64>) {
        self.place.set(priority.0);
        self.set_deadline(deadline);
    }

    #[inline(always)]
    pub(super) fn deadline_or_never(&self) -> u64 {
        let [low, high] = self.deadline.get();
        !(u64::from(low) | u64::from(high) << 32)
    }

    /// A deadline at the end of time is none: the order is the same.
    #[inline(always)]
    pub(crate) fn set_deadline(&self, deadline: Option<u64>) {
        let inverted = !deadline.unwrap_or(NEVER);
        let [low, high] = [inverted as u32, (inverted >> 32) as u32];
        self.deadline.set([low, high]);
        let timed = if low | high == 0 { 0 } else { TIMED };
        self.place.set(self.place.get() & !TIMED | timed);
    }

    #[inline(always)]
    pub(super) fn set_priority(&self, priority: Priority) {
        self.place.set(self.place.get() & !PRIORITY | priority.0);
    }

    #[inline(always)]
    pub(super) fn set_lane(&self, lane: Option<Lane>) {
        let bits = lane.map_or(0, |lane| lane as u8);
        self.place.set(self.place.get() & !LANE | bits << LANE_SHIFT);
    }

    /// Whether it is in no lane, without deadline, and of the lowest priority: one load.
    #[inline(always)]
    pub(crate) fn is_plain(&self) -> bool {
        self.place.get() == 0
    }

    /// The lane that the slot belongs to when it is runnable and not cancelled.
    #[inline(always)]
    pub fn home(&self) -> Lane {
        if self.place.get() & TIMED == 0 { Lane::Ready } else { Lane::Timed }
    }
}

impl Default for Node {
    fn default() -> Self {
        Self::new()
    }
}

/// Where the nodes are, and the array that the timed lane's heap fills.
///
/// `node(slot)` is called with slots that the caller pushed, and always gives the same node for the same
/// slot.
pub trait Nodes {
    /// The node of `slot`.
    fn node(&self, slot: u16) -> &Node;

    /// As many cells as there are slots; only the timed lane uses them.
    fn heap(&self) -> &[Cell<u16>];
}

/// `N` slots' nodes, numbered from 0, with room for their heap: the simplest [`Nodes`].
pub struct NodeArray<const N: usize> {
    nodes: [Node; N],
    heap: [Cell<u16>; N],
}

impl<const N: usize> NodeArray<N> {
    const_fn! {
    /// Nodes in no queue.
    pub const fn new() -> Self {
        Self { nodes: array_of![Node::new(); N], heap: array_of![Cell::new(0); N] }
    }
    }
}

impl<const N: usize> Default for NodeArray<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> Deref for NodeArray<N> {
    type Target = [Node; N];

    fn deref(&self) -> &[Node; N] {
        &self.nodes
    }
}

impl<const N: usize> Nodes for NodeArray<N> {
    fn node(&self, slot: u16) -> &Node {
        &self.nodes[usize::from(slot)]
    }

    fn heap(&self) -> &[Cell<u16>] {
        &self.heap
    }
}
