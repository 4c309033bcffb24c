//! A region, as users hold it.

use core::fmt;

use super::members::region_of;
use super::tree::{OpenError, RegionOptions};
use super::wait::{Close, JoinAll, Wait};
use crate::exec::cancel::dispatch::SPECIAL;
use crate::exec::life::join::JoinHandle;
use crate::exec::life::spawn::{Wishes, spawn};
use crate::exec::life::spawn_error::SpawnError;
use crate::exec::memory::core::{ExecRef, Membership};
use crate::exec::memory::cx::Cx;
use crate::exec::task::id::RegionId;
use crate::exec::task::options::TaskOptions;
use crate::exec::task::pool::TaskPool;
use crate::exec::task::reason::Reason;
use crate::id::Stale;

/// A scope that owns tasks and further regions: nothing in it outlives it.
///
/// Opened by [`Cx::open_region`] (inside the task's own region),
/// [`Executor::open_region`](crate::exec::Executor::open_region) or [`open_region`](Self::open_region) of
/// another; kept in the executor's [`Regions`](crate::exec::Regions) table. What a member spawns by its
/// [`Cx`] is a member too.
///
/// [`close`](Self::close) asks all of it to stop and waits until it has; [`join_all`](Self::join_all) waits
/// without asking. Dropping an open region asks too, and doesn't wait: the region around it does, when it is
/// closed.
///
/// When a region has closed, results of its tasks that nobody is waiting for are dropped, so a forgotten
/// [`JoinHandle`] keeps no slot: take what you want before.
///
/// # Examples
///
/// ```
/// use trilane::exec::{Cancelled, Cx, Executor, Manual, RegionOptions, Regions, TaskPool};
/// use trilane::time::{Duration, Instant};
///
/// static POOL: TaskPool<512, 3> = TaskPool::new();
/// static REGIONS: Regions<2> = Regions::new();
/// static EXECUTOR: Executor<Manual, 1, 8> = Executor::new(Manual::new());
///
/// async fn blink(cx: Cx) -> Result<(), Cancelled> {
///     loop {
///         cx.sleep(Duration::from_millis(10)).await?;
///     }
/// }
///
/// async fn main_task(cx: Cx) {
///     let mut region = cx.open_region(RegionOptions::new()).unwrap();
///     region.spawn(&POOL, blink).unwrap();
///     region.spawn(&POOL, blink).unwrap();
///     region.close().await.unwrap(); // both have returned
/// }
///
/// let mut runner = EXECUTOR.with_regions(&REGIONS).start().unwrap();
/// let task = EXECUTOR.spawn(&POOL, main_task).unwrap();
/// while runner.poll_pending(Instant::ZERO).more {}
/// assert!(task.is_finished());
/// ```
#[must_use = "dropping a region cancels what is in it"]
pub struct Region {
    exec: ExecRef,
    id: RegionId,
}

impl Region {
    /// The only handle of a region that was just opened.
    pub(in crate::exec) fn new(exec: ExecRef, id: RegionId) -> Self {
        Self { exec, id }
    }

    /// The region's id, for [`TaskOptions::region`].
    pub fn id(&self) -> RegionId {
        self.id
    }

    /// Spawns a task in the region; see [`Executor::spawn`](crate::exec::Executor::spawn).
    ///
    /// # Errors
    ///
    /// As there; and when the region is closing or closed, or its quota is used up.
    pub fn spawn<B, F, const BYTES: usize, const SLOTS: usize>(
        &self,
        pool: &'static TaskPool<BYTES, SLOTS>,
        build: B,
    ) -> Result<JoinHandle<F::Output>, SpawnError<B>>
    where
        B: FnOnce(Cx) -> F,
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.spawn_with(TaskOptions::new(), pool, build)
    }

    /// Spawns a task in the region, whatever region the options name; see
    /// [`Executor::spawn_with`](crate::exec::Executor::spawn_with).
    ///
    /// # Errors
    ///
    /// As for [`spawn`](Self::spawn).
    pub fn spawn_with<B, F, const BYTES: usize, const SLOTS: usize>(
        &self,
        options: TaskOptions,
        pool: &'static TaskPool<BYTES, SLOTS>,
        build: B,
    ) -> Result<JoinHandle<F::Output>, SpawnError<B>>
    where
        B: FnOnce(Cx) -> F,
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        // SAFETY: the future is `Send`.
        unsafe {
            spawn(
                self.exec,
                None,
                Some(Wishes { options: options.region(self.id), special: &SPECIAL }),
                pool,
                build,
            )
        }
    }

    /// Opens a region inside this one. O(table).
    ///
    /// # Errors
    ///
    /// [`OpenError`] when the table is full or this region is closing.
    pub fn open_region(&self, options: RegionOptions) -> Result<Self, OpenError> {
        Ok(Self::new(self.exec, self.exec.open_region(Membership::In(self.id), options)?))
    }

    /// Asks everything in the region to stop, for [`Reason::User`], and closes it to new tasks; doesn't wait.
    /// O(1) here, and O(members) for the runner. Any context.
    ///
    /// # Errors
    ///
    /// [`Stale`] when the region was closed before.
    pub fn cancel(&self) -> Result<(), Stale> {
        if self.exec.close_region(self.id, Reason::User) { Ok(()) } else { Err(Stale) }
    }

    /// Asks everything in the region to stop and waits until it has: then no task of it is alive, in it or
    /// below it. Bounded by the longest clean-up time of its tasks, and one poll per level. The first poll is
    /// O(depth) of the task that waits, the runner's work O(members).
    ///
    /// What its tasks return is dropped, unless somebody waits for it already: a handle that is joined
    /// afterwards gives [`JoinError::Reclaimed`](crate::exec::JoinError::Reclaimed). To have the results of
    /// tasks that the close ends, put them in a [`JoinSet`](crate::exec::JoinSet), which keeps them.
    ///
    /// # Errors
    ///
    /// [`CloseError`](crate::exec::CloseError) when it was closed before, when the task that waits is in the
    /// region itself (then nothing has changed), or when that task is asked to stop itself.
    ///
    /// # Cancellation
    ///
    /// Nothing happens before the first poll. Dropping the future after it leaves the region closing: close
    /// again to wait for the rest. To wait for it in a task that was asked to stop, use a shield.
    pub fn close(&mut self) -> Close<'_> {
        Close::new(self.wait())
    }

    /// Waits until no task of the region, or below it, is alive, and asks none to stop. The region stays
    /// open.
    ///
    /// # Errors
    ///
    /// As for [`close`](Self::close).
    ///
    /// # Cancellation
    ///
    /// Dropping the future changes nothing.
    pub fn join_all(&mut self) -> JoinAll<'_> {
        JoinAll::new(self.wait())
    }

    /// Whether it is one of this executor's.
    #[cfg(not(target_os = "none"))]
    pub(in crate::exec) fn is_of(&self, exec: ExecRef) -> bool {
        self.exec == exec
    }

    pub(in crate::exec) fn wait(&mut self) -> Wait<'_> {
        Wait::new(self.exec, self.id)
    }

    /// Leaves the results of its tasks to whoever has their handles.
    pub(in crate::exec) fn keep_results(&self) {
        self.exec.keep_results(self.id);
    }
}

impl Drop for Region {
    /// Asks everything in the region to stop, for [`Reason::ParentClosed`], and doesn't wait.
    fn drop(&mut self) {
        self.exec.abandon_region(self.id);
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Region").field(&self.id()).finish()
    }
}

impl Cx {
    /// Opens a region inside the task's own. O(table).
    ///
    /// # Errors
    ///
    /// [`OpenError`] when the executor's table is full, the task's region is closing or the task has ended.
    pub fn open_region(&self, options: RegionOptions) -> Result<Region, OpenError> {
        let exec = self.exec();
        Ok(Region::new(exec, exec.open_region(Membership::Of(self.task, self.generation), options)?))
    }

    /// The region that owns the task; `None` when none does, or the task has ended.
    pub fn region(&self) -> Option<RegionId> {
        let exec = self.exec();
        exec.locked(|cs| {
            region_of(exec, cs, Membership::Of(self.task, self.generation)).ok()?;
            exec.region_id_of(cs, self.task)
        })
    }
}
