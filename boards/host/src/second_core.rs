//! Core 1: a second thread.

use std::panic::catch_unwind;
use std::thread;

use trilane::exec::{Platform, TraceEvent};
use trilane::time::Instant;
use trilane_std::standstill::Creep;
use trilane_std::thread::Thread;

use crate::command_line;
use crate::machine::MACHINE;
use crate::virtual_time::VirtualCore;

/// Status of a program that panicked, as std has it.
const PANICKED: i32 = 101;

static VIRTUAL: VirtualCore<1> = VirtualCore;
static REAL: Thread = Thread::new();
static CREEP: Creep = Creep::new();
/// The executor's number, for the watch over virtual time.
const NUMBER: u8 = 2;

/// Starts core 1 with `main`: a thread that runs at the same time as core 0's.
///
/// A panic there ends the program with status 101, as it does on core 0.
///
/// # Panics
///
/// When it has been started before, and when the operating system has no thread for it.
pub fn start_second_core(main: fn() -> !) {
    // Now, lest the clock jump before the thread has begun.
    assert!(!VirtualCore::<1>::add(), "the second core has been started before: start it once");
    let run = move || {
        // It doesn't return, so it has panicked, and said so.
        let _ = catch_unwind(|| main());
        std::process::exit(PANICKED)
    };
    thread::Builder::new()
        .name("core 1".into())
        .spawn(run)
        .unwrap_or_else(|error| panic!("no thread for the second core: {error}"));
}

/// The platform of the thread-mode executor of core 1, which [`start_second_core`] starts.
///
/// Its clock is [`Board`](crate::Board)'s. In virtual time that jumps when both cores sleep; what they do
/// until then, they do at the same instant, and in which order is up to the operating system.
#[derive(Debug, Default)]
pub struct SecondCore(());

impl SecondCore {
    /// The platform of the thread that will first idle on it.
    pub const fn new() -> Self {
        Self(())
    }
}

impl Platform for SecondCore {
    const PENDS: bool = true;
    /// A livelock's report names tasks.
    const TRACES: bool = true;

    fn now(&self) -> Instant {
        MACHINE.now()
    }

    fn set_alarm(&self, at: Option<Instant>) {
        if command_line::options().real_time {
            // `REAL` counts from another origin.
            REAL.set_alarm(at.map(|at| REAL.now() + (at - MACHINE.now())));
        } else {
            CREEP.sets_alarm(at, VIRTUAL.now());
            VIRTUAL.set_alarm(at);
        }
    }

    fn pend(&self) {
        if command_line::options().real_time { REAL.pend() } else { VIRTUAL.pend() }
    }

    fn idle(&self, quiet: &dyn Fn() -> bool) {
        if command_line::options().real_time {
            REAL.idle(quiet);
            return;
        }
        if CREEP.idles() {
            VIRTUAL.creep();
        }
        VIRTUAL.idle(quiet);
    }

    fn pass_begins(&self, now: Instant) {
        if !command_line::options().real_time {
            VIRTUAL.pass_begins(now);
        }
    }

    fn trace(&self, event: TraceEvent) {
        if !command_line::options().real_time {
            VIRTUAL.trace(NUMBER, event);
        }
    }
}
