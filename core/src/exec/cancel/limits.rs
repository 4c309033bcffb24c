//! What is looked at before a task with a quota, a deadline that has passed or a request is polled.

use super::force::{ask_now, force};
use crate::exec::life::on_drop::OnDrop;
use crate::exec::memory::core::TaskRef;
use crate::exec::memory::tally::add;
use crate::exec::task::options::{Miss, OnMiss};
use crate::exec::task::reason::Reason;
use crate::exec::task::state::State;
use crate::time::Instant;

/// Checks the limits of a live task that is in no lane, and counts its poll. Returns whether to poll it. The
/// runner only. `is_due`: what was its deadline when it left its lane, or the end of its clean-up, has come.
#[cold]
#[inline(never)]
pub(in crate::exec) fn check_limits(task: TaskRef, is_due: bool) -> bool {
    let state = task.state.load();
    let missed = is_due && !state.is_requested() && !state.is_missed() && !is_in_time(task, state);
    // The hook for misses may have asked the task to stop.
    let state = task.state.load();
    let goes = if missed {
        ask_now(task, Reason::Deadline);
        false
    } else if state.is_requested() {
        // It may have been asked since it left its lane, and has a later end then; read under the lock, so
        // that it isn't torn.
        let exec = task.exec();
        let is_over = || {
            exec.locked(|cs| {
                let now = exec.with_clock(cs, |clock| clock.now);
                task.node.is_due(now.as_micros())
            })
        };
        let goes = state.polls() != 0 && !(is_due && is_over());
        if !goes {
            force(task);
        }
        goes
    } else if state.is_limited() && state.polls() == 0 {
        ask_now(task, Reason::PollQuota);
        false
    } else {
        true
    };
    if !goes {
        add(&task.exec().tally.diverted, 1);
    } else if state.is_counted() {
        task.state.count_poll(state);
    }
    goes
}

/// Notes a deadline that has passed. Returns whether to go on with the task.
fn is_in_time(task: TaskRef, state: State) -> bool {
    let exec = task.exec();
    // The deadline is read, and marked as noted, under the lock, so that it is neither torn nor exchanged in
    // between.
    let missed = exec.locked(|cs| {
        let now = exec.with_clock(cs, |clock| clock.now);
        let due = task.node.deadline().filter(|&due| due < now.as_micros())?;
        task.state.set_missed(true);
        Some((due, now, exec.with_hook(cs, |hook| *hook)))
    });
    let Some((deadline, now, hook)) = missed else { return true };
    add(&exec.tally.misses, 1);
    match state.on_miss() {
        OnMiss::Count => true,
        OnMiss::Cancel => false,
        OnMiss::Call => {
            if let Some(hook) = hook {
                // The task's wake was taken: it gets another one if the hook unwinds.
                let unwound = OnDrop::new(|| task.wake());
                hook(&Miss { task: task.id(), deadline: Instant::from_micros(deadline), now });
                unwound.defuse();
            }
            true
        }
    }
}
