//! What all banks of an executor share, and how it is reached without knowing the executor's size.

use ::core::ptr::{self, NonNull};
use ::core::task::Poll;

use super::bank::{Bank, BankHead};
use super::look::AlarmDue;
use super::tally::Tally;
use super::trace::TraceEvent;
use crate::bitmap;
use crate::exec::task::id::RegionId;
use crate::exec::task::join_node::JoinNode;
use crate::exec::task::options::Miss;
use crate::exec::task::reason::Reason;
use crate::exec::task::state::State;
use crate::sched::{Lanes, Timers};
#[cfg(not(target_os = "none"))]
use crate::sync::AtomicU64;
use crate::sync::{
    AtomicBool, AtomicPtr, AtomicU32, Cell, CriticalSection, Domain, Fixed, FixedPtr, FixedU32, Guarded,
    Ordering, const_fn,
};
use crate::time::Instant;

/// What an executor is to code that doesn't know its size: its first field. All zeros at first, but for what
/// a builder adds; `ops`, the banks' places and `heap` are set by its first use.
#[repr(C)]
pub(in crate::exec) struct Core {
    // First: what is looked at between two polls has the executor's address.
    pub look: AlarmDue,
    /// Null: the executor has not been used.
    pub ops: FixedPtr<Ops>,
    /// During a poll its [`place`]; 0 between polls. [`SHARED`](Self::SHARED) if workers share the executor.
    pub running: AtomicU32,
    /// How many slots the lanes hold, and [`STREAK`](Self::STREAK) while a lane has passed over others.
    pub queued: AtomicU32,
    /// With several banks: those in which plain tasks may be woken.
    pub summary: bitmap::Bank,
    /// With several banks: those in which special tasks may be woken.
    pub urgent: bitmap::Bank,
    /// With several banks: those whose turn is still to come. The runner's.
    pub turns: bitmap::Bank,
    /// Counts the changes of tasks' keys and the requests to stop. Changed under the lock.
    pub rekeys: AtomicU32,
    /// Null: no task is special.
    pub special: AtomicPtr<Special>,
    /// How many tasks are draining. Changed under the lock.
    pub draining: AtomicU32,
    pub lock: Domain,
    pub clock: Guarded<Clock>,
    pub timers: Guarded<Timers>,
    pub lanes: Guarded<Lanes>,
    pub heap: Fixed<*const [Cell<u16>]>,
    pub tally: Tally,
    pub started: AtomicBool,
    /// The platform tells when its alarm has gone off.
    pub watched: AtomicBool,
    /// No more tasks and regions: the executor shuts down.
    pub closing: AtomicBool,
    /// The number of the first region that waits for the runner; 0: none does. Changed under the lock.
    pub work: AtomicU32,
    /// Null: there is no room for regions.
    pub scope: FixedPtr<Scope>,
    pub regions: FixedPtr<Entry>,
    pub region_count: FixedU32,
    pub miss_hook: Guarded<Option<fn(&Miss)>>,
    /// The clock's `now` in microseconds, for whoever would take the lock for that alone.
    #[cfg(not(target_os = "none"))]
    pub pass_time: AtomicU64,
    /// Of an executor that workers share: the one who serves its regions has taken it.
    #[cfg(not(target_os = "none"))]
    pub seat: AtomicBool,
    /// Of an executor that workers share: banks in which one from elsewhere is at work; a hint.
    #[cfg(not(target_os = "none"))]
    pub guests: bitmap::Bank,
}

/// Where an executor's banks begin; the same for every size, because nothing stands between.
pub(in crate::exec) const BANKS_AT: usize = size_of::<Core>().next_multiple_of(align_of::<Bank<1>>());

/// An executor that has been used: a pointer to its core, with the provenance of the whole.
///
/// Whoever has one may rely on it (Executor Invariant 1): the executor is static, its core's `ops` and its
/// banks' places are set.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::exec) struct ExecRef(pub(super) NonNull<Core>);

/// A slot of an executor: the address of its bank and, in the five low bits, its index there. This is the
/// word in a waker.
///
/// So a wake finds the bank's word and its bit without a load. The header is found by arithmetic, the
/// executor by one load. Whoever has one may rely on it: the slot is one of an executor that has been used.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::exec) struct TaskRef(pub(super) NonNull<BankHead>);

/// A bank of a static executor.
#[derive(Clone, Copy)]
pub(in crate::exec) struct BankRef(pub(super) NonNull<BankHead>);

/// What [`Core::running`] holds during a poll: the slot, and how many polls of the pass are left, plus one,
/// so that it is never 0.
#[inline(always)]
pub(in crate::exec) const fn place(slot: u16, budget: u32) -> u32 {
    slot as u32 | budget
}

/// How many polls are left of a pass, counted as [`place`] stores it.
pub(in crate::exec) mod budget {
    /// One poll.
    pub const ONE: u32 = 1 << 16;
    /// What still allows one.
    pub const LAST: u32 = 2 * ONE;
    /// In what is left after special tasks were polled: it is the turn of one plain task.
    pub const OTHERS: u32 = 1 << 31;
    /// In what is left after special tasks were polled, if it is spent: something is runnable still.
    pub const MORE: u32 = 1;

    pub const fn new(polls: u32) -> u32 {
        (polls + 1) * ONE
    }

    /// Whether no poll is left, or [`OTHERS`] is set.
    #[inline(always)]
    pub const fn is_spent(budget: u32) -> bool {
        (budget as i32) < LAST as i32
    }

    /// How many polls were made when `left` is left of `budget`.
    pub const fn made(budget: u32, left: u32) -> u32 {
        (budget - left) / ONE
    }
}

/// The executor's view of time; set up by the first use.
pub(in crate::exec) struct Clock {
    /// The latest `now` that was passed in.
    pub now: Instant,
    /// What the platform's alarm was last set to, or [`MAX`](Instant::MAX).
    pub alarm: Instant,
    /// When the first clean-up time ends, or before: a task may have ended since. [`MAX`](Instant::MAX)
    /// when no task is draining.
    pub clean_up: Instant,
}

/// Tells the runner which bank to look into.
pub(in crate::exec) type Cover = fn(ExecRef, BankRef, u32);

/// Tells of a task that was woken: by its bit, and that again if it had been woken before.
pub(in crate::exec) type Announce = fn(BankRef, u32, u32);

/// The operations that need the executor's full type, and its measures.
pub(in crate::exec) struct Ops {
    pub now: fn(ExecRef) -> Instant,
    pub pend: fn(ExecRef),
    /// [`MAX`](Instant::MAX): cancels the alarm.
    pub set_alarm: fn(ExecRef, Instant),
    pub trace: Option<fn(ExecRef, TraceEvent)>,
    /// Traces that a task with this name was spawned.
    pub trace_spawn: Option<fn(TaskRef, Option<&'static str>)>,
    /// Polls a task, if the platform looks on at polls; returns whether it is done.
    pub observe: Option<fn(ExecRef, TaskRef) -> bool>,
    pub banks: u8,
    pub per_bank: u8,
    pub bank_stride: u16,
    /// Tells the runner which bank to look into, if there are several; `cover_own`: by the runner itself.
    pub cover: Option<Cover>,
    pub cover_own: Option<Cover>,
    /// Finds a bank with a free slot, if there are several.
    pub later_bank: Option<fn(ExecRef) -> Option<BankRef>>,
}

/// What an executor does about tasks that aren't plain: the lanes, quotas, deadlines, requests to stop. It
/// comes with the first such task; an image in which nothing asks for one has no part of it.
pub(in crate::exec) struct Special {
    /// Goes on with a pass for as long as special tasks are woken or queued and it is their turn. Returns
    /// what is left of its polls, and [`OTHERS`](budget::OTHERS) or [`MORE`](budget::MORE).
    pub poll: fn(ExecRef, u32) -> u32,
    /// Takes those out of a round of this bank that aren't plain, of all that were taken for it. Returns
    /// whether there are any, and not only wakes that came too late.
    pub set_aside: fn(ExecRef, BankRef, u32) -> bool,
    /// Ends the draining tasks whose clean-up time is over.
    pub force_due: fn(ExecRef, Instant),
    /// Refuses a wait of a task that was asked to stop. See [`TaskRef::refusal`].
    pub refuse: fn(TaskRef) -> Option<Poll<Reason>>,
    /// A draining task ends.
    pub drained: fn(TaskRef, CriticalSection<'_>),
    /// Asks the task of this generation to stop, as of now, for what its state was when it was published.
    pub request_late: fn(TaskRef, State, u32),
}

/// What an executor with room for regions does about them. One without has no part of it in its image.
pub(in crate::exec) struct Scope {
    /// Makes a claimed slot a member of the region, or says why not.
    pub admit: fn(TaskRef, CriticalSection<'_>, Membership) -> Result<(), Refusal>,
    /// A member has ended; `failed`: as its region's options mean it.
    pub leave: fn(TaskRef, CriticalSection<'_>, bool),
    /// Takes a slot out of its region's list; true: its task hasn't [left](Self::leave) before.
    pub unlink: fn(TaskRef, CriticalSection<'_>, bool),
    /// Does what listed regions wait for. The runner only.
    pub serve: fn(ExecRef),
}

/// Which region a new task is to be in.
#[derive(Clone, Copy)]
pub(in crate::exec) enum Membership {
    /// None.
    Root,
    /// That of a task of this executor, by its generation.
    Of(TaskRef, u32),
    /// This one.
    In(RegionId),
}

/// Why a region doesn't take a task.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::exec) enum Refusal {
    Stale,
    Closed,
    Quota,
}

/// A region of a table; one that is free is all zeros but for its generation.
pub(in crate::exec) struct Entry {
    /// The executor whose region it is, claimed by an exchange; null: the entry is free.
    pub owner: AtomicPtr<Core>,
    pub links: Guarded<Links>,
}

/// What is known of a region. Belongs to the holder of its executor's lock.
pub(in crate::exec) struct Links {
    /// Whoever waits for the region (Join Node Invariant).
    pub waiter: *const JoinNode,
    pub name: Option<&'static &'static str>,
    pub finaliser: Option<fn(RegionId)>,
    pub generation: u32,
    /// When it was asked to close.
    pub asked_at: Instant,
    /// Regions are named by their entry's index plus one; 0 is none, or the root.
    pub parent: u16,
    pub first_child: u16,
    pub next_sibling: u16,
    pub previous_sibling: u16,
    pub next_work: u16,
    /// Members are named by their slot.
    pub first: Option<u16>,
    /// The member that a walk over them visits next.
    pub cursor: Option<u16>,
    /// Members that have not ended.
    pub live: u16,
    pub quota: u16,
    /// Child regions that have not ended.
    pub children: u16,
    pub reason: u8,
    pub flags: u16,
}

// SAFETY: the pointer leads to a node that only the holder of the lock follows.
unsafe impl Send for Links {}

impl Entry {
    const_fn! {
    pub const fn new() -> Self {
        Self { owner: AtomicPtr::new(ptr::null_mut()), links: Guarded::new(Links::FREE) }
    }
    }
}

impl Links {
    pub const FREE: Self = Self {
        waiter: ptr::null(),
        name: None,
        finaliser: None,
        generation: 0,
        asked_at: Instant::ZERO,
        parent: 0,
        first_child: 0,
        next_sibling: 0,
        previous_sibling: 0,
        next_work: 0,
        first: None,
        cursor: None,
        live: 0,
        quota: 0,
        children: 0,
        reason: 0,
        flags: 0,
    };
}

impl Core {
    pub const STREAK: u32 = 1 << 31;
    /// No [`place`], which is larger.
    pub const SHARED: u32 = 1 << 14;

    const_fn! {
    pub const fn new() -> Self {
        Self {
            ops: FixedPtr::new(ptr::null_mut()),
            look: AlarmDue::new(),
            running: AtomicU32::new(0),
            queued: AtomicU32::new(0),
            summary: bitmap::Bank::new(0),
            urgent: bitmap::Bank::new(0),
            turns: bitmap::Bank::new(0),
            rekeys: AtomicU32::new(0),
            special: AtomicPtr::new(ptr::null_mut()),
            draining: AtomicU32::new(0),
            lock: Domain::new(),
            clock: Guarded::new(Clock {
                now: Instant::ZERO,
                alarm: Instant::ZERO,
                clean_up: Instant::ZERO,
            }),
            timers: Guarded::new(Timers::new()),
            lanes: Guarded::new(Lanes::new()),
            heap: Fixed::new(ptr::slice_from_raw_parts(ptr::null(), 0)),
            tally: Tally::new(),
            started: AtomicBool::new(false),
            watched: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            work: AtomicU32::new(0),
            scope: FixedPtr::new(ptr::null_mut()),
            regions: FixedPtr::new(ptr::null_mut()),
            region_count: FixedU32::new(0),
            miss_hook: Guarded::new(None),
            #[cfg(not(target_os = "none"))]
            pass_time: AtomicU64::new(0),
            #[cfg(not(target_os = "none"))]
            seat: AtomicBool::new(false),
            #[cfg(not(target_os = "none"))]
            guests: bitmap::Bank::new(0),
        }
    }
    }

    /// The slot that is being polled.
    pub fn running_slot(&self) -> Option<u16> {
        let running = self.running.load(Ordering::Relaxed);
        (running >= budget::ONE).then_some((running & 0x7FFF) as u16)
    }

    pub fn is_shutting_down(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }
}
