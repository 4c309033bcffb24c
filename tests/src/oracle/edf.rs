//! Earliest deadline first as a list that is searched.

use std::cmp::Reverse;

/// Deadline, priority, arrival and slot of each entry. No deadline is the latest of all.
#[derive(Debug, Default)]
pub struct NaiveEdf {
    entries: Vec<(u64, Reverse<u8>, u64, u16)>,
    arrivals: u64,
}

impl NaiveEdf {
    /// The number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether `slot` is queued.
    pub fn contains(&self, slot: u16) -> bool {
        self.entries.iter().any(|entry| entry.3 == slot)
    }

    /// Queues `slot`.
    pub fn push(&mut self, slot: u16, deadline: u64, priority: u8) {
        self.entries.push((deadline, Reverse(priority), self.arrivals, slot));
        self.arrivals += 1;
    }

    /// The slot that goes first.
    pub fn first(&self) -> Option<u16> {
        self.entries.iter().min().map(|entry| entry.3)
    }

    /// Takes the first out.
    pub fn pop(&mut self) -> Option<u16> {
        let first = self.first()?;
        self.remove(first);
        Some(first)
    }

    /// Takes `slot` out.
    pub fn remove(&mut self, slot: u16) {
        self.entries.retain(|entry| entry.3 != slot);
    }

    /// Gives `slot` other keys; it keeps its arrival.
    pub fn rekey(&mut self, slot: u16, deadline: u64, priority: u8) {
        for entry in self.entries.iter_mut().filter(|entry| entry.3 == slot) {
            (entry.0, entry.1) = (deadline, Reverse(priority));
        }
    }
}
