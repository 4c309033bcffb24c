//! A request to stop.

use crate::exec::memory::core::TaskRef;
use crate::exec::memory::tally::add_alone;
use crate::exec::task::reason::Reason;
use crate::exec::task::state::{Requested, State};
use crate::sync::CriticalSection;
use crate::time::Instant;

/// Asks the task in the slot, if there is one that has not ended, to stop, or notes a more severe reason.
/// O(log N).
///
/// The woken bit is set here, under the lock, and not after it: a task that was taken out of its lane is
/// woken all the time, even if the caller is pre-empted. The caller pends the platform after the lock.
#[inline(never)]
pub(in crate::exec) fn request(task: TaskRef, cs: CriticalSection<'_>, why: Reason, now: Instant) {
    let attributes = task.attributes();
    if task.state.request(why, attributes.cleanup_polls) != Requested::Drains {
        return;
    }
    let exec = task.exec();
    exec.note_rekey();
    task.set_special();
    task.bank().draining.write(task.index(), true);
    if task.node.lane().is_some() {
        exec.with_lanes(cs, |lanes| lanes.remove(&exec, task.place(exec)));
        task.unclaim();
    }
    let end = now + attributes.cleanup_time;
    task.node.set_deadline(Some(end.as_micros()));
    add_alone(&exec.draining, 1);
    exec.with_clock(cs, |clock| clock.clean_up = clock.clean_up.min(end));
    exec.tally.count_request(why);
    task.mark();
}

/// Asks the task of this generation to stop, which was asked while it was being spawned.
pub(in crate::exec) fn request_late(task: TaskRef, claimed: State, generation: u32) {
    let Some(why) = claimed.reason() else { return };
    let exec = task.exec();
    // As of now: the latest pass may be long ago. The task may have run, ended and been taken back since it
    // was published.
    let read = exec.read_clock();
    exec.locked(|cs| {
        if task.is_live(generation) {
            request(task, cs, why, exec.not_before_pass(cs, read));
        }
    });
}
