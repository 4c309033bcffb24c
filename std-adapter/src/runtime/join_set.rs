//! Any number of tasks of one kind, joined in the order in which they end.

use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, IntoFuture, poll_fn};
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use trilane::exec::{AbortHandle, Cancelled, Cx, Join, JoinError, JoinHandle, SpawnError, poll_cancelled};

use super::handle::Handle;
use crate::sync::{Mutex, MutexGuard};

/// Tasks with results of one type, of any runtimes and executors. It grows as it needs to, and is in no
/// region; the core's [`JoinSet`](trilane::exec::JoinSet) has a fixed size and a region of its own.
///
/// Each task is O(1). Nothing is allocated but for more tasks at a time than there ever were in the set.
///
/// Dropping the set asks its tasks to stop.
///
/// # Examples
///
/// ```
/// use trilane_std::runtime::{JoinSet, Runtime};
///
/// let runtime = Runtime::builder().workers(2).build()?;
/// let sum = runtime.block_on(async {
///     let mut set = JoinSet::new();
///     for number in 0..10u64 {
///         set.spawn(&runtime, move |_cx| async move { number * number })?;
///     }
///     let mut sum = 0;
///     while let Some(done) = set.join_next().await {
///         sum += done.expect("none panics");
///     }
///     Ok::<_, trilane::exec::SpawnErrorKind>(sum)
/// })?;
/// assert_eq!(sum, 285);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct JoinSet<T> {
    places: Vec<Place<T>>,
    /// Those of them that are empty.
    free: Vec<usize>,
    ended: Arc<Ended>,
}

type Joining<T> = Join<JoinHandle<T>, T>;

struct Place<T> {
    /// Pinned, since the task knows it; none if the place is empty.
    join: Pin<Box<Option<Joining<T>>>>,
    /// Of a task that had ended when it was put in.
    result: Option<Result<T, JoinError>>,
    task: Option<AbortHandle>,
    /// Tells that the task has ended.
    waker: Waker,
}

/// The places whose tasks have ended, and who waits for more. Whoever has the lock calls nobody.
struct Ended(Mutex<Queue>);

#[derive(Default)]
struct Queue {
    order: VecDeque<usize>,
    /// For each place, whether it is in there.
    has: Vec<bool>,
    waiting: Option<Waker>,
}

/// The end of the task in a place.
struct End {
    place: usize,
    ended: Arc<Ended>,
}

impl Ended {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn push(&mut self, place: usize) {
        if !mem::replace(&mut self.has[place], true) {
            self.order.push_back(place);
        }
    }

    fn pop(&mut self) -> Option<usize> {
        let place = self.order.pop_front()?;
        self.has[place] = false;
        Some(place)
    }
}

impl Wake for End {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut queue = self.ended.lock();
        queue.push(self.place);
        let waiting = queue.waiting.take();
        drop(queue);
        if let Some(waiting) = waiting {
            waiting.wake();
        }
    }
}

impl<T> JoinSet<T> {
    /// An empty set. Allocates once.
    pub fn new() -> Self {
        Self { places: Vec::new(), free: Vec::new(), ended: Arc::new(Ended(Mutex::new(Queue::default()))) }
    }

    /// Spawns a task in the set; see [`Handle::spawn`]. What is spawned otherwise is put in:
    /// `set.push(handle.spawn_in(&region, options, build)?)`.
    ///
    /// # Errors
    ///
    /// As there.
    #[cfg_attr(feature = "tracing", track_caller)]
    pub fn spawn<B, F>(&mut self, handle: &Handle, build: B) -> Result<(), SpawnError<B>>
    where
        B: FnOnce(Cx) -> F,
        F: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        handle.spawn(build).map(|task| self.push(task))
    }

    /// Puts a task into the set, wherever it runs. From then on it is waited for: if it is in a region that
    /// closes, its result is kept. To stop this one alone, keep its
    /// [`abort_handle`](JoinHandle::abort_handle).
    pub fn push(&mut self, task: JoinHandle<T>) {
        let index = self.free.pop().unwrap_or_else(|| self.grow());
        let place = &mut self.places[index];
        place.task = task.abort_handle();
        place.join.set(Some(task.into_future()));
        if let Poll::Ready(result) = place.poll() {
            place.result = Some(result);
            self.ended.lock().push(index);
        }
    }

    /// Makes one more place, to be used now.
    #[cold]
    fn grow(&mut self) -> usize {
        let place = self.places.len();
        let waker = Arc::new(End { place, ended: self.ended.clone() }).into();
        self.places.push(Place { join: Box::pin(None), result: None, task: None, waker });
        self.free.reserve(self.places.len());
        let mut queue = self.ended.lock();
        queue.has.push(false);
        let more = self.places.len() - queue.order.len();
        queue.order.reserve(more);
        place
    }

    /// How many tasks there are whose results have not been taken.
    pub fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// Whether every result has been taken.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The result of the task that has ended first of those that are left; `None` when none has ended.
    ///
    /// # Errors
    ///
    /// Those of the task's join.
    pub fn try_join_next(&mut self) -> Option<Result<T, JoinError>> {
        loop {
            let index = self.ended.lock().pop()?;
            let place = &mut self.places[index];
            // A wake may come late, for the task before.
            if place.join.is_none() {
                continue;
            }
            let Poll::Ready(result) = place.result.take().map_or_else(|| place.poll(), Poll::Ready) else {
                continue;
            };
            place.task = None;
            self.free.push(index);
            place.join.set(None);
            return Some(result);
        }
    }

    /// Waits for a task to end and gives its result; `None` when the set is empty. In the order in which the
    /// tasks end.
    ///
    /// # Errors
    ///
    /// Those of the task's join; and [`JoinError::Interrupted`] when the task that waits is asked to stop:
    /// nothing is taken then.
    ///
    /// # Cancellation
    ///
    /// Dropping the future loses no result.
    pub async fn join_next(&mut self) -> Option<Result<T, JoinError>> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, JoinError>>> {
        loop {
            if let Some(result) = self.try_join_next() {
                return Poll::Ready(Some(result));
            }
            if self.is_empty() {
                return Poll::Ready(None);
            }
            if let Poll::Ready(Cancelled(reason)) = poll_cancelled(cx) {
                return Poll::Ready(Some(Err(JoinError::Interrupted(reason))));
            }
            // Cloned and dropped outside of the lock: it may be foreign.
            let waker = cx.waker().clone();
            let mut queue = self.ended.lock();
            if queue.order.is_empty() {
                let before = queue.waiting.replace(waker);
                drop(queue);
                drop(before);
                return Poll::Pending;
            }
            drop(queue);
        }
    }

    /// Asks all tasks to stop. Their results can still be taken.
    pub fn cancel(&self) {
        // One that has ended meanwhile, or asks itself, needs no asking.
        for task in self.places.iter().filter_map(|place| place.task) {
            let _ = task.cancel();
        }
    }
}

impl<T> Place<T> {
    fn poll(&mut self) -> Poll<Result<T, JoinError>> {
        let mut cx = Context::from_waker(&self.waker);
        self.join.as_mut().as_pin_mut().map_or(Poll::Pending, |join| join.poll(&mut cx))
    }
}

impl<T> Default for JoinSet<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Drop for JoinSet<T> {
    /// Asks the tasks to stop, and doesn't wait.
    fn drop(&mut self) {
        self.cancel();
    }
}

impl<T> fmt::Debug for JoinSet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinSet").field("len", &self.len()).finish_non_exhaustive()
    }
}
