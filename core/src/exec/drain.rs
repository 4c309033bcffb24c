//! From the woken bits into the lanes, and what comes out of them.

use super::header::state;
use super::slots::Slots;
use crate::bitmap::{self, Bits};
use crate::sched::{Lane, Lanes, Nodes};
use crate::sync::{Ordering, fence, with_lock};
use crate::time::Instant;

/// In the count of queued slots: all of them are in the ready lane, or were when they were last counted.
pub(super) const READY_ONLY: u32 = 1 << 16;
/// The same for the timed lane.
pub(super) const TIMED_ONLY: u32 = 2 << 16;

/// Woken bits that were taken from a bank.
#[derive(Clone, Copy)]
pub(super) struct Woken {
    pub bank: usize,
    pub bits: u32,
}

impl Woken {
    /// Nothing.
    pub const NONE: Self = Self { bank: 0, bits: 0 };

    #[inline(always)]
    pub const fn is_one(self) -> bool {
        self.bits & self.bits.wrapping_sub(1) == 0 && self.bits != 0
    }
}

impl<const BANKS: usize, const PER_BANK: usize> Slots<BANKS, PER_BANK> {
    /// Whether a wake has not been taken yet: a plain load.
    pub fn is_woken(self) -> bool {
        if BANKS == 1 { !self.woken(0).is_empty() } else { !self.shared().summary.is_empty() }
    }

    /// Takes what is woken, if it is in one bank.
    #[inline(always)]
    pub fn take_woken(self) -> Woken {
        let bank = if BANKS == 1 {
            0
        } else {
            let summary = self.shared().summary.bits();
            if !summary.is_power_of_two() {
                return Woken::NONE;
            }
            // The summary before the bank (Summary Invariant).
            self.shared().summary.remove(summary.trailing_zeros());
            summary.trailing_zeros() as usize
        };
        let word = self.woken(bank);
        if word.is_empty() {
            return Woken::NONE;
        }
        Woken { bank, bits: word.take_seen() }
    }

    /// Wakes again what was taken.
    #[cold]
    pub fn give_back(self, woken: Woken) {
        for index in Bits(woken.bits) {
            self.bell(bitmap::slot(woken.bank, index)).ring();
        }
    }

    /// The next task by way of the lanes, and whether its deadline has passed. `woken` was taken already.
    #[inline(never)]
    pub fn next(self, woken: Woken, now: &Instant) -> Option<(u16, bool)> {
        let now = now.as_micros();
        let fresh = if BANKS == 1 { self.woken(0).take_relaxed() } else { 0 };
        fence(Ordering::Acquire);
        let twice = woken.bits & fresh;
        if twice != 0 {
            self.coalesced(twice.count_ones());
        }
        let bits = woken.bits | fresh;
        if BANKS == 1 && (Woken { bank: 0, bits }).is_one() {
            let slot = bits.trailing_zeros() as u16;
            if self.is_plainly_live(slot) {
                let (next, new) = self.with_lanes(|lanes, slots| {
                    let new = slots.node(slot).lane().is_none();
                    let next = if new { lanes.push_pop(slots, slot) } else { lanes.pop(slots) };
                    (next.map(|next| (next, slots.node(next).is_late(now))), new)
                });
                if !new {
                    self.coalesced(1);
                }
                return next;
            }
        }
        self.enqueue(woken.bank, bits);
        if BANKS > 1 {
            for bank in Bits(self.shared().summary.take()) {
                let bits = self.woken(bank as usize).take();
                self.enqueue(bank as usize, bits);
            }
        }
        self.pop(now)
    }

    #[inline(never)]
    fn pop(self, now: u64) -> Option<(u16, bool)> {
        self.with_lanes(|lanes, slots| {
            let next = lanes.pop(slots)?;
            Some((next, slots.node(next).is_late(now)))
        })
    }

    /// With nothing queued but timed tasks: what comes out of the lanes if the woken `slot` goes in, and whether it is late.
    /// `None`, and nothing has changed, if that takes more than a glance: `slot` is late itself or has no deadline.
    #[inline(always)]
    pub fn most_urgent(self, slot: u16, now: &Instant) -> Option<(u16, bool)> {
        // SAFETY: lanes call nothing but `Slots` (Guarded Invariant).
        with_lock(|cs| unsafe {
            self.lanes().with(cs, |lanes| {
                let slots = &self;
                if slots.node(slot).is_late(now.as_micros()) {
                    return None;
                }
                if lanes.passes(slots, slot) {
                    return Some((slot, false));
                }
                let first = lanes.exchange_timed(slots, slot)?;
                Some((first, slots.node(first).is_late(now.as_micros())))
            })
        })
    }

    /// Changes what is queued, and keeps the count of it. `change` does nothing but that.
    #[inline(always)]
    pub fn with_lanes<R>(self, change: impl FnOnce(&mut Lanes<BANKS, PER_BANK>, &Self) -> R) -> R {
        with_lock(|cs| {
            let change = |lanes: &mut Lanes<BANKS, PER_BANK>| {
                let result = change(lanes, &self);
                let only = match lanes.only() {
                    Some(Lane::Ready) => READY_ONLY,
                    Some(Lane::Timed) => TIMED_ONLY,
                    _ => 0,
                };
                self.shared().queued.store(lanes.len() as u32 | only, Ordering::Relaxed);
                result
            };
            // SAFETY: lanes call nothing but `Slots`, and no closure given here does more (Guarded Invariant).
            unsafe { self.lanes().with(cs, change) }
        })
    }

    #[inline(never)]
    pub fn enqueue(self, bank: usize, bits: u32) {
        for index in Bits(bits) {
            let slot = bitmap::slot(bank, index);
            let new = if self.is_plainly_live(slot) {
                self.with_lanes(|lanes, slots| lanes.push(slots, slot))
            } else {
                self.enqueue_at_second_look(slot)
            };
            if !new {
                self.coalesced(1);
            }
        }
    }

    /// Queues a task with a quota, or one that was asked to stop, which goes to the cancel lane. Says whether that is news; a
    /// wake that came too late is counted and forgotten.
    #[cold]
    #[inline(never)]
    fn enqueue_at_second_look(self, slot: u16) -> bool {
        let header = self.locate(slot);
        // SAFETY: the header is this executor's.
        unsafe {
            if !self.is_live_at_second_look(header) {
                return true;
            }
            self.with_lanes(|lanes, slots| {
                // Looked at under the lock: a request takes the task out of the lanes and leaves it for the next drain.
                if (*header).state.load(Ordering::Relaxed) & state::REQUESTED == 0 {
                    return lanes.push(slots, slot);
                }
                let new = (*header).node.lane() != Some(Lane::Cancel);
                lanes.promote(slots, slot);
                new
            })
        }
    }

    /// Whether a woken slot holds a task without quota and request.
    #[inline(always)]
    fn is_plainly_live(self, slot: u16) -> bool {
        let header = self.locate(slot);
        // SAFETY: the header is this executor's.
        unsafe { (*header).vtable.load().is_live() }
    }

    /// Counts wakes of tasks that were woken already.
    #[cold]
    #[inline(never)]
    fn coalesced(self, count: u32) {
        self.shared().tally.coalesced.fetch_add(count, Ordering::Relaxed);
    }
}
