//! Handing a task's result to whoever waits for it.

use core::borrow::BorrowMut;
use core::cell::UnsafeCell;
use core::fmt;
use core::marker::{PhantomData, PhantomPinned};
use core::pin::Pin;
use core::ptr;
use core::task::{Context, Poll, Waker};

use super::ending::Release;
use super::header::{Header, TaskId, state};
use crate::sync::{Ordering, with_lock};

/// The one claim to a task's result.
///
/// Await it, or [`join`](Self::join) it by reference, or look with [`try_join`](Self::try_join). Dropping it detaches: the
/// task goes on, its output is dropped when it ends. Until the handle is joined or dropped, a finished task keeps its slot.
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
    /// The task was ended before it was done.
    Cancelled(Reason),
    /// The task's poll unwound; on hosts only, since firmware aborts.
    Panicked,
    /// The result was handed out before.
    Taken,
}

/// Why a task was ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
#[repr(u8)]
pub enum Reason {
    /// It missed a deadline, and its options say that this ends it.
    Deadline = 1,
    /// It used up its polls.
    PollQuota = 2,
}

/// Stored in place of a reason when a poll unwound.
pub(super) const PANICKED: u32 = 7;

impl Reason {
    pub(super) const fn from_bits(bits: u32) -> Option<Self> {
        match bits & 7 {
            1 => Some(Self::Deadline),
            2 => Some(Self::PollQuota),
            _ => None,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Deadline => "a deadline was missed",
            Self::PollQuota => "the poll quota was used up",
        })
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelled(reason) => write!(f, "the task was ended: {reason}"),
            Self::Panicked => f.write_str("the task panicked"),
            Self::Taken => f.write_str("the task's result was taken before: join once"),
        }
    }
}

impl core::error::Error for JoinError {}

/// Where a [`Join`] waits.
///
/// # Join Node Invariant
///
/// A header's `joiner`, while not null, points to the node of a pinned, live `Join`; it is set, cleared and followed under the
/// critical section, and cleared before the `Join` goes.
pub(super) struct JoinNode {
    waker: UnsafeCell<Option<Waker>>,
    _pinned: PhantomPinned,
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
        // SAFETY: the header is static, its state atomic (Executor Invariant 1).
        self.header.is_none_or(|header| unsafe {
            (*header).state.load(Ordering::Acquire) & state::PHASE == state::DONE
        })
    }

    /// Takes the result if the task is over, `None` if it is not. Any context. O(1).
    pub fn try_join(&mut self) -> Option<Result<T, JoinError>> {
        let Some(header) = self.header else { return Some(Err(JoinError::Taken)) };
        // SAFETY: the header is static; when its phase is done, storage is the handle's (Executor Invariant 4), the output
        // is read once, since the handle lets go of the header, and the slot goes back after it.
        unsafe {
            let word = (*header).state.load(Ordering::Acquire);
            if word & state::PHASE != state::DONE {
                return None;
            }
            self.header = None;
            let _release = Release(header);
            Some(if word & state::CANCELLED == 0 {
                Ok((*header).storage.get().cast::<T>().read())
            } else {
                Err(Header::reason(word).map_or(JoinError::Panicked, JoinError::Cancelled))
            })
        }
    }

    /// Waits for the end of the task and takes its result; the handle stays, so that the wait can be given up.
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
        // SAFETY: the handle bit is set as long as this handle lives, so the header is still its task's; whoever turns
        // done-with-handle into anything else owns storage (Executor Invariant 4), and that is us.
        unsafe {
            let mut now = (*header).state.load(Ordering::Acquire);
            while now & state::PHASE != state::DONE {
                let exchange = (*header).state.compare_exchange_weak(
                    now,
                    now & !state::HANDLE,
                    Ordering::AcqRel,
                    Ordering::Acquire,
                );
                match exchange {
                    Ok(_) => return,
                    Err(other) => now = other,
                }
            }
            drop(self.try_join());
        }
    }
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
/// Dropping it before it is ready takes no result. If it owns the handle, that is dropped with it, which detaches the task.
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
        Self {
            handle,
            node: JoinNode { waker: UnsafeCell::new(None), _pinned: PhantomPinned },
            _output: PhantomData,
        }
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
        if let Some(header) = handle.header {
            // Cloned before and dropped after the critical section, since both may run foreign code.
            let mut waker = Some(cx.waker().clone());
            // SAFETY: Join Node Invariant: `this` is pinned, and the critical section is held.
            with_lock(|_| unsafe {
                ptr::swap(this.node.waker.get(), &mut waker);
                (*header).joiner.set(&raw const this.node);
            });
        }
        // The task may have ended before it could see the node.
        handle.try_join().map_or(Poll::Pending, Poll::Ready)
    }
}

impl<H: BorrowMut<JoinHandle<T>>, T> Drop for Join<H, T> {
    fn drop(&mut self) {
        if let Some(header) = self.handle.borrow_mut().header {
            // SAFETY: Join Node Invariant: cleared under the critical section before the node goes. The handle still holds
            // the header, so the joiner can be nobody else's.
            with_lock(|_| unsafe { (*header).joiner.set(ptr::null()) });
        }
    }
}

/// Wakes whoever waits for the task.
///
/// # Safety
///
/// The header is static. (Its task may be joined and its slot in use again: then its next joiner is woken once too often.)
#[inline(never)]
pub(super) unsafe fn notify(header: *const Header) {
    // SAFETY: Join Node Invariant; the waker is taken out under the critical section and called after it.
    let waker = with_lock(|_| unsafe {
        let node = (*header).joiner.replace(ptr::null());
        if node.is_null() { None } else { (*(*node).waker.get()).take() }
    });
    if let Some(waker) = waker {
        waker.wake();
    }
}
