//! How a task's life ends: its result handed on or dropped, its slot given back.

use super::counters::add;
use super::header::{Header, state};
use super::join;
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

    /// Ends a live task whose storage holds its output, or nothing when it was `cancelled` for a reason: transitions 7 and 8.
    /// The runner only.
    ///
    /// # Safety
    ///
    /// As for [`Header::bank`]; the header is live, and the caller is the runner.
    #[inline(never)]
    pub unsafe fn finish(header: *const Header, cancelled: Option<u32>) {
        let ending = match cancelled {
            None => state::DONE,
            Some(reason) => state::DONE | state::CANCELLED | reason << state::REASON,
        };
        // SAFETY: the caller's promise; Executor Invariant 3 until the exchange, 4 after it.
        unsafe {
            // Before the exchange, which may hand the header on: a wake that comes late must not poll what is over.
            (*header).vtable.retire();
            let mut now = (*header).state.load(Ordering::Relaxed);
            while now & state::HANDLE != 0 {
                let exchange = (*header).state.compare_exchange_weak(
                    now,
                    ending | state::HANDLE,
                    Ordering::AcqRel,
                    Ordering::Acquire,
                );
                match exchange {
                    Ok(_) => return join::notify(header),
                    Err(other) => now = other,
                }
            }
            if cancelled.is_none() {
                // The guard gives the slot back even if the output's `Drop` panics.
                let _release = Release(header);
                if let Some(vtable) = (*header).vtable.peek() {
                    (vtable.drop_output)((*header).storage.get());
                }
            } else {
                Self::release(header);
            }
        }
    }

    /// Gives storage and slot back: transitions 1', 7 and 9. A slot whose generations are used up is retired.
    ///
    /// # Safety
    ///
    /// As for [`Header::bank`]; the caller owns the header (claimed, or done and joined, or finished as the runner) and
    /// storage is empty.
    #[inline(never)]
    pub unsafe fn release(header: *const Header) {
        // SAFETY: the caller's promise.
        unsafe {
            // Under the lock, so that a dump sees one task or the other, and no join is left registered that ends with the task.
            let (vtable, retired) = with_lock(|_| {
                (*header).joiner.set(core::ptr::null());
                let generation = (*header).generation.load(Ordering::Relaxed);
                (*header).state.store(state::FREE, Ordering::Release);
                (*header).generation.store(generation.wrapping_add(1), Ordering::Release);
                ((*header).vtable.take(), generation == u32::MAX)
            });
            if let Some(vtable) = vtable {
                (vtable.release)((*header).storage.get(), (*header).node.embedder_word.get());
            }
            if !retired {
                (*Self::bank(header)).free.insert(u32::from((*header).node.embedder_index));
            }
        }
    }
}

/// Releases a header when it goes out of scope.
pub(super) struct Release(pub *const Header);

impl Drop for Release {
    fn drop(&mut self) {
        // SAFETY: whoever makes a `Release` owns the header and has emptied its storage, or is emptying it right now.
        unsafe { Header::release(self.0) }
    }
}
