//! What is to be done about a region, noted for the runner.

use super::table::{ASK, CLOSING, ENDING, LISTED};
use crate::exec::cancel::dispatch::SPECIAL;
use crate::exec::memory::core::ExecRef;
use crate::exec::memory::look::AlarmDue;
use crate::exec::task::reason::Reason;
use crate::sync::{CriticalSection, Ordering};
use crate::time::Instant;

/// Closes a region for `reason`: no more tasks from now on; the runner asks those there are. O(1).
pub(in crate::exec) fn request_region_close(
    exec: ExecRef,
    cs: CriticalSection<'_>,
    region: u16,
    reason: Reason,
    now: Instant,
) {
    exec.see_to_special(&SPECIAL);
    let list = exec.with_region(cs, region, |links| {
        if links.has(ENDING) || links.has(CLOSING) && links.reason >= reason as u8 {
            return false;
        }
        if !links.has(CLOSING) {
            links.asked_at = now;
        }
        links.reason = reason as u8;
        links.flags |= CLOSING | ASK;
        true
    });
    if list {
        list_region(exec, cs, region);
    }
}

/// Puts a region on the list of work, once.
pub(in crate::exec) fn list_region(exec: ExecRef, cs: CriticalSection<'_>, region: u16) {
    let next = exec.work.load(Ordering::Relaxed);
    let new = exec.with_region(cs, region, |links| {
        let new = !links.has(LISTED);
        if new {
            links.flags |= LISTED;
            links.next_work = next as u16;
        }
        new
    });
    if new {
        exec.work.store(region.into(), Ordering::Relaxed);
        exec.look.set(AlarmDue::WORK);
    }
}

/// Takes the region that was listed last.
pub(in crate::exec) fn take_listed(exec: ExecRef, cs: CriticalSection<'_>) -> Option<u16> {
    let region = exec.work.load(Ordering::Relaxed) as u16;
    if region == 0 {
        return None;
    }
    let next = exec.with_region(cs, region, |links| {
        links.flags &= !LISTED;
        links.next_work
    });
    exec.work.store(next.into(), Ordering::Relaxed);
    Some(region)
}
