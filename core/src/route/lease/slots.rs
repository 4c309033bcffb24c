//! Values in slots, each by a key that goes stale when its value is taken.

use crate::id::{Key, Stale};

/// Up to `BANKS * PER_BANK` values; all zeros while nothing has been put in, if a value's absence is.
pub(in crate::route) struct Slots<T, const BANKS: usize, const PER_BANK: usize> {
    slots: [[Slot<T>; PER_BANK]; BANKS],
    /// Those from here on have never had a value.
    fresh: u16,
    /// The first of a list of the others that have none, counted from 1; 0 ends it.
    vacant: u16,
    len: u16,
}

struct Slot<T> {
    generation: u32,
    next_vacant: u16,
    value: Option<T>,
}

impl<T, const BANKS: usize, const PER_BANK: usize> Slots<T, BANKS, PER_BANK> {
    pub const fn new() -> Self {
        let slots =
            [const { [const { Slot { generation: 0, next_vacant: 0, value: None } }; PER_BANK] }; BANKS];
        Self { slots, fresh: 0, vacant: 0, len: 0 }
    }

    /// Puts the value into a slot; when all have one, it comes back. O(1).
    pub fn insert(&mut self, value: T) -> Result<Key, T> {
        let number = if self.vacant == 0 { self.fresh } else { self.vacant - 1 };
        let Some(slot) = self.slots.as_flattened_mut().get_mut(usize::from(number)) else {
            return Err(value);
        };
        if self.vacant == 0 {
            self.fresh += 1;
        } else {
            self.vacant = slot.next_vacant;
        }
        slot.value = Some(value);
        self.len += 1;
        Ok(Key::new(number, slot.generation))
    }

    /// Takes the key's value. O(1).
    pub fn take(&mut self, key: Key) -> Result<T, Stale> {
        self.take_if(key.slot, |generation, _| generation == key.generation).ok_or(Stale)
    }

    /// Takes the value of slot `number` if there is one and `may`, asked with its generation, agrees. O(1).
    pub fn take_if(&mut self, number: u16, may: impl FnOnce(u32, &T) -> bool) -> Option<T> {
        let slot = self.slots.as_flattened_mut().get_mut(usize::from(number))?;
        let generation = slot.generation;
        let value = slot.value.take_if(|value| may(generation, value))?;
        self.len -= 1;
        // A slot whose generations are used up gets no value again: an old key would come true.
        if let Some(next) = generation.checked_add(1) {
            slot.generation = next;
            slot.next_vacant = self.vacant;
            self.vacant = number + 1;
        }
        Some(value)
    }

    /// How many there are. O(1).
    pub fn len(&self) -> usize {
        usize::from(self.len)
    }
}
