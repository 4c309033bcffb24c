//! Passes: the clock is read, what is due is woken, what is woken is polled.

use super::rounds::is_woken;
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

/// A pass that begins.
pub(in crate::exec) struct Start {
    /// Its time.
    pub now: Instant,
    /// Whether a sleep, or a clean-up's time, is over by then.
    sleep_is_due: bool,
    clean_up_is_due: bool,
}

/// Takes `now` as the time of a pass, unless an earlier pass was later. The runner only, in no poll.
#[inline]
pub(in crate::exec) fn begin(exec: ExecRef, now: Instant) -> Start {
    let spent = exec.look.take_due();
    let start = exec.locked(|cs| {
        let sleep = next_sleep(exec, cs);
        exec.with_clock(cs, |clock| {
            clock.now = clock.now.max(now);
            // An alarm that has gone off, or is due, is spent.
            if spent || clock.alarm <= clock.now {
                clock.alarm = Instant::MAX;
            }
            Start {
                now: clock.now,
                sleep_is_due: sleep <= clock.now,
                clean_up_is_due: clock.clean_up <= clock.now,
            }
        })
    });
    if start.now > now {
        add(&exec.tally.clock_regressions, 1);
    }
    start
}

/// The pass that begins so, of at most `polls` polls. The runner only, in no poll.
#[inline]
pub(in crate::exec) fn pass(exec: ExecRef, start: &Start, polls: u32) -> Pass {
    let now = start.now;
    if start.sleep_is_due {
        expire(exec, now);
    }
    if start.clean_up_is_due
        && let Some(special) = exec.special()
    {
        (special.force_due)(exec, now);
    }
    let mut more = true;
    let polls = count(exec, budget::new(polls), |left| poll(exec, left, now, &mut more));
    Pass { polls, more }
}

/// Polls a plain task that was woken, if nothing goes before it, before a pass reads the clock: for the way
/// from an interrupt to its task. Returns how many it has polled.
#[inline(always)]
pub(in crate::exec) fn poll_promptly(exec: ExecRef, poll_rounds: impl FnOnce(u32) -> u32) -> u32 {
    let is_plain_next = exec.queued.load(Ordering::Relaxed) == 0 && !exec.look.is_due();
    if is_plain_next { count(exec, budget::new(1), poll_rounds) } else { 0 }
}

/// Counts the polls that `poll` makes of `budget`, also if one unwinds. It returns what is left.
#[inline(always)]
fn count(exec: ExecRef, budget: u32, poll: impl FnOnce(u32) -> u32) -> u32 {
    let end = |left: u32| {
        let polls = budget::polls(budget) - budget::polls(left);
        add(&exec.tally.polls, polls);
        exec.running.store(0, Ordering::Relaxed);
        polls
    };
    let unwound = OnDrop::new(|| {
        let running = exec.running.load(Ordering::Relaxed);
        end(if running == 0 { budget } else { running });
    });
    let left = poll(budget);
    unwound.defuse();
    end(left)
}

/// Whether a pass would do something now. Plain loads.
pub(in crate::exec) fn is_runnable(exec: ExecRef) -> bool {
    exec.queued.load(Ordering::Relaxed) & !Core::STREAK != 0
        || is_woken(exec)
        || exec.look.has(AlarmDue::DUE | AlarmDue::WORK)
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
#[inline]
pub(in crate::exec) fn set_alarm(exec: ExecRef) {
    exec.look.take(AlarmDue::SOONER);
    let (before, next) = exec.locked(|cs| {
        let next = next_due(exec, cs);
        (exec.with_clock(cs, |clock| core::mem::replace(&mut clock.alarm, next)), next)
    });
    let is_set = before == next && (next == Instant::MAX || exec.watched.load(Ordering::Relaxed));
    if !is_set {
        (exec.ops().set_alarm)(exec, (next < Instant::MAX).then_some(next));
    }
}

/// Whether nothing stands against a sleep, now that the alarm was set: another context may have armed an
/// earlier timer since; and a platform that doesn't tell when its alarm goes off may have spent it, so that
/// it won't end the sleep.
#[inline(always)]
pub(in crate::exec) fn is_quiet(exec: ExecRef) -> bool {
    !is_runnable(exec)
        && !exec.look.has(AlarmDue::SOONER)
        && (exec.watched.load(Ordering::Relaxed) || is_alarm_ahead(exec))
}

#[cold]
#[inline(never)]
fn is_alarm_ahead(exec: ExecRef) -> bool {
    let alarm = exec.locked(|cs| exec.with_clock(cs, |clock| clock.alarm));
    alarm == Instant::MAX || alarm > exec.read_clock()
}

/// Polls what is woken and queued until nothing is, `left` is spent or the alarm is due. Returns what is
/// left, and in `more` whether something is runnable still.
#[inline(always)]
fn poll(exec: ExecRef, mut left: u32, now: Instant, more: &mut bool) -> u32 {
    loop {
        if exec.look.has(AlarmDue::NOW) {
            if exec.look.is_due() {
                return left;
            }
            look_up(exec);
        }
        let mut goes_on = true;
        if let Some(special) = exec.special() {
            left = (special.poll)(exec, left, now);
            goes_on = !budget::is_spent(left) && !exec.look.has(AlarmDue::NOW);
        }
        if goes_on {
            left = (exec.ops().poll_rounds)(exec, left, budget::ONE);
        }
        *more = is_runnable(exec);
        if budget::is_spent(left) || !*more {
            return left;
        }
    }
}

/// Does what a pass is interrupted for.
#[cold]
#[inline(never)]
fn look_up(exec: ExecRef) {
    if let Some(scope) = exec.scope {
        (scope.serve)(exec);
    }
    if exec.look.has(AlarmDue::SOONER) && is_runnable(exec) {
        set_alarm(exec);
    }
    // Otherwise the pass is over, and the alarm is set at its end.
    exec.look.take(AlarmDue::SOONER);
}
