//! Where regions are kept.

use core::{ptr, slice};

use crate::exec::memory::core::{Entry, ExecRef, Links, Scope, TaskRef};
use crate::exec::task::family::Family;
use crate::exec::task::id::RegionId;
use crate::id::Key;
use crate::sync::{CriticalSection, Ordering, array_of, const_fn};

/// Room for `N` regions, 1 to 1,023, open or closing, of one executor or several.
///
/// # Examples
///
/// ```
/// use trilane::exec::{Executor, Manual, Regions};
///
/// static REGIONS: Regions<4> = Regions::new();
/// static EXECUTOR: Executor<Manual, 1, 8> = Executor::new(Manual::new());
///
/// let mut runner = EXECUTOR.with_regions(&REGIONS).start().unwrap();
/// ```
pub struct Regions<const N: usize> {
    pub(in crate::exec) entries: [Entry; N],
}

impl<const N: usize> Regions<N> {
    const_fn! {
    /// An empty table.
    pub const fn new() -> Self {
        const { assert!(N >= 1 && N <= Family::MAX_REGIONS, "a table holds 1 to 1,023 regions") }
        Self { entries: array_of![Entry::new(); N] }
    }
    }
}

impl<const N: usize> Default for Regions<N> {
    fn default() -> Self {
        Self::new()
    }
}

/// No more tasks; the ones there are have been, or are about to be, asked to stop.
pub(in crate::exec) const CLOSING: u16 = 1 << 0;
/// The members are still to be asked.
pub(in crate::exec) const ASK: u16 = 1 << 1;
/// All is over; nobody has taken note yet.
pub(in crate::exec) const ENDED: u16 = 1 << 2;
/// A [`Region`](super::handle::Region) stands for it.
pub(in crate::exec) const HANDLE: u16 = 1 << 3;
/// On the list of work.
pub(in crate::exec) const LISTED: u16 = 1 << 4;
/// A member's failure closes it.
pub(in crate::exec) const FAIL_FAST: u16 = 1 << 5;
/// Whoever waits wants to know of each member that ends.
pub(in crate::exec) const EACH: u16 = 1 << 6;
/// Nobody in it is alive, and the runner clears up. It isn't on the list of work, and isn't put there any
/// more: from here on its entry may be freed.
pub(in crate::exec) const ENDING: u16 = 1 << 7;
/// A join set keeps its members' results, also when it has closed.
pub(in crate::exec) const KEPT: u16 = 1 << 8;

impl Links {
    pub fn has(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    /// Nobody in it is still alive.
    pub fn is_empty(&self) -> bool {
        self.live == 0 && self.children == 0
    }

    /// Somebody acts on its end.
    pub fn is_awaited(&self) -> bool {
        self.has(CLOSING) || !self.waiter.is_null()
    }
}

impl ExecRef {
    /// What regions do; `None` without a table.
    #[inline(always)]
    pub fn scope(self) -> Option<&'static Scope> {
        // SAFETY: what is stored there is static, and never changes.
        unsafe { self.scope.load(Ordering::Relaxed).as_ref() }
    }

    pub fn region_table(self) -> &'static [Entry] {
        let (first, count) =
            (self.regions.load(Ordering::Relaxed), self.region_count.load(Ordering::Relaxed));
        // A context that sees one of the two only sees no table.
        if first.is_null() {
            return &[];
        }
        // SAFETY: both are those of a static table, or the second is 0 still.
        unsafe { slice::from_raw_parts(first, count as usize) }
    }

    /// Gives the executor a table. Returns false when it has another one. Under the lock.
    pub fn set_region_table(self, table: &'static [Entry], scope: &'static Scope) -> bool {
        let before = self.regions.load(Ordering::Relaxed);
        if !before.is_null() {
            return ptr::eq(before, table.as_ptr());
        }
        self.regions.store(table.as_ptr().cast_mut(), Ordering::Relaxed);
        self.region_count.store(table.len() as u32, Ordering::Relaxed);
        self.scope.store(ptr::from_ref(scope).cast_mut(), Ordering::Relaxed);
        true
    }

    /// Not checked: each step of a region's end would pay for it, and each place in the image.
    #[inline(always)]
    fn entry(self, region: u16) -> &'static Entry {
        let index = usize::from(region).wrapping_sub(1);
        debug_assert!(index < self.region_table().len(), "no region of this table");
        // SAFETY: a region is named by what its table has written: a family, a link, or `with_place`.
        unsafe { self.region_table().get_unchecked(index) }
    }

    /// The region named `region`, which is not 0 and one of this executor's.
    pub fn with_region<R>(self, cs: CriticalSection<'_>, region: u16, f: impl FnOnce(&mut Links) -> R) -> R {
        cs.check(&self.lock);
        let entry = self.entry(region);
        debug_assert!(
            ptr::eq(entry.owner.load(Ordering::Relaxed), self.as_ptr()),
            "another executor's region"
        );
        // SAFETY: no closure given here reaches an entry again (Guarded Invariant), and all entries of this
        // executor's regions are under its lock.
        unsafe { entry.links.with(cs, f) }
    }

    /// The region of this id, if it is one of this executor's.
    pub fn with_place<R>(
        self,
        cs: CriticalSection<'_>,
        id: RegionId,
        f: impl FnOnce(&mut Links) -> R,
    ) -> Option<R> {
        let region = id.0.slot + 1;
        let entry = self.region_table().get(usize::from(id.0.slot))?;
        if !ptr::eq(entry.owner.load(Ordering::Acquire), self.as_ptr()) {
            return None;
        }
        self.with_region(cs, region, |links| (links.generation == id.0.generation).then(|| f(links)))
    }

    /// Gives an entry back to the table.
    pub fn free_region(self, cs: CriticalSection<'_>, region: u16) {
        self.with_region(cs, region, |links| {
            *links = Links { generation: links.generation.wrapping_add(1), ..Links::FREE };
        });
        self.entry(region).owner.store(ptr::null_mut(), Ordering::Release);
    }

    pub fn region_id(self, cs: CriticalSection<'_>, region: u16) -> RegionId {
        let generation = self.with_region(cs, region, |links| links.generation);
        RegionId(Key { slot: region - 1, generation })
    }

    /// The name of the region of this id, if it is one of this executor's.
    pub fn find_region(self, cs: CriticalSection<'_>, id: RegionId) -> Option<u16> {
        self.with_place(cs, id, |_| id.0.slot + 1)
    }

    /// The id of the region that owns the task; `None` for the root.
    pub fn region_id_of(self, cs: CriticalSection<'_>, task: TaskRef) -> Option<RegionId> {
        let region = task.family.region();
        (region != 0).then(|| self.region_id(cs, region))
    }
}
