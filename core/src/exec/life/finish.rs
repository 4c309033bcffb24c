//! How a task's life ends: its result handed on or dropped, its slot given back.

use super::on_drop::OnDrop;
use crate::exec::memory::core::TaskRef;
use crate::exec::memory::tally::add;
use crate::exec::memory::waker::wake_both;
use crate::exec::task::join_node::JoinNode;
use crate::exec::task::state::Ending;
use crate::sync::Ordering;

/// Ends a live task whose storage holds its output, or nothing unless it has `Completed`. The runner only.
///
/// # Safety
///
/// The caller is the runner, in no lock, and the storage is as it says.
#[inline(never)]
pub(in crate::exec) unsafe fn finish(task: TaskRef, ending: Ending) {
    let exec = task.exec();
    if ending == Ending::Completed {
        add(&exec.tally.completions, 1);
    } else if ending.is_failure() && exec.scope.is_some() {
        // Siblings may be asked to stop as of the latest reading: polls of this pass may have taken long, and
        // it may not have made a reading yet.
        let read = exec.read_clock();
        exec.locked(|cs| exec.with_clock(cs, |clock| clock.now = clock.now.max(read)));
    }
    let handed_on = exec.locked(|cs| {
        // Before anything else, since the slot may be handed on: a wake that comes late must not poll what is
        // over.
        task.set_plain(false);
        if task.state.load().is_requested()
            && let Some(special) = exec.special()
        {
            (special.drained)(task, cs);
        }
        // Without a handle it is over, though its output is still to be dropped: that may call anything, by
        // its own `Cx` too.
        task.state.finish(ending).then(|| {
            let watcher = match exec.scope {
                Some(scope) if task.family.region() != 0 => (scope.leave)(task, cs, ending.is_failure()),
                _ => None,
            };
            // Whoever waits stays registered: a result that is awaited is not taken back.
            // SAFETY: the lock is held.
            (unsafe { JoinNode::take_waker(task.joiner.get()) }, watcher)
        })
    });
    if let Some((joiner, watcher)) = handed_on {
        wake_both(joiner, watcher);
        return;
    }
    // The slot goes back even if the output's `Drop` panics.
    // SAFETY: nobody else has the slot, and its storage is empty when this is called.
    let _release = OnDrop::new(|| unsafe { release(task, true) });
    if ending == Ending::Completed {
        // SAFETY: the caller's promise.
        unsafe { drop_output(task) };
    }
}

/// Drops the output that storage holds.
///
/// # Safety
///
/// The caller owns the slot, and its task has completed.
pub(in crate::exec) unsafe fn drop_output(task: TaskRef) {
    if let Some(vtable) = task.vtable() {
        // SAFETY: the caller's promise.
        unsafe { (vtable.drop_output)(task.storage.get()) }
    }
}

/// Gives storage and slot back: transition 8. A slot whose generations are used up is retired. `leaves`: its
/// region counts it still.
///
/// # Safety
///
/// The caller owns the slot (claimed, or done and taken, or finished as the runner), storage is empty, and no
/// lock is held.
#[inline(never)]
pub(in crate::exec) unsafe fn release(task: TaskRef, leaves: bool) {
    if let Some(vtable) = task.vtable() {
        // SAFETY: the caller's promise; storage and number are what the pool gave.
        unsafe { (vtable.release)(task.storage.get(), task.node.embedder_word.get()) };
    }
    let exec = task.exec();
    // Under the lock, so that a dump sees one task or the other, and no join is left registered that ends
    // with the task.
    let watcher = exec.locked(|cs| {
        let watcher = match exec.scope {
            Some(scope) if task.family.region() != 0 => (scope.unlink)(task, cs, leaves),
            _ => None,
        };
        task.joiner.set(core::ptr::null());
        task.set_vtable(None);
        let generation = task.generation.load(Ordering::Relaxed);
        task.state.release();
        task.generation.store(generation.wrapping_add(1), Ordering::Release);
        if generation != u32::MAX {
            let bank = task.bank();
            bank.used.write(task.index(), false);
            exec.full.write(bank.number.get(), false);
        }
        watcher
    });
    if let Some(waker) = watcher {
        waker.wake();
    }
}
