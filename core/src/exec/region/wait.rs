//! Waiting for a region.

use core::fmt;
use core::marker::PhantomData;
use core::pin::Pin;
use core::task::{Context, Poll};

use super::tree::Progress;
use crate::exec::memory::core::{ExecRef, TaskRef};
use crate::exec::memory::waker::{keep, polled};
use crate::exec::task::id::RegionId;
use crate::exec::task::join_node::JoinNode;
use crate::exec::task::reason::{Cancelled, Reason};

/// Why a wait for a region failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum CloseError {
    /// It was closed before.
    Closed,
    /// The task that waits is in the region itself, so the wait would never end. Nothing has changed.
    Inside,
    /// The task that waits was asked to stop. A close that was begun goes on, unattended.
    Cancelled(Reason),
}

impl fmt::Display for CloseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the region was closed before: close once"),
            Self::Inside => f.write_str("a task in the region waits for its end: let one outside do that"),
            Self::Cancelled(reason) => Cancelled(*reason).fmt(f),
        }
    }
}

impl core::error::Error for CloseError {}

/// A wait for a region. The region's table knows its node from the first poll until it is dropped.
///
/// It is made of a region that is borrowed for as long.
pub(in crate::exec) struct Wait<'a> {
    exec: ExecRef,
    id: RegionId,
    node: JoinNode,
    _region: PhantomData<&'a mut ()>,
}

impl Wait<'_> {
    pub fn new(exec: ExecRef, id: RegionId) -> Self {
        Self { exec, id, node: JoinNode::new(), _region: PhantomData }
    }

    /// Whether the task that waits is in the region: the wait would never end.
    pub fn is_inside(&self, cx: &Context<'_>) -> bool {
        polled(cx).is_some_and(|task| self.exec.is_inside(self.id, task))
    }

    /// Registers the waker; `each`: for each member's end.
    pub fn register(&self, cx: &Context<'_>, each: bool) {
        // Kept before and dropped after the lock, since both may run foreign code.
        let mut waker = Some(keep(cx));
        self.exec.locked(|cs| {
            // SAFETY: the lock is held; whoever polls a `Wait` has it pinned, and its drop ends the watch.
            unsafe { self.node.swap_waker(&mut waker) };
            self.exec.watch_region(cs, self.id, &raw const self.node, each);
        });
    }

    fn progress(&self, collect: bool) -> Progress {
        self.exec.region_progress(self.id, collect)
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        self.exec.locked(|cs| self.exec.watch_region(cs, self.id, core::ptr::null(), false));
    }
}

/// Waits until a region has closed; made by [`Region::close`](crate::exec::Region::close).
///
/// # Cancellation
///
/// When the task that awaits it is asked to stop, it is ready at once, with [`CloseError::Cancelled`].
/// Dropping it after its first poll leaves the region closing.
#[must_use = "futures do nothing unless awaited"]
pub struct Close<'a> {
    wait: Wait<'a>,
    asked: bool,
}

impl<'a> Close<'a> {
    pub(in crate::exec) fn new(wait: Wait<'a>) -> Self {
        Self { wait, asked: false }
    }
}

impl Future for Close<'_> {
    type Output = Result<(), CloseError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: nothing is moved out of the pinned value.
        let this = unsafe { self.get_unchecked_mut() };
        if !this.asked {
            if this.wait.is_inside(cx) {
                return Poll::Ready(Err(CloseError::Inside));
            }
            if !this.wait.exec.close_region(this.wait.id, Reason::ParentClosed) {
                return Poll::Ready(Err(CloseError::Closed));
            }
            this.asked = true;
        }
        this.wait.register(cx, false);
        match this.wait.progress(true) {
            Progress::Closed => Poll::Ready(Ok(())),
            Progress::Gone => Poll::Ready(Err(CloseError::Closed)),
            Progress::Empty | Progress::Busy => refusal(cx),
        }
    }
}

/// Waits until nobody in a region is alive; made by [`Region::join_all`](crate::exec::Region::join_all).
///
/// # Cancellation
///
/// As for [`Close`], but dropping it changes nothing.
#[must_use = "futures do nothing unless awaited"]
pub struct JoinAll<'a> {
    wait: Wait<'a>,
}

impl<'a> JoinAll<'a> {
    pub(in crate::exec) fn new(wait: Wait<'a>) -> Self {
        Self { wait }
    }
}

impl Future for JoinAll<'_> {
    type Output = Result<(), CloseError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.into_ref();
        if this.wait.is_inside(cx) {
            return Poll::Ready(Err(CloseError::Inside));
        }
        this.wait.register(cx, false);
        match this.wait.progress(false) {
            Progress::Gone => Poll::Ready(Err(CloseError::Closed)),
            Progress::Empty | Progress::Closed => Poll::Ready(Ok(())),
            Progress::Busy => refusal(cx),
        }
    }
}

/// Pending, unless the task that is polled with `cx` was asked to stop.
fn refusal(cx: &Context<'_>) -> Poll<Result<(), CloseError>> {
    let refusal = polled(cx).and_then(TaskRef::refusal);
    refusal.map_or(Poll::Pending, |refusal| refusal.map(|reason| Err(CloseError::Cancelled(reason))))
}
