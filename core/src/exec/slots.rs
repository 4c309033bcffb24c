//! What an executor is to code that knows its size, but not its platform.
//!
//! Executors of one size share this code whatever their platforms: one in thread mode and one in an interrupt, say.

use core::mem::offset_of;

use super::bank::{Bank, BankHead, Bell};
use super::header::Header;
use super::shared::Core;
use crate::bitmap;
use crate::sched::{Lanes, Node, Nodes, Priority};
use crate::sync::{CriticalSection, Guarded, Ordering};

/// An executor but for its platform: its first field.
#[repr(C)]
pub(super) struct Tasks<const BANKS: usize, const PER_BANK: usize> {
    // First, so that a pointer to the core is a pointer to the executor.
    pub core: Core,
    pub lanes: Guarded<Lanes<BANKS, PER_BANK>>,
    pub banks: [Bank<PER_BANK>; BANKS],
}

/// A whole, static executor, with the provenance of the whole (Executor Invariant 1); to the lanes, the nodes of its headers.
pub(super) struct Slots<const BANKS: usize, const PER_BANK: usize>(*const Tasks<BANKS, PER_BANK>);

impl<const BANKS: usize, const PER_BANK: usize> Clone for Slots<BANKS, PER_BANK> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}

impl<const BANKS: usize, const PER_BANK: usize> Copy for Slots<BANKS, PER_BANK> {}

impl<const BANKS: usize, const PER_BANK: usize> Slots<BANKS, PER_BANK> {
    /// # Safety
    ///
    /// `core` points into a whole, static executor of this size.
    #[inline(always)]
    pub const unsafe fn of(core: *const Core) -> Self {
        Self(core.cast())
    }

    /// The core, with the provenance of the whole executor.
    #[inline(always)]
    pub const fn core(self) -> *const Core {
        self.0.cast()
    }

    /// The core, for its shared fields.
    #[inline(always)]
    pub fn shared(self) -> &'static Core {
        // SAFETY: it is the first field of a static executor.
        unsafe { &*self.core() }
    }

    #[inline(always)]
    pub fn bank(self, bank: usize) -> *const BankHead {
        let at = offset_of!(Tasks<BANKS, PER_BANK>, banks) + bank * size_of::<Bank<PER_BANK>>();
        // SAFETY: `bank` is below BANKS, as every slot number in this crate is made from a bank that exists.
        unsafe { self.0.byte_add(at).cast() }
    }

    #[inline(always)]
    pub fn header(self, bank: usize, index: u32) -> *const Header {
        // SAFETY: the same, and `index` is below PER_BANK.
        unsafe { BankHead::header(self.bank(bank), index) }
    }

    /// The header of `slot`, which is one of this executor's.
    #[inline(always)]
    pub fn locate(self, slot: u16) -> *const Header {
        let (bank, index) = Self::split(slot);
        self.header(bank, index)
    }

    #[inline(always)]
    pub fn bell(self, slot: u16) -> Bell {
        let (bank, index) = Self::split(slot);
        // SAFETY: the bank is this executor's, the slot one of its entries.
        unsafe { Bell::new(self.bank(bank), index) }
    }

    #[inline(always)]
    pub fn woken(self, bank: usize) -> &'static bitmap::Bank {
        // SAFETY: the bank is part of a static executor, its words atomic.
        unsafe { &(*self.bank(bank)).woken }
    }

    /// Bank and index of a slot. With one bank the slot is the index.
    #[inline(always)]
    fn split(slot: u16) -> (usize, u32) {
        if BANKS == 1 { (0, slot.into()) } else { bitmap::split(slot) }
    }

    #[inline(always)]
    pub fn lanes(self) -> &'static Guarded<Lanes<BANKS, PER_BANK>> {
        // SAFETY: they are part of a static executor.
        unsafe { &(*self.0).lanes }
    }

    // === what the core asks of the lanes ===

    /// # Safety
    ///
    /// `core` points into a whole, static executor of this size, which has `slot`.
    pub unsafe fn set_deadline(core: *const Core, cs: CriticalSection<'_>, slot: u16, deadline: Option<u64>) {
        // SAFETY: the caller's promise; lanes call nothing but `Slots` (Guarded Invariant).
        unsafe {
            let slots = Self::of(core);
            slots.lanes().with(cs, |lanes| lanes.set_deadline(&slots, slot, deadline));
        }
    }

    /// # Safety
    ///
    /// As for [`set_deadline`](Self::set_deadline).
    pub unsafe fn set_priority(core: *const Core, cs: CriticalSection<'_>, slot: u16, priority: Priority) {
        // SAFETY: the caller's promise; lanes call nothing but `Slots` (Guarded Invariant).
        unsafe {
            let slots = Self::of(core);
            slots.lanes().with(cs, |lanes| lanes.set_priority(&slots, slot, priority));
        }
    }

    /// # Safety
    ///
    /// As for [`set_deadline`](Self::set_deadline).
    pub unsafe fn withdraw(core: *const Core, cs: CriticalSection<'_>, slot: u16, until: u64) {
        // SAFETY: the caller's promise; lanes call nothing but `Slots` (Guarded Invariant).
        unsafe {
            let slots = Self::of(core);
            let empty = slots.lanes().with(cs, |lanes| {
                lanes.remove(&slots, slot);
                lanes.set_deadline(&slots, slot, Some(until));
                lanes.is_empty()
            });
            if empty {
                slots.shared().queued.store(0, Ordering::Relaxed);
            }
        }
    }
}

impl<const BANKS: usize, const PER_BANK: usize> Nodes for Slots<BANKS, PER_BANK> {
    #[inline(always)]
    fn node(&self, slot: u16) -> &Node {
        // SAFETY: lanes hold slots of this executor only.
        unsafe { &(*self.locate(slot)).node }
    }
}
