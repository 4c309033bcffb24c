//! What an executor tells of its tasks and regions.

use crate::exec::memory::core::{ExecRef, TaskRef};
use crate::exec::region::table::{CLOSING, ENDED};
use crate::exec::task::id::{RegionId, TaskId};
use crate::exec::task::reason::Reason;
use crate::exec::task::state::Phase;
use crate::id::Key;
use crate::sched::{Lane, Priority};
use crate::sync::Ordering;
use crate::time::Instant;

/// The states a task passes through, for dumps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum TaskState {
    /// Not woken since its last poll.
    Waiting,
    /// Woken, and not yet drained into a lane.
    Woken,
    /// In a lane.
    Queued(Lane),
    /// Being polled.
    Running,
    /// Over; the result waits for its join handle.
    Done,
}

/// One line of a dump.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct TaskInfo {
    /// The task's id.
    pub id: TaskId,
    /// The name from its attributes, else the type name of its future.
    pub name: &'static str,
    /// Its state at some instant during the call.
    pub state: TaskState,
    /// Its priority.
    pub priority: Priority,
    /// Its deadline. None once it was asked to stop.
    pub deadline: Option<Instant>,
    /// Why it was asked to stop, if it was.
    pub cancelled: Option<Reason>,
    /// The region that owns it, if one does.
    pub region: Option<RegionId>,
}

/// One line of a dump.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct RegionInfo {
    /// The region's id.
    pub id: RegionId,
    /// The name from its options.
    pub name: Option<&'static str>,
    /// The region around it.
    pub parent: Option<RegionId>,
    /// Its tasks that have not ended.
    pub tasks: u16,
    /// Its child regions that have not ended.
    pub children: u16,
    /// Why it closes, if it does.
    pub closing: Option<Reason>,
}

/// A line of a dump.
pub(in crate::exec) fn task_info(task: TaskRef) -> Option<TaskInfo> {
    let exec = task.exec();
    // Under the lock the node, the attributes, the table and the generation hold still.
    exec.locked(|cs| {
        let state = task.state.load_acquire();
        let phase = match state.phase() {
            Phase::Done => TaskState::Done,
            Phase::Live if exec.running_slot() == Some(task.slot()) => TaskState::Running,
            Phase::Live => match task.node.lane() {
                Some(lane) => TaskState::Queued(lane),
                None if task.is_claimed() => TaskState::Running,
                None if task.is_woken() => TaskState::Woken,
                None => TaskState::Waiting,
            },
            Phase::Free | Phase::Claimed => return None,
        };
        let given = task.attributes().name;
        Some(TaskInfo {
            id: task.id(),
            // SAFETY: the slot is not free.
            name: given.unwrap_or_else(|| unsafe { (task.vtable_of_task().type_name)() }),
            state: phase,
            priority: task.node.priority(),
            deadline: if state.is_requested() {
                None
            } else {
                task.node.deadline().map(Instant::from_micros)
            },
            cancelled: state.reason(),
            region: exec.region_id_of(cs, task),
        })
    })
}

/// A line of a dump.
pub(in crate::exec) fn region_info(exec: ExecRef, index: usize) -> Option<RegionInfo> {
    exec.locked(|cs| {
        let owner = exec.region_table()[index].owner.load(Ordering::Acquire);
        if !core::ptr::eq(owner, exec.as_ptr()) {
            return None;
        }
        let (info, parent) = exec.with_region(cs, index as u16 + 1, |links| {
            if links.has(ENDED) {
                return None;
            }
            let info = RegionInfo {
                id: RegionId(Key { slot: index as u16, generation: links.generation }),
                name: links.name.copied(),
                parent: None,
                tasks: links.live,
                children: links.children,
                closing: links.has(CLOSING).then(|| Reason::from_bits(links.reason.into())).flatten(),
            };
            Some((info, links.parent))
        })?;
        let parent = (parent != 0).then(|| exec.region_id(cs, parent));
        Some(RegionInfo { parent, ..info })
    })
}
