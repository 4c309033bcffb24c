//! What a worker does: one round after the other, and sleeps in between.

use std::any::Any;
use std::iter;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use trilane::exec::Cursor;

use super::crew::{Crew, Inside, SHARD, Size};
use super::pace::Pace;
use super::sleepers::Sleeper;

/// What a worker knows of its work.
pub(super) struct Work {
    number: usize,
    sleeper: Sleeper,
    /// Where it goes on in each shard.
    cursors: Vec<Cursor>,
    /// The shard that it visits first when it looks after those of others.
    visit: usize,
    /// The worker for whose special tasks it last looked.
    neighbour: usize,
    pace: Pace,
}

impl Work {
    pub fn new(crew: &'static Crew, number: usize) -> Self {
        let shards = crew.shards().len();
        Self {
            number,
            sleeper: Sleeper::new(number),
            cursors: vec![Cursor::default(); shards],
            visit: (number + 1) % crew.size.workers * crew.size.shards,
            neighbour: number,
            pace: Pace::new(&crew.suspects, crew.now()),
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
        pace.rests();
        crew.sleepers.sleep(sleeper, || is_quiet() && !crew.is_runnable(), || crew.until_due(*number));
    }

    /// Serves and polls at home; elsewhere if there is nothing, and now and then. Returns whether there was
    /// something to do.
    fn round(&mut self) -> bool {
        let (crew, Work { number, sleeper, cursors, visit, neighbour, pace }) = (self.crew, &mut *self.work);
        let number = *number;
        let look = || {
            let now = crew.now();
            if pace.look(now) {
                crew.sleepers.look_at_driver(sleeper);
            }
            now
        };
        let mut now = look();
        let (workers, shards) = (crew.size.workers, crew.size.shards);
        let (home, several) = (crew.home(number), crew.home(number).len() > 1);
        let work = |worker: usize, index: usize, cursor: &mut Cursor, most: u32| {
            let first = worker * shards;
            let before = |more, slot| {
                if sleeper.has_slept() || more && pace.may_ask() && crew.sleepers.has_idle() {
                    before_poll(crew, sleeper, pace, more);
                }
                pace.begin_poll((first + index) * SHARD + usize::from(slot), || crew.now());
            };
            let most = pace.polls().min(most);
            // A special task of this shard goes next as it is.
            let goes_on =
                |polls| polls < most && !pace.must_look() && !(several && crew.is_special_next(number));
            crew.shards()[first + index].work(cursor, worker != number, &before, &goes_on)
        };
        let mut polls = 0;
        let mine = &mut cursors[number * shards..];
        for (index, shard) in home.iter().enumerate() {
            shard.serve(now);
            polls += work(number, index, &mut mine[index], u32::MAX);
            if several {
                if pace.must_look() {
                    now = look();
                }
                polls += crew.visit_special(number, |index| work(number, index, &mut mine[index], 1));
            }
        }
        if workers == 1 {
            return polls != 0;
        }
        // One of the others may be in a long poll, or have lost its processor to whoever woke the task.
        *neighbour = (*neighbour + 1) % workers;
        if *neighbour != number {
            let theirs = &mut cursors[*neighbour * shards..];
            polls += crew.visit_special(*neighbour, |index| work(*neighbour, index, &mut theirs[index], 1));
        }
        let tours = pace.tours(now);
        if polls != 0 && !tours {
            return true;
        }
        for (other, visited) in once_around(*visit, crew.size).filter(|&(other, _)| other != number) {
            let theirs = &mut cursors[other * shards..];
            polls += crew.visit_special(other, |index| work(other, index, &mut theirs[index], 1));
            for (index, shard) in crew.home(other).iter().enumerate().take(visited.end).skip(visited.start) {
                if tours || sleeper.watches() {
                    shard.serve(now);
                }
                if shard.is_runnable() && work(other, index, &mut theirs[index], u32::MAX) != 0 {
                    *visit = (other * shards + index + 1) % cursors.len();
                    return true;
                }
            }
        }
        polls != 0
    }
}

/// The workers, and which of the shards of each, from the shard of this number on, and once around.
fn once_around(shard: usize, size: Size) -> impl Iterator<Item = (usize, Range<usize>)> {
    let (first, from) = (shard / size.shards, shard % size.shards);
    let begin = iter::once((first, from..size.shards));
    let all = (1..size.workers).map(move |step| ((first + step) % size.workers, 0..size.shards));
    begin.chain(all).chain(iter::once((first, 0..from)))
}

/// A worker has something to poll, and if `more` there is something for others, too: one of those that sleep
/// is woken. But most events bring short polls: after events only if the backlog is long, or special. If it
/// turns out long, whoever has the watch, which is asked for then, finds it in a tick.
#[inline(never)]
fn before_poll(crew: &Crew, worker: &Sleeper, pace: &Pace, more: bool) {
    let searched = worker.has_slept() && crew.sleepers.at_work(worker);
    if crew.sleepers.has_idle()
        && (more || searched && crew.is_runnable())
        && (!worker.has_events() || crew.has_backlog(pace.ask()))
    {
        crew.sleepers.wake_one(worker.number);
    }
}

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.crew.sleepers.at_work(&self.work.sleeper);
    }
}

/// Drops what a task panicked with. If that panics, too, it is leaked.
pub(super) fn forget(payload: Box<dyn Any + Send>) -> bool {
    if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(another);
    }
    true
}
