//! Regions inside regions: opened, closed and waited for, from any context.

use core::mem;

use super::cancel::Reason;
use super::header::Header;
use super::join::JoinNode;
use super::region::{OpenError, RegionId, RegionOptions};
use super::regions::{ASK, CLOSING, EACH, ENDED, ENDING, FAIL_FAST, HANDLE, KEPT, LISTED, Links};
use super::shared::Core;
use super::spawn::{Owner, SpawnErrorKind};
use crate::sync::{CriticalSection, Ordering, with_lock};
use crate::time::Instant;

/// Whom a region, or its waiter, belongs to, as a handle knows it.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub core: *const Core,
    pub id: RegionId,
}

/// How a region is doing, for whoever waits for it.
pub(super) enum Progress {
    /// Its entry is another's or nobody's by now.
    Gone,
    /// It has closed.
    Closed,
    /// Nobody in it is alive.
    Empty,
    /// Somebody is.
    Busy,
}

/// All unsafe functions here ask the same of their caller.
///
/// # Safety
///
/// `core` points into a whole, static executor; headers and regions are this executor's.
impl Core {
    /// Opens a region in that of its owner. O(table).
    pub(super) unsafe fn open_region(
        core: *const Core,
        owner: Owner,
        options: RegionOptions,
    ) -> Result<RegionId, OpenError> {
        // SAFETY: the caller's promise.
        unsafe {
            for index in 0..Self::table(core).len() {
                let region = index as u16 + 1;
                let opened = with_lock(|cs| {
                    if Self::with_region(core, cs, region, |links| !links.core.is_null()) {
                        return None;
                    }
                    let parent = owner.region(core, cs).map_err(|kind| match kind {
                        SpawnErrorKind::Stale => OpenError::Stale,
                        _ => OpenError::Closed,
                    });
                    Some(parent.and_then(|parent| Self::open_at(core, cs, region, parent, options)))
                });
                if let Some(opened) = opened {
                    return opened;
                }
            }
            Err(OpenError::Full)
        }
    }

    unsafe fn open_at(
        core: *const Core,
        cs: CriticalSection<'_>,
        region: u16,
        parent: u16,
        options: RegionOptions,
    ) -> Result<RegionId, OpenError> {
        // SAFETY: the caller's promise.
        unsafe {
            if !Self::admits_region(core, cs, parent) {
                return Err(OpenError::Closed);
            }
            let mut next_sibling = 0;
            if parent != 0 {
                next_sibling = Self::with_region(core, cs, parent, |links| {
                    links.children += 1;
                    mem::replace(&mut links.first_child, region)
                });
            }
            if next_sibling != 0 {
                Self::with_region(core, cs, next_sibling, |links| links.previous_sibling = region);
            }
            Self::with_region(core, cs, region, |links| {
                *links = Links {
                    core,
                    parent,
                    next_sibling,
                    name: options.name,
                    finaliser: options.finaliser,
                    quota: options.quota,
                    flags: HANDLE | if options.fail_fast { FAIL_FAST } else { 0 },
                    generation: links.generation,
                    ..Links::FREE
                };
            });
            Ok(Self::region_id(core, cs, region))
        }
    }

    unsafe fn admits_region(core: *const Core, cs: CriticalSection<'_>, parent: u16) -> bool {
        // SAFETY: the caller's promise.
        unsafe {
            !(*core).is_shutting_down()
                && (parent == 0 || Self::with_region(core, cs, parent, |links| !links.has(CLOSING)))
        }
    }

    /// Closes a region for `reason`: no more tasks from now on; the runner asks those there are. O(1).
    pub(super) unsafe fn ask(
        core: *const Core,
        cs: CriticalSection<'_>,
        region: u16,
        reason: Reason,
        now: Instant,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let list = Self::with_region(core, cs, region, |links| {
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
                Self::list(core, cs, region);
            }
        }
    }

    /// Puts a region on the list of work, once.
    pub(super) unsafe fn list(core: *const Core, cs: CriticalSection<'_>, region: u16) {
        // SAFETY: the caller's promise.
        unsafe {
            let work = &(*core).work;
            let next = work.load(Ordering::Relaxed);
            let listed = Self::with_region(core, cs, region, |links| {
                let new = !links.has(LISTED);
                if new {
                    links.flags |= LISTED;
                    links.next_work = next as u16;
                }
                new
            });
            if listed {
                work.store(region.into(), Ordering::Relaxed);
            }
        }
    }

    /// [`ask`](Self::ask) by id, from any context. Says whether there is such a region.
    pub(super) unsafe fn close_region(place: Place, reason: Reason) -> bool {
        // SAFETY: the caller's promise; the operations are this executor's own.
        unsafe {
            let Place { core, id } = place;
            let now = ((*core).ops.now)(core);
            let found = with_lock(|cs| {
                let now = Self::asked_at(core, cs, now);
                Self::find_region(core, cs, id).map(|region| Self::ask(core, cs, region, reason, now))
            });
            if found.is_some() {
                ((*core).ops.pend)(core);
            }
            found.is_some()
        }
    }

    /// The handle of a region lets go of it.
    pub(super) unsafe fn abandon_region(place: Place) {
        // SAFETY: the caller's promise.
        unsafe {
            let Place { core, id } = place;
            Self::close_region(place, Reason::ParentClosed);
            with_lock(|cs| {
                Self::with_place(core, cs, id, |links| {
                    links.flags &= !HANDLE;
                    if links.has(ENDED) {
                        links.free();
                    }
                });
            });
        }
    }

    /// How the region is doing. `collect`: if it has closed, its entry is given back.
    pub(super) unsafe fn progress(place: Place, collect: bool) -> Progress {
        let Place { core, id } = place;
        // SAFETY: the caller's promise.
        with_lock(|cs| unsafe {
            let progress = Self::with_place(core, cs, id, |links| {
                if links.has(ENDED) {
                    if collect {
                        links.free();
                    }
                    Progress::Closed
                } else if links.is_empty() {
                    Progress::Empty
                } else {
                    Progress::Busy
                }
            });
            progress.unwrap_or(Progress::Gone)
        })
    }

    /// Registers whoever waits for the region, or nobody; `each`: to be woken at each member's end.
    ///
    /// The node, if not null, is that of a pinned future, as the Join Node Invariant says.
    pub(super) unsafe fn watch_region(
        place: Place,
        cs: CriticalSection<'_>,
        waiter: *const JoinNode,
        each: bool,
    ) {
        let Place { core, id } = place;
        // SAFETY: the caller's promise.
        unsafe {
            Self::with_place(core, cs, id, |links| {
                links.waiter = waiter;
                links.flags &= !EACH;
                if each {
                    links.flags |= EACH;
                }
            });
        }
    }

    /// Leaves the members' results to the join set that has their handles.
    pub(super) unsafe fn keep_results(place: Place) {
        let Place { core, id } = place;
        // SAFETY: the caller's promise.
        with_lock(|cs| unsafe { Self::with_place(core, cs, id, |links| links.flags |= KEPT) });
    }

    /// Whether the task of `header`, which is being polled, is in the region or in one below it. O(depth), one level per
    /// critical section: regions above a task that is alive stay where they are.
    pub(super) unsafe fn is_inside(place: Place, header: *const Header) -> bool {
        // SAFETY: the caller's promise; headers are static.
        unsafe {
            let core = Header::core(header);
            if core != place.core {
                return false;
            }
            let (wanted, mut region) =
                with_lock(|cs| (Self::find_region(core, cs, place.id), (*header).family.region()));
            while region != 0 && Some(region) != wanted {
                region = with_lock(|cs| Self::with_region(core, cs, region, |links| links.parent));
            }
            region != 0
        }
    }

    /// Asks every task and region of the executor to end, and takes no more. O(capacity), one task per critical section.
    pub(super) unsafe fn shut_down(core: *const Core) {
        // SAFETY: the caller's promise; the operations are this executor's own.
        unsafe {
            let now = ((*core).ops.now)(core);
            let now = with_lock(|cs| {
                (*core).closing.store(true, Ordering::Relaxed);
                Self::asked_at(core, cs, now)
            });
            for region in 1..=Self::table(core).len() as u16 {
                with_lock(|cs| {
                    if Self::with_region(core, cs, region, |links| links.core == core) {
                        Self::ask(core, cs, region, Reason::Shutdown, now);
                    }
                });
            }
            for header in Self::headers(core) {
                with_lock(|cs| Self::request(core, cs, header, Reason::Shutdown, now));
            }
            ((*core).ops.pend)(core);
        }
    }

    pub(super) fn is_shutting_down(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }

    /// Whether regions wait for the runner: a plain load.
    #[inline(always)]
    pub(super) fn has_work(&self) -> bool {
        self.work.load(Ordering::Relaxed) != 0
    }
}
