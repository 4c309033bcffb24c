//! Locks, and the proof that one is held.

use core::marker::PhantomData;

/// The lock of one executor or of one pool.
///
/// On a chip it is the critical section, takes no room and masks interrupts: keep it short. On a host it is a
/// lock of its own, so that executors on two threads don't meet in it; its sections are short, no interrupt
/// takes it, and so it spins. Under the model checker it is the checker's.
///
/// # Domain Invariant
///
/// No context holds two domains at once, nor one twice. The program's own critical section may be entered
/// before one, never inside. Inside one no user code runs: no poll, no drop of a future or an output, no
/// waker, no hook.
#[derive(Default)]
pub struct Domain(imp::Lock);

/// The proof that a lock is held, for as long as the lifetime; in debug builds, of which.
#[derive(Clone, Copy)]
pub struct CriticalSection<'cs> {
    #[cfg(debug_assertions)]
    lock: *const (),
    _held: PhantomData<&'cs ()>,
}

impl CriticalSection<'_> {
    #[inline(always)]
    fn of<T>(_lock: *const T) -> Self {
        Self {
            #[cfg(debug_assertions)]
            lock: _lock.cast(),
            _held: PhantomData,
        }
    }

    /// Checks in debug builds that it is `domain` that is held.
    #[inline(always)]
    pub(crate) fn check(self, _domain: &Domain) {
        #[cfg(debug_assertions)]
        assert!(core::ptr::eq(self.lock, core::ptr::from_ref(_domain).cast()), "another domain is held");
    }
}

impl Domain {
    super::const_fn! {
    /// A lock that nobody holds; all zeros on chips and hosts.
    pub const fn new() -> Self {
        Self(imp::Lock::new())
    }
    }

    /// Runs `f` while nobody else holds this lock.
    #[inline(always)]
    pub fn with<R>(&self, f: impl FnOnce(CriticalSection<'_>) -> R) -> R {
        self.0.with(|| f(CriticalSection::of(self)))
    }

    /// Runs `f` as [`with`](Self::with) does, then `g`, which may take one domain more: so that both are one
    /// section on a chip. On a host this one has been given back by then.
    #[inline(always)]
    pub fn with_then<R, S>(
        &self,
        f: impl FnOnce(CriticalSection<'_>) -> R,
        g: impl FnOnce(R, Next) -> S,
    ) -> S {
        self.0.with_then(|| f(CriticalSection::of(self)), |result| g(result, Next(())))
    }
}

/// What [`Domain::with_then`] gives to its second step: the way to one domain.
pub struct Next(());

impl Next {
    /// Runs `f` while nobody else holds `domain`.
    #[inline(always)]
    pub fn with<R>(self, domain: &Domain, f: impl FnOnce(CriticalSection<'_>) -> R) -> R {
        domain.0.with_next(|| f(CriticalSection::of(domain)))
    }
}

/// Runs `f` with every other context of the program kept out that asks for the same.
///
/// Keep it short: on a chip this masks interrupts. The longest section in this crate is one heap operation,
/// O(log N) steps.
#[inline(always)]
pub fn with_lock<R>(f: impl FnOnce(CriticalSection<'_>) -> R) -> R {
    critical_section::with(|_| f(CriticalSection::of(core::ptr::null::<()>())))
}

#[cfg(target_os = "none")]
mod imp {
    #[derive(Default)]
    pub struct Lock;

    impl Lock {
        pub const fn new() -> Self {
            Self
        }

        #[inline(always)]
        pub fn with<R>(&self, f: impl FnOnce() -> R) -> R {
            critical_section::with(|_| f())
        }

        #[inline(always)]
        pub fn with_then<R, S>(&self, f: impl FnOnce() -> R, g: impl FnOnce(R) -> S) -> S {
            self.with(|| g(f()))
        }

        /// In the second step of [`with_then`](Self::with_then): the critical section has been entered.
        #[inline(always)]
        pub fn with_next<R>(&self, f: impl FnOnce() -> R) -> R {
            f()
        }
    }
}

#[cfg(not(any(trilane_loom, trilane_shuttle, target_os = "none")))]
mod imp {
    #[derive(Default)]
    pub struct Lock(spin::Mutex<()>);

    impl Lock {
        pub const fn new() -> Self {
            Self(spin::Mutex::new(()))
        }

        #[inline(always)]
        pub fn with<R>(&self, f: impl FnOnce() -> R) -> R {
            let _held = self.0.lock();
            f()
        }

        #[inline(always)]
        pub fn with_then<R, S>(&self, f: impl FnOnce() -> R, g: impl FnOnce(R) -> S) -> S {
            g(self.with(f))
        }

        #[inline(always)]
        pub fn with_next<R>(&self, f: impl FnOnce() -> R) -> R {
            self.with(f)
        }
    }
}

#[cfg(any(trilane_loom, trilane_shuttle))]
mod imp {
    use super::super::{const_fn, types::Mutex};

    #[derive(Default)]
    pub struct Lock(Mutex<()>);

    impl Lock {
        const_fn! {
            pub const fn new() -> Self {
                Self(Mutex::new(()))
            }
        }

        pub fn with<R>(&self, f: impl FnOnce() -> R) -> R {
            // A model that panics inside has failed already.
            let _held = self.0.lock().unwrap_or_else(|held| held.into_inner());
            f()
        }

        pub fn with_then<R, S>(&self, f: impl FnOnce() -> R, g: impl FnOnce(R) -> S) -> S {
            g(self.with(f))
        }

        pub fn with_next<R>(&self, f: impl FnOnce() -> R) -> R {
            self.with(f)
        }
    }
}
