//! Circuit breakers: an endpoint that fails is left alone for a while, then tried with one request.
//!
//! ```text
//!          1 failures in a row, or too great a share of them
//!   Closed ----------------------------------------------> Open
//!     ^                                                    |  ^
//!     | 4 as many probes as it takes have succeeded        |  | 3 the probe has failed
//!     |                                2 its time is over  v  |
//!     +------------------ Probing <------------------- HalfOpen
//!                            |      5 a select claims it    ^
//!                            +------------------------------+
//!                               6 dropped, or not heard of for a probe window, or another probe is to follow
//! ```
//!
//! 1 [`Endpoints::trip`], 2 and 6 [`Endpoints::advance_breaker`], 3 and 4 [`Endpoints::judge`], 5
//! [`Endpoints::claim`], 6 [`Endpoints::give_back`]. The pattern is Nygard's ("Release It!", 2007).
//!
//! # Breaker Invariant
//!
//! A breaker's word changes inside the critical section only. Its *term* advances when it opens and when it
//! closes, and each lease carries the term in which it was taken: what was taken in another term decides
//! nothing. Within a term each claim has a number, of sixteen; a probe that fails or is dropped counts if its
//! number is the present one, and one that succeeds counts however slow it was.

use crate::route::config::options::{Options, PERMILLE, ticks};
use crate::route::config::random::product;
use crate::route::rehash;
use crate::route::state::bank::Sets;
use crate::route::state::link::Table;
use crate::route::state::view::View;
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

impl core::fmt::Display for State {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.pad(match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
            Self::Probing => "probing",
        })
    }
}

impl State {
    pub(in crate::route) const fn of(word: u32) -> Self {
        match word & STATE {
            0 => Self::Closed,
            1 => Self::Open,
            2 => Self::HalfOpen,
            _ => Self::Probing,
        }
    }
}

// State in bits 0 and 1, then how many probes have succeeded, the number of the claim, how often it has
// opened in a short time, and the term.
const STATE: u32 = 3;
const SUCCESSES: u32 = 2;
const CLAIM: u32 = 10;
const LEVEL: u32 = 14;
const TERM: u32 = 18;
const MOST_SUCCESSES: u32 = 0xff;
const CLAIMS: u32 = 0xf;
const MOST_LEVEL: u32 = 0xf;

/// What an ordinary lease carries of the word: the term alone.
#[inline(always)]
pub(in crate::route) const fn term(word: u32) -> u32 {
    word >> TERM << TERM
}

/// Whether a breaker with this word is closed, and has been since a lease was taken that carries `taken`.
#[inline(always)]
pub(in crate::route) const fn is_of_term(word: u32, taken: u32) -> bool {
    term(word) | word & STATE == taken
}

const fn successes(word: u32) -> u32 {
    word >> SUCCESSES & MOST_SUCCESSES
}

const fn level(word: u32) -> u32 {
    word >> LEVEL & MOST_LEVEL
}

/// The next state in the same term, with so many successes.
const fn within_term(word: u32, state: State, successes: u32) -> u32 {
    word >> CLAIM << CLAIM | successes << SUCCESSES | state as u32
}

/// The next claim's word.
const fn claimed(word: u32) -> u32 {
    let claim = (word >> CLAIM).wrapping_add(1) & CLAIMS;
    within_term(word & !(CLAIMS << CLAIM) | claim << CLAIM, State::Probing, successes(word))
}

/// The state in the next term.
const fn next_term(word: u32, state: State, level: u32) -> u32 {
    (word >> TERM).wrapping_add(1) << TERM | level << LEVEL | state as u32
}

/// What goes by options that few set.
pub(in crate::route) struct Rules {
    count_rate: fn(View<'_>, u16, bool, Instant) -> bool,
}

impl Rules {
    /// Those that the options ask for.
    #[inline(always)]
    pub const fn of(options: &Options) -> Table {
        const RATED: &Rules =
            &Rules { count_rate: |view, slot, failed, now| view.count_rate(slot, failed, now) };
        if options.failure_rate.is_some() { Table::of(RATED) } else { Table::NONE }
    }
}

impl View<'_> {
    /// Takes the probe's token; the word that the lease must carry, or `None` if somebody else has it.
    pub(in crate::route) fn claim(self, slot: u16, now: Instant) -> Option<u32> {
        let at = self.at(slot);
        if !at.remove(Sets::half_open) {
            return None;
        }
        with_lock(|_| {
            let word = at.breakers().get();
            let probing = (State::of(word) == State::HalfOpen && at.has(Sets::fit)).then(|| {
                self.await_breaker(slot, now, self.settings.probe_ticks());
                claimed(word)
            });
            if let Some(probing) = probing {
                at.breakers().set(probing);
            }
            self.settle(slot);
            probing
        })
    }

    /// A probe was not sent, or was dropped without a verdict: the next select may send one.
    #[cold]
    pub(in crate::route) fn give_back(self, slot: u16, probe: u32) {
        let at = self.at(slot);
        with_lock(|_| {
            let word = at.breakers().get();
            if is_out(word, probe) {
                at.breakers().set(within_term(word, State::HalfOpen, successes(word)));
                self.settle(slot);
            }
        });
    }

    /// How many ticks until the breaker admits a probe, if the one that may be out isn't heard of.
    pub(in crate::route) fn breaker_wait(self, slot: u16, now_tick: u32) -> u32 {
        let at = self.at(slot);
        match State::of(at.breakers().get()) {
            // What is due already waits for the next selects to come to its bank.
            State::Open | State::Probing => {
                (at.breaker_at().get().wrapping_sub(now_tick) as i32).max(0) as u32
            }
            State::Closed | State::HalfOpen => 0,
        }
    }

    /// A probe's lease has ended with a verdict.
    #[cold]
    pub(in crate::route) fn judge(self, slot: u16, probe: u32, succeeded: bool, now: Instant) {
        let at = self.at(slot);
        with_lock(|_| {
            let word = at.breakers().get();
            if !succeeded {
                if is_out(word, probe) {
                    self.open(slot, word, (level(word) + 1).min(MOST_LEVEL), now);
                }
                return;
            }
            let state = State::of(word);
            if term(word) != term(probe) || !matches!(state, State::HalfOpen | State::Probing) {
                return; // It has opened again since, or is of an endpoint that has gone.
            }
            let successes = successes(word) + 1;
            if successes >= self.settings.probes() {
                self.begin_ramp(slot, now);
                at.write(Sets::broken, false);
                // Closed for as long as it is ever out, it is forgiven.
                self.await_breaker(slot, now, self.settings.most_open_ticks());
                at.breakers().set(next_term(word, State::Closed, level(word)));
                at.failures().set(0);
                at.rates().set(0);
            } else {
                // Another may be out beside a slow one.
                let state = if is_out(word, probe) { State::HalfOpen } else { state };
                at.breakers().set(within_term(word, state, successes));
            }
            self.settle(slot);
        });
    }

    /// An ordinary lease has failed.
    pub(in crate::route) fn count_failure(self, slot: u16, now: Instant) {
        let at = self.at(slot);
        let limit = self.settings.failures();
        let in_a_row = limit != 0 && at.failures().fetch_add(1, Ordering::Relaxed).saturating_add(1) >= limit;
        let too_many = self.count_rated(slot, true, now);
        if in_a_row || too_many {
            self.trip(slot, now);
        }
    }

    /// Counts an outcome, if there is a failure rate; whether the share of failures is too great.
    #[inline(always)]
    pub(in crate::route) fn count_rated(self, slot: u16, failed: bool, now: Instant) -> bool {
        // SAFETY: `Rules::of` makes all that is set there.
        let rules = unsafe { self.settings.rules.get::<Rules>() };
        rules.is_some_and(|rules| (rules.count_rate)(self, slot, failed, now))
    }

    /// Counts an outcome in the window; whether the share of failures is too great.
    ///
    /// One word: outcomes and failures, 16 bits each. When a half-window has passed both are halved, once for
    /// each.
    fn count_rate(self, slot: u16, failed: bool, now: Instant) -> bool {
        let at = self.at(slot);
        const COUNT: u32 = 0xffff;
        let rate = self.settings.failure_rate();
        if at.rates().get() == 0 {
            at.rate_from().set(self.tick(now)); // The first outcome begins the first half-window.
        }
        let passed = self.half_windows(slot, (ticks(rate.window) / 2).max(1), self.tick(now));
        let mut after = (0, 0);
        let counted = at.rates().fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| {
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
    fn half_windows(self, slot: u16, half: u32, now_tick: u32) -> u32 {
        let at = self.at(slot);
        let began = at.rate_from().get();
        if now_tick.wrapping_sub(began) < half {
            0
        } else {
            self.begin_half_window(slot, half, now_tick, began)
        }
    }

    #[cold]
    fn begin_half_window(self, slot: u16, half: u32, now_tick: u32, began: u32) -> u32 {
        let at = self.at(slot);
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
        let at = at.rate_from();
        match at.compare_exchange(began, begins, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => passed,
            Err(_) => 0,
        }
    }

    /// Opens the breaker. If as many keep traffic out as may, or nobody would be left, it stays closed, and
    /// little of the weight is left for a while.
    #[cold]
    fn trip(self, slot: u16, now: Instant) {
        let at = self.at(slot);
        with_lock(|_| {
            // Those whose time is over keep nothing out.
            if self.is_due(now) {
                self.advance_locked(now);
            }
            let word = at.breakers().get();
            if State::of(word) != State::Closed || !at.has(Sets::members) {
                return;
            }
            if !self.may_eject(slot) {
                self.restrain(slot, now);
                return;
            }
            self.opened.fetch_add(1, Ordering::Relaxed);
            let forgiven = at.breaker_at().get().wrapping_sub(self.tick(now)) as i32 <= 0;
            self.open(slot, word, if forgiven { 1 } else { (level(word) + 1).min(MOST_LEVEL) }, now);
        });
    }

    /// How many breakers keep traffic out now: those that admit none of what their endpoints would get.
    /// O(banks).
    pub(in crate::route) fn ejected(self) -> u32 {
        self.count(&|bank| bank.bits(Sets::broken) & !bank.bits(Sets::half_open) & bank.bits(Sets::fit))
    }

    /// Whether the budget has room, and each class has somebody else. O(filters * banks).
    fn may_eject(self, slot: u16) -> bool {
        let share = self.settings.max_ejected();
        let may = if share == 0 { 0 } else { (self.len(Sets::members) * share / PERMILLE).max(1) };
        self.ejected() < may && self.is_dispensable(slot)
    }

    /// The breaker opens in the next term; the caller is in the critical section.
    ///
    /// From the second opening in a row on the time doubles, and up to an eighth of it is left out, by the
    /// seed: balancers that have seen the same don't all probe at once.
    fn open(self, slot: u16, word: u32, level: u32, now: Instant) {
        let at = self.at(slot);
        let usual = self.settings.open_ticks();
        let mut span = usual;
        if level > 1 {
            let most = self.settings.most_open_ticks();
            span = u32::try_from((usual as u64) << (level - 1)).unwrap_or(most).min(most);
            if self.settings.seed() != 0 {
                let number = at.number();
                let place = (number as u32 ^ (number >> 32) as u32).wrapping_add(self.settings.seed());
                span -= product(rehash(place, word >> TERM), span / 8).0;
            }
        }
        self.await_breaker(slot, now, span);
        at.breakers().set(next_term(word, State::Open, level));
        at.write(Sets::broken, true);
        self.settle(slot);
    }

    /// The endpoint goes, or another gets the slot: the breaker is closed, in a new term.
    pub(in crate::route) fn forget_breaker(self, slot: u16) {
        let at = self.at(slot);
        at.breakers().set(next_term(at.breakers().get(), State::Closed, 0));
        at.write(Sets::broken, false);
    }

    /// The breaker is to be looked at after `span` ticks; the caller sets it after this.
    fn await_breaker(self, slot: u16, now: Instant, span: u32) {
        self.at(slot).breaker_at().set(self.schedule(slot, now, span));
    }

    /// Time has passed: returns when to look again. The caller is in the critical section.
    pub(in crate::route) fn advance_breaker(self, slot: u16, now_tick: u32, all_due: bool) -> Option<u32> {
        let at = self.at(slot);
        let word = at.breakers().get();
        let then = match State::of(word) {
            State::Open | State::Probing => within_term(word, State::HalfOpen, successes(word)),
            State::Closed if level(word) != 0 => word & !(MOST_LEVEL << LEVEL),
            State::Closed | State::HalfOpen => return None,
        };
        let due = at.breaker_at().get();
        if !all_due && (now_tick.wrapping_sub(due) as i32) < 0 {
            return Some(due);
        }
        at.breakers().set(then);
        self.settle(slot);
        None
    }
}

/// Whether this probe is the one that is out.
const fn is_out(word: u32, probe: u32) -> bool {
    matches!(State::of(word), State::Probing)
        && (word ^ probe) >> TERM == 0
        && (word ^ probe) >> CLAIM & CLAIMS == 0
}
