//! Where regions are kept.
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
use super::region::{RegionId, RegionInfo};
use super::shared::Core;
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
    pub name: Option<&'static &'static str>,
    pub finaliser: Option<fn(RegionId)>,
    pub generation: u32,
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
    pub live: u16,
    pub quota: u16,
    /// Child regions that have not ended.
    pub children: u16,
    pub reason: u8,
    pub flags: u16,
}

// SAFETY: the pointers lead to a static executor and to a node that only the holder of the critical section follows.
unsafe impl Send for Links {}

/// No more tasks; the ones there are have been, or are about to be, asked to stop.
pub(super) const CLOSING: u16 = 1 << 0;
/// The members are still to be asked.
pub(super) const ASK: u16 = 1 << 1;
/// Nobody in it is alive, and the runner clears up. It isn't on the list of work, and isn't put there any more: from here on
/// its entry may be freed.
pub(super) const ENDING: u16 = 1 << 7;
/// All is over; nobody has taken note yet.
pub(super) const ENDED: u16 = 1 << 2;
/// A [`Region`](super::Region) stands for it.
pub(super) const HANDLE: u16 = 1 << 3;
/// On the list of work.
pub(super) const LISTED: u16 = 1 << 4;
/// A member's failure closes it.
pub(super) const FAIL_FAST: u16 = 1 << 5;
/// Whoever waits wants to know of each member that ends.
pub(super) const EACH: u16 = 1 << 6;
/// A join set keeps its members' results, also when it has closed.
pub(super) const KEPT: u16 = 1 << 8;

impl Links {
    pub const FREE: Self = Self {
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

    pub fn has(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    /// Nobody in it is still alive.
    pub fn is_empty(&self) -> bool {
        self.live == 0 && self.children == 0
    }

    pub fn is(&self, core: *const Core, generation: u32) -> bool {
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
    pub const MAX_REGIONS: usize = (1 << 10) - 1;
    /// No slot: an executor has at most 1,024.
    pub const NONE: u16 = (1 << 11) - 1;

    const_fn! {
    pub const fn new() -> Self {
        Self(Cell::new(0))
    }
    }

    pub fn region(&self) -> u16 {
        (self.0.get() & 0x3FF) as u16
    }

    pub fn previous(&self) -> u16 {
        (self.0.get() >> 10 & 0x7FF) as u16
    }

    pub fn next(&self) -> u16 {
        (self.0.get() >> 21) as u16
    }

    pub fn set(&self, region: u16, previous: u16, next: u16) {
        self.0.set(u32::from(region) | u32::from(previous) << 10 | u32::from(next) << 21);
    }
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

    pub(super) unsafe fn with_place<R>(
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
            let word = (*header).state.load(Ordering::Relaxed);
            // Claimed by its spawner, that is, and not by whoever takes its result.
            let begins = word & (state::PHASE | state::HANDLE) == state::CLAIMED;
            let lives = begins || word & state::PHASE == state::LIVE;
            (lives && (*header).generation.load(Ordering::Relaxed) == generation)
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

    /// The region named by `id`, if it is one of this executor's.
    pub(super) unsafe fn find_region(
        core: *const Core,
        cs: CriticalSection<'_>,
        id: RegionId,
    ) -> Option<u16> {
        // SAFETY: the caller's promise.
        unsafe { Self::with_place(core, cs, id, |_| id.0.slot + 1) }
    }

    /// A line of a dump.
    pub(super) unsafe fn region_info(core: *const Core, index: usize) -> Option<RegionInfo> {
        // SAFETY: the caller's promise.
        with_lock(|cs| unsafe {
            let region = index as u16 + 1;
            let (info, parent) = Self::with_region(core, cs, region, |links| {
                if links.core != core || links.has(ENDED) {
                    return None;
                }
                let info = RegionInfo {
                    id: RegionId(Key { slot: index as u16, generation: links.generation }),
                    name: links.name.copied(),
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
