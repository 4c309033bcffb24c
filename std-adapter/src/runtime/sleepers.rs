//! Which workers sleep, and who is woken.
//!
//! # No Lost Wake
//!
//! A worker that finds nothing says that it is idle, and looks once more. Whoever makes something runnable
//! does so, and then looks who is idle. All four steps are sequentially consistent: one of the two sees the
//! other. A worker that was woken to search takes that back before it says that it is idle, so whoever leaves
//! a task to a searcher may rely on its last look.
//!
//! # The watch
//!
//! A worker in a long poll doesn't see what its own poll has woken, nor its timers. So one of those that
//! sleep has the watch: while somebody has asked for it, and some worker is at work, it wakes every [`TICK`],
//! fires what is due anywhere, and takes what waits. It is asked for by a worker that, in a poll, leaves
//! something to itself. When all sleep, nobody ticks.

#[cfg(not(trilane_loom))]
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

#[cfg(trilane_loom)]
use loom::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::SeqCst};

use super::bed::Bed;

/// How long a runnable task may wait while a worker sleeps.
pub(super) const TICK: Duration = Duration::from_millis(1);

/// The most workers.
pub(super) const MOST: usize = 64;

/// No worker has the watch.
const NOBODY: u32 = u32::MAX;

#[derive(Debug)]
pub(super) struct Sleepers {
    beds: Box<[Bed]>,
    /// Who sleeps, or is about to.
    idle: AtomicU64,
    /// Workers that were woken, and have found nothing yet.
    searching: AtomicU32,
    /// Who has the watch.
    watch: AtomicU32,
    /// Whether whoever has it is to tick.
    ticks: AtomicBool,
}

impl Sleepers {
    pub fn new(workers: usize) -> Self {
        Self {
            beds: (0..workers).map(|_| Bed::default()).collect(),
            idle: AtomicU64::new(0),
            searching: AtomicU32::new(0),
            watch: AtomicU32::new(NOBODY),
            ticks: AtomicBool::new(false),
        }
    }

    /// Whether some worker sleeps. Plain load.
    #[inline]
    pub fn has_idle(&self) -> bool {
        self.idle.load(SeqCst) != 0
    }

    /// Something became runnable outside of the workers, at the home of `home`: one of those that sleep
    /// looks, unless another is about to.
    pub fn wake_one(&self, home: usize) {
        if self.has_idle() && self.searching.load(SeqCst) == 0 {
            self.wake_searcher(home);
        }
    }

    /// Wakes one that sleeps, if one does: `home` if possible, else one that hasn't the watch.
    #[cold]
    fn wake_searcher(&self, home: usize) {
        let watch = 1u64.checked_shl(self.watch.load(SeqCst)).unwrap_or(0);
        let mut idle = self.idle.load(SeqCst);
        while idle != 0 {
            let first = [idle & 1 << home, idle & !watch, idle].into_iter().find(|&some| some != 0);
            let worker = first.unwrap_or(idle).trailing_zeros();
            let before = self.idle.fetch_and(!(1 << worker), SeqCst);
            if before >> worker & 1 == 1 {
                self.searching.fetch_add(1, SeqCst);
                return self.beds[worker as usize].nudge();
            }
            idle = before;
        }
    }

    /// A sleep was armed at the home of `home`, by somebody else: if it sleeps, it asks anew for how long,
    /// and if it is at work, it may be in a long poll. A searcher is no help here, since it looks for what is
    /// runnable now.
    pub fn set_alarm(&self, home: usize) {
        if self.idle.load(SeqCst) >> home & 1 == 1 {
            self.beds[home].nudge();
        } else {
            self.ask_for_ticks();
        }
    }

    /// A worker leaves something to itself in a poll. Also if nobody sleeps now: who goes to sleep during
    /// that poll is to tick.
    #[inline]
    pub fn ask_for_ticks(&self) {
        if !self.ticks.load(SeqCst) {
            self.begin_ticks();
        }
    }

    #[cold]
    fn begin_ticks(&self) {
        if self.ticks.swap(true, SeqCst) {
            return;
        }
        match self.beds.get(self.watch.load(SeqCst) as usize) {
            Some(bed) => bed.nudge(),
            None => self.wake_searcher(0),
        }
    }

    /// All look.
    pub fn wake_all(&self) {
        self.beds.iter().for_each(Bed::nudge);
    }

    /// Puts `worker` to sleep for `limit` at most, unless `is_quiet` says that there is something to do.
    pub fn sleep(
        &self,
        worker: &Sleeper,
        is_quiet: impl FnOnce() -> bool,
        limit: impl FnOnce() -> Option<Duration>,
    ) {
        let bed = &self.beds[worker.number];
        bed.forget_nudge();
        self.stop_search(worker);
        let bit = 1 << worker.number;
        self.idle.fetch_or(bit, SeqCst);
        if is_quiet() {
            let limit = limit();
            worker.is_timed.set(limit.is_some());
            if self.take_watch(worker) && self.must_tick(bit) {
                bed.sleep(Some(limit.map_or(TICK, |limit| limit.min(TICK))));
            } else {
                bed.sleep(limit);
            }
        }
        if self.idle.fetch_and(!bit, SeqCst) & bit == 0 {
            // It was woken, and counted.
            worker.searches.set(true);
        }
    }

    /// Before a poll: what a worker has that slept before, and is at work now.
    ///
    /// Returns whether it was searching: it has found something, and doesn't have its last look. So somebody
    /// may have left a task to it that another one is to find.
    pub fn at_work(&self, worker: &Sleeper) -> bool {
        let searched = self.stop_search(worker);
        let watched = worker.watches.replace(false);
        if watched {
            self.watch.store(NOBODY, SeqCst);
        }
        // Its own timers may become due during the poll.
        if worker.is_timed.replace(false) {
            self.ask_for_ticks();
        }
        if watched && self.ticks.load(SeqCst) && self.has_idle() {
            // Another one has the watch.
            self.wake_searcher(worker.number);
        }
        searched
    }

    /// Returns whether it was searching.
    fn stop_search(&self, worker: &Sleeper) -> bool {
        let searched = worker.searches.replace(false);
        if searched {
            self.searching.fetch_sub(1, SeqCst);
        }
        searched
    }

    /// Whether the worker has the watch now.
    fn take_watch(&self, worker: &Sleeper) -> bool {
        if !worker.watches.get() {
            let number = worker.number as u32;
            worker.watches.set(self.watch.compare_exchange(NOBODY, number, SeqCst, SeqCst).is_ok());
        }
        worker.watches.get()
    }

    /// Whether there is somebody to watch. If not, nobody ticks until it is asked for again.
    fn must_tick(&self, bit: u64) -> bool {
        if !self.ticks.load(SeqCst) {
            return false;
        }
        self.ticks.store(false, SeqCst);
        let all = u64::MAX >> (64 - self.beds.len());
        let is_somebody_at_work = (self.idle.load(SeqCst) | bit) & all != all;
        if is_somebody_at_work {
            self.ticks.store(true, SeqCst);
        }
        is_somebody_at_work
    }
}

/// What a worker knows of its own sleep.
#[derive(Debug)]
pub(super) struct Sleeper {
    number: usize,
    searches: std::cell::Cell<bool>,
    watches: std::cell::Cell<bool>,
    /// Something is due at its home, some time.
    is_timed: std::cell::Cell<bool>,
}

impl Sleeper {
    pub fn new(number: usize) -> Self {
        Self { number, searches: false.into(), watches: false.into(), is_timed: false.into() }
    }

    /// Whether [`at_work`](Sleepers::at_work) has something to do.
    #[inline]
    pub fn has_slept(&self) -> bool {
        self.searches.get() | self.watches.get() | self.is_timed.get()
    }

    /// Whether it is the one that looks after all shards.
    pub fn watches(&self) -> bool {
        self.watches.get()
    }
}
