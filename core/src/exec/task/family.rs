//! A task's place among the members of its region.

use crate::sync::{Cell, const_fn};

/// One word: the region's index plus one (10 bits; 0: the root, which keeps no list), the member before and
/// the one after (11 bits each, a slot plus one; 0: none). Belongs to the holder of the executor's lock.
pub(in crate::exec) struct Family(Cell<u32>);

impl Family {
    pub const MAX_REGIONS: usize = (1 << 10) - 1;

    const_fn! {
    pub const fn new() -> Self {
        Self(Cell::new(0))
    }
    }

    pub fn region(&self) -> u16 {
        (self.0.get() & 0x3FF) as u16
    }

    /// Whether it is in a region.
    #[inline(always)]
    pub fn is_member(&self) -> bool {
        self.0.get() != 0
    }

    pub fn previous(&self) -> Option<u16> {
        ((self.0.get() >> 10 & 0x7FF) as u16).checked_sub(1)
    }

    pub fn next(&self) -> Option<u16> {
        ((self.0.get() >> 21) as u16).checked_sub(1)
    }

    pub fn set(&self, region: u16, previous: Option<u16>, next: Option<u16>) {
        let link = |slot: Option<u16>| slot.map_or(0, |slot| u32::from(slot) + 1);
        self.0.set(u32::from(region) | link(previous) << 10 | link(next) << 21);
    }

    /// In no region.
    pub fn clear(&self) {
        self.0.set(0);
    }
}
