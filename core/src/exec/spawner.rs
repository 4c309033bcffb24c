//! Spawning on an executor, in its runner's context, and by a task.

use core::marker::PhantomData;

use super::cancel::dispatch::SPECIAL;
use super::executor::Executor;
use super::life::join::JoinHandle;
use super::life::spawn::{Wishes, spawn, start};
use super::life::spawn_error::SpawnError;
use super::memory::cx::Cx;
use super::run::platform::Platform;
use super::task::id::TaskId;
use super::task::options::TaskOptions;
use super::task::pool::TaskPool;

impl<P: Platform, const BANKS: usize, const PER_BANK: usize> Executor<P, BANKS, PER_BANK> {
    /// Spawns a task with default options, from any context, interrupts included.
    ///
    /// `build` is called with the task's [`Cx`] once there is room, and makes the future in the caller's
    /// context; an `async fn(Cx)` is such a function. O(banks), and one wake.
    ///
    /// # Errors
    ///
    /// [`SpawnError`] when the pool or the executor is full, or the executor shuts down; `build` comes back
    /// uncalled.
    ///
    /// A future that doesn't fit the pool is an error when the program is built.
    pub fn spawn<B, F, const BYTES: usize, const SLOTS: usize>(
        &'static self,
        pool: &'static TaskPool<BYTES, SLOTS>,
        build: B,
    ) -> Result<JoinHandle<F::Output>, SpawnError<B>>
    where
        B: FnOnce(Cx) -> F,
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        // SAFETY: the future is `Send`.
        unsafe { spawn(self.exec(), None, None, pool, build) }
    }

    /// Spawns a task without a handle, whose output is dropped when it ends: smaller and faster than to drop
    /// the handle of [`spawn`](Self::spawn). The id tells it apart, and can be used to [cancel](Self::cancel)
    /// it.
    ///
    /// # Errors
    ///
    /// As for [`spawn`](Self::spawn).
    pub fn spawn_detached<B, F, const BYTES: usize, const SLOTS: usize>(
        &'static self,
        pool: &'static TaskPool<BYTES, SLOTS>,
        build: B,
    ) -> Result<TaskId, SpawnError<B>>
    where
        B: FnOnce(Cx) -> F,
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        // SAFETY: the future is `Send`.
        unsafe { start(self.exec(), None, None, pool, build, false) }.map(|cx| cx.id())
    }

    /// Spawns a task; see [`spawn`](Self::spawn).
    ///
    /// # Errors
    ///
    /// As for [`spawn`](Self::spawn); and when the deadline has passed, or the region of the options is
    /// closing or has used up its quota.
    pub fn spawn_with<B, F, const BYTES: usize, const SLOTS: usize>(
        &'static self,
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
        unsafe { spawn(self.exec(), None, Some(Wishes { options, special: &SPECIAL }), pool, build) }
    }
}

/// Spawns tasks whose futures stay in the runner's context, so they need not be `Send`.
///
/// It never leaves that context itself: [`Runner::spawner`](super::Runner::spawner) gives it, and local tasks
/// may capture copies.
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
        let exec = self.executor.exec_of_runner();
        // SAFETY: the spawner is in the runner's context (it is not `Send`), so the future is built, polled
        // and dropped there.
        unsafe { spawn(exec, None, None, pool, build) }
    }

    /// Spawns a task without a handle. As [`Executor::spawn_detached`], without `Send`.
    ///
    /// # Errors
    ///
    /// As for [`Executor::spawn`].
    pub fn spawn_local_detached<B, F, const BYTES: usize, const SLOTS: usize>(
        &self,
        pool: &'static TaskPool<BYTES, SLOTS>,
        build: B,
    ) -> Result<TaskId, SpawnError<B>>
    where
        B: FnOnce(Cx) -> F,
        F: Future + 'static,
        F::Output: 'static,
    {
        let exec = self.executor.exec_of_runner();
        // SAFETY: as in `spawn_local`.
        unsafe { start(exec, None, None, pool, build, false) }.map(|cx| cx.id())
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
        let exec = self.executor.exec_of_runner();
        // SAFETY: as in `spawn_local`.
        unsafe { spawn(exec, None, Some(Wishes { options, special: &SPECIAL }), pool, build) }
    }
}

impl Cx {
    /// Spawns a task on the same executor, in the task's own region; see
    /// [`Executor::spawn`](super::Executor::spawn).
    ///
    /// # Errors
    ///
    /// As for [`Executor::spawn`](super::Executor::spawn); and when the task has ended, or its region is
    /// closing.
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
        // SAFETY: the future is `Send`.
        unsafe { spawn(self.exec(), Some(self), None, pool, build) }
    }

    /// Spawns a task without a handle on the same executor, in the task's own region; see
    /// [`Executor::spawn_detached`](super::Executor::spawn_detached).
    ///
    /// # Errors
    ///
    /// As for [`spawn`](Self::spawn).
    pub fn spawn_detached<B, F, const BYTES: usize, const SLOTS: usize>(
        &self,
        pool: &'static TaskPool<BYTES, SLOTS>,
        build: B,
    ) -> Result<TaskId, SpawnError<B>>
    where
        B: FnOnce(Cx) -> F,
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        // SAFETY: the future is `Send`.
        unsafe { start(self.exec(), Some(self), None, pool, build, false) }.map(|cx| cx.id())
    }

    /// Spawns a task on the same executor, in the task's own region unless the options name another; see
    /// [`Executor::spawn_with`](super::Executor::spawn_with).
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
        unsafe { spawn(self.exec(), Some(self), Some(Wishes { options, special: &SPECIAL }), pool, build) }
    }
}
