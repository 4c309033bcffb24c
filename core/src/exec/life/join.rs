//! Handing a task's result to whoever waits for it.

use core::borrow::BorrowMut;
use core::fmt;
use core::marker::PhantomData;
use core::pin::Pin;
use core::ptr;
use core::task::{Context, Poll};

use super::finish::release;
use super::on_drop::OnDrop;
use crate::exec::memory::core::TaskRef;
use crate::exec::memory::waker::{keep, polled};
use crate::exec::task::id::TaskId;
use crate::exec::task::join_node::JoinNode;
use crate::exec::task::reason::Reason;
use crate::exec::task::state::{Ending, Taken};
use crate::sync::Ordering;

/// The one claim to a task's result.
///
/// Await it, or [`join`](Self::join) it by reference, or look with [`try_join`](Self::try_join). Dropping it
/// detaches: the task goes on, its output is dropped when it ends. A finished task keeps its slot until the
/// handle is joined or dropped, or the task's region has closed.
///
/// It may be sent to another context when `T` may.
pub struct JoinHandle<T> {
    task: TaskRef,
    generation: u32,
    /// The result was handed out, or is gone.
    taken: bool,
    _output: PhantomData<T>,
}

// SAFETY: the handle owns the output (Executor Invariant 4), which may be sent; what it shares with the
// runner is atomic or under the critical section.
unsafe impl<T: Send> Send for JoinHandle<T> {}
// SAFETY: by shared reference the handle tells its id and whether the task is over, both atomic.
unsafe impl<T: Send> Sync for JoinHandle<T> {}

impl<T> Unpin for JoinHandle<T> {}

/// Why there is no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum JoinError {
    /// The task was asked to stop, and ended by force: it has no result.
    Cancelled(Reason),
    /// The task's poll unwound; on hosts only, since firmware aborts.
    Panicked,
    /// The result was handed out before.
    Taken,
    /// The task's region has closed, and nobody was waiting for the result. A
    /// [`JoinSet`](crate::exec::JoinSet) keeps the results of tasks that a close ends.
    Reclaimed,
    /// The task that waits was asked to stop itself. The one that it waits for goes on, unless the handle
    /// goes too.
    Interrupted(Reason),
    /// The task that waits would wait for itself: it has its own handle, or is in the set whose next result
    /// it asks for. Nothing has changed.
    Inside,
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelled(reason) => write!(f, "the task was ended by force: {reason}"),
            Self::Panicked => f.write_str("the task panicked"),
            Self::Taken => f.write_str("the task's result was taken before: join once"),
            Self::Reclaimed => f.write_str(
                "the task's region was closed before the result was taken: join before you close, or use a \
                 join set, which keeps results",
            ),
            Self::Interrupted(reason) => write!(f, "the task that waits was asked to stop: {reason}"),
            Self::Inside => f.write_str("a task waits for its own end: let another one join it"),
        }
    }
}

impl core::error::Error for JoinError {}

impl<T> JoinHandle<T> {
    /// # Safety
    ///
    /// The task is live, or was, with a handle that is this one, and `T` is its output's type.
    pub(in crate::exec) unsafe fn new(task: TaskRef, generation: u32) -> Self {
        Self { task, generation, taken: false, _output: PhantomData }
    }

    /// The task's id.
    pub fn id(&self) -> TaskId {
        TaskId { slot: self.task.slot(), generation: self.generation }
    }

    /// Whether the task is over; a join is then ready at once.
    pub fn is_finished(&self) -> bool {
        self.taken || !self.task.is_live(self.generation)
    }

    /// Takes the result if the task is over, `None` if it is not. Any context. O(1).
    ///
    /// # Errors
    ///
    /// [`JoinError`] when the task has no result, or it isn't there any more.
    pub fn try_join(&mut self) -> Option<Result<T, JoinError>> {
        if self.taken {
            return Some(Err(JoinError::Taken));
        }
        let taken = self.task.exec().locked(|_| self.take());
        self.hand_over(taken)
    }

    /// The slot, unless the result was handed out.
    pub(in crate::exec) fn task(&self) -> Option<TaskRef> {
        (!self.taken).then_some(self.task)
    }

    /// Takes hold of a finished task. Under the lock.
    fn take(&self) -> Taken {
        if self.task.generation.load(Ordering::Relaxed) == self.generation {
            self.task.state.take()
        } else {
            Taken::Stale
        }
    }

    /// What was [taken](Self::take), out of the lock.
    fn hand_over(&mut self, taken: Taken) -> Option<Result<T, JoinError>> {
        self.taken = !matches!(taken, Taken::Nothing);
        let (task, ending) = match taken {
            Taken::Nothing => return None,
            Taken::Stale => return Some(Err(JoinError::Reclaimed)),
            Taken::Done(ending) => (self.task, ending),
        };
        // SAFETY: what was taken is ours (Executor Invariant 4); the output is read once, and the slot goes
        // back after it.
        unsafe {
            let result = if ending == Ending::COMPLETED {
                Ok(task.storage.get().cast::<T>().read())
            } else {
                Err(ending.reason().map_or(JoinError::Panicked, JoinError::Cancelled))
            };
            release(task, false);
            Some(result)
        }
    }

    /// Waits for the end of the task and takes its result; the handle stays, so that the wait can be given
    /// up.
    ///
    /// # Errors
    ///
    /// [`JoinError`] when the task has no result, or it isn't there any more, or the task that waits is asked
    /// to stop.
    ///
    /// # Cancellation
    ///
    /// Dropping the future leaves the task running and the result unclaimed: join again, or drop the handle.
    pub fn join(&mut self) -> Join<&mut Self, T> {
        Join::new(self)
    }
}

impl<T> Drop for JoinHandle<T> {
    /// Detaches. When the task is over, its output is dropped here.
    fn drop(&mut self) {
        if self.taken {
            return;
        }
        let task = self.task;
        let taken = task.exec().locked(|_| {
            let taken = self.take();
            if matches!(taken, Taken::Nothing) {
                // The bit of a task that is still there is ours to clear.
                task.state.detach();
            }
            taken
        });
        if let Taken::Done(ending) = taken {
            // SAFETY: what was taken is ours (Executor Invariant 4); storage is empty, or being emptied, when
            // this is called.
            let _release = OnDrop::new(|| unsafe { release(task, false) });
            if ending == Ending::COMPLETED {
                // SAFETY: the output is there, and is dropped once.
                unsafe { task.storage.get().cast::<T>().drop_in_place() };
            }
        }
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle").field("id", &self.id()).field("finished", &self.is_finished()).finish()
    }
}

impl<T> IntoFuture for JoinHandle<T> {
    type Output = Result<T, JoinError>;
    type IntoFuture = Join<Self, T>;

    fn into_future(self) -> Join<Self, T> {
        Join::new(self)
    }
}

/// Waits for a task's end; made by awaiting a [`JoinHandle`] or by [`JoinHandle::join`].
///
/// # Cancellation
///
/// When the task that awaits it is asked to stop, it is ready at once, with [`JoinError::Interrupted`].
/// Dropping it before it is ready takes no result. If it owns the handle, that is dropped with it, which
/// detaches the task.
#[must_use = "futures do nothing unless awaited"]
pub struct Join<H: BorrowMut<JoinHandle<T>>, T> {
    handle: H,
    node: JoinNode,
    _output: PhantomData<T>,
}

// SAFETY: as for the handle; the node is touched under the critical section or by `&mut`.
unsafe impl<H: BorrowMut<JoinHandle<T>> + Send, T: Send> Send for Join<H, T> {}
// SAFETY: a shared `Join` offers nothing.
unsafe impl<H: BorrowMut<JoinHandle<T>> + Send, T: Send> Sync for Join<H, T> {}

impl<H: BorrowMut<JoinHandle<T>>, T> Join<H, T> {
    fn new(handle: H) -> Self {
        Self { handle, node: JoinNode::new(), _output: PhantomData }
    }
}

impl<H: BorrowMut<JoinHandle<T>>, T> Future for Join<H, T> {
    type Output = Result<T, JoinError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: nothing is moved out of the pinned value; the node stays where it is, the handle is not
        // pinned.
        let this = unsafe { self.get_unchecked_mut() };
        let handle = this.handle.borrow_mut();
        if handle.taken {
            return Poll::Ready(Err(JoinError::Taken));
        }
        let task = handle.task;
        let lives = task.is_live(handle.generation);
        let own = polled(cx);
        let inside = lives && own == Some(task);
        // Kept before and dropped after the lock, since both may run foreign code.
        let mut waker = if lives && !inside { Some(keep(cx)) } else { None };
        let node = &raw const this.node;
        let taken = task.exec().locked(|_| {
            let taken = handle.take();
            if matches!(taken, Taken::Nothing) && waker.is_some() {
                // SAFETY: Join Node Invariant: `this` is pinned, and the lock is held.
                unsafe { (*node).swap_waker(&mut waker) };
                task.joiner.set(node);
            }
            taken
        });
        if let Some(result) = handle.hand_over(taken) {
            return Poll::Ready(result);
        }
        if inside {
            return Poll::Ready(Err(JoinError::Inside));
        }
        let refusal = own.and_then(TaskRef::refusal);
        refusal.map_or(Poll::Pending, |refusal| refusal.map(|reason| Err(JoinError::Interrupted(reason))))
    }
}

impl<H: BorrowMut<JoinHandle<T>>, T> Drop for Join<H, T> {
    fn drop(&mut self) {
        let handle = self.handle.borrow_mut();
        if !handle.taken {
            let task = handle.task;
            // Join Node Invariant: cleared under the lock before the node goes. As long as the slot is this
            // handle's, the joiner can be nobody else's.
            task.exec().locked(|_| {
                if task.generation.load(Ordering::Relaxed) == handle.generation {
                    task.joiner.set(ptr::null());
                }
            });
        }
    }
}
