//! The timers of sleeps: nodes in the sleeping futures themselves, linked into their executor's heap while
//! they wait.

use core::cell::UnsafeCell;
use core::mem::ManuallyDrop;
use core::task::{Context, Waker};

use super::rounds::coalesced;
use crate::exec::memory::core::{Core, ExecRef};
use crate::exec::memory::look::AlarmDue;
use crate::exec::memory::waker::{keep, task_of};
use crate::sched::TimerNode;
use crate::sync::{AtomicBool, CriticalSection, Ordering};
use crate::time::Instant;

/// What the timer heap links.
///
/// The Timer Node Invariant holds for `node`: it is armed through a pinned future only, whose drop disarms
/// it. The waker belongs to the holder of the executor's lock.
#[repr(C)]
pub(in crate::exec) struct Entry {
    // First, so that a pointer to the node is a pointer to the entry.
    node: TimerNode,
    /// Its time has come; set by the runner.
    fired: AtomicBool,
    /// Not dropped with the entry: whoever disarms or fires it takes it out, but for a task's own, of which
    /// nothing is to be dropped.
    waker: UnsafeCell<ManuallyDrop<Option<Waker>>>,
}

impl Entry {
    pub fn new() -> Self {
        Self {
            node: TimerNode::new(),
            fired: AtomicBool::new(false),
            waker: UnsafeCell::new(ManuallyDrop::new(None)),
        }
    }

    #[inline(always)]
    pub fn has_fired(&self) -> bool {
        self.fired.load(Ordering::Acquire)
    }

    /// Registers the waker of `cx` and arms the timer for `due`, unless it is armed or has fired. Returns
    /// whether it has fired. O(log n) in the number of armed timers.
    ///
    /// # Safety
    ///
    /// The entry is pinned, is always armed at this executor, and [`disarm`](Self::disarm)ed before it goes.
    #[inline(always)]
    pub unsafe fn arm(&self, exec: ExecRef, cx: &Context<'_>, due: Instant) -> bool {
        // Kept before and dropped after the lock, since both may run foreign code.
        let mut waker = Some(keep(cx));
        let entry = core::ptr::from_ref(self);
        let (fired, first) = exec.locked(|cs| {
            // SAFETY: the lock is held; the caller's promise is what the heap asks for.
            unsafe {
                if (*entry).fired.load(Ordering::Relaxed) {
                    return (true, false);
                }
                core::ptr::swap((*entry).waker.get().cast(), &mut waker);
                let arms = !(*entry).node.is_armed();
                (false, arms && insert(exec, cs, entry, due))
            }
        });
        if fired {
            return true;
        }
        renew_alarm(exec, due, first);
        false
    }

    /// Moves a timer that was armed, and may have fired since, to `due`: it stays armed, or is armed again,
    /// and keeps its waker. O(log n). A foreign waker is used up when the timer fires; without a waker it is
    /// armed by the next poll.
    ///
    /// # Safety
    ///
    /// As for [`arm`](Self::arm), which it was.
    pub unsafe fn rearm(&self, exec: ExecRef, due: Instant) {
        let entry = core::ptr::from_ref(self);
        let first = exec.locked(|cs| {
            // SAFETY: as in `arm`.
            unsafe {
                (*entry).fired.store(false, Ordering::Relaxed);
                exec.with_timers(cs, |timers| timers.remove(entry.cast()));
                (*(*entry).waker.get()).is_some() && insert(exec, cs, entry, due)
            }
        });
        renew_alarm(exec, due, first);
    }

    /// Takes the timer out of the heap. O(log n).
    ///
    /// # Safety
    ///
    /// If it is armed, then at this executor.
    #[inline(never)]
    pub unsafe fn disarm(&self, exec: ExecRef) {
        let mut waker: Option<Waker> = None;
        let entry = core::ptr::from_ref(self);
        // SAFETY: the lock is held.
        exec.locked(|cs| unsafe {
            exec.with_timers(cs, |timers| timers.remove(entry.cast()));
            core::ptr::swap((*entry).waker.get().cast(), &mut waker);
        });
    }
}

/// Links a timer into the heap. Returns whether it is the first.
///
/// # Safety
///
/// As for [`Timers::insert`](crate::sched::Timers::insert).
#[inline(always)]
unsafe fn insert(exec: ExecRef, cs: CriticalSection<'_>, entry: *const Entry, due: Instant) -> bool {
    let due = due.as_micros();
    // SAFETY: the caller's promise.
    exec.with_timers(cs, |timers| unsafe { timers.insert(entry.cast(), due) })
}

/// After a timer was armed for `due`, `first` of all: the alarm is to be set anew, unless it comes before. In
/// a poll the runner looks after it whether it must do so at once. Otherwise it is pended, if need be. (Who
/// sees it in a pass after the timer was armed under the lock has armed it before the owner takes the lock at
/// the end of that pass.)
///
/// Outside of a poll it is the alarm that counts, not the earliest timer: whoever armed that may have been
/// pre-empted before it came here.
#[inline(always)]
fn renew_alarm(exec: ExecRef, due: Instant, first: bool) {
    let running = exec.running.load(Ordering::Relaxed);
    if running == 0 {
        pend_for_alarm(exec, due);
    } else if first {
        if cfg!(not(target_os = "none")) && running == Core::SHARED {
            // The worker whose home it is may sleep, and is to wake earlier.
            (exec.ops().set_alarm)(exec, due);
        } else {
            exec.look.set(AlarmDue::SOONER);
        }
    }
}

#[cold]
#[inline(never)]
fn pend_for_alarm(exec: ExecRef, due: Instant) {
    let alarm = exec.locked(|cs| exec.with_clock(cs, |clock| clock.alarm));
    if due < alarm {
        // A pend from before a sleep doesn't end it; this keeps it from beginning.
        exec.look.set(AlarmDue::SOONER);
        exec.pend();
    }
}

/// Wakes whoever sleeps until `now` or before. O(log n) each, one in a critical section. The runner only.
#[inline(always)]
pub(in crate::exec) fn expire(exec: ExecRef, now: Instant) {
    while let Some(foreign) = exec.locked(|cs| {
        exec.with_timers(cs, |timers| {
            let node = timers.pop_due(now.as_micros())?;
            // SAFETY: nodes in the heap are entries (only `arm` and `rearm` insert), alive under the lock.
            let (entry, waker) = unsafe {
                let entry = node.cast::<Entry>();
                (&*entry, &mut *(*entry).waker.get())
            };
            let foreign = match waker.as_ref().and_then(task_of) {
                // This is its runner: the bit is all it takes. The waker stays, for a timer that is armed
                // again.
                Some(task) if task.exec() == exec => {
                    if task.mark_own() {
                        coalesced(exec, 1);
                    }
                    None
                }
                _ => waker.take(),
            };
            entry.fired.store(true, Ordering::Release);
            Some(foreign)
        })
    }) {
        if let Some(waker) = foreign {
            waker.wake();
        }
    }
}
