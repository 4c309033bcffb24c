//! Bringing tasks to life.

use core::fmt;
use core::marker::PhantomData;

use super::cx::Cx;
use super::ending::Release;
use super::executor::Executor;
use super::header::{Header, Table, TaskId, reason, state};
use super::join::JoinHandle;
use super::options::{Attributes, TaskOptions};
use super::platform::Platform;
use super::pool::TaskPool;
use super::region::RegionId;
use super::shared::Core;
use super::task::{Task, Vtable};
use super::trace::TraceEvent;
use crate::sync::{CriticalSection, Ordering, with_lock};
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

/// Spawns tasks whose futures stay in the runner's context, so they need not be `Send`.
///
/// It never leaves that context itself: [`Runner::spawner`](super::Runner::spawner) gives it, and local tasks may capture
/// copies.
pub struct LocalSpawner<P: Platform, const BANKS: usize, const PER_BANK: usize> {
    executor: &'static Executor<P, BANKS, PER_BANK>,
    _not_send: PhantomData<*const ()>,
}

impl<P: Platform, const BANKS: usize, const PER_BANK: usize> Clone for LocalSpawner<P, BANKS, PER_BANK> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P: Platform, const BANKS: usize, const PER_BANK: usize> Copy for LocalSpawner<P, BANKS, PER_BANK> {}

impl<P: Platform, const BANKS: usize, const PER_BANK: usize> LocalSpawner<P, BANKS, PER_BANK> {
    pub(super) const fn new(executor: &'static Executor<P, BANKS, PER_BANK>) -> Self {
        Self { executor, _not_send: PhantomData }
    }

    /// The executor that it spawns on.
    pub const fn executor(&self) -> &'static Executor<P, BANKS, PER_BANK> {
        self.executor
    }

    /// Spawns a task with default options. As [`Executor::spawn`], without `Send`.
    ///
    /// # Errors
    ///
    /// As for [`Executor::spawn`].
    pub fn spawn_local<B, F, const BYTES: usize, const SLOTS: usize>(
        &self,
        pool: &'static TaskPool<BYTES, SLOTS>,
        build: B,
    ) -> Result<JoinHandle<F::Output>, SpawnError<B>>
    where
        B: FnOnce(Cx) -> F,
        F: Future + 'static,
        F::Output: 'static,
    {
        self.spawn_local_with(TaskOptions::new(), pool, build)
    }

    /// Spawns a task. As [`Executor::spawn_with`], without `Send`.
    ///
    /// # Errors
    ///
    /// As for [`Executor::spawn_with`].
    pub fn spawn_local_with<B, F, const BYTES: usize, const SLOTS: usize>(
        &self,
        options: TaskOptions,
        pool: &'static TaskPool<BYTES, SLOTS>,
        build: B,
    ) -> Result<JoinHandle<F::Output>, SpawnError<B>>
    where
        B: FnOnce(Cx) -> F,
        F: Future + 'static,
        F::Output: 'static,
    {
        // SAFETY: the executor is static and whole; the spawner is in the runner's context (it is not `Send`), so the
        // future is built, polled and dropped there.
        unsafe { spawn(self.executor.core(), Owner::Root, options, pool, build) }
    }
}

/// Who spawns a task or opens a region, and so whose region that is in.
#[derive(Clone, Copy)]
pub(super) enum Owner {
    /// The executor: in none.
    Root,
    /// A task, by its header and generation: in the task's own.
    Task(*const Header, u32),
    /// A region: in that one.
    Region(RegionId),
}

impl Owner {
    /// The region's number; 0 for none.
    ///
    /// # Safety
    ///
    /// `core` points into a whole, static executor, of which the header is one.
    pub unsafe fn region(self, core: *const Core, cs: CriticalSection<'_>) -> Result<u16, SpawnErrorKind> {
        // SAFETY: the caller's promise.
        unsafe {
            match self {
                Self::Root => Ok(0),
                Self::Task(header, generation) => {
                    Core::region_of(header, generation).ok_or(SpawnErrorKind::Stale)
                }
                Self::Region(id) => Core::find_region(core, cs, id).ok_or(SpawnErrorKind::RegionClosed),
            }
        }
    }
}

/// Spawns from any context: claims storage, slot and membership, or none; builds the future in place; publishes; wakes.
///
/// # Safety
///
/// `core` points into a whole, static executor. `F` is `Send`, or the caller is in the runner's context.
pub(super) unsafe fn spawn<B, F, const BYTES: usize, const SLOTS: usize>(
    core: *const Core,
    owner: Owner,
    options: TaskOptions,
    pool: &'static TaskPool<BYTES, SLOTS>,
    build: B,
) -> Result<JoinHandle<F::Output>, SpawnError<B>>
where
    B: FnOnce(Cx) -> F,
    F: Future + 'static,
    F::Output: 'static,
{
    const { Task::<F, BYTES, SLOTS>::FITS };
    // SAFETY: the caller's promise; between `claim` and the publishing store the header is ours (Executor Invariant 2).
    unsafe {
        if options.deadline.is_some_and(|deadline| deadline < (*core).pass_time()) {
            return Err(SpawnError { kind: SpawnErrorKind::DeadlinePassed, rejected: build });
        }
        let Some((storage, number)) = pool.claim() else {
            return Err(SpawnError { kind: SpawnErrorKind::PoolFull, rejected: build });
        };
        let Some(header) = Core::claim(core) else {
            TaskPool::<BYTES, SLOTS>::release(storage, number);
            return Err(SpawnError { kind: SpawnErrorKind::ExecutorFull, rejected: build });
        };
        let vtable = Task::<F, BYTES, SLOTS>::VTABLE;
        (*header).storage.set(storage);
        (*header).node.embedder_word.set(number);
        if let Err(kind) = admit(core, header, owner, &options) {
            Unclaim { header, vtable, leaves: false };
            return Err(SpawnError { kind, rejected: build });
        }
        let unclaim = Unclaim { header, vtable, leaves: true };
        let future = build(Cx::new(header));
        core::mem::forget(unclaim);
        storage.cast::<F>().write(future);
        let id = Header::id(header);
        (*core).tally.spawns.fetch_add(1, Ordering::Relaxed);
        if (*core).ops.trace.is_some() {
            let name =
                options.attributes.and_then(|attributes| attributes.name).unwrap_or_else(vtable.type_name);
            Core::trace(core, TraceEvent::Spawned { id, name });
        }
        publish(core, header, id, vtable, options);
        Header::wake(header);
        Ok(JoinHandle::new(header, id))
    }
}

/// Makes a claimed header a member of its region, if that takes it.
///
/// # Safety
///
/// `core` points into a whole, static executor; the header is claimed by the caller.
#[inline(never)]
unsafe fn admit(
    core: *const Core,
    header: *const Header,
    owner: Owner,
    options: &TaskOptions,
) -> Result<(), SpawnErrorKind> {
    // SAFETY: the caller's promise.
    with_lock(|cs| unsafe {
        let own = owner.region(core, cs)?;
        let region = options.region.map_or(Ok(own), |id| Owner::Region(id).region(core, cs))?;
        Core::admit(core, cs, header, region)
    })
}

/// Gives a claimed slot back if its region refuses it, or what builds its future unwinds.
struct Unclaim {
    header: *const Header,
    vtable: &'static Vtable,
    /// Whether it is a member of its region.
    leaves: bool,
}

impl Drop for Unclaim {
    fn drop(&mut self) {
        // SAFETY: the header is claimed by `spawn`, its storage empty.
        unsafe { (*self.header).vtable.publish(self.vtable, Table::LOOK) };
        drop(Release { header: self.header, leaves: self.leaves });
        if self.leaves {
            // Its region may have waited for nothing else.
            // SAFETY: the core is the header's own, and so is the operation.
            unsafe {
                let core = Header::core(self.header);
                ((*core).ops.pend)(core);
            }
        }
    }
}

/// Makes a claimed header live, with a join handle: transition 2. If its region was closed meanwhile, it is asked to stop.
///
/// # Safety
///
/// The header is claimed by the caller, its storage filled with a future of `vtable`'s.
#[inline(never)]
unsafe fn publish(
    core: *const Core,
    header: *const Header,
    id: TaskId,
    vtable: &'static Vtable,
    options: TaskOptions,
) {
    let mut word = state::LIVE | state::HANDLE | (options.on_miss as u32) << state::ON_MISS;
    let mut flags = 0;
    if let Some(quota) = options.poll_quota {
        word |= state::LIMITED | u32::from(quota.get()) << state::QUOTA;
        flags |= Table::LOOK;
    }
    // SAFETY: the caller's promise. Under the lock, because a stale id may be re-keying the node right now, a region asking its
    // members to stop, and a dump reading.
    let asked = with_lock(|_| unsafe {
        (*header).attributes.set(options.attributes.unwrap_or(Attributes::DEFAULT));
        let node = &(*header).node;
        node.reset(options.priority, options.deadline.map(Instant::as_micros));
        if node.deadline().is_some() {
            flags |= Table::TIMED;
        }
        // Not exchanged: while the header is claimed, the word changes under the lock only.
        let asked = reason((*header).state.load(Ordering::Relaxed));
        (*header).state.store(word, Ordering::Release);
        (*header).vtable.publish(vtable, flags);
        asked
    });
    if let Some(asked) = asked {
        // As of now: the latest pass may be long ago. By id, because from here on the task may run, end and be taken back.
        // SAFETY: the caller's promise.
        let _ = unsafe { Core::cancel(core, id, asked) };
    }
}
