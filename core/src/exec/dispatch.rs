//! What happens between a wake and a poll.
//!
//! The general way: woken bits are drained into the lanes ([`Slots::next`]), and the lanes give the first. Three short loops
//! stand before it ([`loops`](super::loops)).

use super::bank::Bell;
use super::drain::{READY_ONLY, TIMED_ONLY, Woken};
use super::header::{Flagged, Header};
use super::shared::Core;
use super::slots::Slots;
use crate::sync::Ordering;
use crate::time::Instant;

/// What [`Core::running`] holds during a poll: the slot, and above it how many polls are left after this one.
#[inline(always)]
pub(super) fn place(slot: u16, left: u32) -> u32 {
    u32::from(slot) | left << 16
}

/// `OBSERVED`: the platform looks on at polls, so each goes by way of it ([`Ops::observe`](super::shared::Ops)).
///
/// All unsafe functions here ask the same of their caller.
///
/// # Safety
///
/// The caller is the executor's runner, in no poll; slots and headers are this executor's.
impl<const BANKS: usize, const PER_BANK: usize> Slots<BANKS, PER_BANK> {
    /// Polls what is woken and queued, at most `left` times. `woken` was taken already.
    #[inline(never)]
    pub unsafe fn poll_woken<const OBSERVED: bool>(self, mut woken: Woken, mut left: u32, now: &Instant) {
        let queued = &self.shared().queued;
        // SAFETY: the caller is the runner.
        unsafe {
            while left > 0 {
                if self.shared().has_work() {
                    // Regions call drops and finalisers, which may unwind: nothing that was taken is held meanwhile.
                    self.enqueue(woken.bank, woken.bits);
                    woken = Woken::NONE;
                    Core::serve_regions(self.core());
                }
                if woken.bits == 0 && queued.load(Ordering::Relaxed) == 0 {
                    (left, woken) = self.poll_lone_tasks::<OBSERVED>(left).unpack();
                    if left == 0 {
                        break;
                    }
                }
                match queued.load(Ordering::Relaxed) {
                    0 | TIMED_ONLY.. => {
                        (left, woken) = self.poll_urgent_tasks::<OBSERVED>(woken, left, now).unpack()
                    }
                    READY_ONLY.. => (left, woken) = self.poll_ready_tasks::<OBSERVED>(woken, left).unpack(),
                    _ => {}
                }
                if left == 0 {
                    break;
                }
                let next = self.next(woken, now);
                woken = Woken::NONE;
                let Some((slot, late)) = next else {
                    if self.shared().has_work() {
                        continue;
                    }
                    break;
                };
                if self.dispatch::<OBSERVED>(slot, late, left, now) {
                    left -= 1;
                }
            }
        }
    }

    /// Polls a task that may have a quota, a request or a deadline that is `late`, unless one of them speaks against it. Says
    /// whether it was polled.
    #[inline(always)]
    pub unsafe fn dispatch<const OBSERVED: bool>(
        self,
        slot: u16,
        late: bool,
        left: u32,
        now: &Instant,
    ) -> bool {
        let header = self.locate(slot);
        // SAFETY: the caller is the runner.
        unsafe {
            let table = (*header).vtable.load();
            if late || !table.is_live() {
                return self.dispatch_closely::<OBSERVED>(slot, header, left, now);
            }
            self.poll::<OBSERVED>(place(slot, left - 1), header, table, self.bell(slot));
        }
        true
    }

    /// [`dispatch`](Self::dispatch) of a task that is to be looked at before.
    #[cold]
    #[inline(never)]
    pub unsafe fn dispatch_closely<const OBSERVED: bool>(
        self,
        slot: u16,
        header: *const Header,
        left: u32,
        now: &Instant,
    ) -> bool {
        // SAFETY: the caller is the runner.
        unsafe {
            let goes = self.look(header, *now);
            if goes {
                self.poll::<OBSERVED>(
                    place(slot, left - 1),
                    header,
                    (*header).vtable.load(),
                    self.bell(slot),
                );
                self.park(header, slot);
            }
            goes
        }
    }

    /// Polls a live task, whose [`place`] is given.
    #[inline(always)]
    pub unsafe fn poll<const OBSERVED: bool>(
        self,
        place: u32,
        header: *const Header,
        table: Flagged,
        bell: Bell,
    ) {
        let core = self.shared();
        // SAFETY: the caller is the runner; while the header is live its plain fields are the runner's (Executor Invariant
        // 3), and storage holds a future, because a task whose poll was done or unwound is live no more. No lock is held and
        // no reference to lanes or timers lives across the poll (Executor Invariant 6).
        unsafe {
            core.running.store(place, Ordering::Relaxed);
            let poll = table.get().poll;
            match core.ops.observe {
                Some(observe) if OBSERVED => observe(self.core(), header, poll, bell),
                _ => poll(header, bell),
            }
        }
    }
}
