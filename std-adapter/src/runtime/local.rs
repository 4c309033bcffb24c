//! A runtime on the thread that calls it.

use std::cell::RefCell;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::ops::Deref;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use trilane::exec::{Cx, JoinHandle, Region, SpawnError, TaskOptions, TaskState};

use super::crew::{Crew, Size};
use super::handle::Handle;
use super::heap::Heap;
use super::owner::{give_crew_back, take_crew};
use super::work::{AtWork, Work};
use crate::sync::atomic::{AtomicBool, Ordering::SeqCst};

/// A runtime without threads of its own: its tasks are polled by [`block_on`](Self::block_on), on the thread
/// that calls it. So their futures need not be `Send`. Made by
/// [`Builder::build_local`](super::Builder::build_local).
///
/// All else is as in a [`Runtime`](super::Runtime): slots, [`Cx`], regions, deadlines, sockets, for whose
/// events this thread waits itself. Other threads spawn on it by its [`handle`](Self::handle), futures that
/// are `Send`; either side awaits the other's tasks. Between two calls nothing is polled.
///
/// Dropping it asks all tasks to stop, and polls them until they have.
///
/// # Examples
///
/// ```
/// use std::cell::Cell;
/// use std::rc::Rc;
/// use trilane_std::runtime::Runtime;
///
/// let local = Runtime::builder().build_local()?;
/// let sum = Rc::new(Cell::new(0));
/// local.block_on(async {
///     let tasks: Vec<_> = (0..10)
///         .map(|number| {
///             let sum = sum.clone();
///             local.spawn_local(move |_cx| async move { sum.set(sum.get() + number) }).unwrap()
///         })
///         .collect();
///     for task in tasks {
///         task.await.unwrap();
///     }
/// });
/// assert_eq!(sum.get(), 45);
/// # Ok::<(), trilane_std::runtime::BuildError>(())
/// ```
///
/// It stays on its thread:
///
/// ```compile_fail,E0277
/// let local = trilane_std::runtime::Runtime::builder().build_local().unwrap();
/// std::thread::spawn(move || drop(local));
/// ```
pub struct Local {
    handle: LocalHandle,
    work: RefCell<Work>,
    main: Arc<Main>,
    waker: Waker,
}

/// Spawns on a [`Local`], on its thread; free to copy, also into its tasks.
///
/// When that has been dropped, spawning is an error.
#[derive(Clone, Copy, Debug)]
pub struct LocalHandle {
    handle: Handle,
    _not_send: PhantomData<*const ()>,
}

/// The future of `block_on`.
struct Main {
    crew: &'static Crew,
    is_woken: AtomicBool,
}

impl Wake for Main {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // No Lost Wake, as for tasks.
        self.is_woken.store(true, SeqCst);
        self.crew.sleepers.wake_one(0);
    }
}

impl Local {
    pub(super) fn new(size: Size) -> Self {
        let crew = take_crew(size);
        let main = Arc::new(Main { crew, is_woken: AtomicBool::new(false) });
        Self {
            handle: LocalHandle::new(Handle::new(crew)),
            work: RefCell::new(Work::new(crew, 0)),
            waker: main.clone().into(),
            main,
        }
    }

    /// Polls `future`, and in between the tasks, until `future` is ready. Tasks that have not ended stay as
    /// they are, for the next call. The thread sleeps while all wait.
    ///
    /// # Panics
    ///
    /// When `future` does; and in a worker of a runtime or inside of another call: await the future instead.
    #[track_caller]
    pub fn block_on<F: IntoFuture>(&self, future: F) -> F::Output {
        assert!(
            Crew::here().is_none(),
            "block_on inside a task of a runtime would keep its thread from the other tasks: await the future"
        );
        let (crew, main) = (self.handle.crew(), &*self.main);
        // Nobody else has it, since this thread is in no other call.
        let mut work = self.work.borrow_mut();
        let mut work = AtWork::begin(crew, &mut work);
        let mut future = pin!(future.into_future());
        let mut cx = Context::from_waker(&self.waker);
        main.is_woken.store(true, SeqCst);
        loop {
            if main.is_woken.swap(false, SeqCst)
                && let Poll::Ready(output) = future.as_mut().poll(&mut cx)
            {
                return output;
            }
            if !work.turn() && !main.is_woken.load(SeqCst) {
                work.sleep(|| !main.is_woken.load(SeqCst));
            }
        }
    }

    /// What spawns on it from anywhere.
    pub fn handle(&self) -> Handle {
        self.handle.handle
    }

    /// What spawns on it from its tasks.
    pub fn local_handle(&self) -> LocalHandle {
        self.handle
    }
}

impl LocalHandle {
    fn new(handle: Handle) -> Self {
        Self { handle, _not_send: PhantomData }
    }

    /// That of the [`Local`] whose task, or whose [`block_on`](Local::block_on), this is. Else `None`.
    pub fn current() -> Option<Self> {
        Crew::here().filter(|crew| crew.size.is_local).map(Handle::new).map(Self::new)
    }

    /// Spawns a task on this thread; as [`Handle::spawn`], without `Send`.
    ///
    /// # Errors
    ///
    /// As there.
    #[cfg_attr(feature = "tracing", track_caller)]
    pub fn spawn_local<B, F>(&self, build: B) -> Result<JoinHandle<F::Output>, SpawnError<B>>
    where
        B: FnOnce(Cx) -> F,
        F: Future + 'static,
        F::Output: 'static,
    {
        // SAFETY: a `Local` and its handles stay on one thread, and while it lives its shards are worked by
        // nobody else. Handles of one that has been dropped spawn nothing.
        self.handle.start(build, |shard, build| unsafe { shard.spawn_unchecked::<Heap, B, F>(None, build) })
    }

    /// Spawns a task with options on this thread; as [`Handle::spawn_with`], without `Send`.
    ///
    /// # Errors
    ///
    /// As there.
    #[cfg_attr(feature = "tracing", track_caller)]
    pub fn spawn_local_with<B, F>(
        &self,
        options: TaskOptions,
        build: B,
    ) -> Result<JoinHandle<F::Output>, SpawnError<B>>
    where
        B: FnOnce(Cx) -> F,
        F: Future + 'static,
        F::Output: 'static,
    {
        self.handle.start_with(options, build, |shard, options, build| {
            // SAFETY: as in `spawn_local`.
            unsafe { shard.spawn_unchecked::<Heap, B, F>(Some(options), build) }
        })
    }

    /// Spawns a task in a region on this thread; as [`Handle::spawn_in`], without `Send`.
    ///
    /// # Errors
    ///
    /// As there.
    #[cfg_attr(feature = "tracing", track_caller)]
    pub fn spawn_local_in<B, F>(
        &self,
        region: &Region,
        options: TaskOptions,
        build: B,
    ) -> Result<JoinHandle<F::Output>, SpawnError<B>>
    where
        B: FnOnce(Cx) -> F,
        F: Future + 'static,
        F::Output: 'static,
    {
        self.handle.start_in(region, options, build, |shard, options, build| {
            // SAFETY: as in `spawn_local`.
            unsafe { shard.spawn_unchecked::<Heap, B, F>(Some(options), build) }
        })
    }

    /// Spawns a task beside that of `cx` on this thread; as [`Handle::spawn_beside`], without `Send`.
    ///
    /// # Errors
    ///
    /// As there.
    #[cfg_attr(feature = "tracing", track_caller)]
    pub fn spawn_local_beside<B, F>(
        &self,
        cx: Cx,
        options: TaskOptions,
        build: B,
    ) -> Result<JoinHandle<F::Output>, SpawnError<B>>
    where
        B: FnOnce(Cx) -> F,
        F: Future + 'static,
        F::Output: 'static,
    {
        self.handle.start_beside(cx, options, build, |shard, options, build| {
            // SAFETY: as in `spawn_local`.
            unsafe { shard.spawn_unchecked::<Heap, B, F>(Some(options), build) }
        })
    }
}

impl Deref for LocalHandle {
    type Target = Handle;

    fn deref(&self) -> &Handle {
        &self.handle
    }
}

impl Deref for Local {
    type Target = LocalHandle;

    fn deref(&self) -> &LocalHandle {
        &self.handle
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        let crew = self.handle.crew();
        for shard in crew.shards() {
            shard.executor().shut_down();
        }
        let mut work = AtWork::begin(crew, self.work.get_mut());
        loop {
            if work.turn() {
                continue;
            }
            if self.handle.tasks().all(|task| task.state == TaskState::Done) {
                break;
            }
            // One of those that are left has time to clean up, at whose end it is over.
            work.sleep(|| true);
        }
        drop(work);
        give_crew_back(crew);
    }
}

impl fmt::Debug for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Local").field("handle", &self.handle).finish_non_exhaustive()
    }
}
