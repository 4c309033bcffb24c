//! Waiting for time to pass.
//!
//! A sleep's node lives in the future itself, linked into the executor's timer heap while it waits: arming is O(log n) in the
//! number of armed sleeps, there is no table that could be full, and because every sleep keeps its own waker, none is lost inside
//! `select`, `join` or `FuturesUnordered`.
//!
//! Sleeps may be polled and dropped from any context: the heap is under the critical section.

use core::cell::{Cell, UnsafeCell};
use core::fmt;
use core::pin::Pin;
use core::ptr;
use core::task::{Context, Poll, Waker};

use super::cancel::{Cancelled, Reason, heard};
use super::cx::Cx;
use super::shared::Core;
use crate::sched::TimerNode;
use crate::sync::with_lock;
use crate::time::{Duration, Instant};

/// A future that is ready once its time has come; made by [`Cx::sleep`] and [`Cx::sleep_until`].
///
/// # Cancellation
///
/// When the task that awaits it is asked to stop, it is ready at once, with [`Cancelled`]. Dropping it disarms it: O(log n),
/// nothing is left behind.
#[must_use = "futures do nothing unless awaited"]
pub struct Sleep {
    core: *const Core,
    due: Instant,
    /// Whether the executor may know the entry: set when it is armed, cleared when it was seen fired or was disarmed.
    known: bool,
    /// Whether it waits its time out, whatever its task is asked for.
    deaf: bool,
    entry: Entry,
}

/// What the timer heap links.
///
/// The Timer Node Invariant holds for `node`: it is armed through a pinned `Sleep` only, whose drop disarms it. All fields
/// belong to the holder of the critical section while the node is armed.
#[repr(C)]
pub(super) struct Entry {
    // First, so that a pointer to the node is a pointer to the entry.
    node: TimerNode,
    fired: Cell<bool>,
    waker: UnsafeCell<Option<Waker>>,
}

// SAFETY: the entry is touched under the critical section, or by whoever has the sleep to itself.
unsafe impl Send for Sleep {}
// SAFETY: by shared reference a sleep tells its due time only.
unsafe impl Sync for Sleep {}

impl Sleep {
    /// # Safety
    ///
    /// `core` points into a whole, static executor.
    pub(super) unsafe fn new(core: *const Core, due: Instant) -> Self {
        let entry = Entry { node: TimerNode::new(), fired: Cell::new(false), waker: UnsafeCell::new(None) };
        Self { core, due, known: false, deaf: false, entry }
    }

    /// One that waits its time out even if its task is asked to stop.
    fn deaf(mut self) -> Self {
        self.deaf = true;
        self
    }

    /// When it is over.
    pub fn due(&self) -> Instant {
        self.due
    }

    /// Starts again for `due`, armed at the next poll.
    pub fn reset(self: Pin<&mut Self>, due: Instant) {
        // SAFETY: nothing is moved; the node is disarmed before its key changes.
        let this = unsafe { self.get_unchecked_mut() };
        if this.known {
            this.disarm();
            this.known = false;
        }
        this.entry.fired.set(false);
        this.due = due;
    }

    #[inline(never)]
    fn disarm(&self) {
        let mut waker = None;
        // SAFETY: the core is static; the critical section is held; the node, if armed, is armed in this heap.
        with_lock(|cs| unsafe {
            (*self.core).timers.with(cs, |timers| timers.remove(&raw const self.entry.node));
            ptr::swap(self.entry.waker.get(), &mut waker);
        });
    }
}

impl Future for Sleep {
    type Output = Result<(), Cancelled>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: nothing is moved; the entry stays where it is.
        let this = unsafe { self.get_unchecked_mut() };
        if !this.deaf
            && let Some(reason) = heard(cx)
        {
            return Poll::Ready(Err(Cancelled(reason)));
        }
        if !this.known && this.entry.fired.get() {
            return Poll::Ready(Ok(()));
        }
        // Cloned before and dropped after the critical section, since both may run foreign code.
        let mut waker = Some(cx.waker().clone());
        let (core, due, entry) = (this.core, this.due.as_micros(), &raw const this.entry);
        // SAFETY: the core is static; the critical section is held; the entry is pinned, and its drop disarms it.
        let fired = with_lock(|cs| unsafe {
            if (*entry).fired.get() {
                return true;
            }
            ptr::swap((*entry).waker.get(), &mut waker);
            (*core).timers.with(cs, |timers| {
                let node = entry.cast::<TimerNode>();
                if !(*node).is_armed() {
                    timers.insert(node, due);
                }
            });
            false
        });
        this.known = !fired;
        // SAFETY: the core is static.
        if !fired && unsafe { (*core).running_slot().is_none() } {
            // SAFETY: the same.
            unsafe { Core::alarm_is_old(core, this.due) };
        }
        if fired { Poll::Ready(Ok(())) } else { Poll::Pending }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if self.known {
            self.disarm();
        }
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep").field("due", &self.due).finish()
    }
}

impl Core {
    /// A timer was armed while the owner was in no pass: unless its alarm comes before, it must set that anew. (In a pass, the
    /// owner will do so anyway. Who sees it in one after the timer was armed under the lock has armed it before the owner takes
    /// the lock at the end of that pass.)
    ///
    /// It is the alarm that counts, not the earliest timer: whoever armed that may have been pre-empted before it came here.
    ///
    /// # Safety
    ///
    /// `core` points into a whole, static executor.
    #[cold]
    #[inline(never)]
    unsafe fn alarm_is_old(core: *const Core, due: Instant) {
        // SAFETY: the caller's promise; a number is read, nothing is called (Guarded Invariant); the operation is this
        // executor's own.
        unsafe {
            let alarm = with_lock(|cs| (*core).clock.with(cs, |clock| clock.alarm));
            if alarm.is_none_or(|alarm| due < alarm) {
                ((*core).ops.pend)(core);
            }
        }
    }

    /// Wakes whoever sleeps until `now` or before. O(log n) each; the critical section is left in between.
    ///
    /// # Safety
    ///
    /// `core` points into a whole, static executor.
    #[inline(never)]
    pub(super) unsafe fn expire(core: *const Core, now: Instant) {
        // SAFETY: the caller's promise; nodes in the heap are entries (only `Sleep::poll` inserts), alive under the
        // critical section. The waker is taken out there and called after it.
        unsafe {
            loop {
                let waker = with_lock(|cs| {
                    (*core).timers.with(cs, |timers| {
                        let entry = timers.pop_due(now.as_micros())?.cast::<Entry>();
                        (*entry).fired.set(true);
                        Some((*(*entry).waker.get()).take())
                    })
                });
                match waker {
                    None => return,
                    Some(Some(waker)) => waker.wake(),
                    Some(None) => {}
                }
            }
        }
    }
}

/// Why a [`Timeout`] gave its future up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum TimeoutError {
    /// The time was up.
    Elapsed,
    /// The task was asked to stop.
    Cancelled(Reason),
}

impl fmt::Display for TimeoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Elapsed => f.write_str("the time was up before the future was ready"),
            Self::Cancelled(reason) => Cancelled(*reason).fmt(f),
        }
    }
}

impl core::error::Error for TimeoutError {}

/// A future with limited time; made by [`Cx::timeout`].
///
/// The future is polled first: one that becomes ready just when the time is up counts as ready.
///
/// # Cancellation
///
/// When its task is asked to stop, it gives the future up, of whatever kind that is. Dropping it drops the future and disarms
/// the timer. A future that was given up is dropped with the `Timeout`, not before.
#[must_use = "futures do nothing unless awaited"]
pub struct Timeout<F> {
    sleep: Sleep,
    future: F,
}

impl<F> Timeout<F> {
    pub(super) fn new(sleep: Sleep, future: F) -> Self {
        Self { sleep, future }
    }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, TimeoutError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: both fields are pinned with the whole and never moved out.
        let (sleep, future) = unsafe {
            let this = self.get_unchecked_mut();
            (Pin::new_unchecked(&mut this.sleep), Pin::new_unchecked(&mut this.future))
        };
        if let Poll::Ready(output) = future.poll(cx) {
            return Poll::Ready(Ok(output));
        }
        sleep.poll(cx).map(|over| {
            Err(over
                .map_or_else(|Cancelled(reason)| TimeoutError::Cancelled(reason), |()| TimeoutError::Elapsed))
        })
    }
}

/// An interval's period must be longer than zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ZeroPeriod;

impl fmt::Display for ZeroPeriod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an interval's period must be at least one microsecond; to let others run, use yield_now")
    }
}

impl core::error::Error for ZeroPeriod {}

/// What an [`Interval`] does about ticks that nobody awaited in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum MissedTick {
    /// Makes up for them one right after the other; the schedule stays.
    #[default]
    Burst,
    /// Drops them; the schedule begins anew one period after the late tick.
    Delay,
    /// Drops them; the schedule stays, the next tick is the first of it that is still to come.
    Skip,
}

/// Ticks at a fixed period; made by [`Cx::interval`].
#[derive(Debug)]
pub struct Interval {
    cx: Cx,
    next: Instant,
    period: Duration,
    missed: MissedTick,
}

impl Interval {
    pub(super) fn new(cx: Cx, period: Duration, missed: MissedTick) -> Result<Self, ZeroPeriod> {
        if period.is_zero() {
            return Err(ZeroPeriod);
        }
        Ok(Self { cx, next: cx.now() + period, period, missed })
    }

    /// Waits for the next tick and returns the time for which it was scheduled.
    ///
    /// # Errors
    ///
    /// [`Cancelled`] when the task is asked to stop.
    ///
    /// # Cancellation
    ///
    /// A tick whose future is dropped is not lost: the next call waits for the same one.
    pub async fn tick(&mut self) -> Result<Instant, Cancelled> {
        let due = self.next;
        self.cx.sleep_until(due).await?;
        self.next = match self.missed {
            MissedTick::Burst => due + self.period,
            MissedTick::Delay => (due + self.period).max(self.cx.now() + self.period_if_late(due)),
            MissedTick::Skip => {
                let late = self.cx.now() - due;
                due + self.period.saturating_mul(late.as_micros() / self.period.as_micros() + 1)
            }
        };
        Ok(due)
    }

    /// The period when a whole one has passed since `due`, else nothing: a tick is missed by a period, not by the time
    /// it takes to dispatch its task.
    fn period_if_late(&self, due: Instant) -> Duration {
        if self.cx.now() - due >= self.period { self.period } else { Duration::ZERO }
    }
}

/// Delays for `embedded-hal-async` drivers; made by [`Cx::delay`]. Waits at least as long as asked, in whole microseconds.
///
/// # Cancellation
///
/// The trait has no way to say that a delay was cut short, and a driver relies on its length: so it waits its time out when
/// the task is asked to stop, unless the clean-up time is over before.
#[derive(Clone, Copy, Debug)]
pub struct Delay {
    cx: Cx,
}

impl Delay {
    pub(super) fn new(cx: Cx) -> Self {
        Self { cx }
    }

    async fn wait(self, span: Duration) {
        // Deaf: it isn't cancelled.
        let _ = self.cx.sleep(span).deaf().await;
    }
}

impl embedded_hal_async::delay::DelayNs for Delay {
    async fn delay_ns(&mut self, ns: u32) {
        self.wait(Duration::from_nanos_ceil(ns.into())).await;
    }

    async fn delay_us(&mut self, us: u32) {
        self.wait(Duration::from_micros(us.into())).await;
    }

    async fn delay_ms(&mut self, ms: u32) {
        self.wait(Duration::from_millis(ms.into())).await;
    }
}
