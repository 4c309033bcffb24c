//! What happens between a wake and a poll.
//!
//! The general way: woken bits are drained into the lanes ([`Executor::next`]), and the lanes give the first. Three short
//! loops stand before it, for the cases in which most tasks of a firmware run; the order is the same as by the general way.
//!
//! * Nothing is queued and one task at a time is woken: it needs no lane ([`Executor::poll_lone_tasks`]).
//! * Only timed tasks are queued: an exchange with the heap ([`Executor::poll_urgent_tasks`]).
//! * Only ready tasks are queued: an exchange with the ring ([`Executor::poll_ready_tasks`]).

use super::bank::{BankHead, Bell};
use super::executor::{Executor, Slots};
use super::header::{Flagged, Header, state};
use super::platform::Platform;
use super::shared::Core;
use super::trace::PollTrace;
use crate::bitmap::{self, Bits};
use crate::sched::{Lane, Lanes, Nodes};
use crate::sync::{Ordering, fence, with_lock};
use crate::time::Instant;

/// In the count of queued slots: all of them are in the ready lane, or were when they were last counted.
const READY_ONLY: u32 = 1 << 16;
/// The same for the timed lane.
const TIMED_ONLY: u32 = 2 << 16;

/// Woken bits that were taken from a bank.
#[derive(Clone, Copy)]
pub(super) struct Woken {
    bank: usize,
    bits: u32,
}

impl Woken {
    /// Nothing.
    pub const NONE: Self = Self { bank: 0, bits: 0 };

    #[inline(always)]
    const fn is_one(self) -> bool {
        self.bits & self.bits.wrapping_sub(1) == 0 && self.bits != 0
    }
}

/// What is left of a pass, in two registers.
struct Rest {
    left_and_bank: u32,
    bits: u32,
}

impl Rest {
    #[inline(always)]
    const fn new(left: u32, woken: Woken) -> Self {
        Self { left_and_bank: left | (woken.bank as u32) << 16, bits: woken.bits }
    }

    #[inline(always)]
    const fn unpack(self) -> (u32, Woken) {
        (self.left_and_bank & 0xFFFF, Woken { bank: self.left_and_bank as usize >> 16, bits: self.bits })
    }
}

/// What [`Core::running`] holds during a poll: the slot, and above it how many polls are left after this one.
#[inline(always)]
fn place(slot: u16, left: u32) -> u32 {
    u32::from(slot) | left << 16
}

/// All unsafe functions here ask the same of their caller.
///
/// # Safety
///
/// The caller is the executor's runner, in no poll; slots and headers are this executor's.
impl<P: Platform, const BANKS: usize, const PER_BANK: usize> Executor<P, BANKS, PER_BANK> {
    /// Polls what is woken and queued, at most `left` times. `woken` was taken already.
    #[inline(never)]
    pub(super) unsafe fn poll_woken(&'static self, mut woken: Woken, mut left: u32, now: &Instant) {
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
                    (left, woken) = self.poll_lone_tasks(left).unpack();
                    if left == 0 {
                        break;
                    }
                }
                match queued.load(Ordering::Relaxed) {
                    0 | TIMED_ONLY.. => (left, woken) = self.poll_urgent_tasks(woken, left, now).unpack(),
                    READY_ONLY.. => (left, woken) = self.poll_ready_tasks(woken, left).unpack(),
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
                if self.dispatch(slot, late, left, now) {
                    left -= 1;
                }
            }
        }
    }

    /// If nothing is queued: polls one task without deadline and quota, if one alone is woken. Returns what it has taken and
    /// leaves to the caller.
    ///
    /// For the way from an interrupt to its task, which needs no clock.
    pub(super) unsafe fn poll_promptly(&'static self) -> Woken {
        if self.shared().queued.load(Ordering::Relaxed) != 0 {
            return Woken::NONE;
        }
        // SAFETY: the caller is the runner.
        unsafe { self.poll_lone_tasks(1) }.unpack().1
    }

    /// With nothing queued: polls tasks without deadline and quota for as long as one at a time is woken. This is the common
    /// case of a firmware; a task that wakes itself, or two that wake each other, stay in here.
    ///
    /// Returns how many polls are left, and what it has taken and leaves to the caller.
    #[inline(never)]
    unsafe fn poll_lone_tasks(&'static self, mut left: u32) -> Rest {
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
                self.poll(place(slot, left), header, table, bell);
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
                    self.poll(place, header, table, bell);
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
    unsafe fn poll_urgent_tasks(&'static self, mut woken: Woken, mut left: u32, now: &Instant) -> Rest {
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
                        if self.dispatch(first, late, left, now) {
                            left -= 1;
                        }
                    } else {
                        left -= 1;
                        self.poll(place(slot, left), header, table, Bell::new(self.bank(woken.bank), index));
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
    unsafe fn poll_ready_tasks(&'static self, mut woken: Woken, mut left: u32) -> Rest {
        if woken.bits == 0 {
            woken = self.take_woken();
        }
        loop {
            let slot = if woken.is_one() {
                let woken_slot = bitmap::slot(woken.bank, woken.bits.trailing_zeros());
                let header = Slots(self).locate(woken_slot);
                // SAFETY: the header is this executor's. The fence as in `poll_lone_tasks`.
                let plain = unsafe { (*header).vtable.load().is_plain() };
                fence(Ordering::Acquire);
                if !plain {
                    break;
                }
                // SAFETY: lanes call nothing but `Slots` (Guarded Invariant).
                with_lock(|cs| unsafe {
                    self.lanes.with(cs, |lanes| lanes.take_turns(&Slots(self), woken_slot))
                })
            } else if woken.bits != 0 || BANKS > 1 && self.is_woken() {
                break;
            } else {
                self.with_lanes(|lanes, slots| lanes.pop_ready(slots))
            };
            let Some(slot) = slot else { break };
            // SAFETY: the caller is the runner. In the ready lane nothing has a deadline: no need of the time.
            if unsafe { self.dispatch(slot, false, left, &Instant::ZERO) } {
                left -= 1;
            }
            if left == 0 {
                return Rest::new(0, Woken::NONE);
            }
            woken = self.take_woken();
        }
        Rest::new(left, woken)
    }

    /// With nothing queued but timed tasks: what comes out of the lanes if the woken `slot` goes in, and whether it is late.
    /// `None`, and nothing has changed, if that takes more than a glance: `slot` is late itself or has no deadline.
    #[inline(always)]
    fn most_urgent(&'static self, slot: u16, now: &Instant) -> Option<(u16, bool)> {
        // SAFETY: lanes call nothing but `Slots` (Guarded Invariant).
        with_lock(|cs| unsafe {
            self.lanes.with(cs, |lanes| {
                let slots = &Slots(self);
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

    /// Wakes again what was taken.
    #[cold]
    pub(super) fn give_back(&'static self, woken: Woken) {
        for index in Bits(woken.bits) {
            self.bell(bitmap::slot(woken.bank, index)).ring();
        }
    }

    /// Takes what is woken, if it is in one bank.
    #[inline(always)]
    fn take_woken(&'static self) -> Woken {
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

    /// The next task by way of the lanes, and whether its deadline has passed. `woken` was taken already.
    #[inline(never)]
    fn next(&'static self, woken: Woken, now: &Instant) -> Option<(u16, bool)> {
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
    fn pop(&'static self, now: u64) -> Option<(u16, bool)> {
        self.with_lanes(|lanes, slots| {
            let next = lanes.pop(slots)?;
            Some((next, slots.node(next).is_late(now)))
        })
    }

    /// Counts wakes of tasks that were woken already.
    #[cold]
    #[inline(never)]
    fn coalesced(&'static self, count: u32) {
        self.shared().tally.coalesced.fetch_add(count, Ordering::Relaxed);
    }

    #[inline(never)]
    fn enqueue(&'static self, bank: usize, bits: u32) {
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
    fn enqueue_at_second_look(&'static self, slot: u16) -> bool {
        let header = Slots(self).locate(slot);
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
    fn is_plainly_live(&'static self, slot: u16) -> bool {
        let header = Slots(self).locate(slot);
        // SAFETY: the header is this executor's.
        unsafe { (*header).vtable.load().is_live() }
    }

    #[inline(always)]
    fn with_lanes<R>(
        &'static self,
        change: impl FnOnce(&mut Lanes<BANKS, PER_BANK>, &Slots<P, BANKS, PER_BANK>) -> R,
    ) -> R {
        with_lock(|cs| {
            let change = |lanes: &mut Lanes<BANKS, PER_BANK>| {
                let result = change(lanes, &Slots(self));
                let only = match lanes.only() {
                    Some(Lane::Ready) => READY_ONLY,
                    Some(Lane::Timed) => TIMED_ONLY,
                    _ => 0,
                };
                self.shared().queued.store(lanes.len() as u32 | only, Ordering::Relaxed);
                result
            };
            // SAFETY: lanes call nothing but `Slots`, and no closure given here does more (Guarded Invariant).
            unsafe { self.lanes.with(cs, change) }
        })
    }

    /// Polls a task that may have a quota, a request or a deadline that is `late`, unless one of them speaks against it. Says
    /// whether it was polled.
    #[inline(always)]
    unsafe fn dispatch(&'static self, slot: u16, late: bool, left: u32, now: &Instant) -> bool {
        let header = Slots(self).locate(slot);
        // SAFETY: the caller is the runner.
        unsafe {
            let table = (*header).vtable.load();
            if late || !table.is_live() {
                return self.dispatch_closely(slot, header, left, now);
            }
            self.poll(place(slot, left - 1), header, table, self.bell(slot));
        }
        true
    }

    /// [`dispatch`](Self::dispatch) of a task that is to be looked at before.
    #[cold]
    #[inline(never)]
    unsafe fn dispatch_closely(
        &'static self,
        slot: u16,
        header: *const Header,
        left: u32,
        now: &Instant,
    ) -> bool {
        // SAFETY: the caller is the runner.
        unsafe {
            let goes = self.look(header, *now);
            if goes {
                self.poll(place(slot, left - 1), header, (*header).vtable.load(), self.bell(slot));
                self.park(header, slot);
            }
            goes
        }
    }

    /// Polls a live task, whose [`place`] is given.
    #[inline(always)]
    unsafe fn poll(&'static self, place: u32, header: *const Header, table: Flagged, bell: Bell) {
        let core = self.shared();
        // SAFETY: the caller is the runner; while the header is live its plain fields are the runner's (Executor Invariant
        // 3), and storage holds a future, because a task whose poll was done or unwound is live no more. No lock is held and
        // no reference to lanes or timers lives across the poll (Executor Invariant 6).
        unsafe {
            core.running.store(place, Ordering::Relaxed);
            let _traced = P::TRACES.then(|| PollTrace::begin(&self.platform, header));
            let started = if P::TIMES_POLLS { self.platform.ticks() } else { 0 };
            (table.get().poll)(header, bell);
            if P::TIMES_POLLS {
                let lasted = self.platform.ticks().wrapping_sub(started);
                let longest = &core.tally.longest_poll;
                longest.store(longest.load(Ordering::Relaxed).max(lasted), Ordering::Relaxed);
            }
        }
    }

    /// Whether a wake has not been taken yet: a plain load.
    pub(super) fn is_woken(&'static self) -> bool {
        if BANKS == 1 { !self.woken(0).is_empty() } else { !self.shared().summary.is_empty() }
    }

    #[inline(always)]
    fn bell(&'static self, slot: u16) -> Bell {
        let (bank, index) = if BANKS == 1 { (0, slot.into()) } else { bitmap::split(slot) };
        // SAFETY: the bank is this executor's, the slot one of its entries.
        unsafe { Bell::new(self.bank(bank), index) }
    }

    #[inline(always)]
    fn woken(&'static self, bank: usize) -> &'static bitmap::Bank {
        let bank: *const BankHead = self.bank(bank);
        // SAFETY: the bank is part of a static executor, its words atomic.
        unsafe { &(*bank).woken }
    }

    /// The core, for its shared fields.
    #[inline(always)]
    pub(super) fn shared(&'static self) -> &'static Core {
        // SAFETY: it is the first field of a static executor.
        unsafe { &*self.core() }
    }
}
