//! The one door to atomics and locks.
//!
//! Everything in this crate that is shared between contexts goes through these names, so that a target
//! without compare-and-swap, a multi-core chip and a model checker each need a change in one place only.
//!
//! * Atomics are `portable-atomic`'s: native where the target has them, a critical section where it has not.
//! * [`Domain`] is the lock of one executor or one pool, and [`with_lock`] that of the whole program. On a
//!   chip both are the `critical-section` crate: the board or the HAL supplies the implementation, because
//!   only they know how many cores there are. On a host a domain is a small lock of its own.
//! * [`Guarded`] is data that is touched inside a lock only.
//! * `--cfg trilane_loom` puts the model checker's types in the place of all these. They can't be made in
//!   const contexts, hence `const_fn!` and `array_of!`. `--cfg trilane_shuttle` puts those of a tester of
//!   schedules there.

#[cfg(trilane_loom)]
#[path = "model.rs"]
mod types;

#[cfg(trilane_shuttle)]
mod types {
    pub use core::cell::{Cell, UnsafeCell};
    pub use shuttle::sync::Mutex;
    pub use shuttle::sync::atomic::{
        AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
    };
}

#[cfg(not(any(trilane_loom, trilane_shuttle)))]
mod types {
    pub use core::cell::{Cell, UnsafeCell};
    #[cfg(not(target_os = "none"))]
    pub use portable_atomic::AtomicU64;
    // portable-atomic's takes a word of the stack for it.
    pub use core::sync::atomic::fence;
    pub use portable_atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize, Ordering};
}

/// What is written before anything else that is shared and then only read: the model checker needn't know it.
pub(crate) use core::cell::Cell as Fixed;

/// As [`Fixed`], for what each context may ask for without a lock: a pointer that is null until it is set.
pub(crate) use core::sync::atomic::AtomicPtr as FixedPtr;
/// The same for a number.
pub(crate) use core::sync::atomic::AtomicU32 as FixedU32;

mod domain;

pub use domain::{CriticalSection, Domain, Next, with_lock};
#[cfg(not(target_os = "none"))]
pub(crate) use types::AtomicU64;
pub(crate) use types::Cell;
use types::UnsafeCell;
pub use types::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize, Ordering, fence};

/// A full fence, right after an atomic operation that has changed something. On x86 that is one, so only the
/// compiler is told.
#[cfg(not(target_os = "none"))]
#[inline(always)]
pub(crate) fn fence_after_change() {
    let is_one = cfg!(any(target_arch = "x86", target_arch = "x86_64"));
    if is_one && !cfg!(any(trilane_loom, trilane_shuttle, miri)) {
        core::sync::atomic::compiler_fence(Ordering::SeqCst);
    } else {
        fence(Ordering::SeqCst);
    }
}

/// A `const fn`; under the model checker, a plain one.
macro_rules! const_fn {
    ($(#[$attribute:meta])* $vis:vis const fn $($function:tt)*) => {
        #[cfg(not(trilane_loom))]
        $(#[$attribute])*
        $vis const fn $($function)*
        #[cfg(trilane_loom)]
        $(#[$attribute])*
        $vis fn $($function)*
    };
}

/// An array: the value, made anew for each of `count` elements.
macro_rules! array_of {
    ($value:expr; $count:expr) => {{
        #[cfg(not(trilane_loom))]
        let array = [const { $value }; $count];
        #[cfg(trilane_loom)]
        let array: [_; $count] = core::array::from_fn(|_| $value);
        array
    }};
}

pub(crate) use {array_of, const_fn};

/// Data that only the holder of its lock touches.
///
/// # Guarded Invariant
///
/// A `&mut T` made from a `Guarded<T>` never outlives the closure of [`Guarded::with`], and no code that
/// could enter `with` again (a future, a waker, a hook: user code) runs inside it.
pub struct Guarded<T>(UnsafeCell<T>);

// SAFETY: the Guarded Invariant: the value is reached inside the critical section only, which admits one
// context at a time, so sharing the cell moves `T` between contexts but never lets two of them in together.
unsafe impl<T: Send> Sync for Guarded<T> {}

impl<T> Guarded<T> {
    const_fn! {
        /// Wraps `value`.
        pub const fn new(value: T) -> Self {
            Self(UnsafeCell::new(value))
        }
    }

    /// The value, when nobody else can have it.
    #[cfg(not(trilane_loom))]
    pub const fn get_mut(&mut self) -> &mut T {
        self.0.get_mut()
    }

    /// The value, when nobody else can have it.
    #[cfg(trilane_loom)]
    pub fn get_mut(&mut self) -> &mut T {
        // SAFETY: the cell is borrowed for as long as the value.
        self.0.with_mut(|value| unsafe { &mut *value })
    }

    /// Reaches the value under the critical section that `_cs` proves.
    ///
    /// # Safety
    ///
    /// `f` upholds the Guarded Invariant: it doesn't reach this same cell again.
    #[inline(always)]
    pub unsafe fn with<R>(&self, _cs: CriticalSection<'_>, f: impl FnOnce(&mut T) -> R) -> R {
        // SAFETY: the critical section keeps other contexts out, and the caller promises that this one
        // doesn't come back in (Guarded Invariant).
        #[cfg(not(trilane_loom))]
        return f(unsafe { &mut *self.0.get() });
        // SAFETY: the same, and here it is checked.
        #[cfg(trilane_loom)]
        self.0.with_mut(|value| f(unsafe { &mut *value }))
    }
}
