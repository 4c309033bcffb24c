//! Circuit breakers: an endpoint that fails is left alone for a while, then tried with one request.
//!
//! ```text
//!          1 failures in a row, or too great a share of them
//!   Closed ----------------------------------------------> Open
//!     ^                                                    |  ^
//!     | 4 the probe (the last of `probes`) has succeeded   |  | 3 the probe has failed
//!     |                              2 `open_for` is over  v  |
//!     +------------------ Probing <------------------- HalfOpen
//!                            |      5 a select claims it    ^
//!                            +------------------------------+
//!                               6 nobody has heard of it for a probe window, or another probe is to follow
//! ```
//!
//! 1 [`Endpoints::trip`], 2 and 6 [`Endpoints::advance_breaker`], 3 and 4 [`Endpoints::judge`], 5
//! [`Endpoints::claim`]. The pattern is Nygard's ("Release It!", 2007).
//!
//! # Breaker Invariant
//!
//! A breaker's word changes inside the critical section only. Its term advances with each change, and a
//! probe's lease carries the term of its claim: so no other lease can decide, and a probe that was given up
//! can't either.

use super::EndpointId;
use super::endpoints::Endpoints;
use super::options::{FailureRate, PERMILLE, tick, ticks};
use crate::sync::{Ordering, with_lock};
use crate::time::Instant;

/// What a breaker lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum State {
    /// Everything.
    Closed = 0,
    /// Nothing.
    Open = 1,
    /// One probe.
    HalfOpen = 2,
    /// Nothing: the probe is out.
    Probing = 3,
}

impl State {
    pub(super) const fn of(word: u32) -> Self {
        match word & 3 {
            0 => Self::Closed,
            1 => Self::Open,
            2 => Self::HalfOpen,
            _ => Self::Probing,
        }
    }
}

/// State in bits 0 and 1, probes that have succeeded in bits 2 to 9, the term above.
const SUCCESSES: u32 = 2;
const TERM: u32 = 10;

const fn successes(word: u32) -> u32 {
    word >> SUCCESSES & 0xff
}

/// The state after `word`, in the next term.
const fn next(word: u32, state: State, successes: u32) -> u32 {
    ((word >> TERM).wrapping_add(1) << TERM) | successes << SUCCESSES | state as u32
}

impl<const BANKS: usize, const PER_BANK: usize, const STRIPES: usize> Endpoints<BANKS, PER_BANK, STRIPES> {
    /// Takes the probe's token; the word that the lease must carry, or `None` if somebody else has it.
    pub(super) fn claim(&self, slot: u16, now: Instant) -> Option<u32> {
        if !self.half_open.remove(slot) {
            return None;
        }
        with_lock(|_| {
            let word = self.breakers.get(slot);
            let may = self.enabled.contains(slot) && self.is_healthy(slot);
            let probing = (State::of(word) == State::HalfOpen && may).then(|| {
                self.await_breaker(slot, now, self.options.probe_ticks);
                next(word, State::Probing, successes(word))
            });
            if let Some(probing) = probing {
                self.breakers.set(slot, probing);
            }
            self.settle(slot);
            probing
        })
    }

    /// A probe that was claimed is not sent: the next select may.
    pub(super) fn give_back(&self, slot: u16, probe: u32) {
        with_lock(|_| {
            if self.breakers.get(slot) == probe {
                self.breakers.set(slot, next(probe, State::HalfOpen, successes(probe)));
                self.settle(slot);
            }
        });
    }

    /// How many ticks until the breaker admits a probe, if the one that may be out isn't heard of.
    pub(super) fn breaker_wait(&self, slot: u16, now_tick: u32) -> u32 {
        match State::of(self.breakers.get(slot)) {
            // What is due already waits for the next selects to come to its bank.
            State::Open | State::Probing => {
                (self.breaker_at.get(slot).wrapping_sub(now_tick) as i32).max(0) as u32
            }
            State::Closed | State::HalfOpen => 0,
        }
    }

    /// A probe's lease has ended with a verdict.
    #[cold]
    pub(super) fn judge(&self, slot: u16, probe: u32, succeeded: bool, now: Instant) {
        with_lock(|_| {
            if self.breakers.get(slot) != probe {
                return; // Given up before, or of an endpoint that has gone.
            }
            let successes = successes(probe) + 1;
            if !succeeded {
                self.await_breaker(slot, now, self.options.open_ticks);
                self.breakers.set(slot, next(probe, State::Open, 0));
            } else if successes < self.options.probes as u32 {
                self.breakers.set(slot, next(probe, State::HalfOpen, successes));
            } else {
                self.begin_ramp(slot, now);
                self.stop_ejecting(slot);
                self.breakers.set(slot, next(probe, State::Closed, 0));
                self.failures.set(slot, 0);
                self.rates.set(slot, 0);
            }
            self.settle(slot);
        });
    }

    /// An ordinary lease has succeeded.
    #[inline(always)]
    pub(super) fn count_success(&self, slot: u16, now: Instant) {
        if self.failures.get(slot) != 0 {
            self.failures.set(slot, 0);
        }
        if let Some(rate) = &self.options.failure_rate {
            self.count_rate(slot, rate, false, now);
        }
    }

    /// An ordinary lease has failed.
    pub(super) fn count_failure(&self, id: EndpointId, now: Instant) {
        let slot = id.slot();
        if State::of(self.breakers.get(slot)) != State::Closed {
            return;
        }
        let limit = self.options.failures as u32;
        let in_a_row =
            limit != 0 && self.failures.at(slot).fetch_add(1, Ordering::Relaxed).saturating_add(1) >= limit;
        let too_many =
            self.options.failure_rate.as_ref().is_some_and(|rate| self.count_rate(slot, rate, true, now));
        if in_a_row || too_many {
            self.trip(id, now);
        }
    }

    /// Counts an outcome in the window; whether the share of failures is too great.
    ///
    /// One word: outcomes and failures, 16 bits each. When a half-window has passed both are halved, once for
    /// each.
    fn count_rate(&self, slot: u16, rate: &FailureRate, failed: bool, now: Instant) -> bool {
        const COUNT: u32 = 0xffff;
        if self.rates.get(slot) == 0 {
            self.rate_from.set(slot, tick(now)); // The first outcome begins the first half-window.
        }
        let passed = self.half_windows(slot, (ticks(rate.window) / 2).max(1), tick(now));
        let mut after = (0, 0);
        let counted = self.rates.at(slot).fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| {
            let (mut all, mut bad) = (word >> 16 >> passed, (word & COUNT) >> passed);
            if all == COUNT {
                (all, bad) = (all / 2, bad / 2);
            }
            (all, bad) = (all + 1, bad + failed as u32);
            after = (all, bad);
            Some(all << 16 | bad)
        });
        let (all, bad) = after;
        counted.is_ok()
            && all >= rate.at_least as u32
            && bad > 0
            && bad * PERMILLE >= rate.permille as u32 * all
    }

    /// How many half-windows have ended since the last outcome, at most 16; another begins then.
    #[inline(always)]
    fn half_windows(&self, slot: u16, half: u32, now_tick: u32) -> u32 {
        let began = self.rate_from.get(slot);
        if now_tick.wrapping_sub(began) < half {
            0
        } else {
            self.begin_half_window(slot, half, now_tick, began)
        }
    }

    #[cold]
    fn begin_half_window(&self, slot: u16, half: u32, now_tick: u32, began: u32) -> u32 {
        const ALL: u32 = 16;
        let gone = now_tick.wrapping_sub(began) as i32;
        let (passed, begins) = if gone >= 0 && gone as u32 / half < ALL {
            (gone as u32 / half, began.wrapping_add(gone as u32 / half * half))
        } else if gone < 0 && gone.unsigned_abs() <= half {
            return 0; // A clock that went back a little is in the same half-window still.
        } else {
            (ALL, now_tick)
        };
        // Of two contexts that come at once, one halves.
        let at = self.rate_from.at(slot);
        match at.compare_exchange(began, begins, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => passed,
            Err(_) => 0,
        }
    }

    /// Opens the breaker, unless as many are open as may be.
    #[cold]
    fn trip(&self, id: EndpointId, now: Instant) {
        let slot = id.slot();
        with_lock(|_| {
            if self.find(id).is_err() {
                return; // It has just gone: what it did says nothing of the one that has its slot.
            }
            let word = self.breakers.get(slot);
            let ejected = self.ejected.load(Ordering::Relaxed);
            let share = self.options.max_ejected as u32;
            let may = if share == 0 { 0 } else { (self.members.len() * share / PERMILLE).max(1) };
            if State::of(word) != State::Closed || ejected >= may {
                return;
            }
            self.ejected.store(ejected + 1, Ordering::Relaxed);
            self.opened.fetch_add(1, Ordering::Relaxed);
            self.await_breaker(slot, now, self.options.open_ticks);
            self.breakers.set(slot, next(word, State::Open, 0));
            self.broken.insert(slot);
            self.settle(slot);
        });
    }

    /// The endpoint is no longer kept out by its breaker; the caller is in the critical section.
    pub(super) fn stop_ejecting(&self, slot: u16) {
        if State::of(self.breakers.get(slot)) != State::Closed {
            let ejected = self.ejected.load(Ordering::Relaxed);
            self.ejected.store(ejected.saturating_sub(1), Ordering::Relaxed);
            self.broken.remove(slot);
        }
    }

    /// The endpoint goes, or another gets the slot: the breaker is closed, in a new term.
    pub(super) fn forget_breaker(&self, slot: u16) {
        self.breakers.set(slot, next(self.breakers.get(slot), State::Closed, 0));
        self.broken.remove(slot);
    }

    /// The breaker is to be looked at after `span` ticks; the caller sets it after this.
    fn await_breaker(&self, slot: u16, now: Instant, span: u32) {
        self.breaker_at.set(slot, self.schedule(slot, now, span));
    }

    /// Time has passed: returns when to look again. The caller is in the critical section.
    pub(super) fn advance_breaker(&self, slot: u16, now_tick: u32, all_due: bool) -> Option<u32> {
        let word = self.breakers.get(slot);
        let waits = matches!(State::of(word), State::Open | State::Probing);
        let at = self.breaker_at.get(slot);
        if !waits {
            return None;
        }
        if !all_due && (now_tick.wrapping_sub(at) as i32) < 0 {
            return Some(at);
        }
        self.breakers.set(slot, next(word, State::HalfOpen, successes(word)));
        self.settle(slot);
        None
    }
}
