//! What an executor needs from the machine: a clock, an alarm, a nudge and a way to sleep.

use crate::exec::memory::look::AlarmDue;
use crate::exec::memory::trace::TraceEvent;
use crate::time::Instant;

/// The machine under an executor.
///
/// A platform belongs to one executor and is stored inside it. It is shared with interrupts and other threads
/// (a wake calls [`pend`](Platform::pend) from any of them), hence `Sync`.
///
/// # Contract
///
/// * [`now`](Platform::now) may jump in either direction; the executor treats a clock that went backwards as
///   one that stood still.
/// * After [`set_alarm`](Platform::set_alarm)`(Some(at))`, [`idle`](Platform::idle) must return at `at` or
///   soon after; an `at` that has passed already counts as one that comes now. One that goes off early, or
///   more than once, does no harm.
/// * [`idle`](Platform::idle) must not sleep when `quiet` returns false, and no wake may slip in between that
///   check and the sleep: on a chip, mask interrupts, check, WFI, unmask.
pub trait Platform: Sync + 'static {
    /// Whether a wake must call [`pend`](Platform::pend).
    ///
    /// False for a thread-mode executor on a single core: only an interrupt can wake it, and the interrupt
    /// ends its WFI. A wake is then one atomic OR and nothing else.
    const PENDS: bool = true;

    /// Whether polls are timed with [`ticks`](Platform::ticks); false costs nothing.
    const TIMES_POLLS: bool = false;

    /// Whether [`trace`](Platform::trace) is called; false costs nothing.
    const TRACES: bool = false;

    /// Whether [`watch_alarm`](Platform::watch_alarm) is known to return true, whenever; then an image has no
    /// code for a platform that doesn't tell.
    const WATCHES: bool = false;

    /// Whether workers are to share the executors of this platform (`Executor::share`, on hosts), as they may
    /// also without it if there are several banks. False costs nothing.
    const SHARES: bool = false;

    /// Whether [`pend_special`](Platform::pend_special) is called; false costs nothing.
    const TELLS_SPECIAL: bool = false;

    /// The time now. Read once a pass of the run loop, before it sleeps with an alarm set, and when a wait
    /// begins; never per poll.
    fn now(&self) -> Instant;

    /// Asks that [`idle`](Platform::idle) end at `at`; `None` cancels. Only the latest request counts. An
    /// alarm goes off once; the platform forgets it then.
    fn set_alarm(&self, at: Option<Instant>);

    /// Told once, when the executor starts, where to [raise](AlarmDue::raise) a flag each time that the alarm
    /// has gone off. Returns whether the platform does so: then a sleep that ends while tasks compute is late
    /// by one poll and not by a pass, an alarm that goes off early is set again at once, and one that is
    /// still to come is not set anew before each sleep.
    fn watch_alarm(&self, _due: &'static AlarmDue) -> bool {
        false
    }

    /// Makes the owner run a pass: pend its interrupt, unpark its thread. Called from any context, after the
    /// woken bit is set; must be short and must not block.
    fn pend(&self);

    /// In place of [`pend`](Platform::pend) after the wake of a special task: one with a priority, a deadline
    /// or a quota, or that is asked to stop.
    fn pend_special(&self) {
        self.pend();
    }

    /// Sleeps until an interrupt, the alarm, or [`pend`](Platform::pend), unless `quiet` returns false.
    /// Called by the owner only. May return early.
    ///
    /// A [`pend`](Platform::pend) from before the call need not end the sleep: what it announced, `quiet`
    /// sees. So forget it, then ask `quiet`, then sleep; otherwise each expiry, which pends, costs an idle
    /// round.
    fn idle(&self, quiet: &dyn Fn() -> bool);

    /// Told of the time of each pass, first thing; for a platform whose clock is its caller
    /// ([`Manual`](crate::exec::Manual)).
    fn pass_begins(&self, _now: Instant) {}

    /// A free-running counter for poll times, in a unit of the platform's choice; it may wrap around.
    fn ticks(&self) -> u32 {
        0
    }

    /// Records an event. Called by whoever causes it: [`Spawned`](TraceEvent::Spawned) from any context, the
    /// others from the runner.
    fn trace(&self, _event: TraceEvent) {}
}
