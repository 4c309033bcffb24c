//! What an executor tells of itself: its tasks, its regions, what it has counted.

use super::counters::Counters;
use super::executor::Executor;
use super::header::{Header, TaskId, TaskInfo, TaskState, reason, state};
use super::platform::Platform;
use super::region::RegionInfo;
use super::shared::Core;
use super::slots::Slots;
use crate::arena::Stale;
use crate::bitmap;
use crate::sync::{Ordering, with_lock};
use crate::time::Instant;

impl<P: Platform, const BANKS: usize, const PER_BANK: usize> Executor<P, BANKS, PER_BANK> {
    /// Looks a task up. O(1).
    ///
    /// # Errors
    ///
    /// [`Stale`] when its slot is empty or holds another task.
    pub fn task(&'static self, id: TaskId) -> Result<TaskInfo, Stale> {
        // SAFETY: the executor is static and whole.
        let header = unsafe { Core::header(self.core(), id.slot) }.ok_or(Stale)?;
        self.slots().info(header, id.slot).filter(|info| info.id == id).ok_or(Stale)
    }

    /// Every task there is, lowest slot first: a dump. Each line is true at some instant during the call. O(capacity).
    pub fn tasks(&'static self) -> impl Iterator<Item = TaskInfo> {
        (0..BANKS).flat_map(move |bank| {
            (0..PER_BANK as u32).filter_map(move |index| {
                let slot = bitmap::slot(bank, index);
                self.slots().info(self.slots().header(bank, index), slot)
            })
        })
    }

    /// Every region that is open or closing: a dump. Each line is true at some instant during the call. O(table).
    pub fn regions(&'static self) -> impl Iterator<Item = RegionInfo> {
        // SAFETY: the executor is static and whole; the index is below the table's size.
        (0..self.slots().shared().regions.len())
            .filter_map(move |index| unsafe { Core::region_info(self.core(), index) })
    }

    /// What has been counted so far.
    pub fn counters(&'static self) -> Counters {
        let mut counters = self.slots().shared().tally.read();
        // SAFETY: two numbers are read, nothing is called (Guarded Invariant).
        let (queued, deepest) =
            with_lock(|cs| unsafe { self.slots().lanes().with(cs, |lanes| (lanes.len(), lanes.deepest())) });
        counters.deepest_lane = deepest as u32;
        // Every wake that was taken has led to a poll, to something in its place, or to a place in a lane.
        counters.wakes = counters.polls.wrapping_add(counters.diverted).wrapping_add(queued as u32);
        counters
    }
}

impl<const BANKS: usize, const PER_BANK: usize> Slots<BANKS, PER_BANK> {
    fn info(self, header: *const Header, slot: u16) -> Option<TaskInfo> {
        with_lock(|cs| {
            // SAFETY: the header is this executor's; under the critical section its node, attributes, table and generation hold
            // still.
            unsafe {
                let word = (*header).state.load(Ordering::Acquire);
                let id = TaskId { slot, generation: (*header).generation.load(Ordering::Acquire) };
                let state = match word & state::PHASE {
                    state::DONE => TaskState::Done,
                    state::LIVE if self.shared().running_slot() == Some(slot) => TaskState::Running,
                    state::LIVE => match (*header).node.lane() {
                        Some(lane) => TaskState::Queued(lane),
                        None if Header::is_woken(header) => TaskState::Woken,
                        None => TaskState::Waiting,
                    },
                    _ => return None,
                };
                let name = match ((*header).attributes.get().name, (*header).vtable.peek()) {
                    (Some(name), _) => name,
                    (None, Some(vtable)) => (vtable.type_name)(),
                    (None, None) => return None,
                };
                Some(TaskInfo {
                    id,
                    name,
                    state,
                    priority: (*header).node.priority(),
                    deadline: if word & state::REQUESTED == 0 {
                        (*header).node.deadline().map(Instant::from_micros)
                    } else {
                        None
                    },
                    cancelled: if word & state::REQUESTED == 0 { None } else { reason(word) },
                    region: Core::region_id_of(self.core(), cs, header),
                })
            }
        })
    }
}
