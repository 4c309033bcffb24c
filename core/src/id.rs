//! Ids: names of what lies in slots, which notice reuse.
//!
//! A [`Key`] is a slot and the slot's generation. Vacating the slot advances the generation, so a key that is
//! kept beyond that is an error ([`Stale`]), never somebody else's value.

use core::fmt;

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
