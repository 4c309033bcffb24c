//! Bringing tasks to life.

use core::fmt;

use super::finish::release;
use super::future::Task;
use super::join::JoinHandle;
use super::on_drop::OnDrop;
use crate::bitmap::low_bits;
use crate::exec::memory::bank::BankHead;
use crate::exec::memory::core::{ExecRef, Membership, Refusal, Special, TaskRef};
use crate::exec::memory::cx::Cx;
use crate::exec::memory::tally::add;
use crate::exec::memory::trace::TraceEvent;
use crate::exec::task::options::{OnMiss, TaskOptions};
use crate::exec::task::pool::TaskPool;
use crate::exec::task::reason::Reason;
use crate::sched::Priority;
use crate::sync::{CriticalSection, Ordering};
use crate::time::Instant;

/// The task could not be spawned; nothing has changed. `rejected` is what was to make the future.
pub struct SpawnError<B> {
    /// Why.
    pub kind: SpawnErrorKind,
    /// What was passed to `spawn`, uncalled.
    pub rejected: B,
}

/// Why a task could not be spawned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SpawnErrorKind {
    /// Every slot of the pool is in use.
    PoolFull,
    /// Every slot of the executor is in use.
    ExecutorFull,
    /// The deadline of the options lies before the time of the executor's latest pass.
    DeadlinePassed,
    /// The region is closing or has closed, or is another executor's; or the executor shuts down.
    RegionClosed,
    /// The region has as many tasks as its quota allows.
    QuotaExceeded,
    /// The task whose [`Cx`] spawns has ended.
    Stale,
    /// The join set holds as many tasks as it has room for.
    SetFull,
}

impl fmt::Display for SpawnErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PoolFull => "the task pool is full: raise its SLOTS, or wait for a task to end",
            Self::ExecutorFull => {
                "the executor is full: raise its BANKS or PER_BANK, or wait for a task to end"
            }
            Self::DeadlinePassed => "the deadline has passed already: give one that is still to come",
            Self::RegionClosed => "the region is closing: nothing new begins in it",
            Self::QuotaExceeded => "the region's quota is used up: raise it, or wait for a task to end",
            Self::Stale => {
                "the task that spawns has ended: spawn through the executor, or by the Cx of a task that runs"
            }
            Self::SetFull => "the join set is full: raise its N, or take a result",
        })
    }
}

impl<B> fmt::Display for SpawnError<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl<B> fmt::Debug for SpawnError<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SpawnError").field(&self.kind).finish()
    }
}

impl core::error::Error for SpawnErrorKind {}

impl<B> core::error::Error for SpawnError<B> {}

impl From<Refusal> for SpawnErrorKind {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Stale => Self::Stale,
            Refusal::Closed => Self::RegionClosed,
            Refusal::Quota => Self::QuotaExceeded,
        }
    }
}

/// What a spawner asks for beside a plain task, and what the executor needs for that.
pub(in crate::exec) struct Wishes {
    pub options: TaskOptions,
    pub special: &'static Special,
}

/// Spawns from any context: claims storage, slot and membership, or none; builds the future in place;
/// publishes; wakes.
///
/// # Safety
///
/// `F` is `Send`, or the caller is in the runner's context.
pub(in crate::exec) unsafe fn spawn<B, F, const BYTES: usize, const SLOTS: usize>(
    exec: ExecRef,
    owner: Membership,
    wishes: Option<Wishes>,
    pool: &'static TaskPool<BYTES, SLOTS>,
    build: B,
) -> Result<JoinHandle<F::Output>, SpawnError<B>>
where
    B: FnOnce(Cx) -> F,
    F: Future + 'static,
    F::Output: 'static,
{
    const { Task::<F, BYTES, SLOTS>::FITS };
    let Some((storage, number)) = pool.claim() else {
        return Err(SpawnError { kind: SpawnErrorKind::PoolFull, rejected: build });
    };
    let claimed = match &wishes {
        None => exec.locked(|cs| claim(exec, cs, owner)),
        Some(wishes) => claim_with(exec, owner, &wishes.options),
    };
    let task = match claimed {
        Ok(task) => task,
        Err(kind) => {
            // SAFETY: claimed above, and nobody uses it.
            unsafe { TaskPool::<BYTES, SLOTS>::release(storage, number) };
            return Err(SpawnError { kind, rejected: build });
        }
    };
    task.storage.set(storage);
    task.node.embedder_word.set(number);
    task.set_vtable(Some(Task::<F, BYTES, SLOTS>::VTABLE));
    let cx = Cx::new(task);
    let unwound = OnDrop::new(|| unclaim(task));
    let future = build(cx);
    unwound.defuse();
    // SAFETY: the slot is claimed, hence its storage ours (Executor Invariant 2); the caller answers for
    // `Send`.
    unsafe {
        storage.cast::<F>().write(future);
        match &wishes {
            None => publish(task),
            Some(wishes) => publish_with(task, wishes),
        }
        Ok(JoinHandle::new(task, cx.generation))
    }
}

/// Claims the lowest free slot of the executor, and makes it a member of its region. Under the lock. O(1).
#[inline(never)]
fn claim(exec: ExecRef, cs: CriticalSection<'_>, owner: Membership) -> Result<TaskRef, SpawnErrorKind> {
    // The lowest bank that has a free slot.
    let bank =
        exec.bank((!exec.full.bits()).trailing_zeros() as usize).ok_or(SpawnErrorKind::ExecutorFull)?;
    if exec.is_shutting_down() {
        return Err(SpawnErrorKind::RegionClosed);
    }
    let used = bank.used.bits();
    let index = (!used).trailing_zeros();
    let (task, header) = (bank.task(index), bank.header(index));
    header.node.embedder_index.set(index as u8);
    match (exec.scope, owner) {
        (Some(scope), _) => (scope.admit)(task, cs, owner)?,
        (None, Membership::Root) => {}
        (None, Membership::Of(spawner, generation)) if is_there(spawner, generation) => {}
        (None, Membership::Of(..)) => return Err(SpawnErrorKind::Stale),
        (None, Membership::In(_)) => return Err(SpawnErrorKind::RegionClosed),
    }
    let used = used | 1 << index;
    bank.used.set(used);
    if used == low_bits(exec.ops().per_bank.into()) {
        exec.full.write(bank.number.get(), true);
    }
    header.state.claim();
    Ok(task)
}

/// [`claim`], as the options have it.
#[inline(never)]
fn claim_with(exec: ExecRef, owner: Membership, options: &TaskOptions) -> Result<TaskRef, SpawnErrorKind> {
    exec.locked(|cs| {
        if options.deadline.is_some_and(|deadline| deadline < exec.with_clock(cs, |clock| clock.now)) {
            return Err(SpawnErrorKind::DeadlinePassed);
        }
        match (owner, options.region) {
            (Membership::Of(spawner, generation), Some(_)) if !is_there(spawner, generation) => {
                Err(SpawnErrorKind::Stale)
            }
            (_, Some(region)) => claim(exec, cs, Membership::In(region)),
            (_, None) => claim(exec, cs, owner),
        }
    })
}

/// Whether the slot holds a task of this generation that has not ended. Under the lock.
fn is_there(task: TaskRef, generation: u32) -> bool {
    task.state.load().has_task() && task.generation.load(Ordering::Relaxed) == generation
}

/// Gives a claimed slot back when the build of its future unwinds.
#[cold]
#[inline(never)]
fn unclaim(task: TaskRef) {
    let exec = task.exec();
    // SAFETY: the slot is claimed by `spawn`, its storage empty.
    unsafe { release(task, true) };
    // Its region may have waited for nothing else.
    exec.pend();
}

/// Makes a claimed slot live, with a join handle, as a plain task, and wakes it: transition 2.
#[inline(never)]
fn publish(task: TaskRef) {
    let exec = task.exec();
    if exec.ops().trace.is_some() {
        trace_spawn(task, None);
    }
    // Under the lock, because a stale id may be re-keying the node right now, a region asking its members to
    // stop, and a dump reading.
    let (asked, coalesced) = exec.locked(|_| {
        add(&exec.tally.spawns, 1);
        task.attributes.set(None);
        task.node.reset(Priority::LOWEST, None);
        let asked = task
            .state
            .publish(true, OnMiss::Count, None)
            .map(|why| (why, task.generation.load(Ordering::Relaxed)));
        // After all else: whoever takes the bit of an earlier wake sees this, and polls.
        task.set_plain(true);
        (asked, task.mark())
    });
    announce(task, asked, coalesced);
}

/// [`publish`], as the options have it.
#[inline(never)]
fn publish_with(task: TaskRef, wishes: &Wishes) {
    let (exec, options) = (task.exec(), &wishes.options);
    if exec.ops().trace.is_some() {
        trace_spawn(task, options.attributes.and_then(|attributes| attributes.name));
    }
    let (asked, coalesced) = exec.locked(|_| {
        add(&exec.tally.spawns, 1);
        task.attributes.set(options.attributes);
        task.node.reset(options.priority, options.deadline.map(Instant::as_micros));
        let quota = options.poll_quota.map(|polls| polls.get());
        let asked = task.state.publish(true, options.on_miss, quota);
        let asked = asked.map(|why| (why, task.generation.load(Ordering::Relaxed)));
        if task.node.is_plain() && quota.is_none() {
            task.set_plain(true);
        } else {
            exec.see_to_special(wishes.special);
        }
        (asked, task.mark())
    });
    announce(task, asked, coalesced);
}

/// What follows the wake of a new task. If its region was closed while it was claimed, it is asked to stop.
#[inline(always)]
fn announce(task: TaskRef, asked: Option<(Reason, u32)>, coalesced: bool) {
    let exec = task.exec();
    if coalesced {
        exec.tally.coalesced.fetch_add(1, Ordering::Relaxed);
    }
    if let Some((why, generation)) = asked {
        request_late(task, why, generation);
    }
    if task.bank().announce.get() & BankHead::PEND != 0 {
        exec.pend();
    }
}

#[cold]
#[inline(never)]
fn request_late(task: TaskRef, why: Reason, generation: u32) {
    let exec = task.exec();
    let Some(special) = exec.special() else { return };
    // As of now: the latest pass may be long ago. The task may have run, ended and been taken back since it
    // was published.
    let read = exec.read_clock();
    exec.locked(|cs| {
        if task.is_live(generation) {
            (special.request)(task, cs, why, exec.not_before_pass(cs, read));
        }
    });
}

#[cold]
#[inline(never)]
fn trace_spawn(task: TaskRef, name: Option<&'static str>) {
    let name = name.or_else(|| task.vtable().map(|vtable| (vtable.type_name)())).unwrap_or_default();
    task.exec().trace(TraceEvent::Spawned { id: task.id(), name });
}
