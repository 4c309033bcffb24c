//! Handing a task's result to whoever waits for it.

use core::borrow::BorrowMut;
use core::fmt;
use core::marker::PhantomData;
use core::mem::needs_drop;
use core::pin::Pin;
use core::ptr;
use core::task::{Context, Poll};

use super::finish::{drop_output, release};
use super::on_drop::OnDrop;
use crate::exec::memory::core::TaskRef;
use crate::exec::memory::waker::{keep, polled};
use crate::exec::task::header::Header;
use crate::exec::task::id::TaskId;
use crate::exec::task::join_node::JoinNode;
use crate::exec::task::reason::Reason;
use crate::exec::task::state::{Ending, State, Taken};
use crate::sync::Ordering;

/// The one claim to a task's result.
///
/// Await it, or [`join`](Self::join) it by reference, or look with [`try_join`](Self::try_join). Dropping it
/// detaches: the task goes on, its output is dropped when it ends. A finished task keeps its slot until the
/// handle is joined or dropped, or the task's region has closed.
///
/// It may be sent to another context when `T` may.
pub struct JoinHandle<T> {
    claim: Claim,
    _output: PhantomData<T>,
}

/// A handle without the type of its output, so that what is done with handles is there once.
struct Claim {
    task: TaskRef,
    generation: u32,
    /// The result was handed out, or is gone.
    taken: bool,
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
    /// The task's region has closed, and nobody was waiting for the result: to hold the handle is not to
    /// wait. Await it before the region closes, or while it does; or have a
    /// [`JoinSet`](crate::exec::JoinSet), which keeps the results of tasks that a close ends.
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

impl Claim {
    /// Whether the task has ended, or its slot has gone on to another.
    fn is_over(&self) -> bool {
        !self.task.is_live(self.generation)
    }

    /// Takes hold of the task if it has ended; `seen`: its state. `Ok`: the output is to be
    /// [taken](Self::output).
    #[inline(always)]
    fn look(&mut self, seen: State) -> Poll<Result<(), JoinError>> {
        if self.taken {
            return Poll::Ready(Err(JoinError::Taken));
        }
        let task = self.task;
        let taken = match seen.ended_for_handle() {
            Some(ending) if self.has_slot() => Taken::Done(ending),
            _ => task.exec().locked(|_| self.take()),
        };
        self.taken = !matches!(taken, Taken::Nothing);
        match taken {
            Taken::Nothing => Poll::Pending,
            Taken::Stale => Poll::Ready(Err(JoinError::Reclaimed)),
            Taken::Done(Ending::COMPLETED) => Poll::Ready(Ok(())),
            Taken::Done(ending) => {
                // SAFETY: what was taken is ours (Executor Invariant 4), and there is no output.
                unsafe { release(task, false) };
                Poll::Ready(Err(ending.reason().map_or(JoinError::Panicked, JoinError::Cancelled)))
            }
        }
    }

    /// Takes hold of the slot if its task has ended. Under the lock.
    #[inline(always)]
    fn take(&self) -> Taken {
        if self.has_slot() { self.task.state.take() } else { Taken::Stale }
    }

    /// Whether the slot is still this task's.
    #[inline(always)]
    fn has_slot(&self) -> bool {
        self.task.generation.load(Ordering::Relaxed) == self.generation
    }

    /// The output, and the slot goes back.
    ///
    /// # Safety
    ///
    /// [`look`](Self::look) has said just now that it is there, and it is a `T`.
    unsafe fn output<T>(&self) -> T {
        // SAFETY: what was taken is ours (Executor Invariant 4); the output is read once.
        unsafe {
            let output = self.task.storage.get().cast::<T>().read();
            release(self.task, false);
            output
        }
    }

    /// [Looks](Self::look), and registers `node` with the waker of `cx` if the task has not ended.
    ///
    /// # Safety
    ///
    /// The Join Node Invariant holds for `node`.
    #[inline(never)]
    unsafe fn wait(&mut self, cx: &Context<'_>, node: *const JoinNode) -> Poll<Result<(), JoinError>> {
        let (task, generation) = (self.task, self.generation);
        let header: &Header = &task;
        let lives = |state: State| state.is_live() && header.generation.load(Ordering::Relaxed) == generation;
        let mut state = header.state.load_acquire();
        if lives(state) {
            let own = polled(cx);
            if own == Some(task) {
                return Poll::Ready(Err(JoinError::Inside));
            }
            // Kept before and dropped after the lock, since both may run foreign code.
            let mut waker = Some(keep(cx));
            state = task.exec().locked(|_| {
                let state = header.state.load();
                if lives(state) {
                    // SAFETY: the caller's promise, and the lock is held.
                    unsafe { (*node).swap_waker(&mut waker) };
                    header.joiner.set(node);
                }
                state
            });
            drop(waker);
            if lives(state) {
                let refusal = own.and_then(TaskRef::refusal);
                return refusal.map_or(Poll::Pending, |refusal| {
                    refusal.map(|reason| Err(JoinError::Interrupted(reason)))
                });
            }
        }
        self.look(state)
    }

    /// Takes a node out that [`wait`](Self::wait) may have registered. As long as the slot is this claim's,
    /// the joiner can be nobody else's.
    #[inline(never)]
    fn wait_no_more(&self) {
        self.task.exec().locked(|_| {
            if self.has_slot() {
                self.task.joiner.set(ptr::null());
            }
        });
    }

    /// Gives the claim up; drops the output of a task that has ended, unless there is nothing to be dropped.
    #[inline(never)]
    fn detach(&self, drops: bool) {
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
            if drops && ending == Ending::COMPLETED {
                // SAFETY: the output is there, and is dropped once.
                unsafe { drop_output(task) };
            }
        }
    }
}

impl<T> JoinHandle<T> {
    /// # Safety
    ///
    /// The task is live, or was, with a handle that is this one, and `T` is its output's type.
    pub(in crate::exec) unsafe fn new(task: TaskRef, generation: u32) -> Self {
        Self { claim: Claim { task, generation, taken: false }, _output: PhantomData }
    }

    /// The task's id.
    pub fn id(&self) -> TaskId {
        TaskId { slot: self.claim.task.slot(), generation: self.claim.generation }
    }

    /// Whether the task is over; a join is then ready at once.
    pub fn is_finished(&self) -> bool {
        self.claim.taken || self.claim.is_over()
    }

    /// Takes the result if the task is over, `None` if it is not. Any context. O(1).
    ///
    /// # Errors
    ///
    /// [`JoinError`] when the task has no result, or it isn't there any more.
    pub fn try_join(&mut self) -> Option<Result<T, JoinError>> {
        match self.claim.look(self.claim.task.state.load_acquire()) {
            Poll::Pending => None,
            Poll::Ready(found) => {
                // SAFETY: it is there.
                Some(found.map(|()| unsafe { self.claim.output() }))
            }
        }
    }

    /// The slot, unless the result was handed out.
    pub(in crate::exec) fn task(&self) -> Option<TaskRef> {
        (!self.claim.taken).then_some(self.claim.task)
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
        if !self.claim.taken {
            self.claim.detach(needs_drop::<T>());
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

/// Waits without taking the handle, as [`join`](JoinHandle::join) does.
impl<'a, T> IntoFuture for &'a mut JoinHandle<T> {
    type Output = Result<T, JoinError>;
    type IntoFuture = Join<&'a mut JoinHandle<T>, T>;

    fn into_future(self) -> Self::IntoFuture {
        self.join()
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
        let claim = &mut this.handle.borrow_mut().claim;
        // SAFETY: Join Node Invariant: `this` is pinned, and takes the node out when it is dropped; what is
        // ready is there.
        unsafe { claim.wait(cx, &this.node).map(|found| found.map(|()| claim.output())) }
    }
}

impl<H: BorrowMut<JoinHandle<T>>, T> Drop for Join<H, T> {
    fn drop(&mut self) {
        let claim = &self.handle.borrow_mut().claim;
        if !claim.taken {
            claim.wait_no_more();
        }
    }
}
