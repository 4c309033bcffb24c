//! One value a slot: the struct of arrays that a balancer is made of.

#[cfg(not(trilane_loom))]
use crate::bitmap::MAX_BANKS;
use crate::bitmap::{Bank, MAX_PER_BANK, split};
use crate::sync::{AtomicU32, Ordering, array_of, const_fn, fence};

/// Reduces `index` to below `end`. For a power of two, what an ordinary board has, this is one instruction.
#[inline(always)]
pub(super) const fn within(index: usize, end: usize) -> usize {
    if end.is_power_of_two() {
        index & (end - 1)
    } else if index < end {
        index
    } else {
        end - 1
    }
}

/// A value of each slot.
///
/// # Slot Invariant
///
/// Slots come from the balancer's own bitmaps, whose bits are set for existing slots alone. A slot that
/// doesn't exist reaches some other slot's value; it is never out of bounds.
pub(super) struct Column<T, const BANKS: usize, const PER_BANK: usize>([[T; PER_BANK]; BANKS]);

impl<T, const BANKS: usize, const PER_BANK: usize> Column<T, BANKS, PER_BANK> {
    #[inline(always)]
    pub fn at(&self, slot: u16) -> &T {
        if PER_BANK == MAX_PER_BANK {
            // A slot's number is its place.
            return &self.0.as_flattened()[within(slot as usize, BANKS * PER_BANK)];
        }
        let (bank, index) = split(slot);
        &self.0[within(bank, BANKS)][within(index as usize, PER_BANK)]
    }
}

/// A word of each slot.
pub(super) type Words<const BANKS: usize, const PER_BANK: usize> = Column<AtomicU32, BANKS, PER_BANK>;

impl<const BANKS: usize, const PER_BANK: usize> Words<BANKS, PER_BANK> {
    const_fn! {
    /// Every slot with `value`.
    pub const fn new(value: u32) -> Self {
        Self(words(value))
    }
    }

    #[inline(always)]
    pub fn get(&self, slot: u16) -> u32 {
        self.at(slot).load(Ordering::Relaxed)
    }

    #[inline(always)]
    pub fn set(&self, slot: u16, value: u32) {
        self.at(slot).store(value, Ordering::Relaxed);
    }
}

#[cfg(not(trilane_loom))]
const fn words<const BANKS: usize, const PER_BANK: usize>(value: u32) -> [[AtomicU32; PER_BANK]; BANKS] {
    const {
        assert!(BANKS >= 1 && BANKS <= MAX_BANKS, "a balancer has 1 to 32 banks");
        assert!(PER_BANK >= 1 && PER_BANK <= MAX_PER_BANK, "a bank holds 1 to 32 entries");
    }
    let mut words = [const { [const { AtomicU32::new(0) }; PER_BANK] }; BANKS];
    let mut bank = 0;
    while bank < BANKS && value != 0 {
        let mut index = 0;
        while index < PER_BANK {
            words[bank][index] = AtomicU32::new(value);
            index += 1;
        }
        bank += 1;
    }
    words
}

#[cfg(trilane_loom)]
fn words<const BANKS: usize, const PER_BANK: usize>(value: u32) -> [[AtomicU32; PER_BANK]; BANKS] {
    core::array::from_fn(|_| core::array::from_fn(|_| AtomicU32::new(value)))
}

impl<T, const BANKS: usize, const PER_BANK: usize> Column<T, BANKS, PER_BANK> {
    pub const fn of(values: [[T; PER_BANK]; BANKS]) -> Self {
        Self(values)
    }
}

/// A set of slots that any context changes and any reads: a word a bank.
///
/// Each change acquires what the changes before it released, so a context that changes a bit and then looks
/// at what the bit stands for sees what the contexts before it had seen to.
pub(super) struct Set<const BANKS: usize>([Bank; BANKS]);

impl<const BANKS: usize> Set<BANKS> {
    const_fn! {
    pub const fn new() -> Self {
        Self(array_of![Bank::new(0); BANKS])
    }
    }

    /// Adds the slot; returns whether it was a member.
    #[inline(always)]
    pub fn insert(&self, slot: u16) -> bool {
        let (bank, index) = split(slot);
        let was = self.0[within(bank, BANKS)].insert(index);
        fence(Ordering::Acquire);
        was
    }

    /// Removes the slot; returns whether it was a member.
    #[inline(always)]
    pub fn remove(&self, slot: u16) -> bool {
        let (bank, index) = split(slot);
        self.0[within(bank, BANKS)].remove(index)
    }

    /// Adds the slot or removes it.
    pub fn put(&self, slot: u16, member: bool) {
        if member {
            self.insert(slot);
        } else {
            self.remove(slot);
        }
    }

    /// The same for a set that the holder of the critical section alone changes: no atomic operation, which
    /// on the host takes 3 ns.
    #[inline(always)]
    pub fn write(&self, slot: u16, member: bool) {
        let (bank, index) = split(slot);
        self.0[within(bank, BANKS)].write(index, member);
    }

    #[inline(always)]
    pub fn contains(&self, slot: u16) -> bool {
        let (bank, index) = split(slot);
        self.bits(bank) >> index & 1 == 1
    }

    /// The members in a bank, one bit each.
    #[inline(always)]
    pub fn bits(&self, bank: usize) -> u32 {
        self.0[within(bank, BANKS)].bits()
    }

    #[inline(always)]
    pub fn bank(&self, bank: usize) -> &Bank {
        &self.0[within(bank, BANKS)]
    }

    /// Removes the members in a bank; returns them, one bit each.
    pub fn take(&self, bank: usize) -> u32 {
        self.0[within(bank, BANKS)].take()
    }

    pub fn len(&self) -> u32 {
        self.0.iter().map(|bank| bank.bits().count_ones()).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Bank::is_empty)
    }
}
