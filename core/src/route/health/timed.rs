//! What changes by itself when time passes: breakers that become half-open, weights that rise, reports that
//! go stale.
//!
//! Each slot with such a change ahead has a bit in `timed`. One word, `last_quiet`, holds the tick before
//! the first; a select compares it with its own tick, and only when that has passed does it look further.
//!
//! # Due Invariant
//!
//! `next_timed` is never later than any change ahead, and no change ahead is more than `MAX_TICKS` after the
//! latest time seen. `last_quiet` is not later than that, nor more than [`WINDOW`] after the latest look,
//! and earlier while a table is to be built; it is what clocks read, without what follows. All of it changes
//! inside the critical section only.
//!
//! # Clocks that jump
//!
//! Ticks are compared by wrapping difference, which is good for half their range, 25 days. So the time that
//! was seen last is kept in full. When a clock has gone forward by more than `MAX_TICKS` (12 days),
//! everything ahead is due at once. One that goes back by more than [`WINDOW`] counts as one that stood still
//! meanwhile: by how much it has gone back is added to what it reads from then on, so what lies ahead comes
//! as late as it would have. A clock that goes back by less delays what lies ahead until it has come there
//! again: two contexts may read two clocks. A select sees any jump: `last_quiet` is out of the window then,
//! or the number of the span of 12 days that it is, the era, is another.

use crate::bitmap::{Bits, slot};
use crate::route::config::options::{MAX_TICKS, era, tick};
use crate::route::state::bank::Sets;
use crate::route::state::view::View;
use crate::sync::{Ordering, with_lock};
use crate::time::Instant;

/// So many ticks after a look, 17 s, a select looks again.
const WINDOW: u32 = 1 << 14;

impl View<'_> {
    /// 0 unless a time-driven change may be due: two loads.
    #[inline(always)]
    pub(in crate::route) fn overdue(self, now: Instant) -> u32 {
        let last = self.signals.last_quiet.load(Ordering::Relaxed);
        // It is neither past, nor so far ahead that the clock must have gone back.
        (last.wrapping_sub(tick(now)) / WINDOW) | (era(now) ^ self.signals.era.load(Ordering::Relaxed))
    }

    pub(in crate::route) fn is_due(self, now: Instant) -> bool {
        self.overdue(now) != 0
    }

    /// Whether a time-driven change may be due, apart from a build.
    pub(in crate::route) fn is_timed_due(self, now: Instant) -> bool {
        let ahead = self.next_timed.load(Ordering::Relaxed).wrapping_sub(self.tick(now)) as i32;
        ahead <= 0 || self.is_new_era(now) || self.seen().saturating_sub(ticks(now)) > WINDOW as u64
    }

    /// The tick of `now`, by a clock that never goes back far.
    #[inline(always)]
    pub(in crate::route) fn tick(self, now: Instant) -> u32 {
        tick(now).wrapping_add(self.gone_back.load(Ordering::Relaxed))
    }

    /// The tick of the time that was seen last.
    pub(in crate::route) fn seen_tick(self) -> u32 {
        self.seen_low.load(Ordering::Relaxed).wrapping_add(self.gone_back.load(Ordering::Relaxed))
    }

    fn seen(self) -> u64 {
        (self.seen_high.load(Ordering::Relaxed) as u64) << 32 | self.seen_low.load(Ordering::Relaxed) as u64
    }

    /// Makes what is due so: one bank a call, that which has been due for longest, O(banks + 32), inside one
    /// critical section. What else is due stays due, and the next select goes on with it. In a new era all
    /// banks at once, so that nothing stays due for as long as half the range of ticks.
    #[cold]
    #[inline(never)]
    pub(in crate::route) fn advance(self, now: Instant) {
        with_lock(|_| self.advance_locked(now));
    }

    /// The same; the caller is in the critical section.
    pub(in crate::route) fn advance_locked(self, now: Instant) {
        let new_era = self.is_new_era(now);
        let all_due = self.see(now);
        let now_tick = self.tick(now);
        // That which has been due for longest: one in which something is due at each call must not hold up
        // the others.
        let mut longest = None;
        self.each_bank(&mut |number, bank| {
            let late = now_tick.wrapping_sub(bank.due.load(Ordering::Relaxed)) as i32;
            if bank.bits(Sets::timed) == 0 || late < 0 && !all_due {
                return;
            }
            if new_era {
                self.advance_bank(number, now_tick, all_due);
            } else if longest.is_none_or(|(other, _)| late > other) {
                longest = Some((late, number));
            }
        });
        if let Some((_, number)) = longest {
            self.advance_bank(number, now_tick, all_due);
        }
        let mut next = now_tick.wrapping_add(MAX_TICKS);
        self.each_bank(&mut |_, bank| {
            if bank.bits(Sets::timed) != 0 {
                next = earlier(next, bank.due.load(Ordering::Relaxed));
            }
        });
        self.next_timed.store(next, Ordering::Relaxed);
        // A build that is wanted from now on hastens what follows, in a critical section after this.
        self.look_again(if self.builds.is_wanted() { now_tick } else { next }, now_tick);
    }

    /// Selects look further from tick `at` on, or in a while.
    fn look_again(self, at: u32, now_tick: u32) {
        let at = earlier(at, now_tick.wrapping_add(WINDOW));
        let read = at.wrapping_sub(self.gone_back.load(Ordering::Relaxed));
        self.signals.last_quiet.store(read.wrapping_sub(1), Ordering::Relaxed);
    }

    /// A build is done: unless another is wanted, selects look again when something is due.
    pub(in crate::route) fn calm(self) {
        with_lock(|_| {
            if !self.builds.is_wanted() {
                self.look_again(self.next_timed.load(Ordering::Relaxed), self.seen_tick());
            }
        });
    }

    #[inline(always)]
    fn is_new_era(self, now: Instant) -> bool {
        era(now) != self.signals.era.load(Ordering::Relaxed)
    }

    /// Remembers the time; returns whether it is so far from the last that ticks can't tell any more, so that
    /// all is due.
    fn see(self, now: Instant) -> bool {
        let (seen, now_ticks) = (self.seen(), ticks(now));
        self.signals.era.store(era(now), Ordering::Relaxed);
        let back = seen.saturating_sub(now_ticks);
        if back > WINDOW as u64 {
            let before = self.gone_back.load(Ordering::Relaxed);
            self.gone_back.store(before.wrapping_add(back as u32), Ordering::Relaxed);
        } else if now_ticks <= seen {
            return false;
        }
        self.seen_low.store(now_ticks as u32, Ordering::Relaxed);
        self.seen_high.store((now_ticks >> 32) as u32, Ordering::Relaxed);
        now_ticks.saturating_sub(seen) > MAX_TICKS as u64
    }

    #[inline(never)]
    fn advance_bank(self, number: usize, now_tick: u32, all_due: bool) {
        let Some(bank) = self.bank(number) else { return };
        let mut next = now_tick.wrapping_add(MAX_TICKS);
        for index in Bits(bank.bits(Sets::timed)) {
            let slot = slot(number, index);
            let mut ahead = false;
            let changes = [
                self.advance_breaker(slot, now_tick, all_due),
                self.advance_ramp(slot, now_tick, all_due),
                self.advance_report(slot, now_tick, all_due),
            ];
            for then in changes.into_iter().flatten() {
                (next, ahead) = (earlier(next, then), true);
            }
            if !ahead {
                bank.set(Sets::timed).remove(index);
            }
        }
        bank.due.store(next, Ordering::Relaxed);
    }

    /// A change of the slot lies ahead, `span` ticks after `now`; returns its tick. The caller is in the
    /// critical section, and writes what it is afterwards: if the clock has jumped, what was ahead before
    /// becomes due first, of this slot too.
    pub(in crate::route) fn schedule(self, slot: u16, now: Instant, span: u32) -> u32 {
        if self.is_new_era(now) {
            self.advance_locked(now);
        }
        self.see(now);
        let at = self.tick(now).wrapping_add(span);
        let own = self.at(slot);
        let due = &own.bank.due;
        let first = own.bank.bits(Sets::timed) == 0;
        due.store(if first { at } else { earlier(at, due.load(Ordering::Relaxed)) }, Ordering::Relaxed);
        own.write(Sets::timed, true);
        let next = self.next_timed.load(Ordering::Relaxed);
        self.next_timed.store(earlier(at, next), Ordering::Relaxed);
        self.hasten(at);
        at
    }

    /// Selects look further from tick `at` on; the caller is in the critical section.
    pub(in crate::route) fn hasten(self, at: u32) {
        let at = at.wrapping_sub(self.gone_back.load(Ordering::Relaxed));
        let last = self.signals.last_quiet.load(Ordering::Relaxed);
        self.signals.last_quiet.store(earlier(at.wrapping_sub(1), last), Ordering::Relaxed);
    }
}

/// All the ticks of a time.
const fn ticks(now: Instant) -> u64 {
    now.as_micros() >> 10
}

/// The earlier of two ticks that lie less than half the range apart.
fn earlier(a: u32, b: u32) -> u32 {
    if (a.wrapping_sub(b) as i32) < 0 { a } else { b }
}
