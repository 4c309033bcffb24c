//! How a task's life ends: its result handed on or dropped, its slot given back.

use super::cancel::{PANICKED, Reason};
use super::counters::add;
use super::header::{Header, state};
use super::join;
use super::shared::Core;
use crate::sync::{Ordering, with_lock};

impl Header {
    /// Ends a task that has run to its end. The runner only.
    ///
    /// # Safety
    ///
    /// As for [`Header::bank`]; the header is live, its storage holds the output.
    #[inline(never)]
    pub unsafe fn complete(header: *const Header) {
        // SAFETY: the caller's promise.
        unsafe {
            add(&(*Self::core(header)).tally.completions, 1);
            Self::finish(header, None);
        }
    }

    /// Ends a live task whose storage holds its output, or nothing when it was `ended` for a reason: transitions 7 and 8.
    /// The runner only.
    ///
    /// # Safety
    ///
    /// As for [`Header::bank`]; the header is live, and the caller is the runner.
    #[inline(never)]
    pub unsafe fn finish(header: *const Header, ended: Option<u32>) {
        let ending = match ended {
            None => state::DONE,
            Some(reason) => {
                if is_failure(ended) {
                    // Siblings may be asked to stop as of the latest reading: polls of this pass may have taken long, and it
                    // may not have made a reading yet.
                    // SAFETY: the caller's promise.
                    unsafe { Core::read_clock(Self::core(header)) };
                }
                state::DONE | state::ENDED | reason << state::REASON
            }
        };
        // SAFETY: the caller's promise; Executor Invariant 3 until the phase changes, 4 after it.
        unsafe {
            // Before anything else, since the header may be handed on: a wake that comes late must not poll what is over.
            (*header).vtable.scrutinise();
            let core = Self::core(header);
            let handed_on = with_lock(|cs| {
                if (*header).state.load(Ordering::Relaxed) & state::HANDLE == 0 {
                    // Over, though its output is still to be dropped: that may call anything, by the task's own `Cx` too.
                    (*header).state.store(ending, Ordering::Release);
                    return None;
                }
                (*header).state.store(ending | state::HANDLE, Ordering::Release);
                let watcher = Core::leave(core, cs, header, is_failure(ended));
                Some((join::take_waker(header), watcher))
            });
            if let Some((joiner, watcher)) = handed_on {
                if let Some(joiner) = joiner {
                    joiner.wake();
                }
                if let Some(watcher) = watcher {
                    watcher.wake();
                }
                return;
            }
            // The guard gives the slot back even if the output's `Drop` panics.
            let _release = Release { header, leaves: true };
            if ended.is_none() {
                Self::drop_output(header);
            }
        }
    }

    /// Drops the output that storage holds.
    ///
    /// # Safety
    ///
    /// The caller owns the header, and its task has completed.
    pub unsafe fn drop_output(header: *const Header) {
        // SAFETY: the caller's promise.
        unsafe {
            if let Some(vtable) = (*header).vtable.peek() {
                (vtable.drop_output)((*header).storage.get());
            }
        }
    }

    /// Gives storage and slot back: transitions 1', 7 and 9. A slot whose generations are used up is retired.
    ///
    /// # Safety
    ///
    /// As for [`Header::bank`]; the caller owns the header (claimed, or done and taken, or finished as the runner) and
    /// storage is empty. `leaves`: its region counts it still.
    #[inline(never)]
    unsafe fn release(header: *const Header, leaves: bool) {
        // SAFETY: the caller's promise.
        unsafe {
            // Under the lock, so that a dump sees one task or the other, and no join is left registered that ends with the task.
            let (vtable, retired, watcher) = with_lock(|cs| {
                let core = Self::core(header);
                let word = (*header).state.load(Ordering::Relaxed);
                let failed = word & state::ENDED != 0
                    && is_failure(Some((word & state::REASON_BITS) >> state::REASON));
                let watcher = if leaves { Core::leave(core, cs, header, failed) } else { None };
                Core::unlink(core, cs, header);
                (*header).joiner.set(core::ptr::null());
                let generation = (*header).generation.load(Ordering::Relaxed);
                (*header).state.store(state::FREE, Ordering::Release);
                (*header).generation.store(generation.wrapping_add(1), Ordering::Release);
                ((*header).vtable.take(), generation == u32::MAX, watcher)
            });
            if let Some(vtable) = vtable {
                (vtable.release)((*header).storage.get(), (*header).node.embedder_word.get());
            }
            if !retired {
                (*Self::bank(header)).free.insert(u32::from((*header).node.embedder_index));
            }
            if let Some(waker) = watcher {
                waker.wake();
            }
        }
    }
}

/// Whether a region that ends with its first failure ends with a task that ended so: a panic, or a limit of its own.
fn is_failure(ended: Option<u32>) -> bool {
    ended.is_some_and(|reason| {
        reason == PANICKED || reason == Reason::Deadline as u32 || reason == Reason::PollQuota as u32
    })
}

/// Releases a header when it goes out of scope.
pub(super) struct Release {
    pub header: *const Header,
    /// Whether its region counts the task still.
    pub leaves: bool,
}

impl Drop for Release {
    fn drop(&mut self) {
        // SAFETY: whoever makes a `Release` owns the header and has emptied its storage, or is emptying it right now.
        unsafe { Header::release(self.header, self.leaves) }
    }
}
