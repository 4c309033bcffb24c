//! Noticing that virtual time stands still for ever, for platforms in virtual time.
//!
//! A clock that jumps from alarm to alarm moves when every task waits for time. Two kinds of programs keep it
//! from moving, though they would get on with a real clock, which moves by itself:
//!
//! * Some task waits for no time at all, again and again: it loops over `sleep(Duration::ZERO)`, or over
//!   ticks that it has missed. The executor idles, and its alarm is due at once. [`Creep`] lets a moment pass
//!   then, so that others get their turn.
//! * Some tasks don't wait: they yield, or wake each other. The executor never idles. There [`Watch`] can't
//!   help; it says which tasks these are.
//!
//! [`Virtual`](crate::simulation::Virtual) has both. This module is for those who write another platform.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use trilane::exec::{TaskId, TraceEvent};
use trilane::time::{Duration, Instant};

/// The passes without a move of the clock after which a [`Watch`] calls it a livelock, unless it is told
/// another number.
///
/// A pass is up to 128 polls or more: a program that rests now and then is far from it.
pub const LIVELOCK_AFTER: u32 = 1_000_000;

/// The passes before a report in which polls are noted, at most.
const NOTED_PASSES: u32 = 64;

/// The tasks that a report names.
const NAMED_TASKS: usize = 8;

/// The clock stands still, and tasks are polled all the same: see [`Watch`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Livelock {
    /// The virtual time at which it stands.
    pub at: Instant,
    /// The passes since the clock last moved.
    pub passes: u32,
    /// The names of the tasks that were polled in the last of these passes, one for each task, in the order
    /// of their first polls.
    pub tasks: Vec<&'static str>,
}

impl fmt::Display for Livelock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, passes, tasks } = self;
        write!(
            f,
            "livelock in virtual time at {at}: the clock hasn't moved for {passes} passes, because tasks are polled "
        )?;
        write!(f, "again and again without a wait for time")?;
        write_names(f, tasks)?;
        f.write_str(". Let them sleep, or wait for each other; if so many passes at one instant are meant, raise the limit")
    }
}

/// A colon and the names of tasks, or of the first of them.
pub(crate) fn write_names(f: &mut fmt::Formatter<'_>, tasks: &[impl AsRef<str>]) -> fmt::Result {
    let (named, others) = tasks.split_at(tasks.len().min(NAMED_TASKS));
    for (number, name) in named.iter().enumerate() {
        f.write_str(if number == 0 { ": " } else { ", " })?;
        f.write_str(name.as_ref())?;
    }
    if !others.is_empty() {
        write!(f, " and {} more", others.len())?;
    }
    Ok(())
}

impl std::error::Error for Livelock {}

/// Counts the passes of the executors that share a clock, and reports a [`Livelock`] when that stands still
/// for too many of them.
///
/// A pass costs a few loads and stores, a spawn an entry in a map that is as long as the executors have
/// slots. A poll costs one load, and only in the last passes before a report a lock: there it is noted which
/// tasks are polled.
///
/// Callable from any thread.
#[derive(Debug)]
pub struct Watch {
    /// The time of the latest pass, in microseconds.
    instant: AtomicU64,
    /// The passes at that time.
    passes: AtomicU32,
    /// Whether polls are noted.
    notes: AtomicBool,
    tasks: Mutex<Tasks>,
}

/// An executor's number, and a slot in it.
type Slot = (u8, u16);

#[derive(Debug)]
struct Tasks {
    /// By slot its latest task.
    names: BTreeMap<Slot, (u32, &'static str)>,
    polled: Vec<(Slot, &'static str)>,
}

impl Watch {
    /// A watch that has seen nothing.
    pub const fn new() -> Self {
        Self {
            instant: AtomicU64::new(0),
            passes: AtomicU32::new(0),
            notes: AtomicBool::new(false),
            tasks: Mutex::new(Tasks { names: BTreeMap::new(), polled: Vec::new() }),
        }
    }

    /// Takes note of a pass, as [`Platform::pass_begins`](trilane::exec::Platform::pass_begins) does. Returns
    /// a report when more than `limit` have begun since the clock moved; then it begins to count anew.
    pub fn pass_begins(&self, now: Instant, limit: u32) -> Option<Livelock> {
        if now.as_micros() > self.instant.load(Relaxed) {
            self.instant.store(now.as_micros(), Relaxed);
            self.moves();
        }
        let passes = self.passes.fetch_add(1, Relaxed).saturating_add(1);
        if passes > limit {
            let mut tasks = std::mem::take(&mut self.tasks().polled);
            tasks.sort_unstable_by_key(|&(slot, _)| slot);
            self.moves();
            return Some(Livelock {
                at: now,
                passes: limit,
                tasks: tasks.into_iter().map(|(_, name)| name).collect(),
            });
        }
        if passes > limit.saturating_sub(NOTED_PASSES) && !self.notes.swap(true, Relaxed) {
            self.tasks().polled.clear();
        }
        None
    }

    /// Takes note of an event of the executor with this number, as
    /// [`Platform::trace`](trilane::exec::Platform::trace) does; an executor's number is the platform's
    /// choice.
    pub fn trace(&self, executor: u8, event: TraceEvent) {
        match event {
            TraceEvent::Spawned { id, name } => {
                self.tasks().names.insert((executor, id.slot()), (id.generation(), name));
            }
            TraceEvent::PollStarts { id } if self.notes.load(Relaxed) => self.tasks().note(executor, id),
            _ => {}
        }
    }

    /// Begins to count anew: the clock has moved, or everything rests and other threads have their turn.
    pub fn moves(&self) {
        self.passes.store(0, Relaxed);
        self.notes.store(false, Relaxed);
    }

    fn tasks(&self) -> MutexGuard<'_, Tasks> {
        // Nothing in here panics half-way.
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Watch {
    fn default() -> Self {
        Self::new()
    }
}

impl Tasks {
    fn note(&mut self, executor: u8, id: TaskId) {
        let slot = (executor, id.slot());
        if self.polled.iter().all(|&(polled, _)| polled != slot) {
            let name = self.names.get(&slot).filter(|&&(generation, _)| generation == id.generation());
            self.polled.push((slot, name.map_or("a task without a name", |&(_, name)| name)));
        }
    }
}

/// Lets a moment pass when an executor idles again and again with an alarm that is due at once.
///
/// One for each executor; used by its owner.
#[derive(Debug, Default)]
pub struct Creep {
    /// The alarm was set, since the executor last idled, to a time that isn't later than the clock.
    due: AtomicBool,
    /// How often in a row it idled so.
    idles: AtomicU32,
}

impl Creep {
    /// How often in a row an executor may idle with an alarm that is due at once before the clock moves for
    /// it.
    ///
    /// Programs that wait for nothing now and then, in a burst of late ticks say, keep their exact times.
    pub const AFTER: u32 = 1_000;
    /// By how much it moves then, at each further such idle.
    pub const STEP: Duration = Duration::from_micros(1);

    /// For an executor that has not idled.
    pub const fn new() -> Self {
        Self { due: AtomicBool::new(false), idles: AtomicU32::new(0) }
    }

    /// The executor sets its alarm, at `now`.
    pub fn sets_alarm(&self, at: Option<Instant>, now: Instant) {
        self.due.store(at.is_some_and(|at| at <= now), Relaxed);
    }

    /// The executor idles. Returns whether the clock is to be moved by [`STEP`](Self::STEP).
    pub fn idles(&self) -> bool {
        if !self.due.swap(false, Relaxed) {
            self.idles.store(0, Relaxed);
            return false;
        }
        let before = self.idles.load(Relaxed);
        self.idles.store(before.saturating_add(1), Relaxed);
        before >= Self::AFTER
    }
}
