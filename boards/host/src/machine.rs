//! Core 0: its clock, its alarms, and the interrupt in which [`Preemptive`](crate::Preemptive) runs.
//!
//! Nothing here runs at the same time as something else. As on a chip, the pre-empting executor runs on the
//! stack of what it pre-empts: the thread in thread mode calls it, in the middle of whatever that thread
//! does. So the order of a program's steps is the chip's, and each run has the same.
//!
//! **Interrupt Points.** On a chip an interrupt comes between any two instructions. Here it comes where the
//! program could tell: when its executor is woken, before the console's output, [`exit`](crate::exit), the
//! clock's reading and sleep, before and after each poll in thread mode, after
//! [`irq::trigger`](crate::irq::trigger), and during [`spin`](crate::spin). Inside a critical section it
//! stays pended until the next such point; only a poll that wakes inside one, and then looks for what has
//! come of it by other means, finds that out.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, Thread as Os};

use trilane::exec::{AlarmDue, Handler, Platform, TraceEvent};
use trilane::time::{Duration, Instant};
use trilane_std::standstill::Creep;
use trilane_std::thread::Thread;

use crate::virtual_time::VirtualCore;
use crate::{command_line, irq};

pub(crate) static MACHINE: Machine = Machine::new();

/// Who may wait for an instant.
#[derive(Clone, Copy)]
pub(crate) enum Alarm {
    /// The executor in thread mode.
    Thread,
    /// The one that pre-empts it.
    Preemptive,
    /// [`irq::trigger_after`].
    Irq,
}

pub(crate) struct Machine {
    simulation: VirtualCore,
    real: Thread,
    /// By [`Alarm`] the instant waited for; [`Instant::MAX`] when there is none.
    alarms: Mutex<[Instant; 3]>,
    /// By [`Alarm`] where its executor is told that it has gone off; for executors only.
    due: [OnceLock<&'static AlarmDue>; 2],
    /// By [`Alarm`]; for executors only.
    creeps: [Creep; 2],
    /// The thread in thread mode: the first that sleeps, spins or binds a handler.
    owner: OnceLock<Os>,
    handler: OnceLock<Handler>,
    /// The interrupt of the handler is pended.
    pended: AtomicBool,
    /// The handler runs.
    running: AtomicBool,
    /// The delay of [`irq::trigger_after`] is over.
    irq_pended: AtomicBool,
}

/// Calls a method of the platform that the command line chose.
macro_rules! chosen {
    ($machine:ident . $method:ident ( $($argument:expr)? )) => {
        if command_line::options().real_time {
            $machine.real.$method($($argument)?)
        } else {
            $machine.simulation.$method($($argument)?)
        }
    };
}

impl Machine {
    const fn new() -> Self {
        Self {
            simulation: VirtualCore(0),
            real: Thread::new(),
            alarms: Mutex::new([Instant::MAX; 3]),
            due: [const { OnceLock::new() }; 2],
            creeps: [const { Creep::new() }; 2],
            owner: OnceLock::new(),
            handler: OnceLock::new(),
            pended: AtomicBool::new(false),
            running: AtomicBool::new(false),
            irq_pended: AtomicBool::new(false),
        }
    }

    /// The time, and an Interrupt Point.
    pub(crate) fn now(&self) -> Instant {
        self.interrupt();
        chosen!(self.now())
    }

    /// Waits for `at` in place of any other instant of `alarm`.
    pub(crate) fn set_alarm(&self, alarm: Alarm, at: Option<Instant>) {
        if let Some(creep) = self.creeps.get(alarm as usize) {
            creep.sets_alarm(at, chosen!(self.now()));
        }
        let mut alarms = self.alarms();
        alarms[alarm as usize] = at.unwrap_or(Instant::MAX);
        self.aim(&alarms);
        if !self.is_owner() {
            // Which may sleep, and is to wake earlier.
            self.nudge();
        }
    }

    /// From now on, raises `due` when the alarm goes off.
    pub(crate) fn watch_alarm(&self, alarm: Alarm, due: &'static AlarmDue) {
        // An executor is started once, and there is one for each alarm.
        let _ = self.due[alarm as usize].set(due);
    }

    /// Wakes the thread in thread mode.
    pub(crate) fn nudge(&self) {
        chosen!(self.pend());
    }

    /// Sleeps, in thread mode, until the earliest alarm of all, an interrupt or a nudge.
    pub(crate) fn idle(&self, quiet: &dyn Fn() -> bool) {
        self.claim();
        self.creep(Alarm::Thread);
        self.interrupt();
        chosen!(self.idle(&|| quiet() && !self.is_pended()));
        self.interrupt();
    }

    /// Lets a moment pass, in virtual time, if the executor waits for no time at all, again and again.
    fn creep(&self, alarm: Alarm) {
        if self.creeps[alarm as usize].idles() && !command_line::options().real_time {
            self.simulation.creep();
        }
    }

    /// A pass of an executor of this core begins.
    pub(crate) fn pass_begins(&self, now: Instant) {
        if !command_line::options().real_time {
            self.simulation.pass_begins(now);
        }
    }

    /// Something has happened in the executor that has this alarm.
    pub(crate) fn trace(&self, alarm: Alarm, event: TraceEvent) {
        if !command_line::options().real_time {
            self.simulation.trace(alarm as u8, event);
        }
    }

    /// Raises what waits for alarms that time has come to.
    fn raise_due(&self) {
        let alarms = *self.alarms();
        let now = chosen!(self.now());
        for (due, at) in self.due.iter().zip(alarms) {
            if let (Some(due), true) = (due.get(), at <= now) {
                due.raise();
            }
        }
    }

    /// Keeps core 0 busy for `span`, during which interrupts come at their time.
    pub(crate) fn spin(&self, span: Duration) {
        self.claim();
        let until = self.now() + span;
        loop {
            let now = self.now();
            if now >= until {
                return;
            }
            let [_, preemptive, irq] = *self.alarms();
            let next = until.min(preemptive).min(irq) - now;
            if command_line::options().real_time {
                thread::park_timeout(next.into());
            } else {
                self.simulation.advance(next);
            }
            self.raise_due();
        }
    }

    /// Binds what the pre-empting interrupt runs. It runs at once if it is pended.
    pub(crate) fn bind(&self, handler: Handler) {
        self.claim();
        let bound = self.handler.set(handler);
        assert!(bound.is_ok(), "the interrupt drives an executor already: it has room for one");
        self.interrupt();
    }

    /// Pends the pre-empting interrupt.
    pub(crate) fn pend(&self) {
        self.pended.store(true, SeqCst);
        if self.is_owner() {
            self.interrupt();
        } else {
            self.nudge();
            // In real time it may be spinning, which no nudge ends.
            if let Some(owner) = self.owner.get() {
                owner.unpark();
            }
        }
    }

    /// An Interrupt Point: what is pended runs now, unless this is no place for it.
    pub(crate) fn interrupt(&self) {
        // A thread that panics is about to end the program.
        if !self.is_owner() || thread::panicking() {
            return;
        }
        self.expire();
        if !self.is_pended() || is_critical() {
            return;
        }
        if self.irq_pended.swap(false, SeqCst) {
            irq::trigger();
        }
        while self.can_run() && self.pended.swap(false, SeqCst) {
            if let Some(handler) = self.handler.get() {
                let _running = Running::begin(&self.running);
                // SAFETY: all calls come from here, on the one thread that owns the machine, and `running`
                // keeps a second from beginning before the first has ended: the runner's context (Executor
                // Invariant 5).
                unsafe { handler.on_interrupt() }
            }
            self.creep(Alarm::Preemptive);
            // It may have set an alarm that is due.
            self.expire();
            if self.irq_pended.swap(false, SeqCst) {
                irq::trigger();
            }
        }
    }

    /// Pends what belongs to the alarms that have gone off.
    fn expire(&self) {
        let mut alarms = self.alarms();
        if *alarms == [Instant::MAX; 3] {
            return;
        }
        let now = chosen!(self.now());
        let due = alarms.map(|at| at <= now && at != Instant::MAX);
        if !due.contains(&true) {
            return;
        }
        for (at, due) in alarms.iter_mut().zip(due) {
            if due {
                *at = Instant::MAX;
            }
        }
        self.aim(&alarms);
        self.pended.fetch_or(due[Alarm::Preemptive as usize], SeqCst);
        self.irq_pended.fetch_or(due[Alarm::Irq as usize], SeqCst);
    }

    /// Sets the platform's only alarm to the earliest of all.
    fn aim(&self, alarms: &[Instant; 3]) {
        let [thread, preemptive, irq] = *alarms;
        let next = thread.min(preemptive).min(irq);
        chosen!(self.set_alarm(Some(next).filter(|&next| next != Instant::MAX)));
    }

    /// Whether an interrupt could run now that has not.
    fn is_pended(&self) -> bool {
        self.irq_pended.load(SeqCst) || self.pended.load(SeqCst) && self.can_run()
    }

    /// Whether the handler is there and doesn't run yet.
    fn can_run(&self) -> bool {
        !self.running.load(SeqCst) && self.handler.get().is_some()
    }

    fn claim(&self) {
        self.owner.get_or_init(thread::current);
    }

    fn is_owner(&self) -> bool {
        self.owner.get().is_some_and(|owner| owner.id() == thread::current().id())
    }

    fn alarms(&self) -> MutexGuard<'_, [Instant; 3]> {
        self.alarms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// While it lives, the handler runs; also if that unwinds.
struct Running<'a>(&'a AtomicBool);

impl<'a> Running<'a> {
    fn begin(running: &'a AtomicBool) -> Self {
        running.store(true, SeqCst);
        Self(running)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.store(false, SeqCst);
    }
}

/// Whether this thread is in a critical section.
///
/// The hosted implementation lets a thread enter again, and its state says whether it has: `bool`, which is
/// opaque but for `Debug`. What isn't understood counts as critical, which pre-empts late but never wrongly.
fn is_critical() -> bool {
    // SAFETY: released right away, with the state that it gave.
    let state = unsafe {
        let state = critical_section::acquire();
        critical_section::release(state);
        state
    };
    format!("{state:?}") != "RestoreState(false)"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_critical_section_is_told_from_none() {
        assert!(!is_critical());
        critical_section::with(|_| {
            assert!(is_critical());
            critical_section::with(|_| assert!(is_critical()));
            assert!(is_critical());
        });
        assert!(!is_critical());
    }
}
