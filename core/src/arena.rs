//! Values in fixed slots, named by keys that notice reuse.
//!
//! A [`Key`] is a slot and the slot's generation. Removing a value advances the generation, so a key that is
//! kept across a removal is an error ([`Stale`]), never somebody else's value. A slot whose generation has
//! run through all 2^32 values is retired rather than let an old key come true again.

use core::fmt;
use core::mem::MaybeUninit;

use crate::bitmap::{Bitmap, MAX_PER_BANK, split};

/// A slot and its generation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub(crate) slot: u16,
    pub(crate) generation: u32,
}

impl Key {
    /// The key for `slot` in its `generation`; for tools that store keys outside. A made-up key is at worst
    /// stale.
    pub const fn new(slot: u16, generation: u32) -> Self {
        Self { slot, generation }
    }

    /// The slot, `bank * 32 + index`.
    pub const fn slot(self) -> u16 {
        self.slot
    }

    /// How often the slot had been vacated when the key was made.
    pub const fn generation(self) -> u32 {
        self.generation
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}v{}", self.slot, self.generation)
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for Key {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "{=u16}v{=u32}", self.slot, self.generation);
    }
}

/// The key's value is gone; its slot is empty or holds another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Stale;

impl fmt::Display for Stale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the id is stale: what it named has ended; drop the id")
    }
}

impl core::error::Error for Stale {}

/// Up to `BANKS * PER_BANK` values of type `T`.
///
/// # Examples
///
/// ```
/// use trilane::arena::{Arena, Stale};
///
/// let mut arena: Arena<&str, 1, 2> = Arena::new();
/// let a = arena.insert("a").unwrap();
/// let _b = arena.insert("b").unwrap();
/// assert_eq!(arena.insert("c"), Err("c")); // Full: the value comes back.
/// assert_eq!(arena.remove(a), Ok("a"));
/// assert_eq!(arena.get(a), Err(Stale));
/// ```
pub struct Arena<T, const BANKS: usize, const PER_BANK: usize = MAX_PER_BANK> {
    free: Bitmap<BANKS>,
    live: Bitmap<BANKS>,
    generations: [[u32; PER_BANK]; BANKS],
    values: [[MaybeUninit<T>; PER_BANK]; BANKS],
}

/// # Live Invariant
///
/// `values[slot]` is initialised exactly while `live` contains the slot.
impl<T, const BANKS: usize, const PER_BANK: usize> Arena<T, BANKS, PER_BANK> {
    /// An empty arena.
    pub const fn new() -> Self {
        const { assert!(PER_BANK >= 1 && PER_BANK <= MAX_PER_BANK, "a bank holds 1 to 32 entries") }
        Self {
            free: Bitmap::filled(PER_BANK),
            live: Bitmap::new(),
            generations: [[0; PER_BANK]; BANKS],
            values: [const { [const { MaybeUninit::uninit() }; PER_BANK] }; BANKS],
        }
    }

    /// Stores `value` in the lowest free slot. O(1).
    ///
    /// # Errors
    ///
    /// Full: the value comes back.
    pub fn insert(&mut self, value: T) -> Result<Key, T> {
        let Some(slot) = self.free.pop_first() else { return Err(value) };
        let (bank, index) = split(slot);
        self.values[bank][index as usize].write(value);
        self.live.insert(slot);
        Ok(Key { slot, generation: self.generations[bank][index as usize] })
    }

    /// Takes the value out. O(1).
    ///
    /// # Errors
    ///
    /// [`Stale`] when the key's value was removed before.
    pub fn remove(&mut self, key: Key) -> Result<T, Stale> {
        let (bank, index) = self.find(key)?;
        self.vacate(key.slot);
        // SAFETY: Live Invariant: `find` saw the slot live, and `vacate` has just ended that, so the value is
        // read once.
        Ok(unsafe { self.values[bank][index].assume_init_read() })
    }

    /// The value of `key`. O(1).
    ///
    /// # Errors
    ///
    /// [`Stale`] when it was removed.
    pub fn get(&self, key: Key) -> Result<&T, Stale> {
        let (bank, index) = self.find(key)?;
        // SAFETY: Live Invariant: `find` saw the slot live.
        Ok(unsafe { self.values[bank][index].assume_init_ref() })
    }

    /// The key and the value in `slot`, if there is one. O(1).
    pub fn at(&self, slot: u16) -> Option<(Key, &T)> {
        let (bank, index) = split(slot);
        let generation = *self.generations.get(bank)?.get(index as usize)?;
        let key = Key { slot, generation };
        self.get(key).ok().map(|value| (key, value))
    }

    /// The value of `key`, to change. O(1).
    ///
    /// # Errors
    ///
    /// [`Stale`] when it was removed.
    pub fn get_mut(&mut self, key: Key) -> Result<&mut T, Stale> {
        let (bank, index) = self.find(key)?;
        // SAFETY: Live Invariant: `find` saw the slot live.
        Ok(unsafe { self.values[bank][index].assume_init_mut() })
    }

    /// The number of values. O(banks).
    pub fn len(&self) -> usize {
        self.live.len()
    }

    /// Whether there are no values. O(1).
    pub fn is_empty(&self) -> bool {
        self.live.is_empty()
    }

    /// Keys and values, lowest slot first. O(values + banks).
    pub fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        self.live.iter().map(|slot| {
            let (bank, index) = split(slot);
            let index = index as usize;
            // SAFETY: Live Invariant: the slot comes from `live`.
            let value = unsafe { self.values[bank][index].assume_init_ref() };
            (Key { slot, generation: self.generations[bank][index] }, value)
        })
    }

    /// Drops every value; all keys become stale. O(values). When a value's `Drop` panics, it alone counts as
    /// dropped; the others stay.
    pub fn clear(&mut self) {
        while let Some(slot) = self.live.first() {
            let (bank, index) = split(slot);
            self.vacate(slot);
            // SAFETY: Live Invariant: the slot was live until `vacate`, so the value is dropped once, even if
            // its `Drop` panics.
            unsafe { self.values[bank][index as usize].assume_init_drop() };
        }
    }

    fn find(&self, key: Key) -> Result<(usize, usize), Stale> {
        let (bank, index) = split(key.slot);
        let index = index as usize;
        let live = self.live.contains(key.slot) && self.generations[bank][index] == key.generation;
        if live { Ok((bank, index)) } else { Err(Stale) }
    }

    fn vacate(&mut self, slot: u16) {
        let (bank, index) = split(slot);
        self.live.remove(slot);
        let generation = &mut self.generations[bank][index as usize];
        if let Some(next) = generation.checked_add(1) {
            *generation = next;
            self.free.insert(slot);
        }
    }
}

impl<T, const BANKS: usize, const PER_BANK: usize> Default for Arena<T, BANKS, PER_BANK> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T, const BANKS: usize, const PER_BANK: usize> Drop for Arena<T, BANKS, PER_BANK> {
    fn drop(&mut self) {
        self.clear();
    }
}
