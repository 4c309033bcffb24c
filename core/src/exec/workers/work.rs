//! A worker in a shard: what it claims, and in what order it polls.

use core::cell::Cell;

use crate::bitmap::{self, Bits};
use crate::exec::cancel::force::after_counted_poll;
use crate::exec::cancel::limits::check_limits;
use crate::exec::life::on_drop::OnDrop;
use crate::exec::memory::core::{BankRef, Core, ExecRef, TaskRef};
use crate::exec::memory::look::AlarmDue;
use crate::exec::memory::tally::add;
use crate::exec::run::rounds::poll_owned;
use crate::sched::Turn;
use crate::sync::Ordering;

/// How often in a row a task goes first because the one before it has woken it.
const MOST_HINTS: u8 = 3;

/// A worker, for as long as it finds something to do in a shard.
pub(in crate::exec) struct Worker<'a, B: Fn(bool, u16), G: Fn(u32) -> bool> {
    pub exec: ExecRef,
    /// The slot that the next round begins at.
    pub cursor: &'a mut u16,
    pub polls: &'a Cell<u32>,
    /// A task was woken while it was claimed here: the platform is to be told.
    pub untold: &'a Cell<bool>,
    /// Its home is another shard.
    pub guest: bool,
    /// Called before each poll: whether another worker would find something to do, too; the task's slot.
    pub before: &'a B,
    /// Whether there may be another poll, after so many.
    pub goes_on: &'a G,
}

impl<B: Fn(bool, u16), G: Fn(u32) -> bool> Worker<'_, B, G> {
    #[inline(always)]
    pub fn run<const OBSERVED: bool>(&mut self) {
        let exec = self.exec;
        loop {
            if is_region_next(exec) {
                serve_regions(exec);
            }
            let polls = self.polls.get();
            if is_special_next(exec) && self.poll_first::<OBSERVED>() {
                if self.polls.get() != polls && !self.goes_on() {
                    return;
                }
                continue;
            }
            let Some((bank, index, others)) = self.claim() else { return };
            let number = bank.number.get();
            let _visit = self.guest.then(|| {
                exec.guests.insert(number);
                OnDrop::new(move || {
                    exec.guests.remove(number);
                })
            });
            if !self.poll_bank::<OBSERVED>(bank, index, others) {
                return;
            }
        }
    }

    /// Claims a woken task, the first at the cursor or behind it, then from the beginning. Returns its bank,
    /// its index, and which others of the bank are claimable.
    #[inline(always)]
    fn claim(&mut self) -> Option<(BankRef, u32, u32)> {
        let exec = self.exec;
        let (number, index) = bitmap::split(*self.cursor);
        let banks = usize::from(exec.ops().banks);
        let mut number = if number < banks { number } else { 0 };
        let guests = if self.guest { 0 } else { exec.guests.bits() };
        let mut mask = if guests >> number & 1 == 0 { u32::MAX << index } else { 0 };
        for _ in 0..=banks {
            let bank = exec.bank(number)?;
            if let Some((index, others)) = bank.woken.claim(mask) {
                return Some((bank, index, others));
            }
            if mask == u32::MAX {
                exec.summary.remove(number as u32);
                // See Look Again.
                if bank.woken.claimable_again() != 0 {
                    exec.summary.insert(number as u32);
                }
            }
            let covered = exec.summary.bits();
            let covered = if covered & !guests == 0 { covered } else { covered & !guests };
            if covered == 0 {
                return None;
            }
            let behind = covered & (!1 << number);
            number = if behind == 0 { covered } else { behind }.trailing_zeros() as usize;
            mask = u32::MAX;
        }
        None
    }

    /// Polls the task that was claimed, and those behind it in its bank, for as long as nothing goes before
    /// them. Returns whether there may be more polls.
    #[inline(always)]
    fn poll_bank<const OBSERVED: bool>(&mut self, bank: BankRef, mut index: u32, mut others: u32) -> bool {
        let (exec, number) = (self.exec, bank.number.get());
        let mut goes_on = true;
        // Where the round is: a task that goes first for being woken by the one before doesn't move it.
        let mut round = index;
        let (mut hints, mut again_here) = (0, false);
        loop {
            let task = bank.task(index);
            // Acquire: the wake may be from before the task was published.
            if bank.special.bits_acquire() & task.bit() != 0 {
                enqueue(task);
                break;
            }
            self.begin(task, others | exec.summary.bits() & !(1 << number) != 0);
            let unwound = OnDrop::new(|| release(task));
            // SAFETY: the task is claimed (Claim Invariant), and was plain since: so it is live, in no lane.
            unsafe { poll_owned::<OBSERVED>(exec, task, &task, || task) };
            unwound.defuse();
            goes_on = self.goes_on();
            if !goes_on || is_special_next(exec) || is_region_next(exec) {
                if bank.woken.release(index) {
                    task.cover();
                    self.untold.set(true);
                }
                break;
            }
            let seen = if hints < MOST_HINTS { others } else { u32::MAX };
            let (again, mut next) = bank.woken.release_and_claim(index, seen, !1 << round);
            if again && (exec.summary.bits() >> number & 1 == 0 || bank.special.bits() & task.bit() != 0) {
                task.cover();
            }
            if again {
                self.untold.set(true);
            }
            if next.is_none() && self.guest {
                (again_here, next) = (true, bank.woken.claim(u32::MAX));
            }
            let Some((next, left)) = next else { break };
            if seen >> next & 1 == 0 {
                hints += 1;
            } else {
                hints = 0;
                round = next;
            }
            (index, others) = (next, left);
        }
        // Whoever has stayed for another round goes on in the next bank.
        let (bank, index) = if again_here { (number + 1, 0) } else { (number, round + 1) };
        *self.cursor = bitmap::slot(bank as usize, 0) + index as u16;
        goes_on
    }

    /// A poll is about to begin. `others`: another worker would find something to do, too.
    #[inline(always)]
    fn begin(&self, task: TaskRef, others: bool) {
        (self.before)(others, task.slot());
        self.polls.set(self.polls.get() + 1);
    }

    #[inline(always)]
    fn goes_on(&self) -> bool {
        (self.goes_on)(self.polls.get())
    }

    /// Queues the special tasks that were woken, and polls who goes first, unless its limits speak against
    /// it. Returns whether it was somebody's turn; if not, it is that of plain tasks, or nobody's.
    #[cold]
    #[inline(never)]
    fn poll_first<const OBSERVED: bool>(&mut self) -> bool {
        let exec = self.exec;
        let others = collect(exec);
        let first = exec.locked(|cs| {
            let Turn::Slot(place) = exec.with_lanes(cs, |lanes| lanes.next(&exec, others))? else {
                return None;
            };
            // SAFETY: the lanes hold places of this executor.
            let (task, _) = unsafe { TaskRef::at_place(exec, place) };
            if task.node.is_plain() && task.state.load().is_unlimited() {
                // It was queued when it was made plain.
                task.set_plain(true);
            }
            let now = exec.with_clock(cs, |clock| clock.now);
            Some((task, task.node.is_due(now.as_micros())))
        });
        let Some((task, is_due)) = first else { return false };
        // The claim is this worker's now (Claim Invariant), and its poll answers what woke the task
        // meanwhile.
        let _claimed = OnDrop::new(|| release(task));
        let bank = task.bank();
        bank.woken.take_bits(task.bit());
        let looks = is_due || !task.state.load().is_unlimited();
        if looks && !check_limits(task, is_due) {
            return true;
        }
        self.begin(task, others || exec.queued.load(Ordering::Relaxed) & !Core::STREAK != 0);
        // SAFETY: the task is claimed, and what came out of a lane is live.
        let done = unsafe { poll_owned::<OBSERVED>(exec, task, &task, || task) };
        if looks && !done {
            after_counted_poll(task);
            if task.state.load().is_requested() {
                // The worker whose home it is may sleep, and is to wake for the end of the clean-up.
                let end = exec.locked(|cs| exec.with_clock(cs, |clock| clock.clean_up));
                (exec.ops().set_alarm)(exec, end);
            }
        }
        true
    }
}

/// Whether a special task is woken or queued, or may be. Plain loads.
#[inline(always)]
pub(in crate::exec) fn is_special_next(exec: ExecRef) -> bool {
    exec.queued.load(Ordering::Relaxed) & !Core::STREAK | exec.urgent.bits() != 0
}

/// Whether regions wait, and nobody is at it. Plain loads.
#[inline(always)]
pub(in crate::exec) fn is_region_next(exec: ExecRef) -> bool {
    exec.look.has(AlarmDue::WORK) && !exec.seat.load(Ordering::Relaxed)
}

/// Does what regions wait for, unless another worker is at it: that one looks again when it has left the
/// seat.
#[cold]
#[inline(never)]
fn serve_regions(exec: ExecRef) {
    let Some(scope) = exec.scope() else { return };
    while exec.look.has(AlarmDue::WORK) && !exec.seat.swap(true, Ordering::SeqCst) {
        let _leave = OnDrop::new(|| {
            exec.seat.swap(false, Ordering::SeqCst);
        });
        (scope.serve)(exec);
    }
}

/// Takes the wakes of special tasks, and queues them. Returns whether a plain task may be claimed.
fn collect(exec: ExecRef) -> bool {
    for number in Bits(exec.urgent.take()) {
        let Some(bank) = exec.bank(number as usize) else { continue };
        // See Look Again.
        bank.woken.claimable_again();
        while let Some((index, _)) = bank.woken.claim(bank.special.bits_acquire()) {
            enqueue(bank.task(index));
        }
        // Of a task that was special when it was woken.
        if bank.woken.claimable() != 0 {
            exec.summary.cover(number);
        }
    }
    let is_plain_woken = |number| {
        exec.bank(number as usize).is_some_and(|bank| bank.woken.claimable() & !bank.special.bits() != 0)
    };
    Bits(exec.summary.bits()).any(is_plain_woken)
}

/// Queues a task that is claimed, with its claim; or gives that up if there is no task.
#[cold]
#[inline(never)]
fn enqueue(task: TaskRef) {
    let exec = task.exec();
    let is_queued = exec.locked(|cs| {
        let state = task.state.load_acquire();
        if state.is_live() {
            let place = task.place(exec);
            exec.with_lanes(cs, |lanes| {
                if state.is_requested() { lanes.promote(&exec, place) } else { lanes.push(&exec, place) }
            });
        }
        state.is_live()
    });
    if !is_queued {
        add(&exec.tally.stale_wakes, 1);
        release(task);
    }
}

/// Gives a claim up.
#[inline(always)]
pub(super) fn release(task: TaskRef) {
    if task.bank().woken.release(task.index()) {
        task.tell();
    }
}
