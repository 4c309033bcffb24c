//! Headers and the words that describe them, side by side.
//!
//! A waker holds a bank's address and an entry's number ([`Bell`]); a header's address gives both by arithmetic: no table, no
//! capacity in the waker's type.

use core::mem::offset_of;

use super::header::{Header, TaskId};
use super::shared::Core;
use crate::bitmap::{self, low_bits};
use crate::sync::{Ordering, array_of, const_fn};

/// The part of a bank that doesn't depend on its size.
#[repr(C)]
pub(super) struct BankHead {
    pub woken: bitmap::Bank,
    /// What a wake must do beside setting its bit: [`SUMMARY`], [`PEND`].
    announce: u32,
    pub free: bitmap::Bank,
    /// Distance in bytes back to the core.
    to_core: u32,
    number: u8,
}

/// A wake must cover its bank in the summary.
const SUMMARY: u32 = 1;
/// A wake must pend the platform.
const PEND: u32 = 2;

/// Aligned to 32, so that a bank's address has room for the number of an entry: see [`Bell`].
#[repr(C, align(32))]
pub(super) struct Bank<const PER_BANK: usize> {
    pub head: BankHead,
    pub headers: [Header; PER_BANK],
}

/// Where the headers begin in a bank; the same for every size, because the head's size is a multiple of their alignment.
const HEADERS: usize = offset_of!(Bank<1>, headers);

impl<const PER_BANK: usize> Bank<PER_BANK> {
    const_fn! {
    /// A bank of an executor with `banks` of them; [`BankHead::place`] tells it which.
    pub const fn new(banks: usize, pends: bool) -> Self {
        const { assert!(offset_of!(Self, headers) == HEADERS) }
        let mut headers = array_of![Header::new(0); PER_BANK];
        let mut index = 0;
        while index < PER_BANK {
            headers[index].node.embedder_index = index as u8;
            index += 1;
        }
        let announce = if banks > 1 { SUMMARY } else { 0 } | if pends { PEND } else { 0 };
        Self {
            head: BankHead {
                woken: bitmap::Bank::new(0),
                announce,
                free: bitmap::Bank::new(low_bits(PER_BANK)),
                to_core: 0,
                number: 0,
            },
            headers,
        }
    }
    }
}
impl BankHead {
    /// Tells a bank which it is, when the executor is made.
    pub const fn place(&mut self, number: usize, to_core: usize) {
        self.number = number as u8;
        self.to_core = to_core as u32;
    }

    /// # Safety
    ///
    /// `bank` is derived from a pointer to its whole executor and holds more than `index` headers.
    #[inline(always)]
    pub unsafe fn header(bank: *const BankHead, index: u32) -> *const Header {
        // SAFETY: the caller's promise.
        unsafe { bank.byte_add(HEADERS + index as usize * size_of::<Header>()).cast() }
    }

    /// # Safety
    ///
    /// `bank` is derived from a pointer to its whole executor.
    pub unsafe fn core(bank: *const BankHead) -> *const Core {
        // SAFETY: the caller's promise, and `to_core` was computed from the layout.
        unsafe { bank.byte_sub((*bank).to_core as usize).cast() }
    }
}

impl Header {
    /// The bank that holds this header.
    ///
    /// # Safety
    ///
    /// `header` is derived from a pointer to its whole executor.
    #[inline(always)]
    pub unsafe fn bank(header: *const Header) -> *const BankHead {
        // SAFETY: the caller's promise.
        unsafe {
            let index = usize::from((*header).node.embedder_index);
            header.byte_sub(HEADERS + index * size_of::<Header>()).cast()
        }
    }

    /// The core of this header's executor.
    ///
    /// # Safety
    ///
    /// As for [`Header::bank`].
    pub unsafe fn core(header: *const Header) -> *const Core {
        // SAFETY: the caller's promise.
        unsafe { BankHead::core(Self::bank(header)) }
    }

    /// The slot's number.
    ///
    /// # Safety
    ///
    /// As for [`Header::bank`].
    pub unsafe fn slot(header: *const Header) -> u16 {
        // SAFETY: the caller's promise.
        unsafe {
            let bank = Self::bank(header);
            bitmap::slot(usize::from((*bank).number), u32::from((*header).node.embedder_index))
        }
    }

    /// The id of the slot's present task.
    ///
    /// # Safety
    ///
    /// As for [`Header::bank`].
    pub unsafe fn id(header: *const Header) -> TaskId {
        // SAFETY: the caller's promise.
        unsafe {
            TaskId { slot: Self::slot(header), generation: (*header).generation.load(Ordering::Relaxed) }
        }
    }

    /// Makes the task runnable; see [`Bell::ring`].
    ///
    /// # Safety
    ///
    /// As for [`Header::bank`].
    pub unsafe fn wake(header: *const Header) {
        // SAFETY: the caller's promise.
        unsafe { Bell::of(header).ring() }
    }

    /// Whether a wake has not been taken yet.
    ///
    /// # Safety
    ///
    /// As for [`Header::bank`].
    pub unsafe fn is_woken(header: *const Header) -> bool {
        // SAFETY: the caller's promise.
        unsafe { (*Self::bank(header)).woken.bits() >> (*header).node.embedder_index & 1 == 1 }
    }
}

/// What a waker holds: the address of a bank and, in its five low bits, the number of an entry.
///
/// So a wake finds the bank's word and its bit without a load: a wake through a header's address took four instructions more
/// on a Cortex-M3.
#[derive(Clone, Copy)]
pub(super) struct Bell(*const BankHead);

impl Bell {
    /// # Safety
    ///
    /// `bank` is derived from a pointer to its whole, static executor and has an entry `index`.
    #[inline(always)]
    pub unsafe fn new(bank: *const BankHead, index: u32) -> Self {
        Self(bank.wrapping_byte_add(index as usize))
    }

    /// # Safety
    ///
    /// As for [`Header::bank`].
    pub unsafe fn of(header: *const Header) -> Self {
        // SAFETY: the caller's promise.
        unsafe { Self::new(Header::bank(header), u32::from((*header).node.embedder_index)) }
    }

    /// The header of the entry.
    pub fn header(self) -> *const Header {
        let (bank, bit) = self.split();
        // SAFETY: `new` was given a bank of a static executor that has the entry.
        unsafe { BankHead::header(bank, bit.trailing_zeros()) }
    }

    /// The pointer to keep in a waker.
    #[inline(always)]
    pub const fn into_raw(self) -> *const () {
        self.0.cast()
    }

    /// # Safety
    ///
    /// `raw` comes from [`into_raw`](Self::into_raw).
    #[inline(always)]
    pub unsafe fn from_raw(raw: *const ()) -> Self {
        Self(raw.cast())
    }

    /// Makes the task runnable: one OR, then the summary and the platform where the executor has any need of them. Any
    /// context. O(1).
    ///
    /// The bank's bit is set before the summary's (Summary Invariant), and the platform is pended even when the bit was set
    /// already: the waker that set it may have been pre-empted before it could pend.
    #[inline(always)]
    pub fn ring(self) {
        let (bank, bit) = self.split();
        // SAFETY: as for `split`.
        unsafe {
            let coalesced = (*bank).woken.insert_bit(bit);
            if coalesced | (*bank).announce != 0 {
                Self::announce(bank, coalesced);
            }
        }
    }

    /// [`ring`](Self::ring) without pending the platform.
    pub fn mark(self) {
        let (bank, bit) = self.split();
        // SAFETY: as for `split`.
        unsafe {
            (*bank).woken.insert_bit(bit);
            if (*bank).announce & SUMMARY != 0 {
                (*BankHead::core(bank)).summary.insert(u32::from((*bank).number));
            }
        }
    }

    /// The bank and the bit. `new` was given a bank of a static executor, and banks are aligned to 32.
    #[inline(always)]
    fn split(self) -> (*const BankHead, u32) {
        let index = self.0.addr() % 32;
        (self.0.wrapping_byte_sub(index), 1 << index)
    }

    /// The rest of a wake that is more than its OR: counts one that found the bit set, covers the bank in the summary and
    /// pends the platform, where there is need.
    ///
    /// # Safety
    ///
    /// `bank` is derived from a pointer to its whole, static executor.
    #[cold]
    #[inline(never)]
    unsafe fn announce(bank: *const BankHead, coalesced: u32) {
        // SAFETY: the caller's promise; the operation is this executor's own.
        unsafe {
            let core = BankHead::core(bank);
            if coalesced != 0 {
                (*core).tally.coalesced.fetch_add(1, Ordering::Relaxed);
            }
            if (*bank).announce & SUMMARY != 0 {
                (*core).summary.insert(u32::from((*bank).number));
            }
            if (*bank).announce & PEND != 0 {
                ((*core).ops.pend)(core);
            }
        }
    }
}
