//! Passes: the clock is read, what is due is woken, what is woken is polled.

use core::cell::Cell;

use super::rounds::{Kept, is_woken, poll_task};
use super::timers::expire;
use crate::exec::life::on_drop::OnDrop;
use crate::exec::memory::core::{Core, ExecRef, budget};
use crate::exec::memory::look::AlarmDue;
use crate::exec::memory::tally::add;
use crate::sync::{CriticalSection, Ordering};
use crate::time::Instant;

/// What a pass has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Pass {
    /// Tasks polled.
    pub polls: u32,
    /// Whether something is runnable still: the pass ended at its bound or for a due alarm, or a wake came as
    /// it ended.
    pub more: bool,
}

/// Takes `now` as the time of a pass, unless an earlier pass was later, and ends what is due by then: sleeps,
/// and clean-ups. Returns the time. The runner only, in no poll.
#[inline(never)]
fn begin(exec: ExecRef, read: Instant) -> Instant {
    let spent = exec.look.take_due();
    let now = exec.locked(|cs| {
        exec.with_clock(cs, |clock| {
            exec.set_pass_time(clock, clock.now.max(read));
            // An alarm that has gone off, or is due, is spent.
            if spent || clock.alarm <= clock.now {
                clock.alarm = Instant::MAX;
            }
            clock.now
        })
    });
    if now > read {
        add(&exec.tally.clock_regressions, 1);
    }
    expire(exec, now);
    if exec.draining.load(Ordering::Relaxed) != 0
        && let Some(special) = exec.special()
    {
        (special.force_due)(exec, now);
    }
    now
}

/// What a pass needs of the executor's full type.
pub(in crate::exec) trait Rounds {
    /// Whether the executor has more than one bank.
    const SEVERAL: bool;

    /// The platform's time now.
    fn read_clock(&self) -> Instant;

    /// Called with the time of the pass before its first poll.
    fn pass_begins(&self, now: Instant);

    /// Polls plain tasks; see [`poll_bank`](super::rounds::poll_bank).
    fn poll_rounds(&self, exec: ExecRef, kept: Kept, left: u32, least: u32) -> u32;
}

/// One pass of at most `polls` polls, at `now` or the platform's time. The runner only, in no poll.
///
/// If the clock is still to be read, a plain task that was woken is polled before, if nothing goes before it:
/// for the way from an interrupt to its task.
#[inline(always)]
pub(in crate::exec) fn pass<R: Rounds>(exec: ExecRef, rounds: &R, now: Option<Instant>, polls: u32) -> Pass {
    let budget = budget::new(polls);
    let left = Cell::new(budget);
    let count = || {
        let polls = budget::made(budget, left.get());
        add(&exec.tally.polls, polls);
        polls
    };
    // Polls are counted also if one unwinds.
    let unwound = OnDrop::new(|| {
        let running = exec.running.load(Ordering::Relaxed);
        if running != 0 {
            left.set(running);
        }
        exec.running.store(0, Ordering::Relaxed);
        count();
    });
    let more = poll(exec, rounds, now, &left);
    unwound.defuse();
    Pass { polls: count(), more }
}

/// Polls the first plain task that was woken, if nothing goes before it. Returns whether there was one. For
/// an executor of one bank, before a pass. The runner only, in no poll.
#[inline(always)]
pub(in crate::exec) fn poll_promptly<const OBSERVED: bool>(exec: ExecRef, polls: u32) -> bool {
    let bank = exec.first_bank().kept();
    let before = exec.queued.load(Ordering::Relaxed) | exec.look.bits();
    if before | bank.rest.bits() != 0 || bank.woken.is_empty() {
        return false;
    }
    let special = bank.special.bits();
    let taken = bank.woken.take_seen();
    if taken & special != 0 {
        // The pass looks at them again.
        bank.rest.set(taken);
        return false;
    }
    bank.rest.set(taken & (taken - 1));
    let ended = OnDrop::new(|| {
        exec.running.store(0, Ordering::Relaxed);
        add(&exec.tally.polls, 1);
    });
    let index = taken.trailing_zeros();
    let (task, header) = (bank.task(index), bank.header(index));
    // SAFETY: the caller is the runner, in no poll; the task was plain when it was taken, and only the runner
    // ends it.
    unsafe { poll_task::<OBSERVED>(exec, bank, task, header, index as u16, budget::new(polls)) };
    drop(ended);
    true
}

/// Whether a pass would do something now. Plain loads.
#[inline(always)]
pub(in crate::exec) fn is_runnable(exec: ExecRef, several: bool) -> bool {
    is_busy(exec, several) || exec.look.has(AlarmDue::DUE | AlarmDue::WORK)
}

/// Whether a task is queued or woken.
#[inline(always)]
fn is_busy(exec: ExecRef, several: bool) -> bool {
    exec.queued.load(Ordering::Relaxed) & !Core::STREAK != 0 || is_woken(exec, several)
}

/// When something is to be done that nothing wakes for: a sleep that ends, a clean-up whose time is over.
/// [`MAX`](Instant::MAX): never.
#[inline(always)]
pub(in crate::exec) fn next_due(exec: ExecRef, cs: CriticalSection<'_>) -> Instant {
    next_sleep(exec, cs).min(exec.with_clock(cs, |clock| clock.clean_up))
}

/// When a sleep ends.
#[inline(always)]
fn next_sleep(exec: ExecRef, cs: CriticalSection<'_>) -> Instant {
    exec.with_timers(cs, |timers| timers.next_due()).map_or(Instant::MAX, Instant::from_micros)
}

/// Sets the platform's alarm for what is due next, unless the platform is known to have it so: otherwise it
/// may have gone off early.
#[inline(never)]
pub(in crate::exec) fn set_alarm(exec: ExecRef) {
    exec.look.take(AlarmDue::SOONER);
    let (before, next) = exec.locked(|cs| {
        let next = next_due(exec, cs);
        (exec.with_clock(cs, |clock| core::mem::replace(&mut clock.alarm, next)), next)
    });
    let is_set = before == next && (next == Instant::MAX || exec.watched.load(Ordering::Relaxed));
    if !is_set {
        (exec.ops().set_alarm)(exec, next);
    }
}

/// Whether nothing stands against a sleep, now that the alarm was set: another context may have armed an
/// earlier timer since; and a platform that doesn't tell when its alarm goes off may have spent it, so that
/// it won't end the sleep.
#[inline(always)]
pub(in crate::exec) fn is_quiet(exec: ExecRef, several: bool, watches: bool) -> bool {
    !is_busy(exec, several)
        && !exec.look.has(AlarmDue::NOW)
        && (watches || exec.watched.load(Ordering::Relaxed) || is_alarm_ahead(exec))
}

#[cold]
#[inline(never)]
fn is_alarm_ahead(exec: ExecRef) -> bool {
    let alarm = exec.locked(|cs| exec.with_clock(cs, |clock| clock.alarm));
    alarm == Instant::MAX || alarm > exec.read_clock()
}

/// Polls what is woken and queued until nothing is, `left` is spent or the alarm is due. Returns whether
/// something is runnable still.
///
/// The polling of rounds is compiled into this loop once: it begins with what is polled promptly.
#[inline(always)]
fn poll<R: Rounds>(exec: ExecRef, rounds: &R, now: Option<Instant>, left: &Cell<u32>) -> bool {
    // The first time round one poll is made, and the clock is still to be read.
    const PROMPT: u32 = u32::MAX - 1;
    let mut least = PROMPT;
    let kept = Kept::of(exec);
    loop {
        // Not if the lanes have given this turn to the others; zero: nothing goes before.
        let before = exec.queued.load(Ordering::Relaxed) | exec.look.bits() & AlarmDue::NOW;
        if !(least == PROMPT && now.is_some()) && (before == 0 || least & 1 != 0) {
            left.set(rounds.poll_rounds(exec, kept, left.get(), least));
        }
        exec.running.store(0, Ordering::Relaxed);
        if least == PROMPT {
            let now = begin(exec, now.unwrap_or_else(|| rounds.read_clock()));
            rounds.pass_begins(now);
        }
        let look = exec.look.bits();
        if least != PROMPT {
            let more = is_busy(exec, R::SEVERAL) || look & (AlarmDue::DUE | AlarmDue::WORK) != 0;
            if budget::is_spent(left.get()) || !more {
                return more;
            }
        }
        if look & AlarmDue::NOW != 0 {
            if look & AlarmDue::DUE != 0 {
                return true;
            }
            look_up(exec);
        }
        least = budget::LAST;
        if let Some(special) = exec.special() {
            let polled = (special.poll)(exec, left.get());
            left.set(polled & !(budget::OTHERS | budget::MORE));
            if polled & budget::OTHERS != 0 {
                // One poll.
                least = left.get() - 1;
            } else if budget::is_spent(polled) {
                return polled & budget::MORE != 0;
            }
        }
    }
}

/// Does what a pass is interrupted for: serves regions, and sets the alarm, since tasks that are runnable may
/// compute beyond it.
#[cold]
#[inline(never)]
fn look_up(exec: ExecRef) {
    if let Some(scope) = exec.scope() {
        (scope.serve)(exec);
    }
    if exec.look.has(AlarmDue::SOONER) {
        set_alarm(exec);
    }
}
