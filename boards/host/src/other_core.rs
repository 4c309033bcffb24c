//! Cores beside core 0, each a thread: the second core, or those on which more workers poll.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use trilane::exec::Platform;
use trilane::time::{Duration, Instant};
use trilane_std::standstill::Creep;
use trilane_std::thread::Thread;

use crate::command_line::options;
use crate::machine::MACHINE;
use crate::virtual_time::{MOST, VirtualCore};

/// Status of a program that panicked, as std has it.
const PANICKED: i32 = 101;

static OTHERS: [OtherCore; MOST - 1] = {
    let mut others = [const { OtherCore { simulation: VirtualCore(0), real: Thread::new(), creep: Creep::new() } };
        MOST - 1];
    let mut index = 0;
    while index < MOST - 1 {
        others[index].simulation.0 = index + 1;
        index += 1;
    }
    others
};

thread_local! {
    static HERE: Cell<Option<&'static OtherCore>> = const { Cell::new(None) };
}

/// A core that isn't core 0. Its clock is that of core 0.
pub(crate) struct OtherCore {
    simulation: VirtualCore,
    real: Thread,
    creep: Creep,
}

impl OtherCore {
    /// The core of this number, from 1.
    pub(crate) fn of(number: usize) -> &'static Self {
        &OTHERS[number - 1]
    }

    /// The one that this thread is.
    pub(crate) fn here() -> Option<&'static Self> {
        HERE.get()
    }

    /// Starts the core: a thread of this name, which does `work`. A panic there ends the program with status
    /// 101, as it does on core 0. Returns false, and does nothing, if it was started before.
    ///
    /// # Panics
    ///
    /// When the operating system has no thread for it.
    pub(crate) fn start(&'static self, name: String, work: impl FnOnce() + Send + 'static) -> bool {
        // Now, lest the clock jump before the thread has begun.
        if self.simulation.add() {
            return false;
        }
        let run = move || {
            HERE.set(Some(self));
            // It doesn't return, so it has panicked, and said so.
            let _ = catch_unwind(AssertUnwindSafe(work));
            std::process::exit(PANICKED)
        };
        thread::Builder::new()
            .name(name.clone())
            .spawn(run)
            .unwrap_or_else(|error| panic!("no thread for {name}: {error}"));
        true
    }

    pub(crate) fn set_alarm(&self, at: Option<Instant>) {
        if options().real_time {
            // `real` counts from another origin.
            self.real.set_alarm(at.map(|at| self.real.now() + (at - MACHINE.now())));
        } else {
            self.creep.sets_alarm(at, self.simulation.now());
            self.simulation.set_alarm(at);
        }
    }

    pub(crate) fn pend(&self) {
        if options().real_time { self.real.pend() } else { self.simulation.pend() }
    }

    pub(crate) fn idle(&self, quiet: &dyn Fn() -> bool) {
        if options().real_time {
            self.real.idle(quiet);
            return;
        }
        if self.creep.idles() {
            self.simulation.creep();
        }
        self.simulation.idle(quiet);
    }

    /// Keeps the core busy for `span`.
    pub(crate) fn spin(&self, span: Duration) {
        let until = MACHINE.now() + span;
        loop {
            let left = until - MACHINE.now();
            if left == Duration::ZERO {
                return;
            }
            if options().real_time {
                thread::sleep(std::time::Duration::from_micros(left.as_micros()));
            } else {
                self.simulation.advance(left);
            }
        }
    }
}
