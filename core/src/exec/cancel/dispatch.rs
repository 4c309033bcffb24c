//! The way of a pass when tasks are special: woken ones that aren't plain go into the lanes, and the lanes
//! give the first. Plain tasks stay in their rounds; for the lanes they are
//! [others](crate::sched::Lanes::next) of the ready lane.

use super::force::{after_counted_poll, drained, force_due};
use super::limits::check_limits;
use super::request::request_late;
use super::waits::refuse;
use crate::bitmap::Bits;
use crate::exec::memory::core::{BankRef, Core, ExecRef, Special, TaskRef, budget};
use crate::exec::memory::look::AlarmDue;
use crate::exec::memory::tally::add;
use crate::exec::run::pass::is_runnable;
use crate::exec::run::rounds::{coalesced, is_woken, poll_task};
use crate::exec::task::header::Header;
use crate::sched::Turn;
use crate::sync::{CriticalSection, Ordering};

/// What comes with the first special task.
pub(in crate::exec) static SPECIAL: Special =
    Special { poll, set_aside, force_due, refuse, drained, request_late };

/// See [`Special::poll`].
fn poll(exec: ExecRef, mut left: u32) -> u32 {
    let several = exec.ops().banks > 1;
    let first = exec.first_bank();
    while !budget::is_spent(left) && !exec.look.has(AlarmDue::NOW) {
        let queued = exec.queued.load(Ordering::Relaxed);
        if queued & !Core::STREAK == 0 && !is_special_woken(exec, first, several) {
            if queued != 0 && is_woken(exec, several) {
                // The plain task that is polled next passes over nobody.
                exec.locked(|cs| exec.with_lanes(cs, |lanes| lanes.end_streaks()));
            }
            break;
        }
        left = poll_first(exec, first, several, left);
    }
    if left < budget::LAST && is_runnable(exec, several) {
        left |= budget::MORE;
    }
    left
}

/// See [`Special::set_aside`].
fn set_aside(exec: ExecRef, bank: BankRef, mut taken: u32) -> bool {
    let special = bank.special.bits_acquire();
    for task in bank.tasks(taken & special) {
        if !task.state.load_acquire().is_live() {
            add(&exec.tally.stale_wakes, 1);
            taken &= !task.bit();
        }
    }
    let found = taken & special != 0;
    if found {
        // A round that was about to begin begins anew.
        let rest = bank.rest.bits() & !special;
        let twice = bank.woken.insert_bits(taken & !rest);
        if twice != 0 {
            coalesced(exec, twice);
        }
        taken = rest;
        exec.note_special(bank);
    }
    bank.rest.set(taken);
    found
}

/// Whether a special task is woken, or may be. Plain loads.
#[inline(always)]
fn is_special_woken(exec: ExecRef, first: BankRef, several: bool) -> bool {
    if several {
        return !exec.urgent.is_empty();
    }
    (first.woken.bits() | first.rest.bits()) & first.special.bits() != 0
}

/// Whose turn it is.
enum First {
    Nobody,
    Others,
    Task(TaskRef, &'static Header),
}

/// Queues the special tasks that were woken, and polls who goes first, unless its limits speak against it.
#[inline(never)]
fn poll_first(exec: ExecRef, bank: BankRef, several: bool, mut left: u32) -> u32 {
    let (alone, others) = collect(exec, bank, several);
    let mut is_due = false;
    let first = exec.locked(|cs| {
        let turn = match alone {
            Some(task) if !others && can_pass(task) => exec
                .with_lanes(cs, |lanes| lanes.pass(&exec, task.place(exec)))
                .map_or_else(|| next(exec, cs, alone, others), |place| Some(Turn::Slot(place))),
            _ => next(exec, cs, alone, others),
        };
        let place = match turn {
            None => return First::Nobody,
            Some(Turn::Others) => return First::Others,
            Some(Turn::Slot(place)) => place,
        };
        // SAFETY: the lanes hold places of this executor.
        let (task, header) = unsafe { TaskRef::at_place(exec, place) };
        if header.node.is_plain() && header.state.load().is_unlimited() {
            // It was queued when it was made plain.
            task.set_plain(true);
        }
        let now = exec.with_clock(cs, |clock| clock.now);
        is_due = header.node.is_due(now.as_micros());
        First::Task(task, header)
    });
    let (task, header) = match first {
        First::Nobody => return left,
        First::Others => return left | budget::OTHERS,
        First::Task(task, header) => (task, header),
    };
    let looks = is_due || !header.state.load().is_unlimited();
    if looks && !check_limits(task, is_due) {
        return left;
    }
    left -= budget::ONE;
    // SAFETY: this is the runner, in no poll, and what came out of a lane is live: only the runner ends it.
    let done = unsafe { poll_task::<true>(exec, task.bank(), task, header, task.slot(), left) };
    if looks {
        after_counted_poll(task);
    } else if !done && alone == Some(task) && !others {
        return poll_again(exec, task, left, several);
    }
    left
}

/// Polls a task that was just polled for as long as it is woken again, alone, and goes before what is queued.
/// That is looked up once, and again when keys have changed.
#[inline(never)]
fn poll_again(exec: ExecRef, task: TaskRef, mut left: u32, several: bool) -> u32 {
    let (bank, bit, slot) = (task.bank(), task.bit(), task.slot());
    let header = bank.header(task.index());
    let mut goes_first_as_of = exec.rekeys.load(Ordering::Relaxed).wrapping_sub(1);
    while !budget::is_spent(left)
        && exec.look.is_clear()
        && bank.woken.bits() == bit
        && bank.rest.is_empty()
        && !(several && is_other_bank_woken(exec, bank))
    {
        let rekeys = exec.rekeys.load(Ordering::Relaxed);
        if goes_first_as_of != rekeys {
            if !goes_first(exec, task) {
                return left;
            }
            goes_first_as_of = rekeys;
        }
        if several {
            // Before the bank (Summary Invariant).
            exec.urgent.remove(bank.number.get());
        }
        bank.woken.take_bits(bit);
        left -= budget::ONE;
        // SAFETY: this is the runner, in no poll; the task is live, in no lane, and only the runner ends it.
        if unsafe { poll_task::<true>(exec, task.bank(), task, header, slot, left) } {
            return left;
        }
    }
    left
}

/// Whether a task that was just polled goes before what is queued.
#[inline(never)]
fn goes_first(exec: ExecRef, task: TaskRef) -> bool {
    if exec.queued.load(Ordering::Relaxed) & !Core::STREAK == 0 {
        // It isn't late: it wasn't when it was polled first, and a deadline that has passed is refused.
        return task.state.load_acquire().is_unlimited();
    }
    exec.locked(|cs| {
        let now = exec.with_clock(cs, |clock| clock.now);
        can_pass(task) && exec.passes_lanes(cs, &task.node) && !task.node.is_late(now.as_micros())
    })
}

#[inline(always)]
fn is_other_bank_woken(exec: ExecRef, bank: BankRef) -> bool {
    exec.turns.bits() | exec.summary.bits() != 0 || exec.urgent.bits() != 1 << bank.number.get()
}

/// Whether a woken task is live, without quota and request, and in no lane.
#[inline(always)]
fn can_pass(task: TaskRef) -> bool {
    task.state.load_acquire().is_unlimited() && task.node.lane().is_none()
}

/// Queues `alone`, a task that was woken, and takes out whose turn it is.
#[inline(never)]
fn next(exec: ExecRef, cs: CriticalSection<'_>, alone: Option<TaskRef>, others: bool) -> Option<Turn> {
    let new = alone.filter(|&task| is_new(exec, task));
    if let Some(task) = new
        && !others
        && exec.queued.load(Ordering::Relaxed) == 0
    {
        // Nobody is queued, nor was passed over.
        return Some(Turn::Slot(task.place(exec)));
    }
    exec.with_lanes(cs, |lanes| match new {
        Some(task) => lanes.push_then_next(&exec, task.place(exec), task.state.load().is_requested(), others),
        None => lanes.next(&exec, others),
    })
}

/// Takes the wakes of special tasks. Queues them, or returns the one there is; and whether plain tasks may be
/// woken.
#[inline(always)]
fn collect(exec: ExecRef, first: BankRef, several: bool) -> (Option<TaskRef>, bool) {
    exec.look.take(AlarmDue::SPECIAL);
    let mut alone = None;
    if !several {
        gather(exec, first, &mut alone);
        return (alone, first.woken.bits() | first.rest.bits() != 0);
    }
    for number in Bits(exec.urgent.take()) {
        let Some(bank) = exec.bank(number as usize) else { continue };
        gather(exec, bank, &mut alone);
        // Of a task that was special when it was woken.
        if !bank.woken.is_empty() {
            exec.summary.insert(number);
        }
    }
    let is_plain_woken =
        |number| exec.bank(number as usize).is_some_and(|bank| bank.woken.bits() | bank.rest.bits() != 0);
    (alone, Bits(exec.summary.bits() | exec.turns.bits()).any(is_plain_woken))
}

/// Takes the wakes of a bank's special tasks, those that a round had taken included. `alone`: the only one so
/// far, which is not queued yet.
#[inline(always)]
fn gather(exec: ExecRef, bank: BankRef, alone: &mut Option<TaskRef>) {
    let (rest, mask) = (bank.rest.bits(), bank.special.bits());
    let mut special = bank.woken.remove_bits(mask);
    let passed = rest & mask;
    if passed != 0 {
        if special & passed != 0 {
            coalesced(exec, special & passed);
        }
        bank.rest.set(rest & !mask);
        if rest & !mask == 0 {
            // The bank's round is over.
            exec.turns.set(exec.turns.bits() & !(1 << bank.number.get()));
        }
        special |= passed;
    }
    if special & special.wrapping_sub(1) == 0 && alone.is_none() {
        *alone = (special != 0).then(|| bank.task(special.trailing_zeros()));
    } else if special != 0 {
        if let Some(task) = alone.take() {
            enqueue(exec, task);
        }
        bank.tasks(special).for_each(|task| enqueue(exec, task));
    }
}

/// Queues a woken task: in the cancel lane if it was asked to stop.
#[inline(never)]
fn enqueue(exec: ExecRef, task: TaskRef) {
    exec.locked(|cs| {
        if is_new(exec, task) {
            let (place, cancel) = (task.place(exec), task.state.load().is_requested());
            exec.with_lanes(
                cs,
                |lanes| {
                    if cancel { lanes.promote(&exec, place) } else { lanes.push(&exec, place) }
                },
            );
        }
    });
}

/// Whether a woken task is to be queued. A wake that came too late, or to one that is queued, is counted and
/// forgotten. One to a slot that has got a plain task since goes back. Under the lock.
#[inline(always)]
fn is_new(exec: ExecRef, task: TaskRef) -> bool {
    if !task.state.load_acquire().is_live() {
        add(&exec.tally.stale_wakes, 1);
    } else if task.node.lane().is_some() || task.bank().special.bits() & task.bit() == 0 && task.mark() {
        coalesced(exec, 1);
    } else {
        return task.bank().special.bits() & task.bit() != 0;
    }
    false
}
