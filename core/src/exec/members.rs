//! Tasks as members of regions.

use core::mem;
use core::task::Waker;

use super::cancel::Reason;
use super::header::Header;
use super::regions::{CLOSING, EACH, FAIL_FAST, Family};
use super::shared::Core;
use super::spawn::SpawnErrorKind;
use crate::sync::CriticalSection;

/// What an executor with room for regions does about them. One without has no part of it in its image.
pub(super) struct Scope {
    admit: unsafe fn(*const Core, CriticalSection<'_>, *const Header, u16) -> Result<(), SpawnErrorKind>,
    leave: unsafe fn(*const Core, CriticalSection<'_>, *const Header, bool) -> Option<Waker>,
    unlink: unsafe fn(*const Core, CriticalSection<'_>, *const Header),
    serve: unsafe fn(*const Core),
}

impl Scope {
    pub const REGIONS: &'static Self = &Self {
        admit: Core::admit_member,
        leave: Core::member_leaves,
        unlink: Core::unlink_member,
        serve: Core::serve_listed,
    };
}

/// All unsafe functions here ask the same of their caller.
///
/// # Safety
///
/// `core` points into a whole, static executor; headers and regions are this executor's.
impl Core {
    /// Makes a claimed header a member of the region; 0: of none. O(1).
    pub(super) unsafe fn admit(
        core: *const Core,
        cs: CriticalSection<'_>,
        header: *const Header,
        region: u16,
    ) -> Result<(), SpawnErrorKind> {
        // SAFETY: the caller's promise.
        unsafe {
            match (*core).scope {
                _ if (*core).is_shutting_down() => Err(SpawnErrorKind::RegionClosed),
                Some(scope) if region != 0 => (scope.admit)(core, cs, header, region),
                _ => {
                    (*header).family.set(0, Family::NONE, Family::NONE);
                    Ok(())
                }
            }
        }
    }

    /// A member has ended: one less to wait for. Gives the waker of whoever waits for each. O(1).
    pub(super) unsafe fn leave(
        core: *const Core,
        cs: CriticalSection<'_>,
        header: *const Header,
        failed: bool,
    ) -> Option<Waker> {
        // SAFETY: the caller's promise.
        unsafe {
            match (*core).scope {
                Some(scope) if (*header).family.region() != 0 => (scope.leave)(core, cs, header, failed),
                _ => None,
            }
        }
    }

    /// Takes a header out of its region's list of members. O(1).
    pub(super) unsafe fn unlink(core: *const Core, cs: CriticalSection<'_>, header: *const Header) {
        // SAFETY: the caller's promise.
        unsafe {
            if let Some(scope) = (*core).scope
                && (*header).family.region() != 0
            {
                (scope.unlink)(core, cs, header);
            }
        }
    }

    /// Does what regions wait for. The runner only, in no poll. O(members) of the regions that close, a bounded number of
    /// steps per critical section.
    pub(super) unsafe fn serve_regions(core: *const Core) {
        // SAFETY: the caller's promise.
        unsafe {
            if let Some(scope) = (*core).scope {
                (scope.serve)(core);
            }
        }
    }

    unsafe fn admit_member(
        core: *const Core,
        cs: CriticalSection<'_>,
        header: *const Header,
        region: u16,
    ) -> Result<(), SpawnErrorKind> {
        // SAFETY: the caller's promise.
        unsafe {
            let slot = Header::slot(header);
            let next = Self::with_region(core, cs, region, |links| {
                if links.has(CLOSING) {
                    return Err(SpawnErrorKind::RegionClosed);
                }
                if links.live >= links.quota {
                    return Err(SpawnErrorKind::QuotaExceeded);
                }
                links.live += 1;
                Ok(mem::replace(&mut links.first, slot))
            })?;
            (*header).family.set(region, Family::NONE, next);
            if let Some(next) = Self::member(core, next) {
                (*next).family.set(region, slot, (*next).family.next());
            }
            Ok(())
        }
    }

    pub(super) unsafe fn member(core: *const Core, slot: u16) -> Option<*const Header> {
        // SAFETY: the caller's promise.
        if slot == Family::NONE { None } else { unsafe { Self::header(core, slot) } }
    }

    unsafe fn member_leaves(
        core: *const Core,
        cs: CriticalSection<'_>,
        header: *const Header,
        failed: bool,
    ) -> Option<Waker> {
        // SAFETY: the caller's promise.
        unsafe {
            let region = (*header).family.region();
            if failed && Self::with_region(core, cs, region, |links| links.has(FAIL_FAST)) {
                let now = (*core).clock.with(cs, |clock| clock.now);
                Self::ask(core, cs, region, Reason::SiblingFailed, now);
            }
            let (list, waker) = Self::with_region(core, cs, region, |links| {
                links.live -= 1;
                let matters = links.has(CLOSING) || !links.waiter.is_null();
                let waker = if links.has(EACH) { links.take_waker() } else { None };
                (links.is_empty() && matters, waker)
            });
            if list {
                Self::list(core, cs, region);
            }
            waker
        }
    }

    unsafe fn unlink_member(core: *const Core, cs: CriticalSection<'_>, header: *const Header) {
        // SAFETY: the caller's promise.
        unsafe {
            let family = &(*header).family;
            let (region, previous, next) = (family.region(), family.previous(), family.next());
            family.set(0, Family::NONE, Family::NONE);
            if let Some(next) = Self::member(core, next) {
                (*next).family.set(region, previous, (*next).family.next());
            }
            if let Some(previous) = Self::member(core, previous) {
                (*previous).family.set(region, (*previous).family.previous(), next);
            }
            let slot = Header::slot(header);
            Self::with_region(core, cs, region, |links| {
                for link in [&mut links.first, &mut links.cursor] {
                    if *link == slot {
                        *link = next;
                    }
                }
            });
        }
    }
}
