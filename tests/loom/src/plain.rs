//! Data that tasks and threads hand to each other.

use std::sync::Arc;

use loom::cell::Cell;

/// A plain variable, shared without a lock: the checker fails the model if nothing orders two accesses.
#[derive(Clone)]
pub struct Plain(Arc<Watched>);

struct Watched(Cell<u32>);

// SAFETY: the checker runs one thread at a time, and reports accesses that could meet.
unsafe impl Sync for Watched {}

impl Plain {
    /// A variable that is 0.
    #[expect(clippy::new_without_default, reason = "a model says that it makes a variable")]
    pub fn new() -> Self {
        Self(Arc::new(Watched(Cell::new(0))))
    }

    /// Reads it.
    pub fn get(&self) -> u32 {
        self.0.0.get()
    }

    /// Writes it.
    pub fn set(&self, value: u32) {
        self.0.0.set(value);
    }
}

/// An output that counts its drops, in plain variables: by whomever it is dropped, that must be ordered.
pub struct Told {
    value: u32,
    drops: Plain,
}

impl Told {
    /// An output of `value`, which adds to `drops`.
    pub fn new(value: u32, drops: Plain) -> Self {
        Self { value, drops }
    }

    /// What it tells.
    pub fn value(&self) -> u32 {
        self.value
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        self.drops.set(self.drops.get() + 1);
    }
}
