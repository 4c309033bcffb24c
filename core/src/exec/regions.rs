//! Where regions are kept, and what the runner does about those that close.
//!
//! A region is an entry of a table; it owns tasks and child regions, linked through headers and entries. All links are under
//! the critical section, a few steps at a time. What takes O(members), asking them all to stop and clearing up after them, is
//! the runner's work, one member per critical section: whoever closes a region, in whatever context, puts it on the
//! executor's list of work.

use core::ptr;
use core::task::Waker;

use super::cancel::Reason;
use super::header::{Header, state};
use super::join::JoinNode;
use super::region::{OpenError, RegionId, RegionInfo, RegionOptions};
use super::shared::Core;
use super::spawn::{Owner, SpawnErrorKind};
use crate::arena::Key;
use crate::sync::{Cell, CriticalSection, Guarded, Ordering, array_of, const_fn, with_lock};
use crate::time::Instant;

/// Room for `N` regions, 1 to 1,023, open or closing, of one executor or several.
///
/// # Examples
///
/// ```
/// use trilane::exec::{Executor, Manual, Regions};
///
/// static REGIONS: Regions<4> = Regions::new();
/// static EXECUTOR: Executor<Manual, 1, 8> = Executor::new(Manual::new()).with_regions(&REGIONS);
/// ```
pub struct Regions<const N: usize> {
    pub(super) entries: [Entry; N],
}

impl<const N: usize> Regions<N> {
    const_fn! {
    /// An empty table.
    pub const fn new() -> Self {
        const { assert!(N >= 1 && N <= Family::MAX_REGIONS, "a table holds 1 to 1,023 regions") }
        Self { entries: array_of![Entry(Guarded::new(Links::FREE)); N] }
    }
    }
}

impl<const N: usize> Default for Regions<N> {
    fn default() -> Self {
        Self::new()
    }
}

/// A region of the table.
pub(super) struct Entry(Guarded<Links>);

/// What is known of a region. Belongs to the holder of the critical section.
pub(super) struct Links {
    /// The executor whose region it is. Null: the entry is free.
    pub core: *const Core,
    /// Whoever waits for the region (Join Node Invariant).
    pub waiter: *const JoinNode,
    name: Option<&'static &'static str>,
    pub finaliser: Option<fn(RegionId)>,
    generation: u32,
    /// When it was asked to close.
    pub asked_at: Instant,
    /// Regions are named by their entry's index plus one; 0 is none, or the root.
    pub parent: u16,
    pub first_child: u16,
    pub next_sibling: u16,
    pub previous_sibling: u16,
    pub next_work: u16,
    /// Members are named by their slot; [`Family::NONE`] ends the list.
    pub first: u16,
    /// The member that a walk over them visits next.
    pub cursor: u16,
    /// Members that have not ended.
    live: u16,
    quota: u16,
    /// Child regions that have not ended.
    pub children: u16,
    pub reason: u8,
    pub flags: u8,
}

// SAFETY: the pointers lead to a static executor and to a node that only the holder of the critical section follows.
unsafe impl Send for Links {}

/// No more tasks; the ones there are have been, or are about to be, asked to stop.
pub(super) const CLOSING: u8 = 1 << 0;
/// The members are still to be asked.
pub(super) const ASK: u8 = 1 << 1;
/// All is over; nobody has taken note yet.
pub(super) const ENDED: u8 = 1 << 2;
/// A [`Region`](super::Region) stands for it.
pub(super) const HANDLE: u8 = 1 << 3;
/// On the list of work.
pub(super) const LISTED: u8 = 1 << 4;
/// A member's failure closes it.
const FAIL_FAST: u8 = 1 << 5;
/// Whoever waits wants to know of each member that ends.
const EACH: u8 = 1 << 6;

impl Links {
    const FREE: Self = Self {
        core: ptr::null(),
        waiter: ptr::null(),
        name: None,
        finaliser: None,
        generation: 0,
        asked_at: Instant::ZERO,
        parent: 0,
        first_child: 0,
        next_sibling: 0,
        previous_sibling: 0,
        next_work: 0,
        first: Family::NONE,
        cursor: Family::NONE,
        live: 0,
        quota: u16::MAX,
        children: 0,
        reason: 0,
        flags: 0,
    };

    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Nobody in it is still alive.
    pub fn is_empty(&self) -> bool {
        self.live == 0 && self.children == 0
    }

    fn is(&self, core: *const Core, generation: u32) -> bool {
        self.core == core && self.generation == generation
    }

    pub fn free(&mut self) {
        let generation = self.generation.wrapping_add(1);
        *self = Self { generation, ..Self::FREE };
    }

    pub fn take_waker(&self) -> Option<Waker> {
        // SAFETY: Join Node Invariant, under the critical section.
        unsafe { if self.waiter.is_null() { None } else { (*self.waiter).take_waker() } }
    }
}

/// A task's place among the members of its region, in one word: the region's index plus one (10 bits; 0: the root, which
/// keeps no list), the member before and the one after (11 bits each).
pub(super) struct Family(Cell<u32>);

impl Family {
    const MAX_REGIONS: usize = (1 << 10) - 1;
    /// No slot: an executor has at most 1,024.
    const NONE: u16 = (1 << 11) - 1;

    const_fn! {
    pub const fn new() -> Self {
        Self(Cell::new(0))
    }
    }

    pub fn region(&self) -> u16 {
        (self.0.get() & 0x3FF) as u16
    }

    fn previous(&self) -> u16 {
        (self.0.get() >> 10 & 0x7FF) as u16
    }

    pub fn next(&self) -> u16 {
        (self.0.get() >> 21) as u16
    }

    fn set(&self, region: u16, previous: u16, next: u16) {
        self.0.set(u32::from(region) | u32::from(previous) << 10 | u32::from(next) << 21);
    }
}

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
    /// It has closed, and the handle's claim to it has been dropped.
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
    /// The entry of the region named `region`, which is not 0.
    unsafe fn entry(core: *const Core, region: u16) -> &'static Guarded<Links> {
        // SAFETY: the caller's promise.
        let table = unsafe { Self::table(core) };
        &table[usize::from(region) - 1].0
    }

    pub(super) unsafe fn table(core: *const Core) -> &'static [Entry] {
        // SAFETY: the caller's promise.
        unsafe { (*core).regions }
    }

    pub(super) unsafe fn with_region<R>(
        core: *const Core,
        cs: CriticalSection<'_>,
        region: u16,
        f: impl FnOnce(&mut Links) -> R,
    ) -> R {
        // SAFETY: no closure given here reaches the same entry again (Guarded Invariant).
        unsafe { Self::entry(core, region).with(cs, f) }
    }

    unsafe fn with_place<R>(
        core: *const Core,
        cs: CriticalSection<'_>,
        id: RegionId,
        f: impl FnOnce(&mut Links) -> R,
    ) -> Option<R> {
        let Key { slot, generation } = id.0;
        // SAFETY: the caller's promise; as for `with_region`.
        unsafe {
            let entry = Self::table(core).get(usize::from(slot))?;
            entry.0.with(cs, |links| links.is(core, generation).then(|| f(links)))
        }
    }

    pub(super) unsafe fn region_id(core: *const Core, cs: CriticalSection<'_>, region: u16) -> RegionId {
        // SAFETY: the caller's promise.
        let generation = unsafe { Self::with_region(core, cs, region, |links| links.generation) };
        RegionId(Key { slot: region - 1, generation })
    }

    /// The region of a task, if that has not ended; 0 for the root.
    pub(super) unsafe fn region_of(header: *const Header, generation: u32) -> Option<u16> {
        // SAFETY: the caller's promise, and it holds the critical section.
        unsafe {
            let phase = (*header).state.load(Ordering::Relaxed) & state::PHASE;
            ((*header).generation.load(Ordering::Relaxed) == generation
                && matches!(phase, state::CLAIMED | state::LIVE))
            .then(|| (*header).family.region())
        }
    }

    /// The id of the region that owns the task; `None` for the root.
    pub(super) unsafe fn region_id_of(
        core: *const Core,
        cs: CriticalSection<'_>,
        header: *const Header,
    ) -> Option<RegionId> {
        // SAFETY: the caller's promise.
        unsafe {
            let region = (*header).family.region();
            (region != 0).then(|| Self::region_id(core, cs, region))
        }
    }

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
                    core::mem::replace(&mut links.first_child, region)
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
            if parent == 0 {
                !(*core).is_shutting_down()
            } else {
                Self::with_region(core, cs, parent, |links| !links.has(CLOSING))
            }
        }
    }

    /// The region named by `id`, if it is one of this executor's.
    pub(super) unsafe fn find_region(
        core: *const Core,
        cs: CriticalSection<'_>,
        id: RegionId,
    ) -> Option<u16> {
        // SAFETY: the caller's promise.
        unsafe { Self::with_place(core, cs, id, |_| id.0.slot + 1) }
    }

    /// Makes a claimed header a member of the region. O(1).
    pub(super) unsafe fn admit(
        core: *const Core,
        cs: CriticalSection<'_>,
        header: *const Header,
        region: u16,
    ) -> Result<(), SpawnErrorKind> {
        // SAFETY: the caller's promise.
        unsafe {
            if region == 0 {
                (*header).family.set(0, Family::NONE, Family::NONE);
                return if (*core).is_shutting_down() { Err(SpawnErrorKind::RegionClosed) } else { Ok(()) };
            }
            let slot = Header::slot(header);
            let next = Self::with_region(core, cs, region, |links| {
                if links.has(CLOSING) {
                    return Err(SpawnErrorKind::RegionClosed);
                }
                if links.live >= links.quota {
                    return Err(SpawnErrorKind::QuotaExceeded);
                }
                links.live += 1;
                Ok(core::mem::replace(&mut links.first, slot))
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

    /// A member has ended: one less to wait for. Gives the waker of whoever waits for each. O(1).
    pub(super) unsafe fn leave(
        core: *const Core,
        cs: CriticalSection<'_>,
        header: *const Header,
        failed: bool,
    ) -> Option<Waker> {
        // SAFETY: the caller's promise.
        unsafe {
            let region = (*header).family.region();
            if region == 0 {
                return None;
            }
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

    /// Takes a header out of its region's list of members. O(1).
    pub(super) unsafe fn unlink(core: *const Core, cs: CriticalSection<'_>, header: *const Header) {
        // SAFETY: the caller's promise.
        unsafe {
            let family = &(*header).family;
            let (region, previous, next) = (family.region(), family.previous(), family.next());
            if region == 0 {
                return;
            }
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
                if links.has(ENDED) || links.has(CLOSING) && links.reason >= reason as u8 {
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
                work.store(next & SHUTDOWN | u32::from(region), Ordering::Relaxed);
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
    pub(super) unsafe fn watch_region(place: Place, waiter: *const JoinNode, each: bool) {
        let Place { core, id } = place;
        // SAFETY: the caller's promise.
        with_lock(|cs| unsafe {
            Self::with_place(core, cs, id, |links| {
                links.waiter = waiter;
                links.flags &= !EACH;
                if each {
                    links.flags |= EACH;
                }
            });
        });
    }

    /// Whether the task of `header` is in the region or in one below it. O(depth).
    pub(super) unsafe fn is_inside(place: Place, header: *const Header) -> bool {
        // SAFETY: the caller's promise; headers are static.
        unsafe {
            let core = Header::core(header);
            core == place.core
                && with_lock(|cs| {
                    let wanted = Self::find_region(core, cs, place.id);
                    let mut region = (*header).family.region();
                    while region != 0 && Some(region) != wanted {
                        region = Self::with_region(core, cs, region, |links| links.parent);
                    }
                    region != 0
                })
        }
    }

    /// Asks every task and region of the executor to end, and takes no more.
    pub(super) unsafe fn shut_down(core: *const Core) {
        // SAFETY: the caller's promise; the operation is this executor's own.
        unsafe {
            with_lock(|_| {
                let work = &(*core).work;
                work.store(work.load(Ordering::Relaxed) | SHUTDOWN, Ordering::Relaxed);
                (*core).closing.store(true, Ordering::Relaxed);
            });
            ((*core).ops.pend)(core);
        }
    }

    fn is_shutting_down(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }

    /// Whether regions wait for the runner: a plain load.
    #[inline(always)]
    pub(super) fn has_work(&self) -> bool {
        self.work.load(Ordering::Relaxed) != 0
    }

    /// A line of a dump.
    pub(super) unsafe fn region_info(core: *const Core, index: usize) -> Option<RegionInfo> {
        // SAFETY: the caller's promise.
        with_lock(|cs| unsafe {
            let region = index as u16 + 1;
            let (info, parent) = Self::with_region(core, cs, region, |links| {
                if links.core != core {
                    return None;
                }
                let info = RegionInfo {
                    id: RegionId(Key { slot: index as u16, generation: links.generation }),
                    name: links.name.map(|name| *name),
                    parent: None,
                    tasks: links.live,
                    children: links.children,
                    closing: links.has(CLOSING).then(|| Reason::from_bits(links.reason.into())).flatten(),
                };
                Some((info, links.parent))
            })?;
            let parent = (parent != 0).then(|| Self::region_id(core, cs, parent));
            Some(RegionInfo { parent, ..info })
        })
    }
}

/// In [`Core::work`]: the whole executor shuts down, and its tasks are still to be asked.
pub(super) const SHUTDOWN: u32 = 1 << 31;
