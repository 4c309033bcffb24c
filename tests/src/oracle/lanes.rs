//! The three lanes as a list of slots that is searched.

use std::cmp::Reverse;

use trilane::sched::{Fairness, Lane, Turn};

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    priority: u8,
    deadline: Option<u64>,
    /// Where it is queued, and as which arrival.
    queued: Option<(Lane, u64)>,
}

/// Lanes over a fixed number of slots.
#[derive(Debug)]
pub struct NaiveLanes {
    slots: Vec<Slot>,
    fairness: Fairness,
    arrivals: u64,
    cancel_run: u32,
    timed_run: u32,
    others_next: bool,
}

impl NaiveLanes {
    /// Empty lanes over `slots` slots.
    pub fn new(slots: usize, fairness: Fairness) -> Self {
        Self {
            slots: vec![Slot::default(); slots],
            fairness,
            arrivals: 0,
            cancel_run: 0,
            timed_run: 0,
            others_next: false,
        }
    }

    /// The lane that `slot` is in.
    pub fn lane(&self, slot: u16) -> Option<Lane> {
        self.slot(slot).queued.map(|(lane, _)| lane)
    }

    /// The deadline of `slot`.
    pub fn deadline(&self, slot: u16) -> Option<u64> {
        self.slot(slot).deadline
    }

    /// The priority of `slot`.
    pub fn priority(&self, slot: u16) -> u8 {
        self.slot(slot).priority
    }

    /// The number of slots queued.
    pub fn len(&self) -> usize {
        self.slots.iter().filter(|slot| slot.queued.is_some()).count()
    }

    /// Whether nothing is queued.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Starts a new life of `slot`, outside the lanes.
    pub fn reset(&mut self, slot: u16, priority: u8, deadline: Option<u64>) {
        self.slots[usize::from(slot)] = Slot { priority, deadline: due(deadline), ..Slot::default() };
    }

    /// Queues `slot` at home unless it is queued; whether it was not.
    pub fn push(&mut self, slot: u16) -> bool {
        let new = self.slot(slot).queued.is_none();
        if new {
            let home = self.home(slot);
            self.arrive(slot, home);
        }
        new
    }

    /// Moves `slot` to the cancel lane; whether it was not there.
    pub fn promote(&mut self, slot: u16) -> bool {
        let new = self.lane(slot) != Some(Lane::Cancel);
        if new {
            self.arrive(slot, Lane::Cancel);
        }
        new
    }

    /// Takes `slot` out; whether it was queued.
    pub fn remove(&mut self, slot: u16) -> bool {
        self.slots[usize::from(slot)].queued.take().is_some()
    }

    /// A slot that stays in its lane keeps its place among equals; one that changes lanes arrives there now.
    pub fn set_deadline(&mut self, slot: u16, deadline: Option<u64>) {
        self.slots[usize::from(slot)].deadline = due(deadline);
        let home = self.home(slot);
        if self.lane(slot).is_some_and(|lane| lane != Lane::Cancel && lane != home) {
            self.arrive(slot, home);
        }
    }

    /// In the timed lane the slot keeps its arrival, in the others it goes behind those of its new priority.
    pub fn set_priority(&mut self, slot: u16, priority: u8) {
        if self.slot(slot).priority == priority {
            return;
        }
        self.slots[usize::from(slot)].priority = priority;
        if let Some(lane) = self.lane(slot).filter(|&lane| lane != Lane::Timed) {
            self.arrive(slot, lane);
        }
    }

    /// Takes the slot out that is to run next.
    pub fn pop(&mut self) -> Option<u16> {
        match self.next(false)? {
            Turn::Slot(slot) => Some(slot),
            Turn::Others => None,
        }
    }

    /// The same, unless others who wait count as one slot of the ready lane, of the lowest priority, and it
    /// is their turn.
    pub fn next(&mut self, others: bool) -> Option<Turn> {
        let lane = self.choose(others)?;
        let of_lane: Vec<u16> =
            (0..self.slots.len() as u16).filter(|&slot| self.lane(slot) == Some(lane)).collect();
        if lane == Lane::Ready && others && of_lane.iter().all(|&slot| self.priority(slot) == 0) {
            if of_lane.is_empty() {
                return Some(Turn::Others);
            }
            self.others_next = !self.others_next;
            if self.others_next {
                return Some(Turn::Others);
            }
        }
        let first = of_lane.into_iter().min_by_key(|&slot| {
            let Slot { priority, deadline, queued } = self.slot(slot);
            let deadline = if lane == Lane::Timed { deadline } else { None };
            (deadline, Reverse(priority), queued.map(|(_, arrival)| arrival))
        })?;
        self.remove(first);
        Some(Turn::Slot(first))
    }

    /// Somebody had a turn who passed over nobody.
    pub fn end_streaks(&mut self) {
        (self.cancel_run, self.timed_run) = (0, 0);
    }

    /// The highest lane that waits, unless its streak is used up while a lower one waits.
    fn choose(&mut self, others: bool) -> Option<Lane> {
        let waits =
            |lane| self.slots.iter().any(|slot| slot.queued.is_some_and(|(queued, _)| queued == lane));
        let (cancel, timed, ready) = (waits(Lane::Cancel), waits(Lane::Timed), others || waits(Lane::Ready));
        let used_up = |run: u32, streak: u8| streak != 0 && run >= u32::from(streak);
        let lane = match () {
            () if cancel && !((timed || ready) && used_up(self.cancel_run, self.fairness.cancel_streak)) => {
                Lane::Cancel
            }
            () if timed && !(ready && used_up(self.timed_run, self.fairness.timed_streak)) => Lane::Timed,
            () if ready => Lane::Ready,
            () => return None,
        };
        self.cancel_run = if lane == Lane::Cancel && (timed || ready) { self.cancel_run + 1 } else { 0 };
        self.timed_run = match lane {
            Lane::Cancel if timed || ready => self.timed_run,
            Lane::Timed if ready => self.timed_run + 1,
            _ => 0,
        };
        Some(lane)
    }

    fn arrive(&mut self, slot: u16, lane: Lane) {
        self.slots[usize::from(slot)].queued = Some((lane, self.arrivals));
        self.arrivals += 1;
    }

    fn home(&self, slot: u16) -> Lane {
        if self.slot(slot).deadline.is_some() { Lane::Timed } else { Lane::Ready }
    }

    fn slot(&self, slot: u16) -> Slot {
        self.slots[usize::from(slot)]
    }
}

/// A deadline at the end of time is none.
fn due(deadline: Option<u64>) -> Option<u64> {
    deadline.filter(|&deadline| deadline != u64::MAX)
}
