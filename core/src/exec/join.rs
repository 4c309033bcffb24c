//! Handing a task's result to whoever waits for it.

use core::borrow::BorrowMut;
use core::cell::UnsafeCell;
use core::fmt;
use core::marker::{PhantomData, PhantomPinned};
use core::pin::Pin;
use core::ptr;
use core::task::{Context, Poll, Waker};

use super::cancel::{AbortHandle, CancelError, Reason, heard};
use super::cx::Cx;
use super::ending::Release;
use super::header::{Header, TaskId, reason, state};
use super::shared::Core;
use super::sleep::TimeoutError;
use crate::sync::{CriticalSection, Ordering, with_lock};
use crate::time::Duration;

/// The one claim to a task's result.
///
/// Await it, or [`join`](Self::join) it by reference, or look with [`try_join`](Self::try_join). Dropping it detaches: the
/// task goes on, its output is dropped when it ends. A finished task keeps its slot until the handle is joined or dropped, or
/// the task's region has closed.
///
/// It may be sent to another context when `T` may.
pub struct JoinHandle<T> {
    /// None once the result was taken.
    header: Option<*const Header>,
    id: TaskId,
    _output: PhantomData<T>,
}

// SAFETY: the handle owns the output (Executor Invariant 4), which may be sent; what it shares with the runner is atomic or
// under the critical section.
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
    /// The task's region has closed, and nobody was waiting for the result.
    Reclaimed,
    /// The task that waits was asked to stop itself. The one that it waits for goes on, unless the handle goes too.
    Interrupted(Reason),
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelled(reason) => write!(f, "the task was ended by force: {reason}"),
            Self::Panicked => f.write_str("the task panicked"),
            Self::Taken => f.write_str("the task's result was taken before: join once"),
            Self::Reclaimed => {
                f.write_str("the task's region was closed before the result was taken: join before you close")
            }
            Self::Interrupted(reason) => write!(f, "the task that waits was asked to stop: {reason}"),
        }
    }
}

impl core::error::Error for JoinError {}

/// Where a [`Join`], or a wait for a region, waits.
///
/// # Join Node Invariant
///
/// A header's `joiner` and a region's `waiter`, while not null, point to the node of a pinned, live future; they are set,
/// cleared and followed under the critical section, and cleared before the future goes. (In a header whose phase is
/// *claimed* a node may stay behind: nobody follows it there, and the slot's release clears it.)
pub(super) struct JoinNode {
    waker: UnsafeCell<Option<Waker>>,
    _pinned: PhantomPinned,
}

impl JoinNode {
    pub const fn new() -> Self {
        Self { waker: UnsafeCell::new(None), _pinned: PhantomPinned }
    }

    /// Keeps the waker of `cx` in place of an earlier one, and in the same critical section makes itself known by `register`.
    #[inline]
    pub fn set_waker(&self, cx: &Context<'_>, register: impl FnOnce(CriticalSection<'_>)) {
        // Cloned before and dropped after the critical section, since both may run foreign code.
        let mut waker = Some(cx.waker().clone());
        // SAFETY: the critical section is held.
        with_lock(|cs| unsafe {
            ptr::swap(self.waker.get(), &mut waker);
            register(cs);
        });
    }

    /// # Safety
    ///
    /// The caller holds the critical section.
    pub unsafe fn take_waker(&self) -> Option<Waker> {
        // SAFETY: the caller's promise.
        unsafe { (*self.waker.get()).take() }
    }
}

impl<T> JoinHandle<T> {
    /// # Safety
    ///
    /// The header is live, with the handle bit set, and `T` is its output's type.
    pub(super) unsafe fn new(header: *const Header, id: TaskId) -> Self {
        Self { header: Some(header), id, _output: PhantomData }
    }

    /// The task's id.
    pub fn id(&self) -> TaskId {
        self.id
    }

    /// Whether the task is over; a join is then ready at once.
    pub fn is_finished(&self) -> bool {
        // SAFETY: the header is static, its fields atomic (Executor Invariant 1).
        self.header.is_none_or(|header| unsafe {
            // In this order: a slot's generation advances before it is used again.
            (*header).state.load(Ordering::Acquire) & state::PHASE != state::LIVE
                || (*header).generation.load(Ordering::Acquire) != self.id.generation
        })
    }

    /// Takes the result if the task is over, `None` if it is not. Any context. O(1).
    ///
    /// # Errors
    ///
    /// [`JoinError`] when the task has no result, or it isn't there any more.
    pub fn try_join(&mut self) -> Option<Result<T, JoinError>> {
        let Some(header) = self.header else { return Some(Err(JoinError::Taken)) };
        // SAFETY: the header is static; what is done under the critical section is ours (Executor Invariant 4), the output
        // is read once, since the handle lets go of the header, and the slot goes back after it.
        unsafe {
            let taken = with_lock(|_| self.take(header));
            match taken {
                Taken::Nothing => None,
                Taken::Stale => {
                    self.header = None;
                    Some(Err(JoinError::Reclaimed))
                }
                Taken::Done(word) => {
                    self.header = None;
                    let _release = Release { header, leaves: false };
                    Some(if word & state::ENDED == 0 {
                        Ok((*header).storage.get().cast::<T>().read())
                    } else {
                        Err(reason(word).map_or(JoinError::Panicked, JoinError::Cancelled))
                    })
                }
            }
        }
    }

    /// Takes hold of a finished task; its phase is then *claimed*. Under the critical section.
    ///
    /// # Safety
    ///
    /// The header is the handle's.
    unsafe fn take(&self, header: *const Header) -> Taken {
        // SAFETY: the caller's promise.
        unsafe {
            if (*header).generation.load(Ordering::Relaxed) != self.id.generation {
                return Taken::Stale;
            }
            let word = (*header).state.load(Ordering::Acquire);
            match word & state::PHASE {
                state::DONE => {
                    (*header).state.store(word & !state::PHASE | state::CLAIMED, Ordering::Relaxed);
                    Taken::Done(word)
                }
                // The runner is taking it back at this moment: its region has closed.
                state::CLAIMED => Taken::Stale,
                _ => Taken::Nothing,
            }
        }
    }

    /// Asks the task to stop, for [`Reason::User`]. Any context; O(log N).
    ///
    /// # Errors
    ///
    /// [`CancelError::Stale`] when the task has ended.
    pub fn cancel(&self) -> Result<(), CancelError> {
        self.cancel_for(Reason::User)
    }

    fn cancel_for(&self, reason: Reason) -> Result<(), CancelError> {
        let Some(header) = self.header else { return Err(CancelError::Stale) };
        // SAFETY: the header is one of a static executor.
        unsafe { Core::cancel(Header::core(header), self.id, reason) }
    }

    /// What asks the task to stop from elsewhere. `None` when the result was taken.
    pub fn abort_handle(&self) -> Option<AbortHandle> {
        // SAFETY: the header is one of a static executor.
        self.header.map(|header| unsafe { AbortHandle::new(Header::core(header), self.id) })
    }

    /// Waits for the end of the task for `span`, then asks it to stop, for [`Reason::Deadline`], and waits on: so a result
    /// that it still gives is not lost, and it is over when this returns.
    ///
    /// # Errors
    ///
    /// As for a join; [`JoinError::Interrupted`] leaves the task running.
    ///
    /// # Cancellation
    ///
    /// Dropping the future leaves the task running, asked or not, and the result unclaimed.
    pub async fn join_within(&mut self, cx: Cx, span: Duration) -> Result<T, JoinError> {
        match cx.timeout(span, self.join()).await {
            Ok(result) => return result,
            Err(TimeoutError::Cancelled(reason)) => return Err(JoinError::Interrupted(reason)),
            Err(TimeoutError::Elapsed) => {}
        }
        // It may have ended just now; then the join is ready.
        let _ = self.cancel_for(Reason::Deadline);
        self.join().await
    }

    /// Waits for the end of the task and takes its result; the handle stays, so that the wait can be given up.
    ///
    /// # Errors
    ///
    /// [`JoinError`] when the task has no result, or it isn't there any more, or the task that waits is asked to stop.
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
        let Some(header) = self.header else { return };
        // SAFETY: as in `try_join`; the bit of a task that is still there is ours to clear.
        unsafe {
            let taken = with_lock(|_| {
                let taken = self.take(header);
                if matches!(taken, Taken::Nothing) {
                    (*header).state.fetch_and(!state::HANDLE, Ordering::Relaxed);
                }
                taken
            });
            if let Taken::Done(word) = taken {
                let _release = Release { header, leaves: false };
                if word & state::ENDED == 0 {
                    (*header).storage.get().cast::<T>().drop_in_place();
                }
            }
        }
    }
}

/// What a handle finds in its slot.
enum Taken {
    /// The task is still there.
    Nothing,
    /// The result, with the state word. It is the caller's now.
    Done(u32),
    /// The slot was taken back.
    Stale,
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle").field("id", &self.id).field("finished", &self.is_finished()).finish()
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
/// When the task that awaits it is asked to stop, it is ready at once, with [`JoinError::Interrupted`]. Dropping it before it
/// is ready takes no result. If it owns the handle, that is dropped with it, which detaches the task.
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
        // SAFETY: nothing is moved out of the pinned value; the node stays where it is, the handle is not pinned.
        let this = unsafe { self.get_unchecked_mut() };
        let handle = this.handle.borrow_mut();
        if let Some(result) = handle.try_join() {
            return Poll::Ready(result);
        }
        if let Some(reason) = heard(cx) {
            return Poll::Ready(Err(JoinError::Interrupted(reason)));
        }
        if let Some(header) = handle.header {
            // SAFETY: Join Node Invariant: `this` is pinned, and the critical section is held.
            this.node.set_waker(cx, |_| unsafe {
                if (*header).generation.load(Ordering::Relaxed) == handle.id.generation {
                    (*header).joiner.set(&raw const this.node);
                }
            });
        }
        // The task may have ended before it could see the node.
        handle.try_join().map_or(Poll::Pending, Poll::Ready)
    }
}

impl<H: BorrowMut<JoinHandle<T>>, T> Drop for Join<H, T> {
    fn drop(&mut self) {
        let handle = self.handle.borrow_mut();
        if let Some(header) = handle.header {
            // SAFETY: Join Node Invariant: cleared under the critical section before the node goes. As long as the slot is
            // this handle's, the joiner can be nobody else's.
            with_lock(|_| unsafe {
                if (*header).generation.load(Ordering::Relaxed) == handle.id.generation {
                    (*header).joiner.set(ptr::null());
                }
            });
        }
    }
}

/// The waker of whoever waits for the task, who stays registered: a result that is awaited is not taken back.
///
/// # Safety
///
/// The header is static, and the caller holds the critical section.
pub(super) unsafe fn take_waker(header: *const Header) -> Option<Waker> {
    // SAFETY: the caller's promise, and the Join Node Invariant.
    unsafe {
        let node = (*header).joiner.get();
        if node.is_null() { None } else { (*node).take_waker() }
    }
}
