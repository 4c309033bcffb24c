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
use crate::exec::memory::tally::add;
use crate::exec::task::header::Header;
use crate::exec::task::state::Ending;
use crate::sync::Ordering;

/// Polls a task, and ends it when it is done or unwinds. Returns whether it is done. `OBSERVED`: the platform
/// looks on, if it does.
///
/// # Safety
///
/// The caller is the runner, in no poll; the task is live and in no lane, bank, header and slot are its own.
/// `left` are the polls that are left after this one.
#[inline(always)]
pub(in crate::exec) unsafe fn poll_task<const OBSERVED: bool>(
    exec: ExecRef,
    bank: BankRef,
    task: TaskRef,
    header: &Header,
    slot: u16,
    left: u32,
) -> bool {
    exec.running.store(place(slot, left), Ordering::Relaxed);
    // SAFETY: the caller's promise.
    unsafe { poll_owned::<OBSERVED>(exec, task, header, || polled(exec, bank)) }
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
    task: TaskRef,
    header: &Header,
    polled: impl Fn() -> TaskRef,
) -> bool {
    // While a task is live its plain fields are the runner's (Executor Invariant 3), and storage holds its
    // future, because a task whose poll was done or unwound is live no more. No lock is held across the poll
    // (Executor Invariant 6).
    let unwound = OnDrop::new(|| {
        #[cfg(not(target_os = "none"))]
        add(&exec.tally.panics, 1);
        // SAFETY: the poll has unwound, so storage is empty.
        unsafe { finish(polled(), Ending::PANICKED) }
    });
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

/// The first bank and the distance of two headers, [kept](BankRef::kept) in registers for a pass.
#[derive(Clone, Copy)]
pub(in crate::exec) struct Kept {
    bank: BankRef,
    stride: usize,
}

impl Kept {
    #[inline(always)]
    pub fn of(exec: ExecRef) -> Self {
        Self { bank: exec.first_bank().kept(), stride: BankRef::kept_stride() }
    }
}

/// Polls plain tasks, until less than `least` is left, nothing is woken, or something is to be seen to first.
/// Returns what is left.
///
/// # Safety
///
/// The caller is the runner, in no poll; the executor has one bank, which is kept.
#[inline(always)]
pub(in crate::exec) unsafe fn poll_bank<const OBSERVED: bool>(
    exec: ExecRef,
    Kept { bank, stride }: Kept,
    mut left: u32,
    least: u32,
) -> u32 {
    let mut rest = bank.rest.bits();
    loop {
        if rest != 0 {
            if resume(exec, bank, rest) {
                return left;
            }
            rest = bank.rest.bits();
        }
        if rest == 0 {
            if bank.woken.is_empty() {
                return left;
            }
            // `resume` looks again, since a task may be published between the two loads.
            let special = bank.special.bits();
            rest = bank.woken.take_seen();
            if rest & special != 0 {
                continue;
            }
        }
        loop {
            let index = rest.trailing_zeros();
            rest &= rest - 1;
            bank.rest.set(rest);
            left -= budget::ONE;
            // SAFETY: the caller's promise; the task was plain under this round, and only the runner ends it.
            unsafe {
                let header = bank.header_at(index as usize * stride);
                poll_task::<OBSERVED>(exec, bank, bank.task(index), header, index as u16, left);
            }
            if left < least || !exec.look.is_clear() {
                return left;
            }
            if rest != 0 {
                if bank.woken.bits() & (rest | bank.special.bits()) != 0 && is_special_next(exec, bank) {
                    return left;
                }
                continue;
            }
            if bank.woken.is_empty() {
                return left;
            }
            let special = bank.special.bits();
            rest = bank.woken.take_seen();
            if rest & special != 0 {
                break;
            }
        }
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
            is_special_next(exec, bank);
        }
        // Acquire: as in `poll_bank`.
        if rest & bank.special.bits_acquire() != 0 {
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
            unsafe { poll_task::<OBSERVED>(exec, bank, bank.task(index), bank.header(index), slot, left) };
            if left < least || !exec.look.is_clear() || !exec.urgent.is_empty() {
                return left;
            }
            if bank.woken.bits() & rest != 0 {
                is_special_next(exec, bank);
            }
        }
        exec.turns.set(exec.turns.bits() & !(1 << number));
    }
}

/// Takes the wakes of tasks whose turn in this round is still to come; their polls see to them. Returns
/// whether a task was woken that isn't plain.
#[cold]
#[inline(never)]
fn is_special_next(exec: ExecRef, bank: BankRef) -> bool {
    coalesced(exec, bank.woken.remove_bits(bank.rest.bits()));
    bank.woken.bits() & bank.special.bits() != 0
}

/// Goes on with a round that was interrupted, or in which some may not be plain. If tasks are special, those
/// go by the lanes, and a round that was about to begin begins after them: returns true. If no task is, their
/// wakes came too late: whoever takes the bit of a special task sees that there are such.
#[cold]
#[inline(never)]
fn resume(exec: ExecRef, bank: BankRef, taken: u32) -> bool {
    is_special_next(exec, bank);
    set_aside(exec, bank, taken)
}

fn set_aside(exec: ExecRef, bank: BankRef, taken: u32) -> bool {
    // Acquire: a bit may be that of a wake from before the task was published.
    let special = bank.special.bits_acquire();
    if taken & special != 0
        && let Some(table) = exec.special()
    {
        return (table.set_aside)(exec, bank, taken);
    }
    add(&exec.tally.stale_wakes, number_of(taken & special));
    bank.rest.set(taken & !special);
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
