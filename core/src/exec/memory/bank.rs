//! Headers and the words that describe them, side by side.

use ::core::mem::offset_of;

#[cfg(not(target_os = "none"))]
use super::claims::Claims;
use crate::bitmap;
use crate::exec::task::header::Header;
#[cfg(not(target_os = "none"))]
use crate::sync::FixedU32;
use crate::sync::{Fixed, array_of, const_fn};

/// A bank's word of wakes. On hosts it says which slots are claimed, too.
#[cfg(target_os = "none")]
pub(in crate::exec) type Woken = bitmap::Bank;
/// A bank's word of wakes. On hosts it says which slots are claimed, too.
#[cfg(not(target_os = "none"))]
pub(in crate::exec) type Woken = Claims;

/// The part of a bank that doesn't depend on its size; all zeros at first.
#[repr(C)]
pub(in crate::exec) struct BankHead {
    /// Slots that were woken.
    pub woken: Woken,
    /// What a wake must do beside setting its bit: an `Announce`, or null. A pointer, so that a wake tests it
    /// together with a number.
    pub announce: Fixed<*const ()>,
    /// All slots but those whose task is plain: live, in no lane, of the lowest priority, without deadline
    /// and quota, and not asked to stop. Changed under the lock; the executor's first use sets all bits.
    pub special: bitmap::Bank,
    /// Slots that were taken from `woken` and not polled yet: the rest of a round. The runner's.
    pub rest: bitmap::Bank,
    /// Slots that are free. Changed under the lock; the executor's first use sets the bits of all there are.
    pub free: bitmap::Bank,
    /// Slots whose task was asked to stop and has not ended. Changed under the lock.
    pub draining: bitmap::Bank,
    /// Distance in bytes back to the core.
    pub to_core: Fixed<u32>,
    pub number: Fixed<u32>,
    /// All slots if workers share the executor; else none.
    #[cfg(not(target_os = "none"))]
    pub shared: FixedU32,
}

/// Aligned to 32 at least, so that a bank's address has room for the number of an entry: see
/// [`TaskRef`](super::refs::TaskRef). On hosts to a pair of cache lines, so that workers in two banks share
/// none.
#[cfg_attr(target_os = "none", repr(C, align(32)))]
#[cfg_attr(not(target_os = "none"), repr(C, align(128)))]
pub(in crate::exec) struct Bank<const PER_BANK: usize> {
    pub head: BankHead,
    pub headers: [Header; PER_BANK],
}

/// Where the headers begin in a bank; the same for every size, because the head's size is a multiple of their
/// alignment.
pub(in crate::exec) const HEADERS: usize = offset_of!(Bank<1>, headers);

impl<const PER_BANK: usize> Bank<PER_BANK> {
    const_fn! {
    pub const fn new() -> Self {
        const { assert!(offset_of!(Self, headers) == HEADERS) }
        Self {
            head: BankHead {
                woken: Woken::new(0),
                announce: Fixed::new(::core::ptr::null()),
                special: bitmap::Bank::new(0),
                rest: bitmap::Bank::new(0),
                free: bitmap::Bank::new(0),
                draining: bitmap::Bank::new(0),
                to_core: Fixed::new(0),
                number: Fixed::new(0),
                #[cfg(not(target_os = "none"))]
                shared: FixedU32::new(0),
            },
            headers: array_of![Header::new(); PER_BANK],
        }
    }
    }
}
