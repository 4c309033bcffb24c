//! What the runner does about regions that close: asks their tasks, clears up after them, tells whoever
//! waits.

use super::members::{member, unlink};
use super::table::{ASK, CLOSING, EACH, ENDED, ENDING, HANDLE, KEPT, LISTED};
use super::work::{list_region, request_region_close, take_listed};
use crate::exec::cancel::request::request;
use crate::exec::life::finish::{drop_output, release};
use crate::exec::life::on_drop::OnDrop;
use crate::exec::memory::core::{ExecRef, TaskRef};
use crate::exec::memory::look::AlarmDue;
use crate::exec::task::join_node::JoinNode;
use crate::exec::task::reason::Reason;
use crate::exec::task::state::{Ending, Phase, Taken};
use crate::sync::CriticalSection;
use crate::time::Instant;

/// Does what listed regions wait for. The runner only, in no poll. O(members) of the regions that close, a
/// bounded number of steps per critical section.
pub(in crate::exec) fn serve(exec: ExecRef) {
    if !exec.look.take(AlarmDue::WORK) {
        return;
    }
    // Drops and finalisers may unwind: what is still listed is served by the next pass.
    let unwound = OnDrop::new(|| exec.look.set(AlarmDue::WORK));
    while let Some(region) = exec.locked(|cs| take_listed(exec, cs)) {
        serve_region(exec, region);
    }
    unwound.defuse();
}

/// Goes on with a region that closes, or that somebody waits for.
fn serve_region(exec: ExecRef, region: u16) {
    // Comes back to the region if the drop of an output, or a finaliser, unwinds.
    let unwound = OnDrop::new(|| exec.locked(|cs| list_region(exec, cs, region)));
    let ask = exec.locked(|cs| {
        exec.with_region(cs, region, |links| {
            let ask = links.has(ASK);
            links.flags &= !ASK;
            ask.then_some((links.reason, links.asked_at))
        })
    });
    if let Some((reason, asked_at)) = ask
        && let Some(reason) = Reason::from_bits(reason.into())
    {
        ask_members(exec, region, reason, asked_at);
    }
    let over = exec.locked(|cs| {
        exec.with_region(cs, region, |links| {
            // One that was listed again is served again, and asks its members first.
            let over = links.is_empty() && links.has(CLOSING) && !links.has(ENDED | LISTED);
            if over {
                links.flags |= ENDING;
            }
            over
        })
    });
    if over {
        reclaim_members(exec, region);
        finalise(exec, region);
    }
    unwound.defuse();
    let waker = exec.locked(|cs| {
        if over {
            end(exec, cs, region);
        }
        let (waker, free) = exec.with_region(cs, region, |links| {
            let is_for = links.is_empty() || links.has(EACH);
            // SAFETY: the waiter is null or registered, and the lock is held.
            let waker = if is_for { unsafe { JoinNode::take_waker(links.waiter) } } else { None };
            (waker, links.has(ENDED) && !links.has(HANDLE))
        });
        if free {
            exec.free_region(cs, region);
        }
        waker
    });
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// Asks members and child regions. Children of a closing region only go, and only the runner takes them out.
fn ask_members(exec: ExecRef, region: u16, reason: Reason, asked_at: Instant) {
    let below = reason.max(Reason::ParentClosed);
    let mut child = exec.locked(|cs| {
        exec.with_region(cs, region, |links| {
            links.cursor = links.first;
            links.first_child
        })
    });
    while child != 0 {
        child = exec.locked(|cs| {
            request_region_close(exec, cs, child, below, asked_at);
            exec.with_region(cs, child, |links| links.next_sibling)
        });
    }
    while exec.locked(|cs| match advance(exec, cs, region) {
        Some(member) => {
            request(member, cs, reason, asked_at);
            true
        }
        None => false,
    }) {}
}

/// The member under the cursor, which moves on.
fn advance(exec: ExecRef, cs: CriticalSection<'_>, region: u16) -> Option<TaskRef> {
    exec.with_region(cs, region, |links| {
        let member = member(exec, links.cursor)?;
        links.cursor = member.family.next();
        Some(member)
    })
}

/// Takes back what nobody has come for: results whose handles were forgotten, or will come too late. A result
/// that is being awaited or taken, or kept by a join set, leaves the region instead.
fn reclaim_members(exec: ExecRef, region: u16) {
    while let Some(reclaimed) = exec.locked(|cs| {
        let (first, kept) = exec.with_region(cs, region, |links| (links.first, links.has(KEPT)));
        let member = member(exec, first)?;
        let awaited = !member.joiner.get().is_null();
        if member.state.load().phase() == Phase::Done
            && !awaited
            && !kept
            && let Taken::Done(ending) = member.state.take()
        {
            return Some(Some((member, ending)));
        }
        unlink(member, cs, false);
        Some(None)
    }) {
        if let Some((member, ending)) = reclaimed {
            // SAFETY: what was taken is ours (Executor Invariant 4); its storage is empty, or being emptied,
            // then.
            let _release = OnDrop::new(|| unsafe { release(member, false) });
            if ending == Ending::COMPLETED {
                // SAFETY: the same.
                unsafe { drop_output(member) };
            }
        }
    }
}

fn finalise(exec: ExecRef, region: u16) {
    let (finaliser, id) = exec.locked(|cs| {
        (exec.with_region(cs, region, |links| links.finaliser.take()), exec.region_id(cs, region))
    });
    if let Some(finaliser) = finaliser {
        finaliser(id);
    }
}

/// Marks the region as ended and takes it out of its parent.
fn end(exec: ExecRef, cs: CriticalSection<'_>, region: u16) {
    let (parent, previous, next) = exec.with_region(cs, region, |links| {
        links.flags |= ENDED;
        (links.parent, links.previous_sibling, links.next_sibling)
    });
    if next != 0 {
        exec.with_region(cs, next, |links| links.previous_sibling = previous);
    }
    if previous != 0 {
        exec.with_region(cs, previous, |links| links.next_sibling = next);
    }
    if parent == 0 {
        return;
    }
    let list = exec.with_region(cs, parent, |links| {
        if previous == 0 {
            links.first_child = next;
        }
        links.children -= 1;
        links.is_empty() && links.is_awaited()
    });
    if list {
        list_region(exec, cs, parent);
    }
}
