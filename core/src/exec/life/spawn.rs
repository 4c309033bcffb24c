//! Bringing tasks to life.

use core::ptr;

use super::finish::release;
use super::future::Task;
use super::join::JoinHandle;
use super::on_drop::OnDrop;
use super::spawn_error::{SpawnError, SpawnErrorKind};
use crate::exec::memory::core::{BankRef, ExecRef, Membership, Special, TaskRef};
use crate::exec::memory::cx::Cx;
use crate::exec::memory::tally::add_alone;
use crate::exec::memory::trace::TraceEvent;
use crate::exec::task::header::Header;
use crate::exec::task::options::TaskOptions;
use crate::exec::task::pool::{PoolRef, Storage, TaskPool};
use crate::exec::task::state::State;
use crate::exec::task::vtable::Vtable;
use crate::sync::{CriticalSection, Ordering, fence};
use crate::time::Instant;

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
    spawner: Option<&Cx>,
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
        let Cx { task, generation } = start(exec, spawner, wishes, pool, build, true)?;
        Ok(JoinHandle::new(task, generation))
    }
}

/// Spawns from any context: claims storage, slot and membership, or none; builds the future in place;
/// publishes; wakes. `spawner`: the new task is in its region. `handle`: the caller makes one.
///
/// # Safety
///
/// `F` is `Send`, or the caller is in the runner's context.
#[inline(always)]
pub(in crate::exec) unsafe fn start<B, F, const BYTES: usize, const SLOTS: usize>(
    exec: ExecRef,
    spawner: Option<&Cx>,
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
    let (pool, vtable) = (pool.pool(), Task::<F, BYTES, SLOTS>::VTABLE);
    let (task, header) = match &wishes {
        None => claim(exec, pool, vtable, spawner),
        Some(wishes) => claim_with(exec, pool, vtable, spawner, &wishes.options),
    };
    let Some(task) = task else {
        return Err(SpawnError { kind: kind_of(header), rejected: build });
    };
    // SAFETY: it was claimed just now, for a future that fits (FITS); the caller answers for `Send`.
    Ok(unsafe { build_in(task, &*header, wishes.as_ref(), build, handle) })
}

/// Builds the future in the storage of a claimed slot, publishes the task, and wakes it.
///
/// # Safety
///
/// The slot is claimed by the caller, `header` is its own, and its storage has room for the future and its
/// output. `F` is `Send`, or the caller is in the runner's context.
#[inline(always)]
pub(super) unsafe fn build_in<B, F>(
    task: TaskRef,
    header: &'static Header,
    wishes: Option<&Wishes>,
    build: B,
    handle: bool,
) -> Cx
where
    B: FnOnce(Cx) -> F,
    F: Future + 'static,
    F::Output: 'static,
{
    let cx = Cx { task, generation: header.generation.load(Ordering::Relaxed) };
    let unwound = OnDrop::new(|| unclaim(task));
    let future = build(cx);
    unwound.defuse();
    // SAFETY: the slot is claimed, hence its storage the caller's (Executor Invariant 2).
    unsafe { header.storage.get().cast::<F>().write(future) };
    match wishes {
        None => publish(task, header, State::live(handle)),
        Some(wishes) => publish_with(task, wishes, State::live(handle)),
    }
    cx
}

/// A claimed slot and its header; without a slot, the [kind](kind_of) of the error. Two words, which are
/// returned in registers.
type Claimed = (Option<TaskRef>, *const Header);

/// What stands for an error in place of a header.
fn refused(kind: SpawnErrorKind) -> Claimed {
    (None, ptr::without_provenance(kind as usize))
}

/// See [`Claimed`].
fn kind_of(refused: *const Header) -> SpawnErrorKind {
    match refused.addr() {
        0 => SpawnErrorKind::PoolFull,
        1 => SpawnErrorKind::ExecutorFull,
        2 => SpawnErrorKind::DeadlinePassed,
        3 => SpawnErrorKind::RegionClosed,
        4 => SpawnErrorKind::QuotaExceeded,
        5 => SpawnErrorKind::Stale,
        6 => SpawnErrorKind::SetFull,
        _ => SpawnErrorKind::ShutDown,
    }
}

/// Claims storage and the lowest free slot of the executor, for a plain task. O(banks).
#[inline(never)]
fn claim(exec: ExecRef, pool: PoolRef, vtable: &'static Vtable, spawner: Option<&Cx>) -> Claimed {
    claim_both(exec, pool, vtable, None, |cs| {
        let bank = free_bank(exec)?;
        if let Some(spawner) = spawner {
            if let Some(scope) = exec.scope() {
                let owner = Membership::Of(spawner.task, spawner.generation);
                (scope.admit)(bank.free_task(), cs, owner)?;
            } else if !is_there(spawner) {
                return Err(SpawnErrorKind::Stale);
            }
        }
        Ok(bank)
    })
}

/// [`claim`], as the options have it.
#[inline(never)]
fn claim_with(
    exec: ExecRef,
    pool: PoolRef,
    vtable: &'static Vtable,
    spawner: Option<&Cx>,
    options: &TaskOptions,
) -> Claimed {
    let name = options.attributes.and_then(|attributes| attributes.name);
    claim_both(exec, pool, vtable, name, |cs| free_bank_with(exec, cs, spawner, options))
}

/// [`free_bank`], as the options have it: its lowest free slot is made a member of the region.
#[inline(always)]
pub(super) fn free_bank_with(
    exec: ExecRef,
    cs: CriticalSection<'_>,
    spawner: Option<&Cx>,
    options: &TaskOptions,
) -> Result<BankRef, SpawnErrorKind> {
    if options.deadline.is_some_and(|deadline| deadline < exec.with_clock(cs, |clock| clock.now)) {
        return Err(SpawnErrorKind::DeadlinePassed);
    }
    if spawner.is_some_and(|spawner| !is_there(spawner)) {
        return Err(SpawnErrorKind::Stale);
    }
    let bank = free_bank(exec)?;
    let owner = match (options.region, spawner) {
        (Some(region), _) => Membership::In(region),
        (None, Some(spawner)) => Membership::Of(spawner.task, spawner.generation),
        (None, None) => Membership::Root,
    };
    match (exec.scope(), owner) {
        (Some(scope), _) => (scope.admit)(bank.free_task(), cs, owner)?,
        (None, Membership::In(_)) => return Err(SpawnErrorKind::RegionClosed),
        (None, _) => {}
    }
    Ok(bank)
}

/// Claims storage, then the lowest free slot of the bank that `bank` gives, under the executor's lock.
#[inline(always)]
fn claim_both(
    exec: ExecRef,
    pool: PoolRef,
    vtable: &'static Vtable,
    name: Option<&'static str>,
    bank: impl FnOnce(CriticalSection<'_>) -> Result<BankRef, SpawnErrorKind>,
) -> Claimed {
    let claimed = pool.claim_then(vtable.cells, |storage, next| {
        let storage = storage.ok_or((SpawnErrorKind::PoolFull, None))?;
        next.with(&exec.lock, |cs| {
            let bank = bank(cs).map_err(|kind| (kind, Some(storage)))?;
            Ok(take_slot(exec, bank, storage, vtable))
        })
    });
    match claimed {
        Ok((task, header)) => {
            if let Some(trace_spawn) = exec.ops().trace_spawn {
                trace_spawn(task, name);
            }
            (Some(task), header)
        }
        Err((kind, storage)) => {
            if let Some(storage) = storage {
                // SAFETY: claimed above, and nobody uses it.
                unsafe { storage.release(vtable.cells, None) };
            }
            refused(kind)
        }
    }
}

/// [`free_bank`], if the first one has none. Under the lock.
pub(in crate::exec) fn later_bank(exec: ExecRef) -> Option<BankRef> {
    exec.banks().find(|bank| !bank.free.is_empty())
}

/// Takes the lowest free slot of a bank that has one. Under the lock.
#[inline(always)]
pub(super) fn take_slot(
    exec: ExecRef,
    bank: BankRef,
    storage: Storage,
    vtable: &'static Vtable,
) -> (TaskRef, &'static Header) {
    let free = bank.free.bits();
    bank.free.set(free & free.wrapping_sub(1));
    let index = free.trailing_zeros();
    let header = bank.header(index);
    header.node.embedder_index.set(index as u8);
    header.node.embedder_word.set(storage.number);
    header.storage.set(storage.address);
    header.set_vtable(vtable);
    header.state.claim();
    add_alone(&exec.tally.spawns, 1);
    (bank.task(index), header)
}

/// The lowest bank that has a free slot. O(banks). Under the lock.
#[inline(always)]
pub(super) fn free_bank(exec: ExecRef) -> Result<BankRef, SpawnErrorKind> {
    if exec.is_shutting_down() {
        return Err(SpawnErrorKind::ShutDown);
    }
    let first = exec.first_bank();
    if !first.free.is_empty() {
        return Ok(first);
    }
    exec.ops().later_bank.and_then(|later_bank| later_bank(exec)).ok_or(SpawnErrorKind::ExecutorFull)
}

/// Whether the task that spawns has not ended. Under the lock.
fn is_there(Cx { task, generation }: &Cx) -> bool {
    task.state.load().has_task() && task.generation.load(Ordering::Relaxed) == *generation
}

/// Gives a claimed slot back when the build of its future unwinds.
#[cold]
#[inline(never)]
fn unclaim(task: TaskRef) {
    let exec = task.exec();
    exec.locked(|_| add_alone(&exec.tally.spawns, u32::MAX));
    exec.trace(TraceEvent::Ended { id: task.id() });
    // SAFETY: the slot is claimed by `spawn`, its storage empty.
    unsafe { release(task, true) };
    // Its region may have waited for nothing else.
    exec.pend();
}

/// Makes a claimed slot live, as a plain task, and wakes it: transition 2. Its keys are those of a plain
/// task, as in all free slots.
#[inline(never)]
fn publish(task: TaskRef, header: &'static Header, live: State) {
    // Under the lock, because a region may be asking its members to stop right now, and a dump reading.
    let (exec, bank) = (task.exec(), task.bank());
    let asked = exec.locked(|_| {
        // Whoever sees one of the stores sees what came before.
        fence(Ordering::Release);
        let asked = (header.state.publish(live), header.generation.load(Ordering::Relaxed));
        // After all else: whoever takes the bit of an earlier wake sees this, and polls.
        bank.special.set(bank.special.bits() & !task.bit());
        asked
    });
    wake_new(task, asked);
}

/// [`publish`], as the options have it.
#[inline(never)]
fn publish_with(task: TaskRef, wishes: &Wishes, live: State) {
    let (exec, options) = (task.exec(), &wishes.options);
    let asked = exec.locked(|_| {
        task.attributes.set(options.attributes);
        task.node.reset(options.priority, options.deadline.map(Instant::as_micros));
        let quota = options.poll_quota.map(|polls| polls.get());
        fence(Ordering::Release);
        let live = live.with(options.on_miss, quota);
        let asked = (task.state.publish(live), generation(task));
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
fn wake_new(task: TaskRef, (claimed, generation): (State, u32)) {
    if claimed.is_requested()
        && let Some(special) = task.exec().special()
    {
        (special.request_late)(task, claimed, generation);
    }
    task.wake();
}

/// See [`Ops::trace_spawn`](crate::exec::memory::core::Ops::trace_spawn).
pub(in crate::exec) fn trace_spawn(task: TaskRef, name: Option<&'static str>) {
    // SAFETY: the slot is claimed.
    let name = name.unwrap_or_else(|| unsafe { (task.vtable_of_task().type_name)() });
    task.exec().trace(TraceEvent::Spawned { id: task.id(), name });
}
