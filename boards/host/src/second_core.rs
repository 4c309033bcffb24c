//! Core 1: a second thread.

use trilane::exec::{Platform, TraceEvent};
use trilane::time::Instant;

use crate::command_line;
use crate::machine::MACHINE;
use crate::other_core::OtherCore;
use crate::virtual_time::VirtualCore;

/// The executor's number, for the watch over virtual time.
const NUMBER: u8 = 2;

/// Starts core 1 with `main`: a thread that runs at the same time as core 0's.
///
/// A panic there ends the program with status 101, as it does on core 0. So does `--workers`, with status 2.
///
/// # Panics
///
/// When it has been started before, and when the operating system has no thread for it.
pub fn start_second_core(main: fn() -> !) {
    command_line::refuse_workers("each of its cores is one thread");
    let starts = OtherCore::of(1).start("core 1".into(), move || main());
    assert!(starts, "the second core has been started before: start it once");
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
        OtherCore::of(1).set_alarm(at);
    }

    fn pend(&self) {
        OtherCore::of(1).pend();
    }

    fn idle(&self, quiet: &dyn Fn() -> bool) {
        OtherCore::of(1).idle(quiet);
    }

    fn pass_begins(&self, now: Instant) {
        MACHINE.pass_begins(now);
    }

    fn trace(&self, event: TraceEvent) {
        if !command_line::options().real_time {
            VirtualCore(1).trace(NUMBER, event);
        }
    }
}
