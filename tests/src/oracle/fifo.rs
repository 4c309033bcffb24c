//! A priority queue as a list in arrival order.

/// Pairs of priority and slot, in arrival order.
#[derive(Debug, Default)]
pub struct NaiveFifo(Vec<(u8, u16)>);

impl NaiveFifo {
    /// Whether `slot` is queued.
    pub fn contains(&self, slot: u16) -> bool {
        self.0.iter().any(|&(_, queued)| queued == slot)
    }

    /// Whether nothing is queued.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Queues `slot` behind all.
    pub fn push(&mut self, slot: u16, priority: u8) {
        self.0.push((priority, slot));
    }

    /// The first of those with the highest priority.
    pub fn first(&self) -> Option<u16> {
        let highest = self.0.iter().map(|&(priority, _)| priority).max()?;
        self.0.iter().find(|&&(priority, _)| priority == highest).map(|&(_, slot)| slot)
    }

    /// Takes the first out.
    pub fn pop(&mut self) -> Option<u16> {
        let first = self.first()?;
        self.remove(first);
        Some(first)
    }

    /// Takes `slot` out.
    pub fn remove(&mut self, slot: u16) {
        self.0.retain(|&(_, queued)| queued != slot);
    }
}
