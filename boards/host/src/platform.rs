//! The platforms of the host's executors: in virtual or real time, as the command line says.

use trilane::exec::{AlarmDue, Handler, Platform, TraceEvent};
use trilane::time::Instant;

use crate::command_line::{self, Options, options};
use crate::machine::{Alarm, MACHINE};
use crate::workers;

/// The platform of the thread-mode executor.
///
/// In virtual time, which jumps from alarm to alarm, unless the program got `--real-time`
/// ([`Thread`](trilane_std::thread::Thread)); the first use decides for the whole run. A program in virtual
/// time in which nothing can happen any more panics, instead of hanging as a chip would.
///
/// So does one that keeps virtual time from moving, for tasks that never wait for it: after a million passes
/// of all executors at one instant, or as many as `--livelock-after` says, with the names of these tasks. A
/// task that waits for no time at all, again and again (a loop over `sleep(Duration::ZERO)`), doesn't hold
/// the clock: after [1,000](trilane_std::standstill::Creep::AFTER) such waits in a row, each further one
/// takes a microsecond.
///
/// It takes no room, and all `Board`s are the same processor core: one clock, one thread, one executor in
/// thread mode. With `--workers` several threads poll the tasks of that executor: see
/// [`start`](crate::start).
///
/// # Examples
///
/// ```
/// use board::Board;
/// use trilane::exec::Platform;
/// use trilane::time::Instant;
///
/// static BOARD: Board = Board::new();
///
/// BOARD.set_alarm(Some(Instant::from_secs(3600)));
/// BOARD.idle(&|| true);
/// assert_eq!(BOARD.now(), Instant::from_secs(3600));
/// ```
#[derive(Debug, Default)]
pub struct Board(());

impl Board {
    /// The platform of the thread that will first idle on it.
    pub const fn new() -> Self {
        Self(())
    }
}

impl Platform for Board {
    const PENDS: bool = true;
    /// The begin and the end of each poll are Interrupt Points; a livelock's report names tasks.
    const TRACES: bool = true;
    /// For `--workers`.
    const SHARES: bool = true;

    fn now(&self) -> Instant {
        MACHINE.now()
    }

    fn set_alarm(&self, at: Option<Instant>) {
        let Options { workers, real_time, .. } = options();
        match workers {
            None => MACHINE.set_alarm(Alarm::Thread, at),
            // One of those that sleep is to look by then.
            Some(_) if real_time => workers::nudge_all(),
            // Time stands still until whoever has armed that looks for itself.
            Some(_) => {}
        }
    }

    fn watch_alarm(&self, due: &'static AlarmDue) -> bool {
        command_line::refuse_workers("it starts its executor for one thread, not by `board::run`");
        MACHINE.watch_alarm(Alarm::Thread, due);
        // An alarm is to be seen each time that it is asked for: waits for no time are counted.
        false
    }

    fn pend(&self) {
        if options().workers.is_some() { workers::nudge_all() } else { MACHINE.nudge() }
    }

    fn idle(&self, quiet: &dyn Fn() -> bool) {
        MACHINE.idle(quiet);
    }

    fn pass_begins(&self, now: Instant) {
        MACHINE.pass_begins(now);
    }

    fn trace(&self, event: TraceEvent) {
        MACHINE.trace(Alarm::Thread, event);
        MACHINE.interrupt();
    }
}

/// The platform of an executor that pre-empts the one in thread mode: [`Preemptive::start`] lets it run.
///
/// A wake of one of its tasks runs it at once, in the middle of the poll that woke. Its alarm goes off while
/// thread mode sleeps or is kept busy by [`spin`](crate::spin); the two share the clock.
#[derive(Debug, Default)]
pub struct Preemptive(());

impl Preemptive {
    /// The platform of the executor whose handler will be given to [`Preemptive::start`].
    pub const fn new() -> Self {
        Self(())
    }

    /// Lets the interrupt drive the executor of `handler`, for ever. What was spawned or woken before runs
    /// now.
    ///
    /// To be called from the thread in thread mode.
    ///
    /// # Panics
    ///
    /// When the interrupt drives an executor already. `--workers` ends the program with status 2.
    pub fn start(handler: Handler) {
        command_line::refuse_workers("an interrupt pre-empts its one thread");
        MACHINE.bind(handler);
    }
}

impl Platform for Preemptive {
    const PENDS: bool = true;
    /// A livelock's report names tasks.
    const TRACES: bool = true;

    fn now(&self) -> Instant {
        MACHINE.now()
    }

    fn set_alarm(&self, at: Option<Instant>) {
        MACHINE.set_alarm(Alarm::Preemptive, at);
    }

    fn watch_alarm(&self, due: &'static AlarmDue) -> bool {
        MACHINE.watch_alarm(Alarm::Preemptive, due);
        false
    }

    fn pend(&self) {
        MACHINE.pend();
    }

    /// Never called: the handler returns instead.
    fn idle(&self, _quiet: &dyn Fn() -> bool) {}

    fn pass_begins(&self, now: Instant) {
        MACHINE.pass_begins(now);
    }

    fn trace(&self, event: TraceEvent) {
        MACHINE.trace(Alarm::Preemptive, event);
    }
}
