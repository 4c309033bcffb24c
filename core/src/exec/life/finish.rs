//! How a task's life ends: its result handed on or dropped, its slot given back.

use core::task::Waker;

use super::on_drop::OnDrop;
use crate::exec::memory::core::TaskRef;
use crate::exec::memory::tally::add_alone;
use crate::exec::task::join_node::JoinNode;
use crate::exec::task::pool::{Cells, Storage};
use crate::exec::task::state::Ending;
use crate::sched::Priority;
use crate::sync::{CriticalSection, Ordering};

/// Ends a live task whose storage holds its output, or nothing unless it has completed. The runner only.
///
/// # Safety
///
/// The caller is the runner, in no lock, and the storage is as it says.
#[inline(never)]
pub(in crate::exec) unsafe fn finish(task: TaskRef, ending: Ending) {
    let exec = task.exec();
    if ending != Ending::COMPLETED && ending.is_failure() && exec.scope().is_some() {
        // Siblings may be asked to stop as of the latest reading: polls of this pass may have taken long, and
        // it may not have made a reading yet.
        let read = exec.read_clock();
        exec.locked(|cs| exec.with_clock(cs, |clock| exec.set_pass_time(clock, clock.now.max(read))));
    }
    let under_lock = |cs: CriticalSection<'_>| {
        // Before anything else, since the slot may be handed on: a wake that comes late must not poll what is
        // over.
        task.set_plain(false);
        if ending == Ending::COMPLETED {
            add_alone(&exec.tally.completions, 1);
        }
        let state = task.state.load();
        if state.is_requested()
            && let Some(special) = exec.special()
        {
            (special.drained)(task, cs);
        }
        let member = task.family.is_member();
        if state.has_handle() {
            task.state.finish(state, ending, member);
            if member && let Some(scope) = exec.scope() {
                (scope.leave)(task, cs, ending.is_failure());
            }
            // Whoever waits stays registered: a result that is awaited is not taken back.
            // SAFETY: the lock is held.
            return Over::HandedOn(unsafe { JoinNode::take_waker(task.joiner.get()) });
        }
        // SAFETY: the task is live.
        let vtable = unsafe { task.vtable_of_task() };
        if ending == Ending::COMPLETED && vtable.drop_output.is_some() {
            // It is over, though its output is still to be dropped: that may call anything, by its own `Cx`
            // too.
            task.state.finish(state, ending, member);
            return Over::Left;
        }
        if member {
            // Its region looks how the task has ended.
            task.state.finish(state, ending, member);
        }
        // SAFETY: without a handle the slot is the runner's, and the storage is empty.
        Over::Freed(unsafe { free(task, cs, true) }, vtable.cells)
    };
    let over = exec.lock.with_then(under_lock, |over, next| {
        if let Over::Freed(storage, cells) = &over {
            // SAFETY: the storage is empty, and its slot was freed just now.
            unsafe { storage.release(*cells, Some(next)) };
        }
        over
    });
    match over {
        Over::Freed(..) | Over::HandedOn(None) => {}
        Over::HandedOn(Some(joiner)) => joiner.wake(),
        Over::Left => {
            // The slot goes back even if the output's `Drop` panics.
            // SAFETY: nobody else has the slot, and its storage is empty when this is called.
            let _release = OnDrop::new(|| unsafe { release(task, true) });
            // SAFETY: the task has completed, and its output is dropped once.
            unsafe { drop_output(task) };
        }
    }
}

/// What is left to do about a task that has ended.
enum Over {
    /// Nothing.
    Freed(Storage, Cells),
    /// To wake who waits for it. Its result is the handle's.
    HandedOn(Option<Waker>),
    /// To drop its output and to give back its slot.
    Left,
}

/// Drops the output that storage holds.
///
/// # Safety
///
/// The caller owns the slot, and its task has completed.
pub(in crate::exec) unsafe fn drop_output(task: TaskRef) {
    // SAFETY: the caller's promise.
    unsafe {
        if let Some(drop_output) = task.vtable_of_task().drop_output {
            drop_output(task.storage.get());
        }
    }
}

/// Gives storage and slot back: transition 8. `leaves`: its region counts it still.
///
/// # Safety
///
/// The caller owns the slot (claimed, or done and taken, or finished as the runner), storage is empty, and no
/// lock is held.
#[inline(never)]
pub(in crate::exec) unsafe fn release(task: TaskRef, leaves: bool) {
    let exec = task.exec();
    // SAFETY: the caller's promise.
    unsafe {
        let cells = task.vtable_of_task().cells;
        // Under the lock, so that a dump sees one task or the other, and no join is left registered that ends
        // with the task.
        exec.lock.with_then(|cs| free(task, cs, leaves), |storage, next| storage.release(cells, Some(next)));
    }
}

/// Frees the slot, and leaves it with the keys of a plain task. One whose generations are used up is retired.
/// Returns its storage. Under the lock.
///
/// # Safety
///
/// As for [`release`].
#[inline(never)]
unsafe fn free(task: TaskRef, cs: CriticalSection<'_>, leaves: bool) -> Storage {
    if task.family.is_member()
        && let Some(scope) = task.exec().scope()
    {
        (scope.unlink)(task, cs, leaves);
    }
    task.node.reset(Priority::LOWEST, None);
    task.joiner.set(core::ptr::null());
    task.attributes.set(None);
    let storage = Storage { address: task.storage.get(), number: task.node.embedder_word.get() };
    let generation = task.generation.load(Ordering::Relaxed);
    task.generation.store(generation.wrapping_add(1), Ordering::Relaxed);
    task.state.release();
    if generation != u32::MAX {
        task.bank().free.write(task.index(), true);
    }
    storage
}
