//! Workers on their way to sleep against those who give them something to do.
#![cfg(trilane_loom)]

// What the runtime has, built of the checker's types.
#[path = "../../../std-adapter/src/runtime/bed.rs"]
mod bed;
#[path = "../../../std-adapter/src/runtime/sleepers.rs"]
#[expect(dead_code, reason = "the model asks for no ticks")]
mod sleepers;

use std::sync::Arc;

use loom::sync::atomic::{AtomicU32, Ordering::SeqCst};
use loom::thread;
use sleepers::{Sleeper, Sleepers};
use trilane_loom::check_with;

/// Workers, and how much there is to do and has been done.
struct Crew {
    sleepers: Sleepers,
    to_do: AtomicU32,
    done: AtomicU32,
    /// When it is over.
    all: u32,
}

impl Crew {
    fn new(workers: usize, all: u32) -> Arc<Self> {
        let sleepers = Sleepers::new(workers);
        Arc::new(Self { sleepers, to_do: AtomicU32::new(0), done: AtomicU32::new(0), all })
    }

    /// As of now; a load of the checker may be late.
    fn is_over(&self) -> bool {
        self.done.fetch_or(0, SeqCst) == self.all
    }

    fn work(&self, number: usize) {
        let sleeper = Sleeper::new(number);
        while !self.is_over() {
            let take = |to_do: u32| to_do.checked_sub(1);
            if self.to_do.fetch_update(SeqCst, SeqCst, take).is_err() {
                let is_quiet = || self.to_do.fetch_or(0, SeqCst) == 0 && !self.is_over();
                self.sleepers.sleep(&sleeper, is_quiet, || None);
                continue;
            }
            if sleeper.has_slept() && self.sleepers.at_work(&sleeper) && self.to_do.fetch_or(0, SeqCst) != 0 {
                self.sleepers.wake_one(number);
            }
            if self.done.fetch_add(1, SeqCst) + 1 == self.all {
                self.sleepers.wake_all();
            }
        }
        self.sleepers.at_work(&sleeper);
    }

    fn give(&self) {
        self.to_do.fetch_add(1, SeqCst);
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
