//! Waking: a bit of the bank, and who is told of it.

use ::core::mem::transmute;

use super::core::{Announce, BankRef, Cover, ExecRef, Ops, TaskRef};
use super::look::AlarmDue;
use crate::bitmap;
use crate::sync::Ordering;

impl ExecRef {
    /// Tells the runner of an executor with several banks which one to look into, and for whom.
    pub fn cover(self, bank: BankRef, bit: u32) {
        self.covers(bank, bit).cover(bank.number.get());
    }

    /// [`cover`](Self::cover) by the runner.
    pub fn cover_own(self, bank: BankRef, bit: u32) {
        let (covers, number) = (self.covers(bank, bit), 1 << bank.number.get());
        if covers.bits() & number == 0 {
            covers.insert_bit(number);
        }
    }

    /// The set in which a wake covers its bank.
    #[inline(always)]
    fn covers(&self, bank: BankRef, bit: u32) -> &bitmap::Bank {
        let is_plain = bank.special.bits() & bit == 0 || self.special().is_none();
        if is_plain { &self.summary } else { &self.urgent }
    }

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
        let (bank, bit) = (self.bank(), self.bit());
        #[cfg(not(target_os = "none"))]
        if bank.is_told(bit) {
            return;
        }
        let coalesced = bank.woken.insert_bit(bit);
        #[cfg(not(target_os = "none"))]
        if bank.is_left_to_claim(bit) {
            return;
        }
        // One test for both.
        if coalesced as usize | bank.announce.get().addr() != 0 {
            bank.announce_wake(bit, coalesced);
        }
    }

    /// [`mark`](Self::mark) by the runner, the only one who clears what covers a bank: what is set stays.
    #[inline(always)]
    pub fn mark_own(self) -> bool {
        self.mark_with(|ops| ops.cover_own)
    }

    /// [`wake`](Self::wake) without pending the platform, by its runner or whoever pends it later. Returns
    /// whether the task had been woken already.
    #[inline(always)]
    pub fn mark(self) -> bool {
        self.mark_with(|ops| ops.cover)
    }

    #[inline(always)]
    fn mark_with(self, cover: impl FnOnce(&Ops) -> Option<Cover>) -> bool {
        let (exec, bank, bit) = (self.exec(), self.bank(), self.bit());
        let coalesced = bank.woken.insert_bit(bit) != 0;
        if let Some(cover) = cover(exec.ops()) {
            cover(exec, bank, bit);
        }
        coalesced
    }

    /// Has the task's bank looked into.
    #[cfg(not(target_os = "none"))]
    #[cold]
    #[inline(never)]
    pub fn cover(self) {
        self.exec().cover(self.bank(), self.bit());
    }

    /// Whether a wake has not led to a place in a lane or a poll yet.
    pub fn is_woken(self) -> bool {
        let bank = self.bank();
        (bank.woken.bits() | bank.rest.bits()) & self.bit() != 0
    }

    /// Whether one of several workers has claimed the task.
    pub fn is_claimed(self) -> bool {
        #[cfg(not(target_os = "none"))]
        return self.bank().woken.claimed() & self.bit() != 0;
        #[cfg(target_os = "none")]
        false
    }

    /// The lanes give their claim up: the task was taken out of its lane, and not to be polled but for a wake
    /// that comes after this (Claim Invariant). Where no workers share the executor, nobody claims.
    #[inline(always)]
    pub fn unclaim(self) {
        #[cfg(not(target_os = "none"))]
        self.bank().woken.release(self.index());
    }

    /// A claim was given up, and the slot was woken meanwhile: as of Claim Invariant 2.
    #[cfg(not(target_os = "none"))]
    #[cold]
    #[inline(never)]
    pub fn tell(self) {
        self.cover();
        self.exec().pend();
    }

    /// Notes under the lock whether the task is plain.
    #[inline(always)]
    pub fn set_plain(self, plain: bool) {
        let special = &self.bank().special;
        if plain {
            special.clear_releasing(self.index());
        } else {
            special.write(self.index(), true);
        }
    }

    /// Notes under the lock that the task isn't plain any more, or not yet; the runner may have it in a
    /// round.
    pub fn set_special(self) {
        let bank = self.bank();
        if bank.special.bits() & self.bit() == 0 {
            bank.special.write(self.index(), true);
            if self.is_woken() {
                self.exec().note_special(bank);
            }
        }
    }
}

impl BankRef {
    /// The rest of a wake that is more than its OR.
    #[inline(always)]
    fn announce_wake(self, bit: u32, coalesced: u32) {
        // SAFETY: it is null, or an `Announce`.
        let announce = unsafe { transmute::<*const (), Option<Announce>>(self.announce.get()) };
        match announce {
            Some(announce) => announce(self, bit, coalesced),
            None => self.count_coalesced(),
        }
    }

    /// Whether workers share the executor.
    #[inline(always)]
    pub fn is_shared(self) -> bool {
        #[cfg(not(target_os = "none"))]
        return self.shared.load(Ordering::Relaxed) != 0;
        #[cfg(target_os = "none")]
        false
    }

    /// Whether the task is woken, and that is all, since workers share its executor: whoever has woken it
    /// tells, or has told. Not so if it is special, since it may have become so meanwhile.
    #[cfg(not(target_os = "none"))]
    #[inline(always)]
    fn is_told(self, bit: u32) -> bool {
        self.shared.load(Ordering::Relaxed) & bit & !self.special.bits() != 0 && self.woken.is_seen(bit)
    }

    /// After the bit was set: whether somebody has a claim of the plain task, and tells when he gives it up
    /// (Claim Invariant 2). So it is for a task that wakes itself in its poll.
    #[cfg(not(target_os = "none"))]
    #[inline(always)]
    fn is_left_to_claim(self, bit: u32) -> bool {
        self.shared.load(Ordering::Relaxed) & bit & !self.special.bits() & self.woken.claimed() != 0
    }

    /// Counts a wake of a task that was woken already.
    #[cold]
    #[inline(never)]
    pub fn count_coalesced(self) {
        self.exec().tally.coalesced.fetch_add(1, Ordering::Relaxed);
    }
}
