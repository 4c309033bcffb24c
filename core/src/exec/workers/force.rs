//! Ending the tasks of a shard that have not ended by themselves in time.

use super::work::release;
use crate::exec::cancel::force::{force, take_due_clean_up};
use crate::exec::life::on_drop::OnDrop;
use crate::exec::memory::core::{ExecRef, TaskRef};
use crate::sync::CriticalSection;
use crate::time::Instant;

/// Ends the draining tasks whose clean-up time is over at `now`, unless they are being polled: who polls them
/// does so after that. O(capacity), one task per critical section, beside the drops.
#[cold]
#[inline(never)]
pub(in crate::exec) fn force_due(exec: ExecRef, now: Instant) {
    if !take_due_clean_up(exec, now) {
        return;
    }
    // A drop that unwinds leaves the rest to the next call.
    let unwound = OnDrop::new(|| exec.locked(|cs| exec.with_clock(cs, |clock| clock.clean_up = now)));
    for bank in exec.banks() {
        for task in bank.tasks(bank.draining.bits()) {
            if exec.locked(|cs| claim_if_due(exec, cs, task, now)) {
                let _claimed = OnDrop::new(|| release(task));
                force(task);
            }
        }
    }
    unwound.defuse();
}

/// Claims a draining task whose clean-up time is over, in the section in which that is seen: after it, the
/// slot may be another task's. Returns whether the claim is the caller's.
fn claim_if_due(exec: ExecRef, cs: CriticalSection<'_>, task: TaskRef, now: Instant) -> bool {
    let is_draining = task.bank().draining.bits() & task.bit() != 0;
    let Some(end) = task.node.deadline().filter(|_| is_draining).map(Instant::from_micros) else {
        return false;
    };
    if end > now {
        exec.with_clock(cs, |clock| clock.clean_up = clock.clean_up.min(end));
        return false;
    }
    // One that is queued comes with its claim (Claim Invariant).
    let is_ours = exec.with_lanes(cs, |lanes| lanes.remove(&exec, task.place(exec)))
        || task.bank().woken.claim_this(task.index());
    if !is_ours {
        // Whoever has it looks at it again, and finds its time over.
        task.mark();
    }
    is_ours
}
