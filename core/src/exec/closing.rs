//! What the runner does about regions that close: asks their tasks, clears up after them, tells whoever waits.

use core::mem;

use super::cancel::Reason;
use super::ending::Release;
use super::header::{Header, state};
use super::regions::{ASK, CLOSING, ENDED, ENDING, HANDLE, KEPT, LISTED};
use super::shared::Core;
use crate::sync::{CriticalSection, Ordering, with_lock};
use crate::time::Instant;

/// All unsafe functions here ask the same of their caller.
///
/// # Safety
///
/// `core` points into a whole, static executor, and the caller is its runner, in no poll; headers and regions are this
/// executor's.
impl Core {
    /// Does what listed regions wait for.
    pub(super) unsafe fn serve_listed(core: *const Core) {
        // SAFETY: the caller's promise.
        unsafe {
            while let Some(region) = with_lock(|cs| Self::take_work(core, cs)) {
                Self::serve(core, region);
            }
        }
    }

    /// Takes the region that was listed last.
    unsafe fn take_work(core: *const Core, cs: CriticalSection<'_>) -> Option<u16> {
        // SAFETY: the caller's promise.
        unsafe {
            let work = &(*core).work;
            let region = work.load(Ordering::Relaxed) as u16;
            if region == 0 {
                return None;
            }
            let next = Self::with_region(core, cs, region, |links| {
                links.flags &= !LISTED;
                links.next_work
            });
            work.store(next.into(), Ordering::Relaxed);
            Some(region)
        }
    }

    /// Goes on with a region that closes, or that somebody waits for.
    unsafe fn serve(core: *const Core, region: u16) {
        /// Comes back to the region if the drop of an output, or a finaliser, unwinds.
        struct Again(*const Core, u16);

        impl Drop for Again {
            fn drop(&mut self) {
                // SAFETY: made below.
                with_lock(|cs| unsafe { Core::list(self.0, cs, self.1) });
            }
        }

        // SAFETY: the caller's promise.
        unsafe {
            let again = Again(core, region);
            let ask = with_lock(|cs| {
                Self::with_region(core, cs, region, |links| {
                    let ask = links.has(ASK);
                    links.flags &= !ASK;
                    ask.then_some((links.reason, links.asked_at))
                })
            });
            if let Some((reason, asked_at)) = ask {
                Self::ask_members(core, region, reason, asked_at);
            }
            let over = with_lock(|cs| {
                Self::with_region(core, cs, region, |links| {
                    // One that was listed again is served again, and asks its members first.
                    let over = links.is_empty() && links.has(CLOSING) && !links.has(ENDED | LISTED);
                    if over {
                        links.flags |= ENDING;
                    }
                    over
                })
            });
            if over {
                Self::reclaim_members(core, region);
                Self::finalise(core, region);
            }
            mem::forget(again);
            let waker = with_lock(|cs| {
                if over {
                    Self::end(core, cs, region);
                }
                Self::with_region(core, cs, region, |links| {
                    let waker = if links.is_empty() { links.take_waker() } else { None };
                    if links.has(ENDED) && !links.has(HANDLE) {
                        links.free();
                    }
                    waker
                })
            });
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    /// Asks members and child regions. Children of a closing region only go, and only the runner takes them out.
    unsafe fn ask_members(core: *const Core, region: u16, reason: u8, asked_at: Instant) {
        // SAFETY: the caller's promise.
        unsafe {
            let Some(reason) = Reason::from_bits(reason.into()) else { return };
            let below = reason.max(Reason::ParentClosed);
            let mut child = with_lock(|cs| {
                Self::with_region(core, cs, region, |links| {
                    links.cursor = links.first;
                    links.first_child
                })
            });
            while child != 0 {
                child = with_lock(|cs| {
                    Self::ask(core, cs, child, below, asked_at);
                    Self::with_region(core, cs, child, |links| links.next_sibling)
                });
            }
            while with_lock(|cs| match Self::advance(core, cs, region) {
                Some(member) => {
                    Self::request(core, cs, member, reason, asked_at);
                    true
                }
                None => false,
            }) {}
        }
    }

    /// The member under the cursor, which moves on.
    unsafe fn advance(core: *const Core, cs: CriticalSection<'_>, region: u16) -> Option<*const Header> {
        // SAFETY: the caller's promise.
        unsafe {
            Self::with_region(core, cs, region, |links| {
                let member = Self::member(core, links.cursor)?;
                links.cursor = (*member).family.next();
                Some(member)
            })
        }
    }

    /// Takes back what nobody has come for: results whose handles were forgotten, or will come too late. A result that is
    /// being awaited or taken, or kept by a join set, leaves the region instead.
    unsafe fn reclaim_members(core: *const Core, region: u16) {
        // SAFETY: the caller's promise. Who sets the phase from done to claimed owns what is there (Executor Invariant 4).
        unsafe {
            loop {
                let taken = with_lock(|cs| {
                    let (first, kept) =
                        Self::with_region(core, cs, region, |links| (links.first, links.has(KEPT)));
                    let member = Self::member(core, first)?;
                    let word = (*member).state.load(Ordering::Relaxed);
                    let awaited = !(*member).joiner.get().is_null();
                    if word & state::PHASE == state::DONE && !awaited && !kept {
                        (*member).state.store(word & !state::PHASE | state::CLAIMED, Ordering::Relaxed);
                        return Some(Some((member, word)));
                    }
                    Self::unlink(core, cs, member);
                    Some(None)
                });
                match taken {
                    None => return,
                    Some(None) => {}
                    Some(Some((member, word))) => {
                        let _release = Release { header: member, leaves: false };
                        if word & state::ENDED == 0 {
                            Header::drop_output(member);
                        }
                    }
                }
            }
        }
    }

    unsafe fn finalise(core: *const Core, region: u16) {
        // SAFETY: the caller's promise.
        unsafe {
            let (finaliser, id) = with_lock(|cs| {
                let finaliser = Self::with_region(core, cs, region, |links| links.finaliser.take());
                (finaliser, Self::region_id(core, cs, region))
            });
            if let Some(finaliser) = finaliser {
                finaliser(id);
            }
        }
    }

    /// Marks the region as ended and takes it out of its parent.
    unsafe fn end(core: *const Core, cs: CriticalSection<'_>, region: u16) {
        // SAFETY: the caller's promise.
        unsafe {
            let (parent, previous, next) = Self::with_region(core, cs, region, |links| {
                links.flags |= ENDED;
                (links.parent, links.previous_sibling, links.next_sibling)
            });
            if next != 0 {
                Self::with_region(core, cs, next, |links| links.previous_sibling = previous);
            }
            if previous != 0 {
                Self::with_region(core, cs, previous, |links| links.next_sibling = next);
            }
            if parent == 0 {
                return;
            }
            let list = Self::with_region(core, cs, parent, |links| {
                if previous == 0 {
                    links.first_child = next;
                }
                links.children -= 1;
                links.is_empty() && (links.has(CLOSING) || !links.waiter.is_null())
            });
            if list {
                Self::list(core, cs, parent);
            }
        }
    }
}
