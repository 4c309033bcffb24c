//! When a worker looks at the clock.
//!
//! A look costs as much as a short poll, so there are many polls between two looks: as many as take
//! [`GRAIN`] or so. A task whose polls are longer must not be polled many times meanwhile, since then what is
//! due would wait for all of them. So when the polls since the last look have taken too long, those that come
//! next are timed alone. A task whose poll takes too long is a suspect: each of its polls is timed, and is
//! the last before a look, until [`TRUST`] of them in a row were short.
//!
//! It also knows how long a poll takes usually: whether a backlog is worth another worker's wake.

use std::cell::Cell;

use trilane::time::{Duration, Instant};

use crate::sync::atomic::{AtomicU8, AtomicUsize, Ordering::Relaxed};

/// The most polls in a shard between two looks at the clock.
const MOST_POLLS: u32 = 64;
/// How long they should take: by so much sleeps are late when all workers have something to do, and by the
/// poll under way.
const GRAIN: Duration = Duration::from_micros(100);
/// How long a worker that has always something to do leaves the others to themselves.
const TOUR: Duration = Duration::from_millis(1);
/// After so many short polls a task is no suspect any more.
const TRUST: u8 = 32;
/// The polls that are timed alone after a round that has taken too long.
const SINGLE: u32 = 32;
/// A backlog that takes no longer than this is not worth another worker's wake, which takes some of it.
const BACKLOG: Duration = Duration::from_micros(50);

/// Whose polls are to be timed.
#[derive(Debug)]
pub(super) struct Suspects {
    /// For each slot, how many short polls its task is from trust.
    distances: Box<[AtomicU8]>,
    /// How many are not zero.
    count: AtomicUsize,
}

impl Suspects {
    pub fn new(slots: usize) -> Self {
        Self { distances: (0..slots).map(|_| AtomicU8::new(0)).collect(), count: AtomicUsize::new(0) }
    }

    fn has(&self, slot: usize) -> bool {
        self.distances[slot].load(Relaxed) != 0
    }

    /// The slot's task was polled alone: was it for long?
    fn learn(&self, slot: usize, is_long: bool) {
        let change = |distance: u8| if is_long { Some(TRUST) } else { distance.checked_sub(1) };
        match self.distances[slot].fetch_update(Relaxed, Relaxed, change) {
            Ok(0) => _ = self.count.fetch_add(1, Relaxed),
            Ok(1) if !is_long => _ = self.count.fetch_sub(1, Relaxed),
            Ok(_) | Err(_) => {}
        }
    }
}

/// What a worker knows of the time that polls take.
pub(super) struct Pace {
    suspects: &'static Suspects,
    /// The polls in a shard that take [`GRAIN`] or so.
    polls: Cell<u32>,
    /// So many polls are still to be timed, each alone.
    single: Cell<u32>,
    /// When the last look was.
    began: Cell<Instant>,
    /// Whether the worker has not slept since.
    goes_on: Cell<bool>,
    /// When it last looked for events, or slept.
    looked: Cell<Instant>,
    /// When it last looked after the others, or slept.
    toured: Cell<Instant>,
    /// Whether there are suspects, or polls to be timed alone.
    is_careful: Cell<bool>,
    /// The polls since the last look.
    count: Cell<u32>,
    /// How long a poll takes usually, in nanoseconds: a mean in which those between two looks are an eighth.
    usual: Cell<u64>,
    /// Whether it was asked since the last look whether to wake another worker.
    asked: Cell<bool>,
    /// The slot that was polled last, if it is careful.
    last: Cell<usize>,
}

impl Pace {
    pub fn new(suspects: &'static Suspects, now: Instant) -> Self {
        Self {
            suspects,
            polls: Cell::new(8),
            single: Cell::new(0),
            began: Cell::new(now),
            goes_on: Cell::new(false),
            looked: Cell::new(now),
            toured: Cell::new(now),
            is_careful: Cell::new(false),
            count: Cell::new(0),
            // As long as if it were worth a wake.
            usual: Cell::new(BACKLOG.as_micros() * 1_000),
            asked: Cell::new(false),
            last: Cell::new(0),
        }
    }

    /// A look at the clock. Returns whether it is time to look for events.
    pub fn look(&self, now: Instant) -> bool {
        let goes_on = self.goes_on.replace(true);
        self.asked.set(false);
        if goes_on {
            self.learn(now);
        } else {
            self.began.set(now);
            self.count.set(0);
        }
        self.is_careful.set(self.single.get() != 0 || self.suspects.count.load(Relaxed) != 0);
        let looks = goes_on && now - self.looked.get() >= GRAIN;
        if looks || !goes_on {
            self.looked.set(now);
        }
        if !goes_on {
            self.toured.set(now);
        }
        looks
    }

    /// Whether it is time to look after the others, one of which may be in a long poll.
    pub fn tours(&self, now: Instant) -> bool {
        let tours = now - self.toured.get() >= TOUR;
        if tours {
            self.toured.set(now);
        }
        tours
    }

    /// Learns from the polls since the last look.
    fn learn(&self, now: Instant) {
        let (took, count, polls) = (now - self.began.replace(now), self.count.replace(0), self.polls.get());
        let (is_long, is_single) = (took > GRAIN, self.single.get() != 0);
        if count != 0 {
            let (usual, mean) = (self.usual.get(), took.as_micros() * 1_000 / u64::from(count));
            self.usual.set(usual - usual / 8 + mean / 8);
        }
        self.single.set(self.single.get().saturating_sub(count));
        if count == 1 && self.is_careful.get() {
            self.suspects.learn(self.last.get(), is_long);
        } else if is_long {
            // As many as would have been right.
            let right = u64::from(count.min(polls)) * GRAIN.as_micros() / took.as_micros();
            self.polls.set((right as u32).max(1));
            self.single.set(SINGLE);
        }
        if !is_single && count >= polls && took + took < GRAIN {
            self.polls.set((polls * 2).min(MOST_POLLS));
        }
    }

    /// The worker is to sleep.
    pub fn rests(&self) {
        self.goes_on.set(false);
    }

    /// A poll of the task in a slot begins.
    #[inline]
    pub fn begin_poll(&self, slot: usize, now: impl FnOnce() -> Instant) {
        if self.is_careful.get() {
            self.begin_careful_poll(slot, now);
        }
        self.count.set(self.count.get() + 1);
    }

    #[inline(never)]
    fn begin_careful_poll(&self, slot: usize, now: impl FnOnce() -> Instant) {
        if self.count.get() != 0 && self.suspects.has(slot) {
            self.learn(now());
        }
        self.last.set(slot);
    }

    /// Whether to ask if another worker is to be woken: once between two looks.
    #[inline]
    pub fn may_ask(&self) -> bool {
        !self.asked.get()
    }

    /// Asks it. Returns the longest backlog, in tasks, that isn't worth a wake.
    pub fn ask(&self) -> usize {
        self.asked.set(true);
        (BACKLOG.as_micros() * 1_000 / self.usual.get().max(1)) as usize
    }

    /// The most polls in a shard before the next look.
    pub fn polls(&self) -> u32 {
        self.polls.get()
    }

    /// Whether the last poll is to be timed alone.
    #[inline]
    pub fn must_look(&self) -> bool {
        self.is_careful.get()
            && self.count.get() != 0
            && (self.single.get() != 0 || self.suspects.has(self.last.get()))
    }
}

#[cfg(all(test, not(trilane_shuttle)))]
mod tests {
    use super::*;

    fn at(micros: u64) -> Instant {
        Instant::from_micros(micros)
    }

    fn pace() -> Pace {
        Pace::new(Box::leak(Box::new(Suspects::new(8))), at(0))
    }

    /// Polls of these slots, each of which takes so long. Returns when they end, and which of them were the
    /// last before a look.
    fn poll(pace: &Pace, now: &mut u64, polls: &[(usize, u64)]) -> Vec<usize> {
        let mut last = Vec::new();
        for &(slot, took) in polls {
            pace.begin_poll(slot, || at(*now));
            *now += took;
            if pace.must_look() {
                last.push(slot);
                pace.look(at(*now));
            }
        }
        pace.look(at(*now));
        last
    }

    #[test]
    fn who_has_polled_long_is_the_last_before_a_look_until_it_is_trusted() {
        let (pace, mut now) = (pace(), 0);
        pace.look(at(0));
        assert_eq!(poll(&pace, &mut now, &[(1, 1), (2, 5_000)]), [], "nobody knows");
        assert_eq!(poll(&pace, &mut now, &[(1, 1), (2, 5_000), (1, 1)]), [1, 2, 1], "each is timed");
        poll(&pace, &mut now, &[(1, 1); SINGLE as usize]);
        for short in 1..=TRUST {
            assert_eq!(poll(&pace, &mut now, &[(1, 1), (2, 1), (3, 1)]), [2], "{short}");
        }
        assert_eq!(poll(&pace, &mut now, &[(1, 1), (2, 1), (3, 1)]), []);
        assert_eq!(pace.suspects.count.load(Relaxed), 0);
    }

    #[test]
    fn a_short_poll_before_a_suspect_is_not_blamed() {
        let (pace, mut now) = (pace(), 0);
        pace.suspects.learn(2, true);
        pace.look(at(0));
        assert_eq!(poll(&pace, &mut now, &[(1, 1), (2, 5_000)]), [2]);
        assert_eq!(poll(&pace, &mut now, &[(1, 1), (3, 1)]), [], "who is known changes nothing for others");
    }

    #[test]
    fn a_sleep_is_no_long_poll() {
        let (pace, mut now) = (pace(), 0);
        pace.look(at(0));
        poll(&pace, &mut now, &[(1, 1)]);
        pace.rests();
        pace.look(at(50_000));
        now = 50_000;
        assert_eq!(poll(&pace, &mut now, &[(1, 1), (2, 1)]), []);
    }

    #[test]
    fn short_polls_become_more_between_two_looks_and_long_ones_fewer() {
        let (pace, mut now) = (pace(), 0);
        pace.look(at(0));
        let round = |pace: &Pace, now: &mut u64, took| {
            let polls = vec![(1, took); pace.polls.get() as usize];
            poll(pace, now, &polls);
        };
        (0..10).for_each(|_| round(&pace, &mut now, 0));
        assert_eq!(pace.polls.get(), MOST_POLLS);
        for _ in 0..10 {
            pace.look(at(now));
        }
        assert_eq!(pace.polls.get(), MOST_POLLS, "rounds without polls say nothing");
        (0..10 * SINGLE).for_each(|_| round(&pace, &mut now, 40));
        assert!((1..=2).contains(&pace.polls.get()), "{}", pace.polls.get());
    }

    #[test]
    fn a_backlog_is_worth_a_wake_if_it_takes_long_by_the_polls_before_and_that_is_asked_once_a_look() {
        let (pace, mut now) = (pace(), 0);
        pace.look(at(0));
        assert!(pace.may_ask() && pace.ask() == 1 && !pace.may_ask(), "nothing is known");
        for (took, most) in [(5, 9..=10), (1, 45..=50), (25, 1..=2), (0, 1_000..=50_000)] {
            (0..80).for_each(|_| drop(poll(&pace, &mut now, &[(1, took), (2, took)])));
            assert!(pace.may_ask());
            let asked = pace.ask();
            assert!(most.contains(&asked), "{took} us: {asked}");
        }
    }
}
