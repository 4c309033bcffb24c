//! Values and wakers that keep account of their ends, or panic at them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::task::{RawWaker, RawWakerVTable, Wake, Waker};

/// Counts its drops, and panics in them when told to.
#[derive(Debug)]
pub struct Dropped {
    drops: Arc<AtomicU32>,
    panics: bool,
}

impl Dropped {
    /// A value that counts in `drops`.
    pub fn counted(drops: &Arc<AtomicU32>) -> Self {
        Self { drops: drops.clone(), panics: false }
    }

    /// A value that counts in `drops` and then panics.
    pub fn panicking(drops: &Arc<AtomicU32>) -> Self {
        Self { drops: drops.clone(), panics: true }
    }
}

impl Drop for Dropped {
    fn drop(&mut self) {
        self.drops.fetch_add(1, SeqCst);
        if self.panics {
            panic!("dropped");
        }
    }
}

/// A count that starts at 0.
pub fn counter() -> Arc<AtomicU32> {
    Arc::default()
}

/// Counts how often it is woken, as a waker.
#[derive(Debug, Default)]
pub struct Wakes(AtomicU32);

impl Wakes {
    /// A count that starts at 0, and the waker that counts there.
    pub fn waker() -> (Arc<Self>, Waker) {
        let wakes = Arc::new(Self::default());
        (wakes.clone(), Waker::from(wakes))
    }

    /// How often it was woken.
    pub fn get(&self) -> u32 {
        self.0.load(SeqCst)
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// When a [`trap`] panics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spring {
    /// When it is cloned.
    Clone,
    /// When it is woken.
    Wake,
    /// When it is dropped.
    Drop,
}

/// A waker that panics at one of its operations.
pub fn trap(spring: Spring) -> Waker {
    static CLONE: RawWakerVTable = RawWakerVTable::new(|_| spring_trap(), nothing, nothing, nothing);
    static WAKE: RawWakerVTable = RawWakerVTable::new(clone_wake, panics, panics, nothing);
    static DROP: RawWakerVTable = RawWakerVTable::new(clone_drop, panics, nothing, panics);

    fn spring_trap() -> RawWaker {
        panic!("the waker's clone panics")
    }
    fn clone_wake(_: *const ()) -> RawWaker {
        RawWaker::new(std::ptr::null(), &WAKE)
    }
    fn clone_drop(_: *const ()) -> RawWaker {
        RawWaker::new(std::ptr::null(), &DROP)
    }
    fn nothing(_: *const ()) {}
    fn panics(_: *const ()) {
        panic!("the waker panics")
    }

    let table = match spring {
        Spring::Clone => &CLONE,
        Spring::Wake => &WAKE,
        Spring::Drop => &DROP,
    };
    // SAFETY: the functions of the tables ignore their pointer and are safe to call from any thread.
    unsafe { Waker::from_raw(RawWaker::new(std::ptr::null(), table)) }
}
