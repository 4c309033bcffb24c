//! Tasks as members of regions.

use super::table::{CLOSING, EACH, FAIL_FAST};
use super::work::{list_region, request_region_close};
use crate::exec::memory::core::{ExecRef, Links, Membership, Refusal, TaskRef};
use crate::exec::task::reason::Reason;
use crate::sync::{CriticalSection, Ordering};

/// The number of a region; 0 for none.
pub(in crate::exec) fn region_of(
    exec: ExecRef,
    cs: CriticalSection<'_>,
    membership: Membership,
) -> Result<u16, Refusal> {
    match membership {
        Membership::Root => Ok(0),
        Membership::In(id) => exec.find_region(cs, id).ok_or(Refusal::Closed),
        Membership::Of(task, generation) => {
            let lives = task.state.load().has_task() && task.generation.load(Ordering::Relaxed) == generation;
            if lives { Ok(task.family.region()) } else { Err(Refusal::Stale) }
        }
    }
}

/// Makes a claimed slot a member. O(1).
pub(in crate::exec) fn admit(
    task: TaskRef,
    cs: CriticalSection<'_>,
    membership: Membership,
) -> Result<(), Refusal> {
    let exec = task.exec();
    let region = region_of(exec, cs, membership)?;
    if region == 0 {
        task.family.clear();
        return Ok(());
    }
    let slot = task.slot();
    let next = exec.with_region(cs, region, |links| {
        if links.has(CLOSING) {
            return Err(Refusal::Closed);
        }
        if links.live >= links.quota {
            return Err(Refusal::Quota);
        }
        links.live += 1;
        Ok(links.first.replace(slot))
    })?;
    task.family.set(region, None, next);
    if let Some(next) = member(exec, next) {
        next.family.set(region, Some(slot), next.family.next());
    }
    Ok(())
}

pub(in crate::exec) fn member(exec: ExecRef, slot: Option<u16>) -> Option<TaskRef> {
    exec.task(slot?)
}

/// A member has ended: one less to wait for. Whoever waits is woken by the runner, before its next poll.
/// O(1).
pub(in crate::exec) fn leave(task: TaskRef, cs: CriticalSection<'_>, failed: bool) {
    let (exec, region) = (task.exec(), task.family.region());
    if failed {
        fail(exec, cs, region);
    }
    if exec.with_region(cs, region, lose) {
        list_region(exec, cs, region);
    }
}

/// One member less. Returns whether the region is to be listed.
fn lose(links: &mut Links) -> bool {
    links.live -= 1;
    links.has(EACH) || links.is_empty() && links.is_awaited()
}

/// A member of the region has failed.
#[cold]
#[inline(never)]
fn fail(exec: ExecRef, cs: CriticalSection<'_>, region: u16) {
    if exec.with_region(cs, region, |links| links.has(FAIL_FAST)) {
        let now = exec.with_clock(cs, |clock| clock.now);
        request_region_close(exec, cs, region, Reason::SiblingFailed, now);
    }
}

/// Takes a slot out of its region's list; `leaves`: its task hasn't [left](leave) before. O(1).
pub(in crate::exec) fn unlink(task: TaskRef, cs: CriticalSection<'_>, leaves: bool) {
    let (exec, family) = (task.exec(), &task.family);
    let (region, previous, next) = (family.region(), family.previous(), family.next());
    if leaves && task.state.load().has_failed() {
        fail(exec, cs, region);
    }
    family.clear();
    if let Some(next) = member(exec, next) {
        next.family.set(region, previous, next.family.next());
    }
    if let Some(previous) = member(exec, previous) {
        previous.family.set(region, previous.family.previous(), next);
    }
    let slot = Some(task.slot());
    let list = exec.with_region(cs, region, |links| {
        for link in [&mut links.first, &mut links.cursor] {
            if *link == slot {
                *link = next;
            }
        }
        leaves && lose(links)
    });
    if list {
        list_region(exec, cs, region);
    }
}
