//! Memory for futures.

use core::cell::UnsafeCell;
use core::mem::{MaybeUninit, offset_of};

use crate::sync::{Domain, Guarded, const_fn};

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
    lock: Domain,
    free: Guarded<FreeList>,
    cells: UnsafeCell<[Cell<BYTES>; SLOTS]>,
}

/// # Free List Invariant
///
/// A cell is free when its number is at least `fresh`, or when it is on the list that `first` begins; a cell
/// on the list holds the link to the next in its first two bytes. A link is a number plus one, 0 ends the
/// list: so an untouched pool is all zeros and takes no flash. All other cells belong to whoever claimed
/// them.
struct FreeList {
    first: u16,
    fresh: u16,
}

#[repr(C, align(8))]
struct Cell<const BYTES: usize>([MaybeUninit<u8>; BYTES]);

// SAFETY: cells are reached by their claimer, or under the lock while they are free (Free List Invariant).
unsafe impl<const BYTES: usize, const SLOTS: usize> Sync for TaskPool<BYTES, SLOTS> {}

impl<const BYTES: usize, const SLOTS: usize> TaskPool<BYTES, SLOTS> {
    const_fn! {
    /// An empty pool.
    pub const fn new() -> Self {
        const {
            assert!(SLOTS >= 1 && SLOTS < u16::MAX as usize, "a pool has 1 to 65,534 slots");
            assert!(BYTES >= 2, "a pool's slots have at least 2 bytes");
        }
        Self {
            lock: Domain::new(),
            free: Guarded::new(FreeList { first: 0, fresh: 0 }),
            cells: UnsafeCell::new([const { Cell([MaybeUninit::uninit(); BYTES]) }; SLOTS]),
        }
    }
    }

    /// The most bytes a future may have here.
    pub const fn bytes(&self) -> usize {
        BYTES
    }

    /// Claims a cell. Any context. O(1).
    pub(in crate::exec) fn claim(&'static self) -> Option<(*mut (), u16)> {
        self.lock.with(|cs| {
            // SAFETY: Guarded Invariant: nothing is called but `cell`; the list's cells are free, hence ours
            // to read under the lock (Free List Invariant).
            unsafe {
                self.free.with(cs, |free| {
                    let number = if free.first != 0 {
                        let number = free.first - 1;
                        free.first = Self::cell(self, number).cast::<u16>().read();
                        number
                    } else if usize::from(free.fresh) < SLOTS {
                        free.fresh += 1;
                        free.fresh - 1
                    } else {
                        return None;
                    };
                    Some((Self::cell(self, number), number))
                })
            }
        })
    }

    /// Gives a cell back. Any context. O(1).
    ///
    /// # Safety
    ///
    /// `storage` and `number` come from [`claim`](Self::claim) of a pool of this very type, and nobody uses
    /// the cell.
    #[inline(never)]
    pub(in crate::exec) unsafe fn release(storage: *mut (), number: u16) {
        // SAFETY: by the caller's promise, stepping back over `number` cells and the fields before them gives
        // the pool; the pointer may do so, because `claim` derived it from the whole pool.
        unsafe {
            let pool = storage
                .byte_sub(usize::from(number) * size_of::<Cell<BYTES>>() + offset_of!(Self, cells))
                .cast::<Self>();
            (*pool).lock.with(|cs| {
                (*pool).free.with(cs, |free| {
                    storage.cast::<u16>().write(free.first);
                    free.first = number + 1;
                });
            });
        }
    }

    /// # Safety
    ///
    /// `number` is below `SLOTS`.
    unsafe fn cell(pool: *const Self, number: u16) -> *mut () {
        // SAFETY: the caller's promise.
        unsafe {
            pool.byte_add(offset_of!(Self, cells) + usize::from(number) * size_of::<Cell<BYTES>>())
                .cast_mut()
                .cast()
        }
    }
}

impl<const BYTES: usize, const SLOTS: usize> Default for TaskPool<BYTES, SLOTS> {
    fn default() -> Self {
        Self::new()
    }
}
