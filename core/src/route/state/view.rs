//! What a balancer knows, whatever its size: a view of its records.
//!
//! [`Endpoints`](crate::route::Endpoints) has the memory, of a size that is in its type. All code that is not
//! on the path of every select works on a [`View`] of it, two words: so it is compiled once, for balancers of
//! all sizes. Where the size is known, compilers reduce a view's accesses to what the size leaves of them.

use core::marker::PhantomData;

use super::bank::{BankRecord, Sets};
use super::record::Record;
use super::shared::Shared;
use super::stripe::{Counts, Stripe};
use crate::bitmap::{slot, split};
use crate::sync::{Ordering, fence};

/// A slot that exists: its record, and its place in its bank's sets. Whoever does several things with a slot
/// finds it once.
#[derive(Clone, Copy)]
pub(in crate::route) struct Slot<'a> {
    record: &'a Record,
    pub bank: &'a BankRecord,
    pub index: u32,
}

impl Slot<'_> {
    /// Whether it is in the set.
    #[inline(always)]
    pub fn has(&self, set: Sets) -> bool {
        self.bank.bits(set) >> self.index & 1 == 1
    }

    /// Puts it into the set, which any context changes; returns whether it was there.
    ///
    /// Each change acquires what the changes before it released, so a context that changes a bit and then
    /// looks at what the bit stands for sees what the contexts before it had seen to.
    #[inline(always)]
    pub fn insert(&self, set: Sets) -> bool {
        let was = self.bank.set(set).insert(self.index);
        fence(Ordering::Acquire);
        was
    }

    /// Takes it out of the set; returns whether it was there.
    #[inline(always)]
    pub fn remove(&self, set: Sets) -> bool {
        self.bank.set(set).remove(self.index)
    }

    /// Puts it into the set or takes it out.
    pub fn put(&self, set: Sets, member: bool) {
        if member {
            self.insert(set)
        } else {
            self.remove(set)
        };
    }

    /// Puts it into the set or takes it out: one that the holder of the critical section alone changes. No
    /// atomic operation, which on the host takes 3 ns.
    #[inline(always)]
    pub fn write(&self, set: Sets, member: bool) {
        self.bank.set(set).write(self.index, member);
    }

    /// The same for the sets of those with a tag, then those in a zone, then those in a tier, by number.
    pub fn write_kind(&self, number: usize, member: bool) {
        self.bank.kind(number).write(self.index, member);
    }
}

impl core::ops::Deref for Slot<'_> {
    type Target = Record;

    #[inline(always)]
    fn deref(&self) -> &Record {
        self.record
    }
}

/// Where things are in an [`Endpoints`](crate::route::Endpoints) of some size.
pub(in crate::route) struct Layout {
    /// How many banks, slots, slots a bank and stripes there are, and how many slots each bank but the last
    /// lacks.
    pub banks: u16,
    pub slots: u16,
    pub per_bank: u16,
    pub stripes: u16,
    pub missing: u16,
    /// How many bytes behind the shared part they begin.
    pub records_at: u32,
    pub stripes_at: u32,
    pub counts_at: u32,
}

/// How many bytes behind the shared part the banks begin, whatever their number.
pub(in crate::route) const BANKS_AT: usize = size_of::<Shared>().next_multiple_of(align_of::<BankRecord>());

/// A balancer's records: two words, so that it is passed in registers.
///
/// # Slot Invariant
///
/// Slots come from the balancer's own sets, whose bits are set for existing slots alone. A slot that doesn't
/// exist is in no set, and reaches slot 0's record; it is never out of bounds.
///
/// # Layout Invariant
///
/// `memory` points to an `Endpoints`, which lives for `'a` and is never borrowed mutably meanwhile, and may
/// be used to read all of it; `layout` is that of its size.
#[derive(Clone, Copy)]
pub(in crate::route) struct View<'a> {
    memory: *const Shared,
    layout: &'static Layout,
    lives: PhantomData<&'a Shared>,
}

impl core::ops::Deref for View<'_> {
    type Target = Shared;

    #[inline(always)]
    fn deref(&self) -> &Shared {
        // SAFETY: Layout Invariant. The shared part comes first.
        unsafe { &*self.memory }
    }
}

impl<'a> View<'a> {
    /// # Safety
    ///
    /// Layout Invariant.
    #[inline(always)]
    pub unsafe fn new(memory: *const Shared, layout: &'static Layout) -> Self {
        Self { memory, layout, lives: PhantomData }
    }

    /// `T` number `at` of those that begin so many bytes behind the shared part.
    ///
    /// # Safety
    ///
    /// By the layout there must be one.
    #[inline(always)]
    unsafe fn get<T>(self, begin: usize, at: usize) -> &'a T {
        // SAFETY: the caller's promise, and the Layout Invariant.
        unsafe { &*self.memory.byte_add(begin).cast::<T>().add(at) }
    }

    // === Records ===

    /// How many banks there are.
    #[inline(always)]
    pub fn banks(self) -> usize {
        self.layout.banks as usize
    }

    #[inline(always)]
    pub fn all_banks(self) -> &'a [BankRecord] {
        // SAFETY: there are so many banks, and the Layout Invariant.
        unsafe { core::slice::from_raw_parts(self.memory.byte_add(BANKS_AT).cast(), self.banks()) }
    }

    #[inline(always)]
    pub fn bank(self, bank: usize) -> Option<&'a BankRecord> {
        self.all_banks().get(bank)
    }

    /// The members of a set in a bank, a bit each.
    #[inline(always)]
    pub fn bits(self, set: Sets, bank: usize) -> u32 {
        self.bank(bank).map_or(0, |bank| bank.bits(set))
    }

    /// How many slots a bank has.
    pub fn per_bank(self) -> usize {
        self.layout.per_bank as usize
    }

    #[inline(always)]
    fn place_of(self, slot: u16) -> usize {
        let place = (slot as u32).wrapping_sub(split(slot).0 as u32 * self.layout.missing as u32);
        if place < self.layout.slots as u32 { place as usize } else { 0 }
    }

    /// The slot's record.
    #[inline(always)]
    pub fn slot(self, slot: u16) -> &'a Record {
        // SAFETY: the place is one of a slot.
        unsafe { self.get(self.layout.records_at as usize, self.place_of(slot)) }
    }

    /// All that there is of a slot that exists. On chips a call; what is on the path of every select uses
    /// [`slot`](Self::slot) and [`has`](Self::has).
    #[inline(always)]
    pub fn at(self, slot: u16) -> Slot<'a> {
        let (record, bank) = self.record_and_bank(slot);
        Slot { record, bank, index: split(slot).1 }
    }

    #[cfg_attr(target_os = "none", inline(never))]
    #[cfg_attr(not(target_os = "none"), inline(always))]
    fn record_and_bank(self, slot: u16) -> (&'a Record, &'a BankRecord) {
        let bank = split(slot).0;
        let bank = if bank < self.banks() { bank } else { 0 };
        // SAFETY: there is a bank, and with it this one.
        (self.slot(slot), unsafe { self.get(BANKS_AT, bank) })
    }

    /// Whether the slot is in the set.
    #[inline(always)]
    pub fn has(self, set: Sets, slot: u16) -> bool {
        let (bank, index) = split(slot);
        self.bits(set, bank) >> index & 1 == 1
    }

    /// All stripes, in order.
    pub fn stripes(self) -> impl Iterator<Item = &'a Stripe> {
        (0..self.layout.stripes).filter_map(move |stripe| self.stripe(stripe as u8))
    }

    #[inline(always)]
    pub fn stripe(self, stripe: u8) -> Option<&'a Stripe> {
        let begin = self.layout.stripes_at as usize;
        // SAFETY: there are so many stripes.
        ((stripe as u16) < self.layout.stripes).then(|| unsafe { self.get(begin, stripe as usize) })
    }

    /// Its counts, a stripe each.
    pub fn counts(self, slot: u16) -> impl Iterator<Item = &'a Counts> {
        (0..self.layout.stripes).filter_map(move |stripe| self.counts_of(stripe as u8, slot))
    }

    /// Its counts of one stripe.
    #[inline(always)]
    pub fn counts_of(self, stripe: u8, slot: u16) -> Option<&'a Counts> {
        let at = stripe as usize * self.layout.slots as usize + self.place_of(slot);
        let begin = self.layout.counts_at as usize;
        // SAFETY: a stripe has counts of each slot.
        ((stripe as u16) < self.layout.stripes).then(|| unsafe { self.get(begin, at) })
    }

    // === What there is in all banks ===

    /// How many slots `bits` says, in all banks.
    #[inline(never)]
    pub fn count(self, bits: &dyn Fn(&BankRecord) -> u32) -> u32 {
        self.all_banks().iter().map(|bank| bits(bank).count_ones()).sum()
    }

    /// Goes through the banks, each with its number.
    #[inline(never)]
    pub fn each_bank(self, look: &mut dyn FnMut(usize, &'a BankRecord)) {
        self.all_banks().iter().enumerate().for_each(|(number, bank)| look(number, bank));
    }

    /// How many are in the set.
    pub fn len(self, set: Sets) -> u32 {
        self.count(&|bank| bank.bits(set))
    }

    /// The first slot from `from` on of those that `bits` says.
    #[inline(never)]
    pub fn next(self, from: u32, bits: &dyn Fn(&BankRecord) -> u32) -> Option<u16> {
        let (mut at, mut mask) = (from as usize / 32, u32::MAX << (from % 32));
        loop {
            let left = bits(self.bank(at)?) & mask;
            if left != 0 {
                return Some(slot(at, left.trailing_zeros()));
            }
            (at, mask) = (at + 1, u32::MAX);
        }
    }

    /// The slots that `bits` says, lowest first.
    pub fn slots(self, bits: &dyn Fn(&BankRecord) -> u32) -> impl Iterator<Item = u16> {
        let mut from = 0;
        core::iter::from_fn(move || {
            let next = self.next(from, bits)?;
            from = next as u32 + 1;
            Some(next)
        })
    }

    /// Tells every class to look again; the caller is in the critical section, and has made its change.
    pub fn touch(self) {
        let epoch = self.signals.epoch.load(Ordering::Relaxed);
        self.signals.epoch.store(epoch.wrapping_add(1), Ordering::Release);
    }

    #[inline(always)]
    pub fn epoch(self) -> u32 {
        self.signals.epoch.load(Ordering::Acquire)
    }

    /// Whether what was read of a slot before this, acquiring its generation, is of the epoch: were the slot
    /// another endpoint's by now, the epoch would have advanced before.
    #[inline(always)]
    pub fn is_of(self, epoch: u32) -> bool {
        self.signals.epoch.load(Ordering::Relaxed) == epoch
    }
}
