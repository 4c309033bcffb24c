//! What the executor keeps for a task: 44 bytes on a 32-bit chip.

use core::ptr;

use super::cancel::Reason;
use super::join::JoinNode;
use super::options::{Attributes, OnMiss};
use super::regions::Family;
use super::task::Vtable;
use crate::sched::{Lane, Node};
use crate::sync::{AtomicPtr, AtomicU32, Cell, Ordering, const_fn, fence};

pub use crate::arena::Key as TaskId;

/// A task's slot.
///
/// ```text
///              (1) claim            (2) publish
///    +------+ ----------> +---------+ ---------> +------------------------------ live -+
///    | free |             | claimed |            |                     (4) enqueue     |
///    +------+ <---------- +---------+            |  waiting ---------> queued(lane)    |
///      ^  ^    (1') give back                    |    ^  \                 |           |
///      |  |                                      |    |   \ (3) lone wake   | (5) pop   |
///      |  |                                      |    |    `------> running <'          |
///      |  |                                      |    `---- (6) ------' ^ woken: (4)   |
///      |  |      (7) complete or force, nobody will join                 `-------------'
///      |  `------------------------------------- |                                     |
///      |                                         +-------------------------------------+
///      |  (9) join, drop of the handle,    +------+   (8) complete or force, a handle exists
///      `---------------------------------- | done | <------------------------------------'
///           end of the region              +------+
/// ```
///
/// 1. `Core::claim`: a bit of the bank's free word, atomically; any context. 1': `Header::release`, when the region refuses
///    the task or the build of the future unwinds.
/// 2. `spawn::publish`: the state word and the table, under the critical section, then a wake; the spawner.
/// 3. `Executor::poll_lone_tasks`, `poll_urgent_tasks`: the only woken task, if it goes first, skips its lane; the runner.
/// 4. `Executor::enqueue`: the woken bit is taken and the slot pushed; the runner. A wake during the poll leaves its bit for
///    the next drain: running + woken.
/// 5. `Executor::next`, or an exchange with the lane in one step; the runner. Which task is running is one field of the core,
///    not a state to store here.
/// 6. The poll returns pending; the runner.
/// 7. and 8. `Header::finish`: under the critical section, which decides between them against a handle that is dropped
///    meanwhile.
/// 9. `JoinHandle::try_join` (joins and the handle's drop go through it), any context; or `Core::reclaim_members`, the runner,
///    when the task's region has closed. Whoever finds the phase *done* under the critical section sets it to *claimed* and
///    owns what is there. The slot's generation advances, the free bit is set.
///
/// A *draining* task is a live one that was asked to stop (`REQUESTED`). When it is woken it is queued in the cancel lane;
/// while it waits, it is set aside in the lanes until its clean-up time is over, which stands where its deadline stood.
///
/// A woken bit may be set on a slot in any phase (wakers outlive tasks): taken on a slot that isn't live, it is discarded;
/// on the slot's next task, it costs one poll.
#[repr(C)]
pub(crate) struct Header {
    pub(super) state: AtomicU32,
    pub(super) generation: AtomicU32,
    pub(super) storage: Cell<*mut ()>,
    pub(super) vtable: Table,
    /// Whoever awaits the handle; belongs to the holder of the critical section.
    pub(super) joiner: Cell<*const JoinNode>,
    pub(super) attributes: Cell<&'static Attributes>,
    /// Region and siblings; belongs to the holder of the critical section.
    pub(super) family: Family,
    /// `embedder_index` is the index in the bank, `embedder_word` the slot in the pool.
    pub(super) node: Node,
}

#[cfg(target_pointer_width = "32")]
const _: () = assert!(size_of::<Header>() == 44, "the documented size of a header");

/// The layout of the state word.
pub(super) mod state {
    pub const PHASE: u32 = 0b11;
    pub const FREE: u32 = 0;
    pub const CLAIMED: u32 = 1;
    pub const LIVE: u32 = 2;
    pub const DONE: u32 = 3;
    /// Somebody holds a join handle.
    pub const HANDLE: u32 = 1 << 2;
    /// It has a quota and was not asked to stop.
    pub const LIMITED: u32 = 1 << 3;
    /// The present deadline's miss has been noted.
    pub const MISSED: u32 = 1 << 4;
    /// What a miss does, two bits.
    pub const ON_MISS: u32 = 5;
    /// Asked to stop, for the reason in the next three bits.
    pub const REQUESTED: u32 = 1 << 7;
    pub const REASON: u32 = 8;
    pub const REASON_BITS: u32 = 7 << REASON;
    /// Its poll is inside a shield.
    pub const SHIELDED: u32 = 1 << 11;
    /// Done without an output, for the reason above.
    pub const ENDED: u32 = 1 << 12;
    /// Polls left of the quota, or of the clean-up when asked to stop; 16 bits.
    pub const QUOTA: u32 = 16;
}

/// A task's table of functions, with two flags in the lowest bits of its address.
///
/// # Plain Invariant
///
/// * Without [`LOOK`](Self::LOOK), the task is live, has no quota and was not asked to stop.
/// * Without [`TIMED`](Self::TIMED) either, it has no deadline: the runner polls it after this one load and an acquire
///   fence.
///
/// A spawner publishes the table with the flags; they change under the critical section while the task is live; a table that
/// is taken away leaves `LOOK`.
pub(super) struct Table(AtomicPtr<Vtable>);

/// A table with its flags, as it was loaded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Flagged(*mut Vtable);

impl Table {
    /// The task has a deadline.
    pub const TIMED: usize = 1;
    /// Look closer before polling.
    pub const LOOK: usize = 2;
    const FLAGS: usize = Self::TIMED | Self::LOOK;

    const_fn! {
    const fn new() -> Self {
        Self(AtomicPtr::new(ptr::without_provenance_mut(Self::LOOK)))
    }
    }

    /// The table as it is now. Relaxed: the runner fences.
    #[inline(always)]
    pub fn load(&self) -> Flagged {
        Flagged(self.0.load(Ordering::Relaxed))
    }

    /// Makes the task visible to the runner.
    pub fn publish(&self, table: &'static Vtable, flags: usize) {
        const { assert!(align_of::<Vtable>() > Self::FLAGS) }
        let table = ptr::from_ref(table).cast_mut().map_addr(|address| address | flags);
        self.0.store(table, Ordering::Release);
    }

    /// Changes the flag of a live task; under the critical section.
    pub fn set_timed(&self, timed: bool) {
        if timed == (self.load().0.addr() & Self::TIMED != 0) {
            return;
        }
        if timed {
            self.0.fetch_or(Self::TIMED, Ordering::Relaxed);
        } else {
            self.0.fetch_and(!Self::TIMED, Ordering::Relaxed);
        }
    }

    /// Has a live task looked at before it is polled again, if it ever is.
    pub fn scrutinise(&self) {
        self.0.fetch_or(Self::LOOK, Ordering::Relaxed);
    }

    /// The table of whatever the header holds.
    pub fn peek(&self) -> Option<&'static Vtable> {
        let table = self.load().0.map_addr(|address| address & !Self::FLAGS);
        // SAFETY: without the flags it is null or a table that `publish` was given.
        unsafe { table.as_ref() }
    }

    /// Takes the table away.
    pub fn take(&self) -> Option<&'static Vtable> {
        let table = self.peek();
        self.0.store(ptr::without_provenance_mut(Self::LOOK), Ordering::Relaxed);
        table
    }
}

impl Flagged {
    /// Live, without quota, deadline and request.
    #[inline(always)]
    pub fn is_plain(self) -> bool {
        self.0.addr() & Table::FLAGS == 0
    }

    /// Live, without quota and request.
    #[inline(always)]
    pub fn is_live(self) -> bool {
        self.0.addr() & Table::LOOK == 0
    }

    /// The table.
    ///
    /// # Safety
    ///
    /// The header's task is live.
    #[inline(always)]
    pub unsafe fn get(self) -> &'static Vtable {
        // SAFETY: Plain Invariant: a live task's table is one that `publish` was given.
        unsafe { &*self.0.map_addr(|address| address & !Table::FLAGS) }
    }
}

/// The states a task passes through, for dumps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum TaskState {
    /// Not woken since its last poll.
    Waiting,
    /// Woken, and not yet drained into a lane.
    Woken,
    /// In a lane.
    Queued(Lane),
    /// Being polled.
    Running,
    /// Over; the result waits for its join handle.
    Done,
}

/// One line of a dump.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct TaskInfo {
    /// The task's id.
    pub id: TaskId,
    /// The name from its attributes, else the type name of its future.
    pub name: &'static str,
    /// Its state at some instant during the call.
    pub state: TaskState,
    /// Its priority.
    pub priority: crate::sched::Priority,
    /// Its deadline. None once it was asked to stop.
    pub deadline: Option<crate::time::Instant>,
    /// Why it was asked to stop, if it was.
    pub cancelled: Option<Reason>,
    /// The region that owns it, if one does.
    pub region: Option<super::region::RegionId>,
}

impl Header {
    const_fn! {
    pub(super) const fn new(index: usize) -> Self {
        let mut node = Node::new();
        node.embedder_index = index as u8;
        Self {
            state: AtomicU32::new(state::FREE),
            generation: AtomicU32::new(0),
            storage: Cell::new(ptr::null_mut()),
            vtable: Table::new(),
            joiner: Cell::new(ptr::null()),
            attributes: Cell::new(Attributes::DEFAULT),
            family: Family::new(),
            node,
        }
    }
    }

    /// Whether `id`'s task has not ended.
    pub(super) fn is_live(&self, generation: u32) -> bool {
        // In this order: a slot's generation advances before it is used again.
        self.state.load(Ordering::Acquire) & state::PHASE == state::LIVE
            && self.generation.load(Ordering::Acquire) == generation
    }

    pub(super) fn on_miss(state: u32) -> OnMiss {
        OnMiss::from_bits(state >> state::ON_MISS)
    }

    /// Why the task was asked to stop, if it was and isn't in a shield: what its own waits see.
    #[inline(always)]
    pub(super) fn heard(&self) -> Option<Reason> {
        let word = self.state.load(Ordering::Relaxed);
        if word & (state::REQUESTED | state::SHIELDED) != state::REQUESTED {
            return None;
        }
        fence(Ordering::Acquire);
        reason(word)
    }
}

/// The reason in a state word.
pub(super) fn reason(word: u32) -> Option<Reason> {
    Reason::from_bits(word >> state::REASON)
}
