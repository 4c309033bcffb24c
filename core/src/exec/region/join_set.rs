//! Several tasks of one kind, joined in the order in which they end.

use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll};

use super::handle::Region;
use super::wait::{Close, Wait};
use crate::exec::life::join::{JoinError, JoinHandle};
use crate::exec::life::spawn_error::{SpawnError, SpawnErrorKind};
use crate::exec::memory::core::TaskRef;
use crate::exec::memory::cx::Cx;
use crate::exec::memory::waker::polled;
use crate::exec::task::options::TaskOptions;
use crate::exec::task::pool::TaskPool;
use crate::id::Stale;

/// Up to `N` tasks with results of one type, in a region of their own.
///
/// Dropping the set drops the region, which asks the tasks to stop.
///
/// # Examples
///
/// ```
/// # use trilane::exec::{Cx, Executor, JoinSet, Manual, RegionOptions, Regions, TaskPool};
/// # use trilane::time::{Duration, Instant};
/// # static POOL: TaskPool<512, 3> = TaskPool::new();
/// # static REGIONS: Regions<1> = Regions::new();
/// # static EXECUTOR: Executor<Manual, 1, 8> = Executor::new(Manual::new());
/// async fn main_task(cx: Cx) -> u32 {
///     let region = cx.open_region(RegionOptions::new()).unwrap();
///     let mut set: JoinSet<u32, 2> = JoinSet::new(region);
///     set.spawn(&POOL, |_| async { 1 }).unwrap();
///     set.spawn(&POOL, |_| async { 2 }).unwrap();
///     let mut sum = 0;
///     while let Some(result) = set.join_next().await {
///         sum += result.unwrap();
///     }
///     sum
/// }
/// # let mut runner = EXECUTOR.with_regions(&REGIONS).start().unwrap();
/// # let mut task = EXECUTOR.spawn(&POOL, main_task).unwrap();
/// # while runner.poll_pending(Instant::ZERO).more {}
/// # assert_eq!(task.try_join(), Some(Ok(3)));
/// ```
pub struct JoinSet<T, const N: usize> {
    // Before the region, so that results are dropped before it closes.
    handles: [Option<JoinHandle<T>>; N],
    region: Region,
}

impl<T, const N: usize> JoinSet<T, N> {
    /// An empty set, whose tasks will live in `region`. From now on that takes no results back when it
    /// closes.
    pub fn new(region: Region) -> Self {
        region.keep_results();
        Self { handles: [const { None }; N], region }
    }

    /// Spawns a task in the set; see [`Executor::spawn`](crate::exec::Executor::spawn). O(N).
    ///
    /// # Errors
    ///
    /// As there; and [`SpawnErrorKind::SetFull`] when there are `N` tasks whose results have not been taken.
    pub fn spawn<B, F, const BYTES: usize, const SLOTS: usize>(
        &mut self,
        pool: &'static TaskPool<BYTES, SLOTS>,
        build: B,
    ) -> Result<(), SpawnError<B>>
    where
        B: FnOnce(Cx) -> F,
        F: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        self.spawn_with(TaskOptions::new(), pool, build)
    }

    /// Spawns a task in the set; see [`spawn`](Self::spawn).
    ///
    /// # Errors
    ///
    /// As there.
    pub fn spawn_with<B, F, const BYTES: usize, const SLOTS: usize>(
        &mut self,
        options: TaskOptions,
        pool: &'static TaskPool<BYTES, SLOTS>,
        build: B,
    ) -> Result<(), SpawnError<B>>
    where
        B: FnOnce(Cx) -> F,
        F: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        let Some(place) = self.handles.iter_mut().find(|handle| handle.is_none()) else {
            return Err(SpawnError { kind: SpawnErrorKind::SetFull, rejected: build });
        };
        *place = Some(self.region.spawn_with(options, pool, build)?);
        Ok(())
    }

    /// The number of tasks whose results have not been taken.
    pub fn len(&self) -> usize {
        self.handles.iter().flatten().count()
    }

    /// Whether every result has been taken.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The region in which the tasks live.
    pub const fn region(&self) -> &Region {
        &self.region
    }

    /// A result that is there, of the lowest place; `None` when there is none. O(N).
    ///
    /// # Errors
    ///
    /// Those of the task's join.
    pub fn try_join_next(&mut self) -> Option<Result<T, JoinError>> {
        match look(&mut self.handles) {
            Poll::Ready(result) => result,
            Poll::Pending => None,
        }
    }

    /// Waits for a task to end and gives its result; `None` when the set is empty. O(N) a poll, and one poll
    /// for each end.
    ///
    /// # Errors
    ///
    /// Those of the task's join; and [`JoinError::Interrupted`] when the task that waits is asked to stop,
    /// [`JoinError::Inside`] when it is in the set itself: nothing is taken then.
    ///
    /// # Cancellation
    ///
    /// Dropping the future loses no result.
    pub fn join_next(&mut self) -> JoinNext<'_, T, N> {
        let Self { handles, region } = self;
        JoinNext { handles, wait: region.wait() }
    }

    /// Asks the tasks to stop; see [`Region::cancel`]. Their results can still be taken.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn cancel(&self) -> Result<(), Stale> {
        self.region.cancel()
    }

    /// Asks the tasks to stop and waits until they have; see [`Region::close`]. Their results can still be
    /// taken.
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Cancellation
    ///
    /// As there.
    pub fn close(&mut self) -> Close<'_> {
        self.region.close()
    }
}

impl<T, const N: usize> fmt::Debug for JoinSet<T, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinSet").field("len", &self.len()).field("region", &self.region).finish()
    }
}

/// Waits for the next task of a set to end; made by [`JoinSet::join_next`].
///
/// # Cancellation
///
/// When the task that awaits it is asked to stop, it is ready at once, with [`JoinError::Interrupted`].
/// Dropping it loses no result.
#[must_use = "futures do nothing unless awaited"]
pub struct JoinNext<'a, T, const N: usize> {
    handles: &'a mut [Option<JoinHandle<T>>; N],
    wait: Wait<'a>,
}

/// A result that is there; ready with `None` when none is to come.
fn look<T>(handles: &mut [Option<JoinHandle<T>>]) -> Poll<Option<Result<T, JoinError>>> {
    let mut empty = true;
    for place in handles {
        let Some(handle) = place else { continue };
        empty = false;
        if let Some(result) = handle.try_join() {
            *place = None;
            return Poll::Ready(Some(result));
        }
    }
    if empty { Poll::Ready(None) } else { Poll::Pending }
}

impl<T, const N: usize> Future for JoinNext<'_, T, N> {
    type Output = Option<Result<T, JoinError>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: nothing is moved out of the pinned value; the wait stays where it is.
        let this = unsafe { self.get_unchecked_mut() };
        if let Poll::Ready(result) = look(this.handles) {
            return Poll::Ready(result);
        }
        if let Some(refusal) = polled(cx).and_then(TaskRef::refusal) {
            return refusal.map(|reason| Some(Err(JoinError::Interrupted(reason))));
        }
        if this.wait.is_inside(cx) {
            return Poll::Ready(Some(Err(JoinError::Inside)));
        }
        this.wait.register(cx, true);
        // A task may have ended before it could see who waits.
        look(this.handles)
    }
}
