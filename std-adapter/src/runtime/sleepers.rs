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
//!
//! Whoever goes to sleep in a bed takes the watch also from the worker in the driver: that one is woken by
//! events, and would have to pass the watch on each time.
//!
//! # The driver
//!
//! Events of sockets are waited for in the [`Driver`], by one worker at a time: it is where the first that
//! goes to sleep does so, and whoever wakes that one does it through the driver. Before it polls what the
//! events have woken it leaves the driver and asks for the watch. If it isn't back there a tick later,
//! whoever has the watch goes in. (To send somebody in at once costs a wake of a thread for each event.)
//! It wakes another worker only if it has more to poll than takes some 50 us, as long as polls take usually,
//! or something special; if a poll turns out long, the tick after it finds the others.
//! While all are at work, each looks at the driver now and then. A driver without sources is not touched.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;
use std::time::Duration;

use super::bed::Bed;
use crate::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::SeqCst};

/// How long a runnable task may wait while a worker sleeps; an event, twice as long.
pub(super) const TICK: Duration = Duration::from_millis(1);

/// The most workers.
pub(super) const MOST: usize = 64;

/// So many wakers of one look at the driver take no allocation.
const AT_ONCE: usize = 16;

/// No worker has the watch, or the driver.
const NOBODY: u32 = u32::MAX;

/// Where one worker waits for the events of all.
pub(super) trait Driver {
    /// Whether there is anything whose events can be waited for.
    fn is_used(&self) -> bool;
    /// Waits for events, for `limit` at most; hands out the wakers of those who wait for them. Only one at a
    /// time.
    fn wait(&self, limit: Option<Duration>, woken: &mut Vec<Waker>);
    /// Ends a wait, or prevents the next.
    fn notify(&self);
}

#[derive(Debug)]
pub(super) struct Sleepers<D> {
    pub driver: D,
    beds: Box<[Bed]>,
    /// Who sleeps, or is about to.
    idle: AtomicU64,
    /// Workers that were woken, and have found nothing yet.
    searching: AtomicU32,
    /// Who has the watch.
    watch: AtomicU32,
    /// Whether whoever has it is to tick.
    ticks: AtomicBool,
    /// Who has the driver.
    drives: AtomicU32,
    /// How often somebody has taken it.
    turns: AtomicU32,
}

impl<D: Driver> Sleepers<D> {
    pub fn new(workers: usize, driver: D) -> Self {
        Self {
            driver,
            beds: (0..workers).map(|_| Bed::default()).collect(),
            idle: AtomicU64::new(0),
            searching: AtomicU32::new(0),
            watch: AtomicU32::new(NOBODY),
            ticks: AtomicBool::new(false),
            drives: AtomicU32::new(NOBODY),
            turns: AtomicU32::new(0),
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
                return self.nudge(&self.beds[worker as usize]);
            }
            idle = before;
        }
    }

    fn nudge(&self, bed: &Bed) {
        if bed.nudge() {
            self.driver.notify();
        }
    }

    /// The driver has its first source: one of those that sleep is to wait in it.
    pub fn driver_is_used(&self) {
        if self.drives.load(SeqCst) == NOBODY {
            self.wake_one(0);
        }
    }

    /// A sleep was armed at the home of `home`, by somebody else: if it sleeps, it asks anew for how long,
    /// and if it is at work, it may be in a long poll. A searcher is no help here, since it looks for what is
    /// runnable now.
    pub fn set_alarm(&self, home: usize) {
        if self.idle.load(SeqCst) >> home & 1 == 1 {
            self.nudge(&self.beds[home]);
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

    /// Returns whether nobody else has done so.
    #[cold]
    fn begin_ticks(&self) -> bool {
        if self.ticks.swap(true, SeqCst) {
            return false;
        }
        match self.beds.get(self.watch.load(SeqCst) as usize) {
            Some(bed) => self.nudge(bed),
            None => self.wake_searcher(0),
        }
        true
    }

    /// All look.
    pub fn wake_all(&self) {
        self.beds.iter().for_each(|bed| self.nudge(bed));
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
        let mut woken = worker.woken.take();
        self.idle.fetch_or(bit, SeqCst);
        if is_quiet() {
            let limit = limit();
            worker.is_timed.set(limit.is_some());
            let turns = self.turns.load(SeqCst);
            let is_visited = worker.turns.replace(turns) != turns;
            let mut ticks = self.take_watch(worker, NOBODY) && self.must_tick(bit, is_visited);
            // Whoever has just been in the driver is back there soon, most likely.
            worker.drove.set(!(ticks && is_visited) && self.take_driver(worker));
            if !worker.drove.get() && !worker.watches.get() {
                let driver = self.drives.load(SeqCst);
                ticks = self.take_watch(worker, driver) && self.must_tick(bit, is_visited);
            }
            let limit = if ticks { Some(limit.map_or(TICK, |limit| limit.min(TICK))) } else { limit };
            if worker.drove.get() {
                bed.wait_elsewhere(|| self.driver.wait(limit, &mut woken));
                self.drives.store(NOBODY, SeqCst);
            } else {
                bed.sleep(limit);
            }
        }
        let was_woken = self.idle.fetch_and(!bit, SeqCst) & bit == 0;
        if !was_woken && !woken.is_empty() {
            // What they wake is what it looks for.
            self.searching.fetch_add(1, SeqCst);
        }
        worker.searches.set(was_woken || !woken.is_empty());
        worker.has_events.set(!woken.is_empty());
        wake_all(&mut woken);
        worker.woken.set(woken);
    }

    /// A worker that is at work looks at the driver, unless somebody is there.
    pub fn look_at_driver(&self, worker: &Sleeper) {
        if self.take_driver(worker) {
            let mut woken = worker.woken.take();
            self.driver.wait(Some(Duration::ZERO), &mut woken);
            self.drives.store(NOBODY, SeqCst);
            if self.has_idle() {
                // Who went to sleep meanwhile found it taken.
                self.ask_for_ticks();
            }
            wake_all(&mut woken);
            worker.woken.set(woken);
        }
    }

    /// Before a poll: what a worker has that slept before, and is at work now.
    ///
    /// Returns whether it was searching: it has found something, and doesn't have its last look. So somebody
    /// may have left a task to it that another one is to find.
    pub fn at_work(&self, worker: &Sleeper) -> bool {
        let searched = self.stop_search(worker);
        // Its own timers may become due during the poll, and events come.
        let asks = worker.is_timed.replace(false) | worker.drove.replace(false);
        if worker.watches.replace(false) {
            self.leave_watch(worker);
        }
        // After that: who takes the watch meanwhile sees that it is asked for, or is told.
        if asks && !self.ticks.load(SeqCst) && self.begin_ticks() {
            return searched;
        }
        if self.ticks.load(SeqCst) && self.watch.load(SeqCst) == NOBODY && self.has_idle() {
            // Another one has the watch. This one may have been woken to take it, and has found something.
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

    /// Whether the worker has the watch now: it had it, or nobody but `from` did.
    fn take_watch(&self, worker: &Sleeper, from: u32) -> bool {
        let number = worker.number as u32;
        // Nobody else gives it to this one, but somebody may have taken it.
        let has = worker.watches.get() && self.watch.load(SeqCst) == number
            || self.watch.compare_exchange(from, number, SeqCst, SeqCst).is_ok();
        worker.watches.set(has);
        has
    }

    /// The worker has the watch no more; another one may have taken it already.
    fn leave_watch(&self, worker: &Sleeper) {
        let _ = self.watch.compare_exchange(worker.number as u32, NOBODY, SeqCst, SeqCst);
    }

    /// Whether the worker has the driver now.
    fn take_driver(&self, worker: &Sleeper) -> bool {
        let number = worker.number as u32;
        let takes =
            self.driver.is_used() && self.drives.compare_exchange(NOBODY, number, SeqCst, SeqCst).is_ok();
        if takes {
            worker.turns.set(self.turns.fetch_add(1, SeqCst).wrapping_add(1));
        }
        takes
    }

    /// Whether there is somebody to watch. If not, nobody ticks until it is asked for again. While others
    /// come and go in the driver, it goes on: otherwise it would be asked for in each of many short polls.
    fn must_tick(&self, bit: u64, is_visited: bool) -> bool {
        if !self.ticks.load(SeqCst) || is_visited {
            return self.ticks.load(SeqCst);
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

/// Wakes them, outside of all locks. Each may be foreign, and panic; the others are woken nevertheless.
pub(super) fn wake_all(woken: &mut Vec<Waker>) {
    for waker in woken.drain(..) {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| waker.wake())) {
            std::mem::forget(payload);
        }
    }
}

/// What a worker knows of its own sleep.
#[derive(Default)]
pub(super) struct Sleeper {
    pub number: usize,
    searches: Cell<bool>,
    /// It had the watch when it went to sleep.
    watches: Cell<bool>,
    /// Something is due at its home, some time.
    is_timed: Cell<bool>,
    /// It has waited in the driver.
    drove: Cell<bool>,
    /// Events have ended its last sleep.
    has_events: Cell<bool>,
    /// How often anybody had been in the driver when it last went to sleep.
    turns: Cell<u32>,
    /// Those whom events wake; empty, kept for its memory.
    woken: Cell<Vec<Waker>>,
}

impl Sleeper {
    pub fn new(number: usize) -> Self {
        Self { number, woken: Vec::with_capacity(AT_ONCE).into(), ..Self::default() }
    }

    /// Whether [`at_work`](Sleepers::at_work) has something to do.
    #[inline]
    pub fn has_slept(&self) -> bool {
        self.searches.get() | self.watches.get() | self.is_timed.get() | self.drove.get()
    }

    /// Whether events have ended its last sleep.
    pub fn has_events(&self) -> bool {
        self.has_events.get()
    }

    /// Whether it is the one that looks after all shards; or was, until another one went to bed.
    pub fn watches(&self) -> bool {
        self.watches.get()
    }
}
