//! A task's state: one word, and its transitions.

use super::options::OnMiss;
use super::reason::Reason;
use crate::sync::{AtomicU32, Ordering, const_fn};

/// The state of a slot.
///
/// ```text
///              (1) claim            (2) publish
///    +------+ ----------> +---------+ ---------> +------------------------------ live -+
///    | free |             | claimed |            |                     (3) drain       |
///    +------+ <---------- +---------+            |  waiting ---------> in a round,     |
///      ^  ^    (8) release                       |    ^               or queued (lane) |
///      |  |                                      |    |                      | (4) poll |
///      |  |                                      |    `-------- running <----'          |
///      |  |                                      |     (5) pending, woken again: (3)    |
///      |  |      (6) finish, nobody will join    |                                      |
///      |  `------------------------------------- |                                      |
///      |                                         +--------------------------------------+
///      |  (7) take, then (8) release       +------+   (6) finish, a handle exists
///      `---------------------------------- | done | <------------------------------------'
///                                          +------+
/// ```
///
/// 1. [`StateCell::claim`], by a spawner, with a bit of the bank's `free` word.
/// 2. [`StateCell::publish`], by the spawner, which then wakes the task.
/// 3. The woken bit is taken, by the runner: into a round if the task is plain, else into a lane.
/// 4. The runner. Which task is running is one field of the core, not a state to store here.
/// 5. The poll returns that it is not done. A wake during the poll has left its bit.
/// 6. [`StateCell::finish`], by the runner: the poll was done or has unwound, or the task is ended by force.
///    With nobody to join it and nothing to drop, 8 follows at once.
/// 7. [`StateCell::take`], by whoever joins or drops the handle, in any context, or by the runner once the
///    task's region has closed. Whoever finds the phase *done* under the lock sets it to *claimed* and owns
///    what is there. A task that ended in no region is its handle's, who needs no lock to find it *done*:
///    [`State::ended_for_handle`].
/// 8. [`StateCell::release`]: the slot's generation advances, its bit in `free` is set.
///
/// All transitions but those of the shield and of counted polls are made under the executor's lock.
/// Transition 1 may be undone by 8, when the region refuses the task or the build of the future unwinds.
///
/// A *draining* task is a live one that was asked to stop. When it is woken it is queued in the cancel lane;
/// the end of its clean-up time stands where its deadline stood.
///
/// A woken bit may be set on a slot in any phase (wakers outlive tasks): taken on a slot that isn't live, it
/// is discarded; on the slot's next task, it costs one poll.
pub(in crate::exec) struct StateCell(AtomicU32);

/// The state word as it was loaded.
#[derive(Clone, Copy)]
pub(in crate::exec) struct State(u32);

/// Where in its life a slot is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::exec) enum Phase {
    Free,
    Claimed,
    Live,
    Done,
}

/// How a task ends, in the bits of its state.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::exec) struct Ending(u32);

/// What a request to stop has changed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::exec) enum Requested {
    /// The live task is draining from now on.
    Drains,
    /// Nothing to be done: the reason is noted, or the slot is empty.
    Noted,
}

/// What whoever wants a result finds.
pub(in crate::exec) enum Taken {
    /// The task has not ended.
    Nothing,
    /// The result, which is the caller's now.
    Done(Ending),
    /// The slot holds it no more.
    Stale,
}

const PHASE: u32 = 0b11;
const CLAIMED: u32 = 1;
const LIVE: u32 = 2;
const DONE: u32 = 3;
/// Somebody holds a join handle.
const HANDLE: u32 = 1 << 2;
/// It has a quota and was not asked to stop.
const LIMITED: u32 = 1 << 3;
/// Done, in a region.
const MEMBER: u32 = LIMITED;
/// The present deadline's miss has been noted.
const MISSED: u32 = 1 << 4;
/// What a miss does, two bits.
const ON_MISS: u32 = 5;
/// Asked to stop, for the reason in the next three bits.
const REQUESTED: u32 = 1 << 7;
const REASON: u32 = 8;
const REASON_BITS: u32 = 7 << REASON;
/// In place of a reason when a poll unwound.
const PANICKED: u32 = 7;
/// Its poll is inside a shield.
const SHIELDED: u32 = 1 << 11;
/// Done without an output, for the reason above.
const ENDED: u32 = 1 << 12;
/// How many waits were refused in this poll; three bits.
const REFUSED: u32 = 13;
const REFUSED_BITS: u32 = 7 << REFUSED;
/// Polls left of the quota, or of the clean-up when asked to stop; 16 bits.
const QUOTA: u32 = 16;

impl State {
    /// Of a new plain task; `handle`: somebody holds one.
    #[inline(always)]
    pub const fn live(handle: bool) -> Self {
        Self(if handle { LIVE | HANDLE } else { LIVE })
    }

    /// Of a task with options.
    pub fn with(self, on_miss: OnMiss, quota: Option<u16>) -> Self {
        let quota = quota.map_or(0, |polls| LIMITED | u32::from(polls) << QUOTA);
        Self(self.0 | (on_miss as u32) << ON_MISS | quota)
    }

    pub fn phase(self) -> Phase {
        match self.0 & PHASE {
            CLAIMED => Phase::Claimed,
            LIVE => Phase::Live,
            DONE => Phase::Done,
            _ => Phase::Free,
        }
    }

    #[inline(always)]
    pub fn is_live(self) -> bool {
        self.0 & PHASE == LIVE
    }

    /// Live, without quota and request.
    #[inline(always)]
    pub fn is_unlimited(self) -> bool {
        self.0 & (PHASE | LIMITED | REQUESTED) == LIVE
    }

    /// Claimed by its spawner, that is, and not by whoever takes its result; or live.
    pub fn has_task(self) -> bool {
        self.0 & (PHASE | HANDLE) == CLAIMED || self.is_live()
    }

    /// Whether somebody holds the handle.
    pub fn has_handle(self) -> bool {
        self.0 & HANDLE != 0
    }

    pub fn is_requested(self) -> bool {
        self.0 & REQUESTED != 0
    }

    pub fn is_limited(self) -> bool {
        self.0 & LIMITED != 0
    }

    pub fn is_missed(self) -> bool {
        self.0 & MISSED != 0
    }

    /// Whether its polls are counted.
    pub fn is_counted(self) -> bool {
        self.0 & (REQUESTED | LIMITED) != 0
    }

    /// Polls left.
    pub fn polls(self) -> u32 {
        self.0 >> QUOTA
    }

    pub fn on_miss(self) -> OnMiss {
        OnMiss::from_bits(self.0 >> ON_MISS)
    }

    /// Why the task was asked to stop, if it was.
    pub fn reason(self) -> Option<Reason> {
        if self.is_requested() { Reason::from_bits(self.0 >> REASON) } else { None }
    }

    /// How a task ended that is done, and whose result nobody but its handle can take.
    #[inline(always)]
    pub fn ended_for_handle(self) -> Option<Ending> {
        (self.0 & (PHASE | MEMBER) == DONE).then(|| self.ending())
    }

    /// How a task ended that is done, or was when its result was taken.
    fn ending(self) -> Ending {
        Ending(self.0 & (ENDED | REASON_BITS))
    }

    /// Whether a task that is done, or was when its result was taken, has failed.
    pub fn has_failed(self) -> bool {
        self.ending().is_failure()
    }
}

impl Ending {
    /// Its storage holds the output.
    pub const COMPLETED: Self = Self(0);
    /// Its poll has unwound.
    pub const PANICKED: Self = Self(ENDED | PANICKED << REASON);

    /// By force, having been asked to stop.
    pub const fn forced(reason: Reason) -> Self {
        Self(ENDED | (reason as u32) << REASON)
    }

    /// Why it was ended by force, if it was.
    pub const fn reason(self) -> Option<Reason> {
        Reason::from_bits(self.0 >> REASON)
    }

    /// Whether a region that ends with its first failure ends with a task that ended so: a panic, or a limit
    /// of its own.
    pub fn is_failure(self) -> bool {
        self == Self::PANICKED || matches!(self.reason(), Some(Reason::Deadline | Reason::PollQuota))
    }
}

impl StateCell {
    const_fn! {
    pub const fn new() -> Self {
        Self(AtomicU32::new(0))
    }
    }

    #[inline(always)]
    pub fn load(&self) -> State {
        State(self.0.load(Ordering::Relaxed))
    }

    /// As [`load`](Self::load); what was written before a transition is seen.
    #[inline(always)]
    pub fn load_acquire(&self) -> State {
        State(self.0.load(Ordering::Acquire))
    }

    /// Transition 1.
    pub fn claim(&self) {
        self.0.store(CLAIMED, Ordering::Relaxed);
    }

    /// Transition 2, after a release fence. Returns the state before: the task may have been asked to stop.
    #[inline(always)]
    pub fn publish(&self, live: State) -> State {
        let claimed = self.load();
        self.0.store(live.0, Ordering::Relaxed);
        claimed
    }

    /// Transition 6, from `state`. `member`: of a region, which may take the result back.
    #[inline(always)]
    pub fn finish(&self, state: State, ending: Ending, member: bool) {
        let member = if member { MEMBER } else { 0 };
        self.0.store(DONE | state.0 & HANDLE | ending.0 | member, Ordering::Release);
    }

    /// Transition 7, if the phase is *done*. Under the lock, by which the output is seen.
    pub fn take(&self) -> Taken {
        let state = self.load();
        if state.0 & PHASE == DONE {
            self.0.store(state.0 & !PHASE | CLAIMED, Ordering::Relaxed);
            Taken::Done(state.ending())
        } else if state.0 & PHASE == CLAIMED {
            // The runner is taking it back at this moment: its region has closed.
            Taken::Stale
        } else {
            Taken::Nothing
        }
    }

    /// The handle goes, and the task has not ended.
    pub fn detach(&self) {
        self.0.fetch_and(!HANDLE, Ordering::Relaxed);
    }

    /// Transition 8.
    pub fn release(&self) {
        self.0.store(0, Ordering::Release);
    }

    /// Asks for an end, or notes a more severe reason. `polls`: what a live task may take to clean up, in
    /// place of its quota.
    pub fn request(&self, why: Reason, polls: u16) -> Requested {
        let bits = (why as u32) << REASON;
        let mut now = self.load();
        loop {
            let live = now.is_live();
            let next = if now.is_requested() {
                if now.reason() >= Some(why) {
                    return Requested::Noted;
                }
                now.0 & !REASON_BITS | bits
            } else if live {
                now.0 & ((1 << QUOTA) - 1) & !(LIMITED | REASON_BITS)
                    | REQUESTED
                    | bits
                    | u32::from(polls) << QUOTA
            } else if now.0 & (PHASE | HANDLE) == CLAIMED {
                // Still being spawned: `publish` finds it.
                now.0 | REQUESTED | bits
            } else {
                return Requested::Noted;
            };
            // Exchanged, since the runner may be counting a poll in the same word. Release: `heard` takes no
            // lock, and its poll may come of another wake.
            match self.0.compare_exchange_weak(now.0, next, Ordering::Release, Ordering::Relaxed) {
                Ok(_) if live && !now.is_requested() => return Requested::Drains,
                Ok(_) => return Requested::Noted,
                Err(other) => now = State(other),
            }
        }
    }

    /// Counts a poll of a task that was seen with `seen`, before it is made. A request that came since counts
    /// its own polls: this one is not among them.
    pub fn count_poll(&self, seen: State) {
        let count = |now| ((now ^ seen.0) & REQUESTED == 0).then(|| (now - (1 << QUOTA)) & !REFUSED_BITS);
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, count);
    }

    /// The present deadline's miss is noted, or a new deadline has none yet.
    pub fn set_missed(&self, missed: bool) {
        if missed {
            self.0.fetch_or(MISSED, Ordering::Relaxed);
        } else {
            self.0.fetch_and(!MISSED, Ordering::Relaxed);
        }
    }

    /// Counts that a wait is refused. Returns whether it may be, in this poll: seven are.
    pub fn count_refusal(&self) -> bool {
        let count = |now| (now & REFUSED_BITS != REFUSED_BITS).then(|| now + (1 << REFUSED));
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, count).is_ok()
    }

    /// Raises the shield. Returns whether it was down.
    pub fn raise_shield(&self) -> bool {
        self.0.fetch_or(SHIELDED, Ordering::Relaxed) & SHIELDED == 0
    }

    /// Takes the shield down.
    pub fn lower_shield(&self) {
        self.0.fetch_and(!SHIELDED, Ordering::Relaxed);
    }

    /// Why the task was asked to stop, if it was and isn't in a shield: what its own waits see. What was
    /// written before the request is seen then.
    pub fn heard(&self) -> Option<Reason> {
        // A second load, so that the frequent answer needs no barrier.
        if self.may_be_heard() { self.load_acquire().reason() } else { None }
    }

    /// Whether there is anything to [hear](Self::heard).
    #[inline(always)]
    pub fn may_be_heard(&self) -> bool {
        self.load().0 & (REQUESTED | SHIELDED) == REQUESTED
    }
}
