//! Virtual time for several cores: one clock, which stands still while any of them works and jumps to the
//! next alarm when all sleep.
//!
//! A program on one core is the case in which the others are never there.
//!
//! **Clock Invariant.** The clock jumps under the lock, when each core that is there is asleep with nothing
//! that has nudged it since it looked for work. Hence a core that another one wakes does so at the time of
//! the wake, however slow its thread is.
//!
//! A core that waits for no time at all, again and again, [lets a moment
//! pass](Creep) at last: for the clock that is a sleep, so the invariant holds. A
//! clock that stands still for too many passes of all executors together is a [livelock](Watch).

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Duration as Real;

use trilane::exec::{Platform, TraceEvent};
use trilane::time::{Duration, Instant};
use trilane_std::standstill::{Creep, Watch};

use crate::command_line;

/// For how long threads that are no cores, such as a handler's, may keep everything waiting: then it is a
/// deadlock.
const PATIENCE: Real = Real::from_secs(5);

/// For how long a core that waits for no time at all waits for the others to sleep.
const MOMENT: Real = Real::from_millis(1);

static TIME: VirtualTime = VirtualTime::new();

/// The most cores.
pub(crate) const MOST: usize = 64;

/// The core of this number as the platform of its executor in thread mode.
#[derive(Debug)]
pub(crate) struct VirtualCore(pub usize);

impl VirtualCore {
    /// From now on the clock waits for this core as well, which works. Returns whether it was there before.
    pub(crate) fn add(&self) -> bool {
        TIME.add(self.0)
    }

    /// Lets the core work for `span`, or until a nudge.
    pub(crate) fn advance(&self, span: Duration) {
        TIME.advance(self.0, span);
    }

    /// Lets a moment pass for a core that waits for no time at all.
    pub(crate) fn creep(&self) {
        TIME.creep(self.0);
    }

    /// A pass of an executor of the core begins.
    ///
    /// # Panics
    ///
    /// When that is one too many at one instant.
    pub(crate) fn pass_begins(&self, now: Instant) {
        if let Some(livelock) = TIME.watch.pass_begins(now, command_line::options().livelock_after) {
            panic!("{livelock}: --livelock-after PASSES");
        }
    }

    /// Something has happened in the executor with this number, of all that there are.
    pub(crate) fn trace(&self, executor: u8, event: TraceEvent) {
        TIME.watch.trace(executor, event);
    }
}

/// Nudges all cores.
pub(crate) fn nudge_all() {
    TIME.nudge_all();
}

impl Platform for VirtualCore {
    fn now(&self) -> Instant {
        TIME.now()
    }

    fn set_alarm(&self, at: Option<Instant>) {
        TIME.set_alarm(self.0, at);
    }

    fn pend(&self) {
        TIME.nudge(self.0);
    }

    fn idle(&self, quiet: &dyn Fn() -> bool) {
        TIME.idle(self.0, quiet);
    }
}

/// The cores' clock and alarms.
struct VirtualTime {
    state: Mutex<State>,
    changed: Condvar,
    patience: Real,
    watch: Watch,
}

struct State {
    now: Instant,
    cores: [Core; MOST],
}

#[derive(Clone, Copy)]
struct Core {
    /// Whether the program has such a core, as it always has core 0.
    there: bool,
    /// The first thread that has slept.
    owner: Option<ThreadId>,
    /// [`Instant::MAX`] for none.
    alarm: Instant,
    /// Nudged since it last looked for work.
    nudged: bool,
    /// Until when it sleeps if nobody nudges it; `None` while it works.
    asleep: Option<Instant>,
}

impl VirtualTime {
    const fn new() -> Self {
        const CORE: Core =
            Core { there: false, owner: None, alarm: Instant::MAX, nudged: false, asleep: None };
        let mut cores = [CORE; MOST];
        cores[0].there = true;
        Self {
            state: Mutex::new(State { now: Instant::ZERO, cores }),
            changed: Condvar::new(),
            patience: PATIENCE,
            watch: Watch::new(),
        }
    }

    /// See [`VirtualCore::add`].
    fn add(&self, core: usize) -> bool {
        std::mem::replace(&mut self.state().cores[core].there, true)
    }

    fn now(&self) -> Instant {
        self.state().now
    }

    fn set_alarm(&self, core: usize, at: Option<Instant>) {
        self.state().cores[core].alarm = at.unwrap_or(Instant::MAX);
    }

    /// Ends the sleep of `core`, or prevents the next unless `quiet` is asked before it. From any thread.
    fn nudge(&self, core: usize) {
        self.state().cores[core].nudged = true;
        self.changed.notify_all();
    }

    /// Nudges all cores.
    fn nudge_all(&self) {
        let mut state = self.state();
        for core in &mut state.cores {
            core.nudged = true;
        }
        if state.cores.iter().any(|core| core.asleep.is_some()) {
            self.changed.notify_all();
        }
    }

    /// Lets `core` sleep until its alarm or a nudge, unless `quiet` returns false. The alarm that ends it is
    /// spent.
    ///
    /// # Panics
    ///
    /// When another thread than the first to do so calls it for `core`, and when nothing can happen any more:
    /// all sleep without an alarm, and no other thread has nudged one.
    fn idle(&self, core: usize, quiet: &dyn Fn() -> bool) {
        // What an earlier nudge announced, `quiet` sees.
        self.state().cores[core].nudged = false;
        // Not under the lock: it may enter a critical section, in which another core may want to nudge.
        if !quiet() {
            return;
        }
        let state = self.state();
        let alarm = state.cores[core].alarm;
        let mut state = self.sleep(state, core, alarm);
        if alarm <= state.now {
            state.cores[core].alarm = Instant::MAX;
        }
    }

    /// Lets `core` work for `span`, or until a nudge: for the clock that is a sleep.
    fn advance(&self, core: usize, span: Duration) {
        let state = self.state();
        let until = state.now + span;
        self.sleep(state, core, until).cores[core].nudged = false;
    }

    /// Lets `core` sleep for the shortest time, or until a nudge. While another one works, time stands
    /// still; then `core` goes on soon, since that one may be waiting for it without sleeping.
    fn creep(&self, core: usize) {
        let mut state = self.state();
        let until = state.now + Creep::STEP;
        // It has looked for work; who came after that waits for this moment at most.
        state.cores[core].nudged = false;
        state.cores[core].asleep = Some(until);
        if state.jump() {
            self.changed.notify_all();
        }
        let waits = |state: &mut State| !state.cores[core].nudged && state.now < until;
        let waited = self.changed.wait_timeout_while(state, MOMENT, waits);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.cores[core].asleep = None;
    }

    fn sleep<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        core: usize,
        until: Instant,
    ) -> MutexGuard<'a, State> {
        let caller = thread::current().id();
        let owner = *state.cores[core].owner.get_or_insert(caller);
        assert!(owner == caller, "core {core} is {owner:?}'s, and {caller:?} wants to sleep on it");
        state.cores[core].asleep = Some(until);
        loop {
            if state.jump() {
                self.changed.notify_all();
            }
            if state.cores[core].nudged || until <= state.now {
                state.cores[core].asleep = None;
                return state;
            }
            state = if state.is_deadlock() {
                // Whoever ends this is no task.
                self.watch.moves();
                let (state, waited) =
                    self.changed.wait_timeout(state, self.patience).unwrap_or_else(PoisonError::into_inner);
                assert!(
                    !(waited.timed_out() && state.is_deadlock()),
                    "deadlock in virtual time at {}: every task waits, no timer is set, and no other thread woke one within \
                     {:?}. Wake a task, or end the program when its work is done",
                    state.now,
                    self.patience
                );
                state
            } else {
                self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
            };
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A deadlock's panic leaves the state whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// When the first will wake, if all sleep and none has been nudged.
    fn first_to_wake(&self) -> Option<Instant> {
        let mut first = Instant::MAX;
        for core in self.cores.iter().filter(|core| core.there) {
            first = first.min(core.asleep.filter(|_| !core.nudged)?);
        }
        Some(first)
    }

    /// Moves the clock on to whoever wakes first, if all sleep (Clock Invariant). Returns whether it has
    /// moved.
    fn jump(&mut self) -> bool {
        let Some(at) = self.first_to_wake().filter(|&at| at > self.now && at != Instant::MAX) else {
            return false;
        };
        self.now = at;
        true
    }

    fn is_deadlock(&self) -> bool {
        self.first_to_wake() == Some(Instant::MAX)
    }
}

#[cfg(test)]
mod tests;
