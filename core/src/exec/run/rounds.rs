//! Rounds: how plain tasks are polled.
//!
//! A plain task has the lowest priority, no deadline, no quota and no request to stop; most tasks of a
//! firmware are plain. Nothing decides among them but fairness, so they need no queue: the runner exchanges a
//! bank's woken word for zero once and polls its bits in the order of the slots. Whoever is woken meanwhile,
//! a task that wakes itself included, has a bit in the next round. So each waits for at most one poll of each
//! other plain task of its bank and, with several banks, for one round of each other bank.
//!
//! Between two polls the runner looks whether something came that goes first: a special task's wake, a
//! region's work, a due alarm. It costs three loads.

use crate::bitmap::rolled;
use crate::exec::life::finish::finish;
use crate::exec::life::on_drop::OnDrop;
use crate::exec::memory::core::{BankRef, ExecRef, TaskRef, budget, place};
use crate::exec::memory::look::AlarmDue;
use crate::exec::memory::tally::add;
use crate::exec::task::state::Ending;
use crate::sync::Ordering;

/// Polls a task, and ends it when it is done or unwinds. Returns whether it is done. `OBSERVED`: the platform
/// looks on, if it does.
///
/// # Safety
///
/// The caller is the runner, in no poll; the task of this index is live and in no lane, `slot` is its slot.
/// `left` are the polls that are left after this one.
#[inline(always)]
pub(in crate::exec) unsafe fn poll_task<const OBSERVED: bool>(
    exec: ExecRef,
    bank: BankRef,
    index: u32,
    slot: u16,
    left: u32,
) -> bool {
    exec.running.store(place(slot, left), Ordering::Relaxed);
    // SAFETY: the caller's promise.
    unsafe { poll_owned::<OBSERVED>(exec, bank, index, || polled(exec, bank)) }
}

/// [`poll_task`], by whoever owns the task: the runner, or the worker that has claimed it. `polled` gives the
/// task after the poll.
///
/// # Safety
///
/// The caller owns the task of this index, which is live and in no lane; `polled` gives that one.
#[inline(always)]
pub(in crate::exec) unsafe fn poll_owned<const OBSERVED: bool>(
    exec: ExecRef,
    bank: BankRef,
    index: u32,
    polled: impl Fn() -> TaskRef,
) -> bool {
    let (task, header) = (bank.task(index), bank.header(index));
    // While a task is live its plain fields are the runner's (Executor Invariant 3), and storage holds its
    // future, because a task whose poll was done or unwound is live no more. No lock is held across the poll
    // (Executor Invariant 6). SAFETY: the poll has unwound, so storage is empty.
    let unwound = OnDrop::new(|| unsafe { finish(polled(), Ending::PANICKED) });
    // SAFETY: as said above.
    let done = unsafe {
        if OBSERVED && let Some(observe) = exec.ops().observe {
            observe(exec, task)
        } else {
            (header.vtable_of_task().poll)(header.storage.get(), task.into_raw())
        }
    };
    unwound.defuse();
    if done {
        // SAFETY: the poll has put the output in place.
        unsafe { finish(polled(), Ending::COMPLETED) }
    }
    done
}

/// The task of the bank that is being polled: looked up after a poll, so that nothing is kept across it.
#[inline(always)]
fn polled(exec: ExecRef, bank: BankRef) -> TaskRef {
    bank.task(exec.running.load(Ordering::Relaxed) % 32)
}

/// Polls plain tasks, until less than `least` is left, nothing is woken, or something is to be seen to first.
/// Returns what is left.
///
/// # Safety
///
/// The caller is the runner, in no poll; the executor has one bank, `bank`.
#[inline(always)]
pub(in crate::exec) unsafe fn poll_bank<const OBSERVED: bool>(
    exec: ExecRef,
    bank: BankRef,
    mut left: u32,
    least: u32,
) -> u32 {
    let (mut rest, mut woken) = (bank.rest.bits(), bank.woken.bits());
    if rest & woken != 0 {
        is_special_next(exec, bank, rest);
    }
    loop {
        // Acquire: a bit may be that of a wake from before the task was published. `set_aside` looks again,
        // since the task may be published between the two loads.
        let mut plain = bank.plain.bits_acquire();
        if rest == 0 {
            if woken == 0 {
                return left;
            }
            rest = bank.woken.take_seen();
        }
        while rest & !plain == 0 {
            loop {
                let index = rest.trailing_zeros();
                rest &= rest - 1;
                bank.rest.set(rest);
                left -= budget::ONE;
                // SAFETY: the caller's promise; the task was plain under this round, and only the runner ends
                // it.
                unsafe { poll_task::<OBSERVED>(exec, bank, index, index as u16, left) };
                if left < least || exec.look.has(AlarmDue::ALL) {
                    return left;
                }
                if rest == 0 {
                    break;
                }
                if bank.woken.bits() & (rest | !bank.plain.bits()) != 0 && is_special_next(exec, bank, rest) {
                    return left;
                }
            }
            if bank.woken.is_empty() {
                return left;
            }
            plain = bank.plain.bits();
            rest = bank.woken.take_seen();
        }
        if set_aside(exec, bank, rest) {
            return left;
        }
        (rest, woken) = (bank.rest.bits(), bank.woken.bits());
    }
}

/// [`poll_bank`] for an executor with several: each bank has one round in turn.
///
/// # Safety
///
/// The caller is the runner, in no poll.
#[inline(always)]
pub(in crate::exec) unsafe fn poll_banks<const OBSERVED: bool>(
    exec: ExecRef,
    mut left: u32,
    least: u32,
) -> u32 {
    loop {
        let mut turns = exec.turns.bits();
        if turns == 0 {
            turns = exec.summary.take();
            if turns == 0 {
                return left;
            }
            exec.turns.set(turns);
        }
        let number = turns.trailing_zeros();
        let Some(bank) = exec.bank(number as usize) else { return left };
        let mut rest = bank.rest.bits();
        if rest == 0 {
            // The summary was cleared before (Summary Invariant).
            rest = bank.woken.take();
        } else if rest & bank.woken.bits() != 0 {
            is_special_next(exec, bank, rest);
        }
        // Acquire: as in `poll_bank`.
        if rest & !bank.plain.bits_acquire() != 0 {
            if set_aside(exec, bank, rest) {
                return left;
            }
            rest = bank.rest.bits();
        }
        while rest != 0 {
            let index = rest.trailing_zeros();
            rest &= rest - 1;
            bank.rest.set(rest);
            if rest == 0 {
                exec.turns.set(turns & (turns - 1));
            }
            left -= budget::ONE;
            let slot = crate::bitmap::slot(number as usize, index);
            // SAFETY: as in `poll_bank`.
            unsafe { poll_task::<OBSERVED>(exec, bank, index, slot, left) };
            if left < least || exec.look.has(AlarmDue::ALL) || !exec.urgent.is_empty() {
                return left;
            }
            if bank.woken.bits() & rest != 0 {
                is_special_next(exec, bank, rest);
            }
        }
        exec.turns.set(exec.turns.bits() & !(1 << number));
    }
}

/// Takes the wakes of tasks whose turn in this round is still to come; their polls see to them. Returns
/// whether a task was woken that isn't plain.
#[cold]
#[inline(never)]
fn is_special_next(exec: ExecRef, bank: BankRef, rest: u32) -> bool {
    coalesced(exec, bank.woken.remove_bits(rest));
    bank.woken.bits() & !bank.plain.bits() != 0 && exec.special().is_some()
}

/// Among those that were taken into a round are some that aren't plain. If tasks are special, they go by the
/// lanes, and a round that was about to begin begins after them: returns true. If no task is, their wakes
/// came too late: whoever takes the bit of a special task sees that there are such.
#[cold]
#[inline(never)]
fn set_aside(exec: ExecRef, bank: BankRef, taken: u32) -> bool {
    let plain = bank.plain.bits_acquire();
    if let Some(special) = exec.special() {
        return (special.set_aside)(exec, bank, taken);
    }
    add(&exec.tally.stale_wakes, number_of(taken & !plain));
    bank.rest.set(taken & plain);
    false
}

/// Counts the wakes of tasks that were woken already.
#[cold]
#[inline(never)]
pub(in crate::exec) fn coalesced(exec: ExecRef, bits: u32) {
    exec.tally.coalesced.fetch_add(number_of(bits), Ordering::Relaxed);
}

/// How many bits are set, mostly one. A loop, smaller where no instruction counts them.
fn number_of(mut bits: u32) -> u32 {
    let mut number = 0;
    while bits != 0 {
        rolled();
        bits &= bits - 1;
        number += 1;
    }
    number
}

/// Whether a task in no lane was woken; `several`: the executor has more than one bank. Plain loads.
#[inline(always)]
pub(in crate::exec) fn is_woken(exec: ExecRef, several: bool) -> bool {
    if several {
        // Acquire: whoever sees it sees that tasks are special.
        return exec.summary.bits() | exec.turns.bits() | exec.urgent.bits_acquire() != 0;
    }
    let bank = exec.first_bank();
    bank.woken.bits() | bank.rest.bits() != 0
}
