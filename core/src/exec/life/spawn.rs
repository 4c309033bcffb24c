//! Bringing tasks to life.

use core::fmt;

use super::finish::release;
use super::future::Task;
use super::join::JoinHandle;
use super::on_drop::OnDrop;
use crate::exec::memory::core::{BankRef, ExecRef, Membership, Refusal, Special, TaskRef};
use crate::exec::memory::cx::Cx;
use crate::exec::memory::tally::add;
use crate::exec::memory::trace::TraceEvent;
use crate::exec::task::options::{OnMiss, TaskOptions};
use crate::exec::task::pool::TaskPool;
use crate::exec::task::reason::Reason;
use crate::sched::Priority;
use crate::sync::Ordering;
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

/// Says what to do, as [`Display`](fmt::Display) does: this is what `expect` shows.
impl<B> fmt::Debug for SpawnError<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.kind, f)
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

/// Spawns from any context, with a handle.
///
/// # Safety
///
/// As for [`start`].
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
    // SAFETY: the caller's promise; the output's type is that of the future.
    unsafe {
        let Cx { task, generation } = start(exec, owner, wishes, pool, build, true)?;
        Ok(JoinHandle::new(task, generation))
    }
}

/// Spawns from any context: claims storage, slot and membership, or none; builds the future in place;
/// publishes; wakes. `handle`: the caller makes one.
///
/// # Safety
///
/// `F` is `Send`, or the caller is in the runner's context.
#[inline(always)]
pub(in crate::exec) unsafe fn start<B, F, const BYTES: usize, const SLOTS: usize>(
    exec: ExecRef,
    owner: Membership,
    wishes: Option<Wishes>,
    pool: &'static TaskPool<BYTES, SLOTS>,
    build: B,
    handle: bool,
) -> Result<Cx, SpawnError<B>>
where
    B: FnOnce(Cx) -> F,
    F: Future + 'static,
    F::Output: 'static,
{
    const { Task::<F, BYTES, SLOTS>::FITS };
    let Some((storage, number)) = pool.claim() else {
        return Err(SpawnError { kind: SpawnErrorKind::PoolFull, rejected: build });
    };
    let claimed = match (owner, &wishes) {
        (Membership::Root, None) => claim(exec),
        (_, wishes) => claim_with(exec, owner, wishes.as_ref().map(|wishes| &wishes.options)),
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
            None => publish(task, handle),
            Some(wishes) => publish_with(task, wishes, handle),
        }
    }
    Ok(cx)
}

/// Claims the lowest free slot of the executor, for a task in no region. O(1).
#[inline(never)]
fn claim(exec: ExecRef) -> Result<TaskRef, SpawnErrorKind> {
    exec.locked(|_| {
        let (bank, index) = free_slot(exec)?;
        bank.header(index).family.clear();
        use_slot(exec, bank, index);
        Ok(bank.task(index))
    })
}

/// [`claim`], as the options have it, for a member of its region.
#[inline(never)]
fn claim_with(
    exec: ExecRef,
    owner: Membership,
    options: Option<&TaskOptions>,
) -> Result<TaskRef, SpawnErrorKind> {
    exec.locked(|cs| {
        let deadline = options.and_then(|options| options.deadline);
        if deadline.is_some_and(|deadline| deadline < exec.with_clock(cs, |clock| clock.now)) {
            return Err(SpawnErrorKind::DeadlinePassed);
        }
        if let Membership::Of(spawner, generation) = owner
            && !is_there(spawner, generation)
        {
            return Err(SpawnErrorKind::Stale);
        }
        let (bank, index) = free_slot(exec)?;
        let task = bank.task(index);
        let owner = options.and_then(|options| options.region).map_or(owner, Membership::In);
        match (exec.scope, owner) {
            (Some(scope), _) => (scope.admit)(task, cs, owner)?,
            (None, Membership::In(_)) => return Err(SpawnErrorKind::RegionClosed),
            (None, _) => {}
        }
        use_slot(exec, bank, index);
        Ok(task)
    })
}

/// The lowest free slot. Under the lock.
#[inline(always)]
fn free_slot(exec: ExecRef) -> Result<(BankRef, u32), SpawnErrorKind> {
    // The lowest bank that has one.
    let bank =
        exec.bank((!exec.full.bits()).trailing_zeros() as usize).ok_or(SpawnErrorKind::ExecutorFull)?;
    if exec.is_shutting_down() {
        return Err(SpawnErrorKind::RegionClosed);
    }
    Ok((bank, (!bank.used.bits()).trailing_zeros()))
}

/// Takes a free slot. Under the lock.
#[inline(always)]
fn use_slot(exec: ExecRef, bank: BankRef, index: u32) {
    let used = bank.used.bits() | 1 << index;
    bank.used.set(used);
    if used == exec.ops().full_bank {
        exec.full.write(bank.number.get(), true);
    }
    let header = bank.header(index);
    header.node.embedder_index.set(index as u8);
    header.state.claim();
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

/// Makes a claimed slot live, as a plain task, and wakes it: transition 2.
#[inline(never)]
fn publish(task: TaskRef, handle: bool) {
    let exec = task.exec();
    if let Some(trace_spawn) = exec.ops().trace_spawn {
        trace_spawn(task, None);
    }
    // Under the lock, because a stale id may be re-keying the node right now, a region asking its members to
    // stop, and a dump reading.
    let asked = exec.locked(|_| {
        add(&exec.tally.spawns, 1);
        task.attributes.set(None);
        task.node.reset(Priority::LOWEST, None);
        let asked = task.state.publish(handle, OnMiss::Count, None).map(|why| (why, generation(task)));
        // After all else: whoever takes the bit of an earlier wake sees this, and polls.
        task.set_plain(true);
        asked
    });
    wake_new(task, asked);
}

/// [`publish`], as the options have it.
#[inline(never)]
fn publish_with(task: TaskRef, wishes: &Wishes, handle: bool) {
    let (exec, options) = (task.exec(), &wishes.options);
    if let Some(trace_spawn) = exec.ops().trace_spawn {
        trace_spawn(task, options.attributes.and_then(|attributes| attributes.name));
    }
    let asked = exec.locked(|_| {
        add(&exec.tally.spawns, 1);
        task.attributes.set(options.attributes);
        task.node.reset(options.priority, options.deadline.map(Instant::as_micros));
        let quota = options.poll_quota.map(|polls| polls.get());
        let asked = task.state.publish(handle, options.on_miss, quota).map(|why| (why, generation(task)));
        if task.node.is_plain() && quota.is_none() {
            task.set_plain(true);
        } else {
            exec.see_to_special(wishes.special);
        }
        asked
    });
    wake_new(task, asked);
}

#[inline(always)]
fn generation(task: TaskRef) -> u32 {
    task.generation.load(Ordering::Relaxed)
}

/// Wakes a new task. If its region was closed while it was claimed, it is asked to stop.
#[inline(always)]
fn wake_new(task: TaskRef, asked: Option<(Reason, u32)>) {
    if let (Some((why, generation)), Some(special)) = (asked, task.exec().special()) {
        (special.request_late)(task, why, generation);
    }
    task.wake();
}

/// See [`Ops::trace_spawn`](crate::exec::memory::core::Ops::trace_spawn).
pub(in crate::exec) fn trace_spawn(task: TaskRef, name: Option<&'static str>) {
    let name = name.or_else(|| task.vtable().map(|vtable| (vtable.type_name)())).unwrap_or_default();
    task.exec().trace(TraceEvent::Spawned { id: task.id(), name });
}
