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

/// One pass at `now`, of at most `polls` polls. The runner only, in no poll.
pub(in crate::exec) fn poll_pending(exec: ExecRef, now: Instant, polls: u32) -> Pass {
    let now = begin(exec, now);
    let polls = count(exec, budget::new(polls), |left| poll(exec, left, now));
    Pass { polls, more: is_runnable(exec) }
}

/// A pass that first polls a plain task that was woken, if nothing goes before it, and then reads the clock:
/// for the way from an interrupt to its task.
#[inline(always)]
pub(in crate::exec) fn poll_promptly(
    exec: ExecRef,
    polls: u32,
    poll_rounds: impl FnOnce(u32) -> u32,
) -> Pass {
    let mut first = 0;
    if exec.queued.load(Ordering::Relaxed) == 0 {
        first = count(exec, budget::new(1), poll_rounds);
    }
    let Pass { polls, more } = poll_pending(exec, exec.read_clock(), polls);
    Pass { polls: polls + first, more }
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
#[inline(always)]
pub(in crate::exec) fn next_due(exec: ExecRef, cs: CriticalSection<'_>) -> Option<u64> {
    let sleep = exec.with_timers(cs, |timers| timers.next_due());
    match exec.with_clock(cs, |clock| clock.clean_up) {
        None => sleep,
        Some(force) => Some(sleep.map_or(force, |sleep| sleep.min(force))),
    }
}

/// Sets the platform's alarm for what is due next, unless the platform is known to have it so: otherwise it
/// may have gone off early.
pub(in crate::exec) fn set_alarm(exec: ExecRef) {
    exec.look.take(AlarmDue::SOONER);
    let (before, next) = exec.locked(|cs| {
        let next = next_due(exec, cs).map(Instant::from_micros);
        (exec.with_clock(cs, |clock| core::mem::replace(&mut clock.alarm, next)), next)
    });
    let is_set = before == next && exec.watched.load(Ordering::Relaxed);
    if !is_set && (before.is_some() || next.is_some()) {
        (exec.ops().set_alarm)(exec, next);
    }
}

/// Whether the platform's alarm is the one that is needed and still to come: another context may have armed
/// an earlier timer since it was set, whose pend is forgotten by now, or it may have been spent, and won't
/// end a sleep that begins now.
pub(in crate::exec) fn will_alarm_end_sleep(exec: ExecRef) -> bool {
    let (next, alarm) = exec.locked(|cs| {
        let next = next_due(exec, cs).map(Instant::from_micros);
        (next, exec.with_clock(cs, |clock| clock.alarm))
    });
    next == alarm && next.is_none_or(|next| next > exec.read_clock())
}

/// Takes the time of a pass, wakes whoever sleeps until then, and ends whose clean-up is over by then.
#[inline(never)]
fn begin(exec: ExecRef, now: Instant) -> Instant {
    let spent = exec.look.take_due();
    let (latest, sleeps, clean_ups) = exec.locked(|cs| {
        let latest = exec.with_clock(cs, |clock| {
            clock.now = clock.now.max(now);
            // An alarm that has gone off, or is due, is spent.
            clock.alarm = clock.alarm.filter(|&alarm| alarm > clock.now && !spent);
            clock.now
        });
        let is_due = |due: Option<u64>| due.is_some_and(|due| due <= latest.as_micros());
        let sleeps = exec.with_timers(cs, |timers| timers.next_due());
        (latest, is_due(sleeps), is_due(exec.with_clock(cs, |clock| clock.clean_up)))
    });
    if latest > now {
        add(&exec.tally.clock_regressions, 1);
    }
    (exec.ops().pass_begins)(exec, latest);
    if sleeps {
        expire(exec, latest);
    }
    if clean_ups && let Some(special) = exec.special() {
        (special.force_due)(exec, latest);
    }
    latest
}

/// Polls what is woken and queued until nothing is, `left` is spent or the alarm is due. Returns what is
/// left.
fn poll(exec: ExecRef, mut left: u32, now: Instant) -> u32 {
    loop {
        if exec.look.has(AlarmDue::NOW) {
            if exec.look.is_due() {
                return left;
            }
            serve_regions(exec);
            // At the end of the pass it is set in any case.
            if exec.look.has(AlarmDue::SOONER) {
                if is_runnable(exec) {
                    set_alarm(exec);
                } else {
                    exec.look.take(AlarmDue::SOONER);
                }
            }
        }
        match exec.special() {
            Some(special) => left = (special.poll)(exec, left, now),
            None => left = (exec.ops().poll_rounds)(exec, left, budget::ONE),
        }
        if budget::is_spent(left) || !is_runnable(exec) {
            return left;
        }
    }
}

/// Does what regions wait for.
#[cold]
#[inline(never)]
fn serve_regions(exec: ExecRef) {
    if let Some(scope) = exec.scope
        && exec.look.take(AlarmDue::WORK)
    {
        // Drops and finalisers may unwind: what is still listed is served by the next pass.
        let unwound = OnDrop::new(|| exec.look.set(AlarmDue::WORK));
        (scope.serve)(exec);
        unwound.defuse();
    }
}
