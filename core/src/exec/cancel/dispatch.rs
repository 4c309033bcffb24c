//! The way of a pass when tasks are special: woken ones that aren't plain go into the lanes, and the lanes
//! give the first. Plain tasks stay in their rounds; for the lanes they are
//! [others](crate::sched::Lanes::next) of the ready lane.

use super::force::{after_counted_poll, force_due};
use super::limits::check_limits;
use super::request::request;
use crate::bitmap::Bits;
use crate::exec::memory::core::{Core, ExecRef, Special, TaskRef, budget};
use crate::exec::memory::look::AlarmDue;
use crate::exec::memory::refs::Bank;
use crate::exec::memory::tally::add;
use crate::exec::run::rounds::{is_woken, poll_task};
use crate::sched::Turn;
use crate::sync::{CriticalSection, Ordering};
use crate::time::Instant;

/// What comes with the first special task.
pub(in crate::exec) static SPECIAL: Special = Special { poll, force_due, request };

/// Polls what is woken and queued. See [`Special::poll`].
fn poll(exec: ExecRef, mut left: u32, now: Instant) -> u32 {
    let several = exec.ops().banks > 1;
    let Some(first) = exec.bank(0) else { return left };
    while !budget::is_spent(left) && !exec.look.has(AlarmDue::NOW) {
        let queued = exec.queued.load(Ordering::Relaxed);
        if queued & !Core::STREAK == 0 && !is_special_woken(exec, first, several) {
            if queued == 0 {
                if !several {
                    exec.look.take(AlarmDue::SPECIAL);
                }
                left = (exec.ops().poll_rounds)(exec, left);
            }
            // A plain task that is polled by way of the lanes ends the streak.
            if budget::is_spent(left) || exec.look.has(AlarmDue::NOW) || !is_woken(exec) {
                return left;
            }
        }
        let (alone, others) = if several { drain_banks(exec) } else { drain_bank(exec, first) };
        left = poll_first(exec, alone, others, left, &now, several);
    }
    left
}

/// Polls a task that was just polled for as long as it is woken again, alone, and goes before what is queued:
/// then nothing else is to be looked up.
#[inline(never)]
fn poll_again(exec: ExecRef, task: TaskRef, mut left: u32, now: &Instant, several: bool) -> u32 {
    let (bank, index, bit) = (task.bank(), task.index(), task.bit());
    let header = bank.header(index);
    let slot = if several { task.slot() } else { index as u16 };
    while !budget::is_spent(left)
        && !exec.look.has(AlarmDue::NOW)
        && bank.woken.bits() == bit
        && bank.rest.is_empty()
        && !(several && is_other_bank_woken(exec, bank))
    {
        let goes = exec.locked(|cs| {
            header.state.load().is_unlimited()
                && header.node.lane().is_none()
                && exec.passes_lanes(cs, &header.node)
                && !header.node.is_late(now.as_micros())
        });
        if !goes {
            return left;
        }
        if several {
            // Before the bank (Summary Invariant).
            exec.summary.remove(bank.number.get());
        }
        let taken = bank.woken.take_seen();
        if taken != bit {
            bank.woken.insert_bit(taken & !bit);
            if several {
                exec.summary.insert(bank.number.get());
            }
        }
        left -= budget::ONE;
        // SAFETY: this is the runner, in no poll; the task is live, in no lane, and only the runner ends it.
        unsafe { poll_task::<true>(exec, bank, index, slot, left) };
    }
    left
}

#[inline(always)]
fn is_other_bank_woken(exec: ExecRef, bank: Bank) -> bool {
    !exec.turns.is_empty() || exec.summary.bits() != 1 << bank.number.get()
}

/// Queues `alone`, the one special task that was woken if it was one, and polls who goes first, unless its
/// limits speak against it.
#[inline(never)]
fn poll_first(
    exec: ExecRef,
    alone: Option<TaskRef>,
    others: bool,
    mut left: u32,
    now: &Instant,
    several: bool,
) -> u32 {
    let mut late = false;
    let turn = exec.locked(|cs| {
        let turn = match alone {
            Some(task) if task.state.load_acquire().is_unlimited() && task.node.lane().is_none() => {
                exec.with_lanes(cs, |lanes| lanes.push_next(&exec, task.place(exec), others))
            }
            _ => {
                if let Some(task) = alone {
                    enqueue(exec, cs, task);
                }
                exec.with_lanes(cs, |lanes| lanes.next(&exec, others))
            }
        };
        let Some(Turn::Slot(place)) = turn else { return turn.map(|_| None) };
        // SAFETY: the lanes hold places of this executor.
        let task = unsafe { TaskRef::at_place(exec, place) };
        if task.node.is_plain() && task.state.load().is_unlimited() {
            // It was queued when it was made plain.
            task.set_plain(true);
        }
        late = task.node.is_late(now.as_micros());
        Some(Some(task))
    });
    let task = match turn {
        None => return left,
        Some(Some(task)) => task,
        Some(None) => match next_of_round(exec, several) {
            Some(task) => task,
            None => return left,
        },
    };
    let (bank, index) = (task.bank(), task.index());
    let looks = late || !bank.header(index).state.load().is_unlimited();
    if looks && !check_limits(task, *now) {
        return left;
    }
    left -= budget::ONE;
    let slot = if several { task.slot() } else { index as u16 };
    // SAFETY: this is the runner, in no poll, and what came out of a lane or a round is live: only the runner
    // ends it.
    unsafe { poll_task::<true>(exec, bank, index, slot, left) };
    if looks {
        after_counted_poll(task);
    } else if alone == Some(task) && !others {
        return poll_again(exec, task, left, now, several);
    }
    left
}

/// Whether a special task is woken, or may be. Plain loads.
#[inline(always)]
fn is_special_woken(exec: ExecRef, first: Bank, several: bool) -> bool {
    if several {
        return exec.look.has(AlarmDue::SPECIAL);
    }
    (first.woken.bits() | first.rest.bits()) & !first.plain.bits() != 0
}

/// Takes the special tasks of a bank that were woken, and begins a round if none is under way. Queues them,
/// or returns the one there is; and whether a round is under way.
#[inline(always)]
fn drain_bank(exec: ExecRef, bank: Bank) -> (Option<TaskRef>, bool) {
    exec.look.take(AlarmDue::SPECIAL);
    let mut special = 0;
    let mut rest = bank.rest.bits();
    if rest != 0 {
        special = take_special(exec, bank);
        rest = bank.rest.bits();
    } else if !bank.woken.is_empty() {
        let taken = bank.woken.take_seen();
        let plain = bank.plain.bits_acquire();
        special = taken & !plain;
        rest = taken & plain;
        if rest != 0 {
            bank.rest.set(rest);
        }
    }
    if special & special.wrapping_sub(1) == 0 {
        return ((special != 0).then(|| bank.task(special.trailing_zeros())), rest != 0);
    }
    enqueue_all(exec, bank, special);
    (None, rest != 0)
}

#[inline(never)]
fn drain_banks(exec: ExecRef) -> (Option<TaskRef>, bool) {
    let (mut alone, mut first) = (None, true);
    if exec.look.take(AlarmDue::SPECIAL) {
        for number in Bits(exec.summary.bits() | exec.turns.bits()) {
            let Some(bank) = exec.bank(number as usize) else { continue };
            let special = take_special(exec, bank);
            if special == 0 {
                continue;
            }
            if first && special & (special - 1) == 0 {
                alone = Some(bank.task(special.trailing_zeros()));
            } else {
                if let Some(task) = alone.take() {
                    exec.locked(|cs| enqueue(exec, cs, task));
                }
                enqueue_all(exec, bank, special);
            }
            first = false;
        }
    }
    loop {
        if exec.turns.is_empty() {
            let turns = exec.summary.take();
            if turns == 0 {
                return (alone, false);
            }
            exec.turns.set(turns);
        }
        let turns = exec.turns.bits();
        let Some(bank) = exec.bank(turns.trailing_zeros() as usize) else { return (alone, false) };
        if bank.rest.is_empty() {
            bank.rest.set(bank.woken.take());
        }
        let special = take_special(exec, bank);
        enqueue_all(exec, bank, special);
        if !bank.rest.is_empty() {
            return (alone, true);
        }
        exec.turns.set(turns & (turns - 1));
    }
}

/// Takes the wakes of a bank's special tasks, those that a round had taken included, and the second wakes of
/// its round.
#[inline(always)]
fn take_special(exec: ExecRef, bank: Bank) -> u32 {
    let (rest, plain) = (bank.rest.bits(), bank.plain.bits());
    let taken = bank.woken.remove_bits(rest | !plain);
    let twice = taken & rest;
    if twice != 0 {
        coalesced(exec, twice.count_ones());
    }
    if rest & !plain != 0 {
        bank.rest.set(rest & plain);
    }
    (taken | rest) & !plain
}

#[inline(never)]
fn enqueue_all(exec: ExecRef, bank: Bank, special: u32) {
    for task in bank.tasks(special) {
        exec.locked(|cs| enqueue(exec, cs, task));
    }
}

/// Queues a woken task: in the cancel lane if it was asked to stop. A wake that came too late is counted and
/// forgotten.
#[inline(never)]
fn enqueue(exec: ExecRef, cs: CriticalSection<'_>, task: TaskRef) {
    let state = task.state.load_acquire();
    if !state.is_live() {
        add(&exec.tally.stale_wakes, 1);
        return;
    }
    let place = task.place(exec);
    let new = exec.with_lanes(cs, |lanes| {
        if state.is_requested() { lanes.promote(&exec, place) } else { lanes.push(&exec, place) }
    });
    if !new {
        coalesced(exec, 1);
    }
}

/// Takes the next task out of the round whose turn it is.
fn next_of_round(exec: ExecRef, several: bool) -> Option<TaskRef> {
    let number = if several { exec.turns.bits().trailing_zeros() } else { 0 };
    let bank = exec.bank(number as usize)?;
    let rest = bank.rest.bits();
    let left = rest & rest.wrapping_sub(1);
    bank.rest.set(left);
    if several && left == 0 {
        exec.turns.set(exec.turns.bits() & !(1 << number));
    }
    let task = bank.task(rest.trailing_zeros());
    // Asked to stop, re-keyed or ended since: it goes by the lanes. Acquire: as in `poll_bank`.
    if rest & !bank.plain.bits_acquire() & task.bit() != 0 {
        task.mark();
        return None;
    }
    (rest != 0).then_some(task)
}

/// Counts wakes of tasks that were woken already.
#[cold]
#[inline(never)]
fn coalesced(exec: ExecRef, count: u32) {
    exec.tally.coalesced.fetch_add(count, Ordering::Relaxed);
}
