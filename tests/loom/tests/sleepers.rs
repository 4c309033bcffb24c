//! Workers on their way to sleep against those who give them something to do.
#![cfg(trilane_loom)]

// What the runtime has, built of the checker's types.
mod sync {
    pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard, atomic};
    pub(crate) use loom::thread;

    pub(crate) const HAS_TIME: bool = false;
}
#[path = "../../../std-adapter/src/runtime/bed.rs"]
mod bed;
#[path = "../../../std-adapter/src/runtime/sleepers.rs"]
#[expect(dead_code, reason = "the models ask for no ticks, and have no time")]
mod sleepers;

use std::sync::Arc;
use std::task::{Wake, Waker};
use std::time::Duration;

use loom::sync::atomic::{AtomicU32, Ordering::SeqCst};
use loom::sync::{Condvar, Mutex};
use loom::thread;
use sleepers::{Driver, Sleeper, Sleepers};
use trilane_loom::check_with;

/// A driver whose events each give one thing to do.
struct Poller {
    is_used: bool,
    state: Mutex<State>,
    rises: Condvar,
    waker: Waker,
}

#[derive(Default)]
struct State {
    events: u32,
    notified: bool,
}

impl Driver for Poller {
    fn is_used(&self) -> bool {
        self.is_used
    }

    fn wait(&self, limit: Option<Duration>, woken: &mut Vec<Waker>) {
        let mut state = self.state.lock().unwrap();
        while state.events == 0 && !state.notified && limit != Some(Duration::ZERO) {
            state = self.rises.wait(state).unwrap();
        }
        state.notified = false;
        woken.extend((0..std::mem::take(&mut state.events)).map(|_| self.waker.clone()));
    }

    fn notify(&self) {
        self.state.lock().unwrap().notified = true;
        self.rises.notify_one();
    }
}

/// What is to be done.
struct ToDo(AtomicU32);

impl Wake for ToDo {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// Workers, and how much there is to do and has been done.
struct Crew {
    sleepers: Sleepers<Poller>,
    to_do: Arc<ToDo>,
    done: AtomicU32,
    /// When it is over.
    all: u32,
    /// What is begun first ends last, if somebody waits for it here.
    long: Option<(Mutex<Long>, Condvar)>,
}

#[derive(Default)]
struct Long {
    has_begun: bool,
    others: u32,
}

impl Crew {
    fn new(workers: usize, all: u32) -> Arc<Self> {
        Self::with(workers, all, false, None)
    }

    fn with(workers: usize, all: u32, is_used: bool, long: Option<(Mutex<Long>, Condvar)>) -> Arc<Self> {
        let to_do = Arc::new(ToDo(AtomicU32::new(0)));
        let waker = Waker::from(to_do.clone());
        let poller = Poller { is_used, state: Mutex::default(), rises: Condvar::new(), waker };
        let sleepers = Sleepers::new(workers, poller);
        Arc::new(Self { sleepers, to_do, done: AtomicU32::new(0), all, long })
    }

    /// As of now; a load of the checker may be late.
    fn is_over(&self) -> bool {
        self.done.fetch_or(0, SeqCst) == self.all
    }

    fn work(&self, number: usize) {
        let sleeper = Sleeper::new(number);
        while !self.is_over() {
            let take = |to_do: u32| to_do.checked_sub(1);
            if self.to_do.0.fetch_update(SeqCst, SeqCst, take).is_err() {
                let is_quiet = || self.to_do.0.fetch_or(0, SeqCst) == 0 && !self.is_over();
                self.sleepers.sleep(&sleeper, is_quiet, || None);
                continue;
            }
            if sleeper.has_slept() && self.sleepers.at_work(&sleeper) && self.to_do.0.fetch_or(0, SeqCst) != 0
            {
                self.sleepers.wake_one(number);
            }
            self.wait_if_long();
            if self.done.fetch_add(1, SeqCst) + 1 == self.all {
                self.sleepers.wake_all();
            }
        }
        self.sleepers.at_work(&sleeper);
    }

    fn wait_if_long(&self) {
        let Some((long, changes)) = &self.long else { return };
        let mut long = long.lock().unwrap();
        if long.has_begun {
            long.others += 1;
            changes.notify_one();
            return;
        }
        long.has_begun = true;
        while long.others + 1 < self.all {
            long = changes.wait(long).unwrap();
        }
    }

    fn event(&self) {
        self.sleepers.driver.state.lock().unwrap().events += 1;
        self.sleepers.driver.rises.notify_one();
    }

    fn give(&self) {
        self.to_do.0.fetch_add(1, SeqCst);
        self.sleepers.wake_one(0);
    }
}

#[test]
fn a_worker_that_goes_to_sleep_misses_nothing() {
    check_with(3, || {
        let crew = Crew::new(1, 2);
        let giver = crew.clone();
        let giver = thread::spawn(move || {
            giver.give();
            giver.give();
        });
        crew.work(0);
        giver.join().unwrap();
    });
}

#[test]
fn what_is_left_to_a_searcher_is_done() {
    check_with(3, || {
        let crew = Crew::new(2, 2);
        let giver = crew.clone();
        let giver = thread::spawn(move || {
            giver.give();
            giver.give();
        });
        let other = crew.clone();
        let other = thread::spawn(move || other.work(1));
        crew.work(0);
        giver.join().unwrap();
        other.join().unwrap();
    });
}

#[test]
fn a_worker_that_waits_for_events_is_woken_for_all_else() {
    check_with(3, || {
        let crew = Crew::with(1, 2, true, None);
        let giver = crew.clone();
        let giver = thread::spawn(move || {
            giver.event();
            giver.give();
        });
        crew.work(0);
        giver.join().unwrap();
    });
}

#[test]
fn events_during_a_long_poll_are_seen_by_the_other() {
    check_with(3, || {
        let crew = Crew::with(2, 2, true, Some(Default::default()));
        let giver = crew.clone();
        let giver = thread::spawn(move || {
            giver.event();
            giver.event();
        });
        let other = crew.clone();
        let other = thread::spawn(move || other.work(1));
        crew.work(0);
        giver.join().unwrap();
        other.join().unwrap();
    });
}
