//! Regions inside regions: opened, closed and waited for, from any context.

use core::fmt;
use core::mem;
use core::ptr;

use super::members::region_of;
use super::table::{CLOSING, EACH, ENDED, FAIL_FAST, HANDLE, KEPT};
use super::work::request_region_close;
use crate::exec::cancel::dispatch::SPECIAL;
use crate::exec::cancel::request::request;
use crate::exec::memory::core::{ExecRef, Links, Membership, Refusal, TaskRef};
use crate::exec::task::id::RegionId;
use crate::exec::task::join_node::JoinNode;
use crate::exec::task::reason::Reason;
use crate::sync::{CriticalSection, Ordering};

/// How a region is to be kept.
#[derive(Clone, Copy, Debug)]
pub struct RegionOptions {
    name: Option<&'static &'static str>,
    quota: u16,
    fail_fast: bool,
    finaliser: Option<fn(RegionId)>,
}

impl RegionOptions {
    /// No name, no quota, no finaliser; a member's failure is its own affair.
    pub const fn new() -> Self {
        Self { name: None, quota: u16::MAX, fail_fast: false, finaliser: None }
    }

    /// The name in dumps.
    pub const fn name(mut self, name: &'static &'static str) -> Self {
        self.name = Some(name);
        self
    }

    /// The most tasks alive in the region at a time, those of regions below it not counted; a spawn beyond is
    /// [`QuotaExceeded`](crate::exec::SpawnErrorKind::QuotaExceeded).
    pub const fn quota(mut self, tasks: u16) -> Self {
        self.quota = tasks;
        self
    }

    /// Closes the region for [`Reason::SiblingFailed`] as soon as a member fails: panics, or has to be
    /// stopped for a missed deadline or a used-up quota and is ended by force.
    pub const fn fail_fast(mut self) -> Self {
        self.fail_fast = true;
        self
    }

    /// Called by the runner once all in the region is over, before whoever waits for it is woken.
    pub const fn finaliser(mut self, finaliser: fn(RegionId)) -> Self {
        self.finaliser = Some(finaliser);
        self
    }
}

impl Default for RegionOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// Why a region was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum OpenError {
    /// Every entry of the executor's table is in use, or it has none.
    Full,
    /// The region around it is closing or has closed.
    Closed,
    /// The task that asks, through its [`Cx`](crate::exec::Cx), has ended.
    Stale,
    /// The executor or runtime shuts down, or has ended.
    ShutDown,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full if cfg!(target_os = "none") => {
                "the executor has no room for another region: give it a larger table by with_regions, or close one"
            }
            Self::Full => {
                "the executor has no room for another region: give it a larger table by with_regions, or a runtime \
                 a larger Builder::capacity (64 regions for each 1,024 tasks), or close one"
            }
            Self::Closed => "the region around it is closing: nothing new begins in it",
            Self::Stale => "the task that asks for it has ended",
            Self::ShutDown if cfg!(target_os = "none") => "the executor shuts down: nothing new begins in it",
            Self::ShutDown => "the executor or runtime shuts down, or has ended: nothing new begins in it",
        })
    }
}

impl core::error::Error for OpenError {}

/// How a region is doing, for whoever waits for it.
pub(in crate::exec) enum Progress {
    /// Its entry is another's or nobody's by now.
    Gone,
    /// It has closed.
    Closed,
    /// Nobody in it is alive.
    Empty,
    /// Somebody is.
    Busy,
}

impl ExecRef {
    /// Opens a region in that of its owner. O(table).
    pub fn open_region(self, owner: Membership, options: RegionOptions) -> Result<RegionId, OpenError> {
        for (index, entry) in self.region_table().iter().enumerate() {
            if !entry.owner.load(Ordering::Relaxed).is_null() {
                continue;
            }
            let opened = self.locked(|cs| {
                // Executors may share a table, so an entry is claimed in one step.
                let core = self.as_ptr().cast_mut();
                entry
                    .owner
                    .compare_exchange(ptr::null_mut(), core, Ordering::Acquire, Ordering::Relaxed)
                    .ok()?;
                let opened = self.open_at(cs, index as u16 + 1, owner, options);
                if opened.is_err() {
                    entry.owner.store(ptr::null_mut(), Ordering::Release);
                }
                Some(opened)
            });
            if let Some(opened) = opened {
                return opened;
            }
        }
        Err(OpenError::Full)
    }

    fn open_at(
        self,
        cs: CriticalSection<'_>,
        region: u16,
        owner: Membership,
        options: RegionOptions,
    ) -> Result<RegionId, OpenError> {
        let parent = region_of(self, cs, owner).map_err(|refusal| match refusal {
            Refusal::Stale => OpenError::Stale,
            Refusal::Closed | Refusal::Quota => OpenError::Closed,
        })?;
        if self.is_shutting_down() {
            return Err(OpenError::ShutDown);
        }
        let mut next_sibling = 0;
        if parent != 0 {
            next_sibling = self.with_region(cs, parent, |links| {
                if links.has(CLOSING) {
                    return Err(OpenError::Closed);
                }
                links.children += 1;
                Ok(mem::replace(&mut links.first_child, region))
            })?;
        }
        if next_sibling != 0 {
            self.with_region(cs, next_sibling, |links| links.previous_sibling = region);
        }
        self.with_region(cs, region, |links| {
            *links = Links {
                parent,
                next_sibling,
                name: options.name,
                finaliser: options.finaliser,
                quota: options.quota,
                flags: HANDLE | if options.fail_fast { FAIL_FAST } else { 0 },
                generation: links.generation,
                ..Links::FREE
            };
        });
        Ok(self.region_id(cs, region))
    }

    /// Closes a region by id, from any context. Returns whether there is such a region.
    pub fn close_region(self, id: RegionId, reason: Reason) -> bool {
        let read = self.read_clock();
        let found = self.locked(|cs| {
            let now = self.not_before_pass(cs, read);
            self.find_region(cs, id).map(|region| request_region_close(self, cs, region, reason, now))
        });
        if found.is_some() {
            self.pend();
        }
        found.is_some()
    }

    /// The handle of a region lets go of it.
    pub fn abandon_region(self, id: RegionId) {
        self.close_region(id, Reason::ParentClosed);
        self.locked(|cs| {
            let ended = self.with_place(cs, id, |links| {
                links.flags &= !HANDLE;
                links.has(ENDED)
            });
            if ended == Some(true) {
                self.free_region(cs, id.0.slot + 1);
            }
        });
    }

    /// How the region is doing. `collect`: if it has closed, its entry is given back.
    pub fn region_progress(self, id: RegionId, collect: bool) -> Progress {
        self.locked(|cs| {
            let progress = self.with_place(cs, id, |links| {
                if links.has(ENDED) {
                    Progress::Closed
                } else if links.is_empty() {
                    Progress::Empty
                } else {
                    Progress::Busy
                }
            });
            if collect && matches!(progress, Some(Progress::Closed)) {
                self.free_region(cs, id.0.slot + 1);
            }
            progress.unwrap_or(Progress::Gone)
        })
    }

    /// Registers whoever waits for the region, or nobody; `each`: to be woken at each member's end.
    ///
    /// The node, if not null, is that of a pinned future, as the Join Node Invariant says.
    pub fn watch_region(self, cs: CriticalSection<'_>, id: RegionId, waiter: *const JoinNode, each: bool) {
        self.with_place(cs, id, |links| {
            links.waiter = waiter;
            links.flags &= !EACH;
            if each {
                links.flags |= EACH;
            }
        });
    }

    /// Leaves the members' results to the join set that has their handles.
    pub fn keep_results(self, id: RegionId) {
        self.locked(|cs| self.with_place(cs, id, |links| links.flags |= KEPT));
    }

    /// Whether the task, which is being polled, is in the region or in one below it. O(depth), one level per
    /// critical section: regions above a task that is alive stay where they are.
    pub fn is_inside(self, id: RegionId, task: TaskRef) -> bool {
        if task.exec() != self {
            return false;
        }
        let (wanted, mut region) = self.locked(|cs| (self.find_region(cs, id), task.family.region()));
        while region != 0 && Some(region) != wanted {
            region = self.locked(|cs| self.with_region(cs, region, |links| links.parent));
        }
        region != 0
    }

    /// Asks every task and region of the executor to end, and takes no more. O(capacity), one task per
    /// critical section.
    pub fn shut_down(self) {
        self.see_to_special(&SPECIAL);
        let read = self.read_clock();
        let now = self.locked(|cs| {
            self.closing.store(true, Ordering::Relaxed);
            self.not_before_pass(cs, read)
        });
        for (index, entry) in self.region_table().iter().enumerate() {
            self.locked(|cs| {
                if ptr::eq(entry.owner.load(Ordering::Acquire), self.as_ptr()) {
                    request_region_close(self, cs, index as u16 + 1, Reason::Shutdown, now);
                }
            });
        }
        for task in self.tasks() {
            self.locked(|cs| request(task, cs, Reason::Shutdown, now));
        }
        self.pend();
    }
}
