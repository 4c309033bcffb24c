//! What a worker does: one round after the other, and sleeps in between.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use trilane::exec::Cursor;
use trilane::time::{Duration, Instant};

use super::crew::{Crew, Inside};
use super::sleepers::Sleeper;

/// The most polls between two looks at the clock.
const MOST_POLLS: u32 = 128;
/// How long they should take: by so much sleeps are late when all workers have something to do, and by the
/// polls under way. When polls become longer, the first looks come later.
const GRAIN: Duration = Duration::from_micros(100);

/// What a worker knows of its work.
pub(super) struct Work {
    number: usize,
    sleeper: Sleeper,
    /// Where it goes on in each shard.
    cursors: Vec<Cursor>,
    pace: Pace,
}

impl Work {
    pub fn new(crew: &Crew, number: usize) -> Self {
        let now = crew.now();
        Self {
            number,
            sleeper: Sleeper::new(number),
            cursors: vec![Cursor::default(); crew.shards().len()],
            pace: Pace { polls: 8, began: now, goes_on: false, looked: now },
        }
    }
}

/// What the thread of a worker does.
pub(super) fn run(crew: &'static Crew, number: usize) {
    let mut work = Work::new(crew, number);
    let mut at_work = AtWork::begin(crew, &mut work);
    while !crew.is_stopping() {
        if !at_work.turn() {
            at_work.sleep(|| !crew.is_stopping());
        }
    }
}

/// This thread is a worker, until this is dropped.
pub(super) struct AtWork<'a> {
    crew: &'static Crew,
    work: &'a mut Work,
    _inside: Inside,
}

impl<'a> AtWork<'a> {
    pub fn begin(crew: &'static Crew, work: &'a mut Work) -> Self {
        let _inside = crew.enter(work.number);
        Self { crew, work, _inside }
    }

    /// One round. Returns whether there was something to do. A panic is its task's, and told by its handle;
    /// what else there is to do is done the next time.
    pub fn turn(&mut self) -> bool {
        catch_unwind(AssertUnwindSafe(|| self.round())).unwrap_or_else(forget)
    }

    /// Sleeps until there is something to do, unless `is_quiet` says that there is.
    pub fn sleep(&mut self, is_quiet: impl FnOnce() -> bool) {
        let (crew, Work { number, sleeper, pace, .. }) = (self.crew, &mut *self.work);
        pace.goes_on = false;
        crew.sleepers.sleep(sleeper, || is_quiet() && !crew.is_runnable(), || crew.until_due(*number));
    }

    /// Serves and polls at home, or else elsewhere. Returns whether there was something to do.
    fn round(&mut self) -> bool {
        let (crew, Work { number, sleeper, cursors, pace }) = (self.crew, &mut *self.work);
        let number = *number;
        let before = |more: bool, _| {
            let searched = sleeper.has_slept() && crew.sleepers.at_work(sleeper);
            if crew.sleepers.has_idle() && (more || searched && crew.is_runnable()) {
                crew.sleepers.wake_one(number);
            }
        };
        let now = crew.now();
        if pace.begins(now) {
            crew.sleepers.look_at_driver(sleeper);
        }
        let (workers, shards) = (crew.size.workers, crew.size.shards);
        let (home, mut polls) = (crew.home(number), 0);
        let mine = &mut cursors[number * shards..];
        for (index, shard) in home.iter().enumerate() {
            shard.serve(now);
            polls += shard.work(&mut mine[index], pace.polls, false, &before);
            // A special task waits for the polls in one shard, not for those in all.
            if home.len() > 1 {
                polls += crew.poll_special(number, mine, false, &before);
            }
        }
        if polls != 0 || workers == 1 {
            return polls != 0;
        }
        for other in (number + 1..workers).chain(0..number) {
            let theirs = &mut cursors[other * shards..];
            if crew.poll_special(other, theirs, true, &before) != 0 {
                return true;
            }
            for (shard, cursor) in crew.home(other).iter().zip(theirs) {
                if sleeper.watches() {
                    shard.serve(now);
                }
                if shard.is_runnable() && shard.work(cursor, pace.polls, true, &before) != 0 {
                    return true;
                }
            }
        }
        false
    }
}

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.crew.sleepers.at_work(&self.work.sleeper);
    }
}

/// How many polls a worker makes between two looks at the clock.
struct Pace {
    polls: u32,
    /// When the last round began.
    began: Instant,
    /// Whether the worker has not slept since.
    goes_on: bool,
    /// When it last looked for events, or slept.
    looked: Instant,
}

impl Pace {
    /// A round begins. Returns whether it is time to look for events.
    fn begins(&mut self, now: Instant) -> bool {
        let took = now - self.began;
        if self.goes_on && took > GRAIN {
            self.polls = (self.polls / 2).max(1);
        } else if self.goes_on && took + took < GRAIN {
            self.polls = (self.polls * 2).min(MOST_POLLS);
        }
        let looks = self.goes_on && now - self.looked >= GRAIN;
        if looks || !self.goes_on {
            self.looked = now;
        }
        (self.began, self.goes_on) = (now, true);
        looks
    }
}

/// Drops what a task panicked with. If that panics, too, it is leaked.
pub(super) fn forget(payload: Box<dyn Any + Send>) -> bool {
    if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(another);
    }
    true
}
