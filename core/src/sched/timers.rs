//! Who is due when: an intrusive leftist heap.
//!
//! A timer's node lives in whatever waits for it (a pinned future), so there is no table to run out of and a
//! task costs nothing here beside its sleeps. A leftist heap (Crane, 1972; Knuth, TAOCP vol. 3, 5.2.3) keeps
//! the shorter right spine at most log2(n + 1) long, and every operation walks right spines or climbs while
//! ranks change: O(log n) worst case, where n is the number of armed timers.

use core::cell::Cell;
use core::marker::PhantomPinned;
use core::mem::MaybeUninit;
use core::ptr;

use crate::bitmap::rolled;

/// A place in a [`Timers`] heap.
///
/// # Timer Node Invariant
///
/// A node whose rank is not 0 is linked into exactly one heap, and from then until it is taken out it is
/// neither moved nor freed, and touched only by whoever may touch the heap.
pub struct TimerNode {
    due: Cell<u64>,
    parent: Link,
    left: Link,
    right: Link,
    /// The length of the right spine from here; 0: in no heap.
    rank: Cell<u8>,
    _pinned: PhantomPinned,
}

/// A link of a node; set as long as that is armed.
struct Link(Cell<MaybeUninit<*const TimerNode>>);

impl Link {
    const fn unset() -> Self {
        Self(Cell::new(MaybeUninit::uninit()))
    }

    /// # Safety
    ///
    /// It was set.
    #[inline(always)]
    unsafe fn get(&self) -> *const TimerNode {
        // SAFETY: the caller's promise.
        unsafe { self.0.get().assume_init() }
    }

    #[inline(always)]
    fn set(&self, node: *const TimerNode) {
        self.0.set(MaybeUninit::new(node));
    }
}

impl TimerNode {
    /// A node in no heap.
    pub const fn new() -> Self {
        Self {
            due: Cell::new(0),
            parent: Link::unset(),
            left: Link::unset(),
            right: Link::unset(),
            rank: Cell::new(0),
            _pinned: PhantomPinned,
        }
    }

    /// Whether it is in a heap.
    pub fn is_armed(&self) -> bool {
        self.rank.get() != 0
    }

    /// When it is due, in microseconds; meaningful once it was armed.
    pub fn due(&self) -> u64 {
        self.due.get()
    }
}

impl Default for TimerNode {
    fn default() -> Self {
        Self::new()
    }
}

/// The armed timers of one executor, earliest first; no promise about the order of equal ones.
pub struct Timers {
    root: Cell<*const TimerNode>,
}

// SAFETY: the pointers lead to nodes that only the holder of the heap touches (Timer Node Invariant), so
// whoever has the heap to itself may use it from any context.
unsafe impl Send for Timers {}

impl Timers {
    /// No timers.
    pub const fn new() -> Self {
        Self { root: Cell::new(ptr::null()) }
    }

    /// When the earliest is due, in microseconds. O(1).
    #[inline]
    pub fn next_due(&self) -> Option<u64> {
        let root = self.root.get();
        // SAFETY: Timer Node Invariant: the root is linked, hence alive.
        (!root.is_null()).then(|| unsafe { (*root).due.get() })
    }

    /// Arms `node`, in no heap so far, for `due`. Returns whether it is the earliest. O(log n).
    ///
    /// # Safety
    ///
    /// The caller upholds the Timer Node Invariant for `node`: pinned and alive until
    /// [`remove`](Self::remove) or [`pop_due`](Self::pop_due) has taken it out.
    pub unsafe fn insert(&mut self, node: *const TimerNode, due: u64) -> bool {
        // SAFETY: the caller's promise: `node` is alive, and linked nodes are by the invariant.
        unsafe {
            debug_assert!(!(*node).is_armed());
            (*node).due.set(due);
            (*node).right.set(ptr::null());
            (*node).rank.set(1);
            let mut above = self.root.get();
            let below = if above.is_null() || due < (*above).due.get() {
                // The new root, with all others below it on its left: no spine is walked.
                core::mem::replace(&mut above, ptr::null())
            } else {
                // Into the right spine, with the rest of it on its left.
                loop {
                    rolled();
                    let next = (*above).right.get();
                    if next.is_null() || due < (*next).due.get() {
                        break next;
                    }
                    above = next;
                }
            };
            (*node).left.set(below);
            if !below.is_null() {
                (*below).parent.set(node);
            }
            (*node).parent.set(above);
            let first = above.is_null();
            if first {
                self.root.set(node);
            } else {
                (*above).right.set(node);
                restore_ranks(above);
            }
            first
        }
    }

    /// Disarms `node`; nothing happens when it isn't armed. O(log n).
    ///
    /// # Safety
    ///
    /// `node` is alive, and if it is armed, then in this heap.
    #[inline(never)]
    pub unsafe fn remove(&mut self, node: *const TimerNode) {
        // SAFETY: the caller's promise for `node`, the Timer Node Invariant for those linked to it.
        unsafe {
            if !(*node).is_armed() {
                return;
            }
            let parent = (*node).parent.get();
            let rest = merge((*node).left.get(), (*node).right.get());
            (*node).rank.set(0);
            if parent.is_null() {
                self.set_root(rest);
                return;
            }
            if !rest.is_null() {
                (*rest).parent.set(parent);
            }
            if (*parent).left.get() == node {
                (*parent).left.set(rest);
            } else {
                (*parent).right.set(rest);
            }
            restore_ranks(parent);
        }
    }

    /// Takes out the earliest timer if it is due at `now`. O(log n).
    pub fn pop_due(&mut self, now: u64) -> Option<*const TimerNode> {
        let root = self.root.get();
        if self.next_due()? > now {
            return None;
        }
        // SAFETY: Timer Node Invariant: the root is armed, in this heap, and so are those below it.
        unsafe {
            (*root).rank.set(0);
            let (left, right) = ((*root).left.get(), (*root).right.get());
            self.set_root(if right.is_null() { left } else { merge(left, right) });
        }
        Some(root)
    }

    /// # Safety
    ///
    /// `root` is null or a linked node.
    unsafe fn set_root(&self, root: *const TimerNode) {
        if !root.is_null() {
            // SAFETY: the caller's promise.
            unsafe { (*root).parent.set(ptr::null()) };
        }
        self.root.set(root);
    }
}

impl Default for Timers {
    fn default() -> Self {
        Self::new()
    }
}

/// Merges two heaps and returns the root, whose parent is left as it was. Walks the two right spines.
///
/// # Safety
///
/// Each is null or the root of a heap of live nodes.
#[inline(never)]
unsafe fn merge(mut a: *const TimerNode, mut b: *const TimerNode) -> *const TimerNode {
    if a.is_null() {
        return b;
    }
    if b.is_null() {
        return a;
    }
    // SAFETY: only linked nodes are followed (Timer Node Invariant).
    unsafe {
        if (*b).due.get() < (*a).due.get() {
            (a, b) = (b, a);
        }
        let root = a;
        // `a` is always the end of the merged right spine, and `b` the heap that is still to be hung below
        // it.
        loop {
            rolled();
            let below = (*a).right.get();
            if below.is_null() {
                link_right(a, b);
                break;
            }
            if (*b).due.get() < (*below).due.get() {
                link_right(a, b);
                (a, b) = (b, below);
            } else {
                a = below;
            }
        }
        let above = (*root).parent.0.replace(MaybeUninit::new(ptr::null()));
        restore_spine(a);
        (*root).parent.0.set(above);
        root
    }
}

/// # Safety
///
/// Both are live nodes.
unsafe fn link_right(parent: *const TimerNode, child: *const TimerNode) {
    // SAFETY: the caller's promise.
    unsafe {
        (*parent).right.set(child);
        (*child).parent.set(parent);
    }
}

/// Restores rank and leftness from `node` up to the root of its heap.
///
/// # Safety
///
/// `node` is a live node of a heap whose other nodes are live.
unsafe fn restore_spine(mut node: *const TimerNode) {
    while !node.is_null() {
        // SAFETY: the caller's promise.
        unsafe {
            update_rank(node);
            node = (*node).parent.get();
        }
    }
}

/// Restores rank and leftness upwards for as long as ranks change: they rise by at least one a level on such
/// a path, so there are O(log n) steps.
///
/// # Safety
///
/// As for [`restore_spine`].
unsafe fn restore_ranks(mut node: *const TimerNode) {
    // SAFETY: the caller's promise.
    while !node.is_null() && unsafe { update_rank(node) } {
        // SAFETY: the same.
        node = unsafe { (*node).parent.get() };
    }
}

/// Recomputes one node's rank from its children, swaps them if the right one is longer, and says whether the
/// rank changed.
///
/// # Safety
///
/// `node` and its children are live.
unsafe fn update_rank(node: *const TimerNode) -> bool {
    // SAFETY: the caller's promise.
    unsafe {
        let (left, right) = ((*node).left.get(), (*node).right.get());
        let (left_rank, right_rank) = (rank(left), rank(right));
        if left_rank < right_rank {
            (*node).left.set(right);
            (*node).right.set(left);
        }
        let new = left_rank.min(right_rank) + 1;
        (*node).rank.replace(new) != new
    }
}

/// # Safety
///
/// `node` is null or live.
unsafe fn rank(node: *const TimerNode) -> u8 {
    // SAFETY: the caller's promise.
    if node.is_null() { 0 } else { unsafe { (*node).rank.get() } }
}
