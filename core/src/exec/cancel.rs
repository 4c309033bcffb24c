//! Asking a task to stop.
//!
//! Three steps, each bounded:
//!
//! 1. **Request**, from any context: the task goes to the cancel lane and is polled. [`Cx::is_cancelled`] is true, and every
//!    wait of this crate (a sleep, a timeout, a tick, a join, a region's close) returns an error at once. A [`Shield`] delays
//!    that for what runs inside it.
//! 2. **Drain**: the task cleans up and returns. It may take [`cleanup_polls`](super::Attributes::cleanup_polls) and
//!    [`cleanup_time`](super::Attributes::cleanup_time), counted from the request.
//! 3. **Force**: a task that is still there then is dropped, by its runner, between two polls. So a task that waits for a
//!    future of another crate, which knows nothing of cancellation, ends too. A poll that never returns can't be ended;
//!    [`StallWatch`](super::StallWatch) reports it.
//!
//! Then the finaliser is called, then whoever joins is woken.
//!
//! A wait learns of the request by the waker that it is polled with. Inside a combinator with wakers of its own
//! (`FuturesUnordered`) it doesn't; the task does, by its `Cx`.

use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll};

use super::bank::Bell;
use super::cx::Cx;
use super::header::{Header, TaskId, reason, state};
use super::shared::Core;
use super::waker::polled;
use crate::arena::Stale;
use crate::sync::{CriticalSection, Ordering, with_lock};
use crate::time::Instant;

/// Why a task was asked to stop. Of several reasons the most severe is kept; the later variant is the more severe one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
#[repr(u8)]
pub enum Reason {
    /// Somebody asked for it.
    User = 1,
    /// It missed a deadline, and its options say that this ends it; or a wait with a time limit gave it up.
    Deadline = 2,
    /// Another task of its region failed, and the region's options say that this ends all.
    SiblingFailed = 3,
    /// It used up its polls.
    PollQuota = 4,
    /// Its region, or one above it, was closed or dropped.
    ParentClosed = 5,
    /// The executor shuts down.
    Shutdown = 6,
}

/// Stored in place of a reason when a poll unwound.
pub(super) const PANICKED: u32 = 7;

impl Reason {
    /// How many there are.
    pub(super) const COUNT: usize = 6;

    pub(super) const fn from_bits(bits: u32) -> Option<Self> {
        match bits & 7 {
            1 => Some(Self::User),
            2 => Some(Self::Deadline),
            3 => Some(Self::SiblingFailed),
            4 => Some(Self::PollQuota),
            5 => Some(Self::ParentClosed),
            6 => Some(Self::Shutdown),
            _ => None,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::User => "somebody asked for it",
            Self::Deadline => "a deadline was missed",
            Self::SiblingFailed => "another task of its region failed",
            Self::PollQuota => "the poll quota was used up",
            Self::ParentClosed => "its region was closed",
            Self::Shutdown => "the executor shuts down",
        })
    }
}

/// The task was asked to stop, so the wait was given up: clean up and return, `?` will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Cancelled(
    /// Why.
    pub Reason,
);

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the task was asked to stop: {}", self.0)
    }
}

impl core::error::Error for Cancelled {}

/// Why a task was not asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum CancelError {
    /// It has ended.
    Stale,
    /// It is the one that asks.
    Oneself,
}

impl fmt::Display for CancelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stale => Stale.fmt(f),
            Self::Oneself => f.write_str("a task doesn't cancel itself: return from it"),
        }
    }
}

impl core::error::Error for CancelError {}

/// Asks one task to stop, from any context, as often as one likes; made by
/// [`JoinHandle::abort_handle`](super::JoinHandle::abort_handle).
///
/// It neither owns the task nor keeps its slot: when the task has ended, cancelling is an error.
#[derive(Clone, Copy)]
pub struct AbortHandle {
    core: *const Core,
    id: TaskId,
}

// SAFETY: the handle leads to a static executor, and cancelling is allowed from any context.
unsafe impl Send for AbortHandle {}
// SAFETY: the same.
unsafe impl Sync for AbortHandle {}

impl AbortHandle {
    /// # Safety
    ///
    /// `core` points into a whole, static executor.
    pub(super) const unsafe fn new(core: *const Core, id: TaskId) -> Self {
        Self { core, id }
    }

    /// The task's id.
    pub const fn id(&self) -> TaskId {
        self.id
    }

    /// Asks the task to stop, for [`Reason::User`]. Any context; O(log N).
    ///
    /// # Errors
    ///
    /// [`CancelError::Stale`] when the task has ended.
    pub fn cancel(&self) -> Result<(), CancelError> {
        // SAFETY: `new` was given the core of a static executor.
        unsafe { Core::cancel(self.core, self.id, Reason::User) }
    }
}

impl fmt::Debug for AbortHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AbortHandle").field(&self.id).finish()
    }
}

/// What the wait that is polled with `cx` must know before it waits: whether its task was asked to stop.
///
/// Inlined, since all waits ask it and hardly any hears something: arming a sleep took 11 instructions more on a Cortex-M3
/// when this was a call.
#[inline(always)]
pub(super) fn heard(cx: &Context<'_>) -> Option<Reason> {
    // SAFETY: headers are static (Executor Invariant 1).
    polled(cx).and_then(|header| unsafe { (*header).heard() })
}

/// Why the task of `cx`, or the one that is polled with `context`, was asked to stop: they differ if a task has the `Cx` of
/// another.
fn asked(cx: Cx, context: &Context<'_>) -> Option<Reason> {
    cx.cancelled_for().or_else(|| heard(context))
}

/// Waits until the task that polls it is asked to stop; made by [`Cx::cancelled`].
///
/// By the `Cx` of another task it is ready after a request to either, but only a request to the task that polls it wakes that.
///
/// # Cancellation
///
/// Dropping it loses nothing.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct WhenCancelled(pub(super) Cx);

impl Future for WhenCancelled {
    type Output = Cancelled;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Cancelled> {
        // A request polls the task: there is nothing to register.
        asked(self.0, context).map_or(Poll::Pending, |reason| Poll::Ready(Cancelled(reason)))
    }
}

/// Gives a future up when its task is asked to stop; made by [`Cx::run_until_cancelled`]. By the `Cx` of another task, as
/// [`WhenCancelled`] has it.
///
/// # Cancellation
///
/// The future is polled first: one that becomes ready in the poll that brings the request counts as ready. Otherwise it is
/// dropped with the `UntilCancelled`, not before.
#[must_use = "futures do nothing unless awaited"]
pub struct UntilCancelled<F> {
    pub(super) cx: Cx,
    pub(super) future: F,
}

impl<F: Future> Future for UntilCancelled<F> {
    type Output = Result<F::Output, Cancelled>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: the future is pinned with the whole and never moved out.
        let (cx, future) = unsafe {
            let this = self.get_unchecked_mut();
            (this.cx, Pin::new_unchecked(&mut this.future))
        };
        match (future.poll(context), asked(cx, context)) {
            (Poll::Ready(output), _) => Poll::Ready(Ok(output)),
            (Poll::Pending, Some(reason)) => Poll::Ready(Err(Cancelled(reason))),
            (Poll::Pending, None) => Poll::Pending,
        }
    }
}

/// Keeps a request from a future for as long as that runs; made by [`Cx::shield`].
///
/// Inside, [`Cx::is_cancelled`] is false and waits go on waiting. What runs beside it in the same task (the other arm of a
/// `join`) is not shielded. The clean-up's polls and time run on: a shield delays the request, never the force.
///
/// # Cancellation
///
/// It ends with its future, and is dropped with it by force.
#[must_use = "futures do nothing unless awaited"]
pub struct Shield<F> {
    pub(super) cx: Cx,
    pub(super) future: F,
}

impl<F: Future> Future for Shield<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        /// Takes the shield down, also if the poll unwinds.
        struct Raised(*const Header);

        impl Drop for Raised {
            fn drop(&mut self) {
                // SAFETY: headers are static (Executor Invariant 1).
                unsafe { (*self.0).state.fetch_and(!state::SHIELDED, Ordering::Relaxed) };
            }
        }

        // SAFETY: the future is pinned with the whole and never moved out.
        let (cx, future) = unsafe {
            let this = self.get_unchecked_mut();
            (this.cx, Pin::new_unchecked(&mut this.future))
        };
        // Only the task itself may raise its shield, and an inner shield leaves it to the outer one to take it down.
        let header = polled(context).filter(|&header| cx.is_of(header));
        // SAFETY: headers are static (Executor Invariant 1).
        let _raised = header.and_then(|header| unsafe {
            let before = (*header).state.fetch_or(state::SHIELDED, Ordering::Relaxed);
            // Made only then: one that is made and not kept would take the shield down.
            (before & state::SHIELDED == 0).then(|| Raised(header))
        });
        future.poll(context)
    }
}

/// All unsafe functions here ask the same of their caller.
///
/// # Safety
///
/// `core` points into a whole, static executor; headers are this executor's.
impl Core {
    /// Asks a task to stop. Any context. O(log N).
    pub(super) unsafe fn cancel(core: *const Core, id: TaskId, reason: Reason) -> Result<(), CancelError> {
        // SAFETY: the caller's promise; the operations are this executor's own.
        unsafe {
            let now = ((*core).ops.now)(core);
            with_lock(|cs| {
                let header = Self::live(core, id).ok_or(CancelError::Stale)?;
                Self::request(core, cs, header, reason, Self::asked_at(core, cs, now));
                Ok(())
            })?;
            // Also if it isn't the first request: whoever made that may have been pre-empted before this.
            ((*core).ops.pend)(core);
            Ok(())
        }
    }

    /// When a request counts as made: at `read`, but not before the latest pass. The clock may have gone back, or the caller have
    /// been interrupted since it read it; its task would have less time to clean up, or none.
    pub(super) unsafe fn asked_at(core: *const Core, cs: CriticalSection<'_>, read: Instant) -> Instant {
        // SAFETY: the caller's promise; a number is read, nothing is called (Guarded Invariant).
        unsafe { read.max((*core).clock.with(cs, |clock| clock.now)) }
    }

    /// Asks the task of `header`, if it has one that has not ended, to stop, or notes a more severe reason. O(log N).
    ///
    /// The woken bit is set here, under the critical section, and not after it: a task that was taken out of its lane is
    /// woken all the time, even if the caller is pre-empted.
    #[inline(never)]
    pub(super) unsafe fn request(
        core: *const Core,
        cs: CriticalSection<'_>,
        header: *const Header,
        why: Reason,
        now: Instant,
    ) {
        // SAFETY: the caller's promise; the operation is this executor's own.
        unsafe {
            let word = (*header).state.load(Ordering::Relaxed);
            let bits = (why as u32) << state::REASON;
            if word & state::REQUESTED != 0 {
                if reason(word) < Some(why) {
                    // One step, since the runner may be counting a poll in the same word.
                    (*header).state.fetch_xor((word & state::REASON_BITS) ^ bits, Ordering::Relaxed);
                }
                return;
            }
            match word & state::PHASE {
                state::CLAIMED => {
                    // Still being spawned: `publish` finds it.
                    (*header).state.fetch_or(state::REQUESTED | bits, Ordering::Relaxed);
                }
                state::LIVE => {
                    let attributes = (*header).attributes.get();
                    let mut now_is = word;
                    loop {
                        let request = Self::requested(now_is, why, attributes.cleanup_polls);
                        let exchange = (*header).state.compare_exchange_weak(
                            now_is,
                            request,
                            Ordering::Relaxed,
                            Ordering::Relaxed,
                        );
                        match exchange {
                            Ok(_) => break,
                            Err(other) => now_is = other,
                        }
                    }
                    (*header).vtable.scrutinise();
                    let force = now + attributes.cleanup_time;
                    ((*core).ops.withdraw)(core, cs, Header::slot(header), force.as_micros());
                    (*core).tally.count_request(why);
                    Bell::of(header).mark();
                }
                _ => {}
            }
        }
    }

    /// The state word of a live task once it was asked to stop: its quota makes room for the polls of the clean-up.
    pub(super) const fn requested(word: u32, reason: Reason, polls: u16) -> u32 {
        let kept = word & ((1 << state::QUOTA) - 1) & !(state::LIMITED | state::REASON_BITS);
        kept | state::REQUESTED | (reason as u32) << state::REASON | (polls as u32) << state::QUOTA
    }
}
