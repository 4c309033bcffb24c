//! The short loops, in which most tasks of a firmware run. The order is the same as by the general way.
//!
//! * Nothing is queued and one task at a time is woken: it needs no lane ([`Slots::poll_lone_tasks`]).
//! * Only timed tasks are queued: an exchange with the heap ([`Slots::poll_urgent_tasks`]).
//! * Only ready tasks are queued: an exchange with the ring ([`Slots::poll_ready_tasks`]).

use super::bank::Bell;
use super::dispatch::place;
use super::drain::Woken;
use super::slots::Slots;
use crate::bitmap;
use crate::sync::{Ordering, fence, with_lock};
use crate::time::Instant;

/// What is left of a pass, in two registers.
pub(super) struct Rest {
    left_and_bank: u32,
    bits: u32,
}

impl Rest {
    #[inline(always)]
    const fn new(left: u32, woken: Woken) -> Self {
        Self { left_and_bank: left | (woken.bank as u32) << 16, bits: woken.bits }
    }

    #[inline(always)]
    pub const fn unpack(self) -> (u32, Woken) {
        (self.left_and_bank & 0xFFFF, Woken { bank: self.left_and_bank as usize >> 16, bits: self.bits })
    }
}

/// All unsafe functions here ask the same of their caller.
///
/// # Safety
///
/// The caller is the executor's runner, in no poll; slots and headers are this executor's.
impl<const BANKS: usize, const PER_BANK: usize> Slots<BANKS, PER_BANK> {
    /// If nothing is queued: polls one task without deadline and quota, if one alone is woken. Returns what it has taken and
    /// leaves to the caller.
    ///
    /// For the way from an interrupt to its task, which needs no clock.
    pub unsafe fn poll_promptly<const OBSERVED: bool>(self) -> Woken {
        if self.shared().queued.load(Ordering::Relaxed) != 0 {
            return Woken::NONE;
        }
        // SAFETY: the caller is the runner.
        unsafe { self.poll_lone_tasks::<OBSERVED>(1) }.unpack().1
    }

    /// With nothing queued: polls tasks without deadline and quota for as long as one at a time is woken. This is the common
    /// case of a firmware; a task that wakes itself, or two that wake each other, stay in here.
    ///
    /// Returns how many polls are left, and what it has taken and leaves to the caller.
    #[inline(never)]
    pub unsafe fn poll_lone_tasks<const OBSERVED: bool>(self, mut left: u32) -> Rest {
        'next: loop {
            let woken = self.take_woken();
            if !woken.is_one() {
                return Rest::new(left, woken);
            }
            let index = woken.bits.trailing_zeros();
            let slot = bitmap::slot(woken.bank, index);
            let header = self.header(woken.bank, index);
            // SAFETY: the caller is the runner. The fence makes what spawner and wakers wrote visible, for the bit and for the
            // table.
            unsafe {
                let table = (*header).vtable.load();
                fence(Ordering::Acquire);
                if !table.is_plain() {
                    return Rest::new(left, woken);
                }
                let bell = Bell::new(self.bank(woken.bank), index);
                left -= 1;
                self.poll::<OBSERVED>(place(slot, left), header, table, bell);
                if left == 0 {
                    return Rest::new(0, Woken::NONE);
                }
                // The same task again, alone? Then there is nothing to look up. What is left is counted in the form in which
                // it is stored.
                let mut place = place(slot, left);
                while BANKS == 1 && self.woken(0).bits() == woken.bits {
                    let again = self.woken(0).take_seen();
                    if again != woken.bits || (*header).vtable.load() != table {
                        return Rest::new(place >> 16, Woken { bank: 0, bits: again });
                    }
                    fence(Ordering::Acquire);
                    place -= 1 << 16;
                    self.poll::<OBSERVED>(place, header, table, bell);
                    if place >> 16 == 0 {
                        return Rest::new(0, Woken::NONE);
                    }
                }
                left = place >> 16;
                continue 'next;
            }
        }
    }

    /// With nothing queued but timed tasks: polls tasks for as long as one at a time is woken (the first is in `woken`, if it
    /// isn't empty), timed or alone. Returns as [`poll_lone_tasks`](Self::poll_lone_tasks).
    #[inline(never)]
    pub unsafe fn poll_urgent_tasks<const OBSERVED: bool>(
        self,
        mut woken: Woken,
        mut left: u32,
        now: &Instant,
    ) -> Rest {
        if woken.bits == 0 {
            woken = self.take_woken();
        }
        'next: while woken.is_one() {
            let index = woken.bits.trailing_zeros();
            let slot = bitmap::slot(woken.bank, index);
            let header = self.header(woken.bank, index);
            // SAFETY: as in `poll_lone_tasks`.
            unsafe {
                let table = (*header).vtable.load();
                fence(Ordering::Acquire);
                if !table.is_live() {
                    break;
                }
                loop {
                    let Some((first, late)) = self.most_urgent(slot, now) else { break 'next };
                    if first != slot {
                        if self.dispatch::<OBSERVED>(first, late, left, now) {
                            left -= 1;
                        }
                    } else {
                        left -= 1;
                        self.poll::<OBSERVED>(
                            place(slot, left),
                            header,
                            table,
                            Bell::new(self.bank(woken.bank), index),
                        );
                    }
                    if left == 0 {
                        return Rest::new(0, Woken::NONE);
                    }
                    let before = woken.bits;
                    woken = self.take_woken();
                    // The same task again, alone? Then only the lanes may have changed.
                    if BANKS > 1 || woken.bits != before || (*header).vtable.load() != table {
                        continue 'next;
                    }
                    fence(Ordering::Acquire);
                }
            }
        }
        Rest::new(left, woken)
    }

    /// With only the ready lane occupied: takes turns between it and tasks without deadline and quota, for as long as at most
    /// one at a time is woken. Returns as [`poll_lone_tasks`](Self::poll_lone_tasks).
    #[inline(never)]
    pub unsafe fn poll_ready_tasks<const OBSERVED: bool>(self, mut woken: Woken, mut left: u32) -> Rest {
        if woken.bits == 0 {
            woken = self.take_woken();
        }
        loop {
            let slot = if woken.is_one() {
                let woken_slot = bitmap::slot(woken.bank, woken.bits.trailing_zeros());
                let header = self.locate(woken_slot);
                // SAFETY: the header is this executor's. The fence as in `poll_lone_tasks`.
                let plain = unsafe { (*header).vtable.load().is_plain() };
                fence(Ordering::Acquire);
                if !plain {
                    break;
                }
                // SAFETY: lanes call nothing but `Slots` (Guarded Invariant).
                with_lock(|cs| unsafe { self.lanes().with(cs, |lanes| lanes.take_turns(&self, woken_slot)) })
            } else if woken.bits != 0 || BANKS > 1 && self.is_woken() {
                break;
            } else {
                self.with_lanes(|lanes, slots| lanes.pop_ready(slots))
            };
            let Some(slot) = slot else { break };
            // SAFETY: the caller is the runner. In the ready lane nothing has a deadline: no need of the time.
            if unsafe { self.dispatch::<OBSERVED>(slot, false, left, &Instant::ZERO) } {
                left -= 1;
            }
            if left == 0 {
                return Rest::new(0, Woken::NONE);
            }
            woken = self.take_woken();
        }
        Rest::new(left, woken)
    }
}
