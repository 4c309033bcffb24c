//! Where the door leads under `--cfg trilane_loom`: to types that loom, the model checker, watches. Only the
//! package `tests/loom` is built so.

use core::marker::PhantomData;

pub use loom::cell::{Cell, UnsafeCell};
pub use loom::sync::Mutex;
pub use loom::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};

/// An atomic pointer, kept as its address: loom's own has no bit operations.
pub struct AtomicPtr<T> {
    address: AtomicUsize,
    _target: PhantomData<fn() -> T>,
}

impl<T> AtomicPtr<T> {
    /// As `portable_atomic::AtomicPtr`'s, which all these functions are like.
    #[track_caller]
    pub fn new(pointer: *mut T) -> Self {
        Self { address: AtomicUsize::new(pointer.expose_provenance()), _target: PhantomData }
    }

    /// The pointer as it is now, or was, as far as `order` allows.
    #[track_caller]
    pub fn load(&self, order: Ordering) -> *mut T {
        core::ptr::with_exposed_provenance_mut(self.address.load(order))
    }

    /// Puts `pointer` in place of what was there.
    #[track_caller]
    pub fn store(&self, pointer: *mut T, order: Ordering) {
        self.address.store(pointer.expose_provenance(), order);
    }

    /// Puts `new` in place of what was there if that was `current`; what was there.
    #[track_caller]
    pub fn compare_exchange(
        &self,
        current: *mut T,
        new: *mut T,
        success: Ordering,
        failure: Ordering,
    ) -> Result<*mut T, *mut T> {
        let (current, new) = (current.expose_provenance(), new.expose_provenance());
        self.address
            .compare_exchange(current, new, success, failure)
            .map(core::ptr::with_exposed_provenance_mut)
            .map_err(core::ptr::with_exposed_provenance_mut)
    }
}
