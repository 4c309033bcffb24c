//! Waking: a bit of the bank, and who is told of it.

use super::bank::BankHead;
use super::core::{BankRef, ExecRef, TaskRef};
use super::look::AlarmDue;
use crate::bitmap;
use crate::sync::Ordering;

impl ExecRef {
    /// A task of the bank that a round has taken, or is to take, isn't plain any more.
    pub fn note_special(self, bank: BankRef) {
        self.urgent.insert(bank.number.get());
        self.look.set(AlarmDue::SPECIAL);
    }
}

impl TaskRef {
    /// Makes the task runnable: one OR, then the summary and the platform where the executor has any need of
    /// them. Any context. O(1).
    ///
    /// The bank's bit is set before the summary's (Summary Invariant), and the platform is pended even when
    /// the bit was set already: the waker that set it may have been pre-empted before it could pend.
    #[inline(always)]
    pub fn wake(self) {
        let (coalesced, announce) = self.set_woken();
        if coalesced | announce != 0 {
            self.announce(coalesced);
        }
    }

    /// [`wake`](Self::wake), faster if it only pends.
    #[inline(always)]
    pub fn wake_promptly(self) {
        let (coalesced, announce) = self.set_woken();
        if coalesced | announce != 0 {
            if coalesced == 0 && announce == BankHead::PEND {
                return self.exec().pend();
            }
            self.announce(coalesced);
        }
    }

    /// Sets the task's bit. Returns the bit if it was set, and what a wake must do beside.
    #[inline(always)]
    fn set_woken(self) -> (u32, u32) {
        let bank = self.bank();
        (bank.woken.insert_bit(self.bit()), bank.announce.get())
    }

    /// The rest of a wake that is more than its OR.
    #[cold]
    #[inline(never)]
    fn announce(self, coalesced: u32) {
        if coalesced != 0 {
            self.exec().tally.coalesced.fetch_add(1, Ordering::Relaxed);
        }
        let announce = self.bank().announce.get();
        if announce & BankHead::SUMMARY != 0 {
            self.cover();
        }
        if announce & BankHead::PEND != 0 {
            self.exec().pend();
        }
    }

    /// [`mark`](Self::mark) by the runner, the only one who clears what covers a bank: what is set stays.
    #[inline(always)]
    pub fn mark_own(self) -> bool {
        let (coalesced, announce) = self.set_woken();
        if announce & BankHead::SUMMARY != 0 {
            let (covers, bit) = (self.covers(), 1 << self.bank().number.get());
            if covers.bits() & bit == 0 {
                covers.insert_bit(bit);
            }
        }
        coalesced != 0
    }

    /// [`wake`](Self::wake) without pending the platform, by its runner or whoever pends it later. Returns
    /// whether the task had been woken already.
    #[inline(always)]
    pub fn mark(self) -> bool {
        let (coalesced, announce) = self.set_woken();
        if announce & BankHead::SUMMARY != 0 {
            self.cover();
        }
        coalesced != 0
    }

    /// Tells the runner which bank to look into, and for whom.
    #[cold]
    #[inline(never)]
    fn cover(self) {
        self.covers().insert(self.bank().number.get());
    }

    /// The set in which a wake covers its bank.
    #[inline(always)]
    fn covers(self) -> &'static bitmap::Bank {
        let (exec, bank) = (self.exec(), self.bank());
        // SAFETY: the executor is static.
        let core = unsafe { &*exec.as_ptr() };
        let is_plain = bank.plain.bits() & self.bit() != 0 || exec.special().is_none();
        if is_plain { &core.summary } else { &core.urgent }
    }

    /// Whether a wake has not led to a place in a lane or a poll yet.
    pub fn is_woken(self) -> bool {
        let bank = self.bank();
        (bank.woken.bits() | bank.rest.bits()) & self.bit() != 0
    }

    /// Notes under the lock whether the task is plain.
    #[inline(always)]
    pub fn set_plain(self, plain: bool) {
        self.bank().plain.write(self.index(), plain);
    }

    /// Notes under the lock that the task isn't plain any more, or not yet; the runner may have it in a
    /// round.
    pub fn set_special(self) {
        let bank = self.bank();
        if bank.plain.bits() & self.bit() != 0 {
            bank.plain.write(self.index(), false);
            if self.is_woken() {
                self.exec().note_special(bank);
            }
        }
    }
}
