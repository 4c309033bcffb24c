//! An executor as a loop over sets: which task is polled when, and what is counted.
//!
//! It runs [`Program`]s, not futures: a task is a list of steps and a place in it.

use std::collections::BTreeSet;

use trilane::sched::{Fairness, Turn};

use super::NaiveLanes;

/// What a task does; numbers name tasks by their place in the [`Program`].
#[derive(Clone, Debug)]
pub enum Step {
    /// Lets others run.
    Yield,
    /// Waits for the next poll, whatever causes it.
    Park,
    /// Waits for a span.
    Sleep(u64),
    /// Uses the waker that this task was last polled with, if it was.
    Wake(usize),
    /// Changes a task's deadline.
    Deadline(usize, Option<u64>),
    /// Changes a task's priority.
    Priority(usize, u8),
    /// Spawns the task unless it was spawned.
    Spawn(usize),
    /// Takes the task's handle, if nobody else has, and waits for it.
    Join(usize),
    /// Drops the task's handle, if nobody else has it.
    Detach(usize),
}

/// A task before it is spawned.
#[derive(Clone, Debug)]
pub struct Program {
    /// Its priority.
    pub priority: u8,
    /// Its deadline.
    pub deadline: Option<u64>,
    /// What it does; then it ends.
    pub steps: Vec<Step>,
}

/// What is counted; the names are those of the core's counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "documented in the core")]
pub struct Tally {
    pub polls: u32,
    pub coalesced: u32,
    pub stale_wakes: u32,
    pub spawns: u32,
    pub completions: u32,
    pub misses: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Unborn,
    Live,
    Done,
    Gone,
}

#[derive(Clone, Copy, Debug)]
enum Wait {
    Nothing,
    NextPoll,
    Until { due: u64, fired: bool },
    End(usize),
}

#[derive(Debug)]
struct Task {
    program: Program,
    phase: Phase,
    slot: u16,
    next_step: usize,
    wait: Wait,
    polled: bool,
    /// Whether the handle lies on the table, where anybody may take it.
    handle_on_table: bool,
    /// Whether the handle exists.
    handle: bool,
    joiner: Option<usize>,
    missed: bool,
}

/// The executor.
#[derive(Debug)]
pub struct NaiveExecutor {
    tasks: Vec<Task>,
    /// All slots there are, and those in use.
    slots: BTreeSet<u16>,
    used: BTreeSet<u16>,
    woken: BTreeSet<u16>,
    /// Banks of which something plain was woken since their turns were last given out, and those whose turn
    /// is still to come.
    summary: BTreeSet<u16>,
    turns: BTreeSet<u16>,
    /// Banks of which something special was woken, and whether any task ever was special, or near it.
    urgent: BTreeSet<u16>,
    knows_special: bool,
    /// Whether there are several banks.
    several: bool,
    /// What is left of the round of the bank whose turn it is.
    round: BTreeSet<u16>,
    lanes: NaiveLanes,
    now: u64,
    /// What was counted.
    pub tally: Tally,
    /// Every poll: when, and which task.
    pub polls: Vec<(u64, usize)>,
    /// Every join that was ready: by whom, and of whom.
    pub joins: Vec<(usize, usize)>,
}

impl NaiveExecutor {
    /// An executor with `banks` banks of `per_bank` slots for these programs.
    pub fn new(banks: u16, per_bank: u16, fairness: Fairness, programs: &[Program]) -> Self {
        let task = |program: &Program| Task {
            program: program.clone(),
            phase: Phase::Unborn,
            slot: 0,
            next_step: 0,
            wait: Wait::Nothing,
            polled: false,
            handle_on_table: false,
            handle: false,
            joiner: None,
            missed: false,
        };
        Self {
            tasks: programs.iter().map(task).collect(),
            slots: (0..banks).flat_map(|bank| (0..per_bank).map(move |index| bank * 32 + index)).collect(),
            used: BTreeSet::new(),
            woken: BTreeSet::new(),
            summary: BTreeSet::new(),
            turns: BTreeSet::new(),
            urgent: BTreeSet::new(),
            knows_special: false,
            several: banks > 1,
            round: BTreeSet::new(),
            lanes: NaiveLanes::new(usize::from(banks) * 32, fairness),
            now: 0,
            tally: Tally::default(),
            polls: Vec::new(),
            joins: Vec::new(),
        }
    }

    /// Whether every task that was spawned has ended.
    pub fn is_over(&self) -> bool {
        self.tasks.iter().all(|task| task.phase != Phase::Live)
    }

    /// One pass. Programs are to be short enough for its bound on polls never to matter.
    pub fn pass(&mut self, now: u64) {
        self.now = self.now.max(now);
        for number in 0..self.tasks.len() {
            if let Wait::Until { due, fired: false } = self.tasks[number].wait
                && due <= self.now
            {
                self.tasks[number].wait = Wait::Until { due, fired: true };
                self.wake(number);
            }
        }
        let before = self.tally.polls;
        loop {
            self.drain();
            // Whoever is woken now is plain, or gone.
            let slot = match self.lanes.next(!self.round.is_empty() || !self.woken.is_empty()) {
                Some(Turn::Slot(slot)) => slot,
                Some(Turn::Others) => match self.next_of_round() {
                    Some(slot) => slot,
                    None => continue,
                },
                None => {
                    if self.several && !(self.summary.is_empty() && self.turns.is_empty()) {
                        // A bank that is still to be looked at counts as one in which somebody waits, though
                        // all its wakes came too late: its turn passes over nobody.
                        self.lanes.end_streaks();
                    }
                    break;
                }
            };
            if let Some(number) = self.live_in(slot) {
                self.poll(number);
            }
        }
        // Turns of banks in which nobody was left.
        self.turns.clear();
        self.summary.clear();
        assert!(self.tally.polls - before < 64, "the program is too long for this oracle");
    }

    /// A step that needs no waiting, made by a task or by the one who drives.
    pub fn act(&mut self, step: &Step) {
        match *step {
            Step::Wake(number) if self.tasks[number].polled => self.wake(number),
            Step::Deadline(number, deadline) => {
                self.knows_special |= self.tasks[number].phase != Phase::Unborn;
                let in_time = deadline.is_none_or(|deadline| deadline >= self.now);
                if self.tasks[number].phase == Phase::Live && in_time {
                    self.lanes.set_deadline(self.tasks[number].slot, deadline);
                    self.tasks[number].missed = false;
                    self.settle(self.tasks[number].slot);
                }
            }
            Step::Priority(number, priority) => {
                self.knows_special |= self.tasks[number].phase != Phase::Unborn;
                if self.tasks[number].phase == Phase::Live {
                    self.lanes.set_priority(self.tasks[number].slot, priority);
                    self.settle(self.tasks[number].slot);
                }
            }
            Step::Spawn(number) => self.spawn(number),
            Step::Detach(number) if self.tasks[number].handle_on_table => {
                self.tasks[number].handle_on_table = false;
                self.give_up_handle(number);
            }
            _ => {}
        }
    }

    fn spawn(&mut self, number: usize) {
        let task = &mut self.tasks[number];
        let free = self.slots.difference(&self.used).next().copied();
        let in_time = task.program.deadline.is_none_or(|deadline| deadline >= self.now);
        if let (Phase::Unborn, true, Some(slot)) = (task.phase, in_time, free) {
            self.used.insert(slot);
            self.lanes.reset(slot, task.program.priority, task.program.deadline);
            task.slot = slot;
            task.phase = Phase::Live;
            (task.handle, task.handle_on_table) = (true, true);
            self.tally.spawns += 1;
            self.knows_special |= !self.is_plain(slot);
            self.wake(number);
        }
    }

    fn wake(&mut self, number: usize) {
        let slot = self.tasks[number].slot;
        let covers_plain = self.is_plain(slot) || !self.knows_special;
        let covers = if covers_plain { &mut self.summary } else { &mut self.urgent };
        covers.insert(slot / 32);
        if !self.woken.insert(slot) {
            self.tally.coalesced += 1;
        }
    }

    /// After a change of a live task's keys.
    fn settle(&mut self, slot: u16) {
        if !self.is_plain(slot) && (self.woken.contains(&slot) || self.round.contains(&slot)) {
            self.urgent.insert(slot / 32);
        }
    }

    /// Queues the special tasks that were woken.
    fn drain(&mut self) {
        let twice: Vec<u16> = self.woken.intersection(&self.round).copied().collect();
        for slot in twice {
            self.woken.remove(&slot);
            self.tally.coalesced += 1;
        }
        let is_looked_at =
            |slot: u16| self.knows_special && (!self.several || self.urgent.contains(&(slot / 32)));
        let special: BTreeSet<u16> = self
            .woken
            .union(&self.round)
            .copied()
            .filter(|&slot| is_looked_at(slot) && !self.is_plain(slot))
            .collect();
        self.woken.retain(|slot| !special.contains(slot));
        self.round.retain(|slot| !special.contains(slot));
        for slot in special {
            if self.live_in(slot).is_none() {
                self.tally.stale_wakes += 1;
            } else if !self.lanes.push(slot) {
                self.tally.coalesced += 1;
            }
        }
        let urgent = std::mem::take(&mut self.urgent);
        let has_plain = |bank: &u16| self.woken.iter().any(|slot| slot / 32 == *bank);
        self.summary.extend(urgent.into_iter().filter(has_plain));
    }

    /// The first of the round that is under way. Otherwise one begins, of the plain tasks of one bank that
    /// are woken now, in the order of their slots; each bank that has any has one in turn. Wakes that came
    /// too late are forgotten then.
    fn next_of_round(&mut self) -> Option<u16> {
        while self.round.is_empty() {
            if self.turns.is_empty() {
                self.turns = std::mem::take(&mut self.summary);
            }
            let bank = self.turns.pop_first()?;
            self.round = self.woken.extract_if(.., |slot| *slot / 32 == bank).collect();
            let over: Vec<u16> =
                self.round.iter().copied().filter(|&slot| self.live_in(slot).is_none()).collect();
            for slot in over {
                self.round.remove(&slot);
                self.tally.stale_wakes += 1;
            }
        }
        self.round.pop_first()
    }

    /// Whether the slot holds a live task of the lowest priority without deadline, in no lane.
    fn is_plain(&self, slot: u16) -> bool {
        self.live_in(slot).is_some()
            && self.lanes.priority(slot) == 0
            && self.lanes.deadline(slot).is_none()
            && self.lanes.lane(slot).is_none()
    }

    fn live_in(&self, slot: u16) -> Option<usize> {
        self.tasks.iter().position(|task| task.phase == Phase::Live && task.slot == slot)
    }

    fn poll(&mut self, number: usize) {
        self.polls.push((self.now, number));
        self.tally.polls += 1;
        if self.lanes.deadline(self.tasks[number].slot).is_some_and(|deadline| deadline < self.now)
            && !std::mem::replace(&mut self.tasks[number].missed, true)
        {
            self.tally.misses += 1;
        }
        self.tasks[number].polled = true;
        while self.go_on(number) {
            let task = &mut self.tasks[number];
            let Some(step) = task.program.steps.get(task.next_step).cloned() else {
                return self.end(number);
            };
            task.next_step += 1;
            match step {
                Step::Yield => {
                    task.wait = Wait::NextPoll;
                    self.wake(number);
                    return;
                }
                Step::Park => {
                    task.wait = Wait::NextPoll;
                    return;
                }
                Step::Sleep(span) => task.wait = Wait::Until { due: self.now + span, fired: false },
                Step::Join(child) if self.tasks[child].handle_on_table => {
                    self.tasks[child].handle_on_table = false;
                    self.tasks[number].wait = Wait::End(child);
                }
                step => self.act(&step),
            }
        }
    }

    /// Whether what the task waits for has come.
    fn go_on(&mut self, number: usize) -> bool {
        match self.tasks[number].wait {
            Wait::Nothing | Wait::NextPoll | Wait::Until { fired: true, .. } => {}
            Wait::Until { fired: false, .. } => return false,
            Wait::End(child) if self.tasks[child].phase == Phase::Done => {
                self.give_up_handle(child);
                self.joins.push((number, child));
            }
            Wait::End(child) => {
                self.tasks[child].joiner = Some(number);
                return false;
            }
        }
        self.tasks[number].wait = Wait::Nothing;
        true
    }

    fn end(&mut self, number: usize) {
        self.tally.completions += 1;
        self.tasks[number].phase = Phase::Done;
        if !self.tasks[number].handle {
            self.release(number);
        } else if let Some(joiner) = self.tasks[number].joiner {
            self.wake(joiner);
        }
    }

    fn give_up_handle(&mut self, number: usize) {
        self.tasks[number].handle = false;
        if self.tasks[number].phase == Phase::Done {
            self.release(number);
        }
    }

    fn release(&mut self, number: usize) {
        self.tasks[number].phase = Phase::Gone;
        self.used.remove(&self.tasks[number].slot);
    }
}
