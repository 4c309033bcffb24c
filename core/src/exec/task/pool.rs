//! Memory for futures.

use core::cell::UnsafeCell;
use core::mem::{MaybeUninit, offset_of};
use core::ptr;

use crate::sync::{CriticalSection, Domain, Guarded, Next, const_fn};

/// Room for `SLOTS` futures of up to `BYTES` bytes each, aligned to 8.
///
/// A pool lends storage and knows nothing of tasks; several executors may share one. A future, or its output,
/// that doesn't fit is an error when the program is built. [`future_size`](crate::exec::future_size) sizes a
/// pool exactly. (A function that spawns into its own pool can't size it: give a number there.)
///
/// # Examples
///
/// ```
/// use trilane::exec::{Cx, TaskPool, future_size};
///
/// async fn sensor(cx: Cx, channel: u8) {
///     let _ = (cx.id(), channel);
/// }
///
/// static SENSORS: TaskPool<{ future_size(&sensor) }, 4> = TaskPool::new();
/// ```
#[repr(C)]
pub struct TaskPool<const BYTES: usize, const SLOTS: usize> {
    list: FreeList,
    cells: UnsafeCell<[Cell<BYTES>; SLOTS]>,
}

/// The part of a pool that doesn't depend on its size.
///
/// # Free List Invariant
///
/// A cell is free when its number is at least `fresh`, or when it is on the list that `first` begins; a cell
/// on the list holds the link to the next in its first two bytes. A link is a number plus one, 0 ends the
/// list: so an untouched pool is all zeros and takes no flash. All other cells belong to whoever claimed
/// them.
#[repr(C)]
struct FreeList {
    lock: Domain,
    free: Guarded<Free>,
}

struct Free {
    first: u16,
    fresh: u16,
}

#[repr(C, align(8))]
struct Cell<const BYTES: usize>([MaybeUninit<u8>; BYTES]);

/// A pool's measures.
#[derive(Clone, Copy)]
pub(in crate::exec) struct Cells {
    /// Of a cell.
    bytes: u32,
    slots: u16,
    /// Takes the storage back that comes from no pool.
    #[cfg(not(target_os = "none"))]
    outside: Option<unsafe fn(*mut ())>,
}

#[cfg(not(target_os = "none"))]
impl Cells {
    /// Of storage that comes from no pool, and is given back by this.
    pub const fn outside(release: unsafe fn(*mut ())) -> Self {
        Self { bytes: 0, slots: 0, outside: Some(release) }
    }
}

/// A pool without its size.
///
/// Whoever has one may rely on it: the pool is static, with the measures that stand beside it.
#[derive(Clone, Copy)]
pub(in crate::exec) struct PoolRef(*const FreeList);

/// A claimed cell.
#[derive(Clone, Copy)]
pub(in crate::exec) struct Storage {
    pub address: *mut (),
    pub number: u16,
}

/// Where the cells begin in a pool.
const CELLS: usize = size_of::<FreeList>().next_multiple_of(align_of::<Cell<0>>());

// SAFETY: cells are reached by their claimer, or under the lock while they are free (Free List Invariant).
unsafe impl<const BYTES: usize, const SLOTS: usize> Sync for TaskPool<BYTES, SLOTS> {}

impl<const BYTES: usize, const SLOTS: usize> TaskPool<BYTES, SLOTS> {
    pub(in crate::exec) const CELLS: Cells = Cells {
        bytes: size_of::<Cell<BYTES>>() as u32,
        slots: SLOTS as u16,
        #[cfg(not(target_os = "none"))]
        outside: None,
    };

    const_fn! {
    /// An empty pool.
    pub const fn new() -> Self {
        const {
            assert!(SLOTS >= 1 && SLOTS < u16::MAX as usize, "a pool has 1 to 65,534 slots");
            assert!(BYTES >= 2, "a pool's slots have at least 2 bytes");
            assert!(offset_of!(Self, cells) == CELLS);
        }
        Self {
            list: FreeList { lock: Domain::new(), free: Guarded::new(Free { first: 0, fresh: 0 }) },
            cells: UnsafeCell::new([const { Cell([MaybeUninit::uninit(); BYTES]) }; SLOTS]),
        }
    }
    }

    /// The most bytes a future may have here.
    pub const fn bytes(&self) -> usize {
        BYTES
    }

    /// The pool without its size, with the provenance of the whole.
    #[inline(always)]
    pub(in crate::exec) fn pool(&'static self) -> PoolRef {
        PoolRef(ptr::from_ref(self).cast())
    }
}

impl PoolRef {
    /// Claims a cell, then does `g`, on a chip in the same critical section. Any context. O(1).
    #[inline(always)]
    pub fn claim_then<R>(self, cells: Cells, g: impl FnOnce(Option<Storage>, Next) -> R) -> R {
        // SAFETY: the pool is static. Nothing is called inside (Guarded Invariant); the list's cells are
        // free, hence ours to read under the lock (Free List Invariant).
        unsafe {
            (*self.0).lock.with_then(
                |cs| {
                    (*self.0).free.with(cs, |free| {
                        if free.first != 0 {
                            let number = free.first - 1;
                            let address = self.cell(cells, number);
                            free.first = address.cast::<u16>().read();
                            Some(Storage { address, number })
                        } else if free.fresh < cells.slots {
                            let number = free.fresh;
                            free.fresh += 1;
                            Some(Storage { address: self.cell(cells, number), number })
                        } else {
                            None
                        }
                    })
                },
                g,
            )
        }
    }

    /// # Safety
    ///
    /// The pool has a cell of this number.
    #[inline(always)]
    unsafe fn cell(self, cells: Cells, number: u16) -> *mut () {
        // SAFETY: the caller's promise.
        unsafe { self.0.byte_add(CELLS + usize::from(number) * cells.bytes as usize).cast_mut().cast() }
    }
}

impl Storage {
    /// Gives a cell back. Any context. O(1). `next`: the way to the pool's lock from another one.
    ///
    /// # Safety
    ///
    /// It was claimed from a pool of these measures, or is of the kind that they tell, and nobody uses it.
    #[inline(always)]
    pub unsafe fn release(self, cells: Cells, next: Option<Next>) {
        #[cfg(not(target_os = "none"))]
        if let Some(release) = cells.outside {
            // SAFETY: the caller's promise.
            return unsafe { release(self.address) };
        }
        // SAFETY: by the caller's promise, stepping back over the cells and what is before them gives the
        // pool; the pointer may do so, because it was derived from the whole pool.
        unsafe {
            let before = CELLS + usize::from(self.number) * cells.bytes as usize;
            let list = self.address.byte_sub(before).cast::<FreeList>();
            let push = |cs: CriticalSection<'_>| {
                (*list).free.with(cs, |free| {
                    self.address.cast::<u16>().write(free.first);
                    free.first = self.number + 1;
                });
            };
            match next {
                Some(next) => next.with(&(*list).lock, push),
                None => (*list).lock.with(push),
            }
        }
    }
}

impl<const BYTES: usize, const SLOTS: usize> Default for TaskPool<BYTES, SLOTS> {
    fn default() -> Self {
        Self::new()
    }
}
