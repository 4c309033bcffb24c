//! Ending tasks that have not ended by themselves in time.

use crate::exec::life::finish::finish;
use crate::exec::life::on_drop::OnDrop;
use crate::exec::memory::core::{BankRef, ExecRef, TaskRef};
use crate::exec::memory::look::AlarmDue;
use crate::exec::memory::tally::add;
use crate::exec::memory::trace::TraceEvent;
use crate::exec::task::options::Forced;
use crate::exec::task::reason::Reason;
use crate::exec::task::state::Ending;
use crate::sync::{CriticalSection, Ordering};
use crate::time::Instant;

/// Drops the future of a draining task, calls its finaliser, and ends the task. The runner only, in no poll;
/// the task is in no lane.
#[cold]
#[inline(never)]
pub(in crate::exec) fn force(task: TaskRef) {
    let Some(reason) = task.state.load().reason() else { return };
    let exec = task.exec();
    add(&exec.tally.forced, 1);
    let id = task.id();
    exec.trace(TraceEvent::Ended { id });
    // Both also if the drop of the future, or the finaliser, unwinds.
    // SAFETY: storage is empty when this is called.
    let _finish = OnDrop::new(|| unsafe { finish(task, Ending::forced(reason)) });
    let _finalise = OnDrop::new(|| {
        if let Some(finaliser) = task.attributes().finaliser {
            finaliser(&Forced { task: id, reason });
        }
    });
    // SAFETY: the task is live and not being polled, so storage holds its future, which is the runner's.
    unsafe { (task.vtable_of_task().drop_future)(task.storage.get()) };
}

/// After a poll of a task whose polls are counted: ends it if it is draining and was the last one it may
/// have. If it waits, the alarm is to be set for the end of its clean-up, unless it comes before.
#[cold]
#[inline(never)]
pub(in crate::exec) fn after_counted_poll(task: TaskRef) {
    let state = task.state.load();
    if !state.is_live() || !state.is_requested() {
        return;
    }
    if state.polls() == 0 {
        force(task);
        return;
    }
    let exec = task.exec();
    let is_sooner = exec.locked(|cs| exec.with_clock(cs, |clock| clock.clean_up < clock.alarm));
    if is_sooner {
        exec.look.set(AlarmDue::SOONER);
    }
}

/// Ends the draining tasks whose clean-up time is over at `now`, in the order of their ends, and finds out
/// when the next one's will be. O(draining tasks) each, one bank per critical section, beside the drops.
#[cold]
#[inline(never)]
pub(in crate::exec) fn force_due(exec: ExecRef, now: Instant) {
    loop {
        if !take_due_clean_up(exec, now) {
            return;
        }
        let first = exec.banks().filter_map(|bank| first_of(exec, bank)).min_by_key(|&(end, _)| end);
        let Some((end, task)) = first else { return };
        // A drop that unwinds leaves the rest to the next pass.
        exec.locked(|cs| exec.with_clock(cs, |clock| clock.clean_up = clock.clean_up.min(end)));
        if end > now {
            return;
        }
        exec.locked(|cs| exec.with_lanes(cs, |lanes| lanes.remove(&exec, task.place(exec))));
        force(task);
    }
}

/// Whether a clean-up's time may be over at `now`. If so, what comes while the caller looks is noted from
/// here on.
#[inline(always)]
pub(in crate::exec) fn take_due_clean_up(exec: ExecRef, now: Instant) -> bool {
    exec.locked(|cs| {
        exec.with_clock(cs, |clock| {
            let is_due = clock.clean_up <= now;
            if is_due {
                clock.clean_up = Instant::MAX;
            }
            is_due
        })
    })
}

/// The draining task of the bank whose clean-up time ends first.
fn first_of(exec: ExecRef, bank: BankRef) -> Option<(Instant, TaskRef)> {
    exec.locked(|_| {
        let end = |task: TaskRef| Some((Instant::from_micros(task.node.deadline()?), task));
        let ends = bank.tasks(bank.draining.bits()).filter_map(end);
        ends.min_by_key(|&(end, _)| end)
    })
}

/// A draining task ends. See [`Special::drained`](crate::exec::memory::core::Special::drained).
pub(in crate::exec) fn drained(task: TaskRef, cs: CriticalSection<'_>) {
    task.bank().draining.write(task.index(), false);
    let exec = task.exec();
    let left = exec.draining.load(Ordering::Relaxed) - 1;
    exec.draining.store(left, Ordering::Relaxed);
    if left == 0 {
        exec.with_clock(cs, |clock| clock.clean_up = Instant::MAX);
    }
}

/// Asks a live task to stop, as of now: polls of this pass may have taken long. The runner only.
#[cold]
#[inline(never)]
pub(in crate::exec) fn ask_now(task: TaskRef, reason: Reason) {
    let exec = task.exec();
    let now = exec.read_clock();
    exec.locked(|cs| super::request::request(task, cs, reason, exec.not_before_pass(cs, now)));
}
