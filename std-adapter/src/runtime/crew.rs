//! The workers and their shards: what outlives a runtime.

use std::alloc::{Layout, alloc_zeroed, handle_alloc_error};
use std::cell::Cell;
use std::ptr;
use std::slice;
use std::sync::OnceLock;
use std::time::Duration;

use trilane::exec::{Executor, Line, OpenError, Platform, Region, RegionOptions, Regions, Shard};
use trilane::sched::Fairness;
use trilane::time::Instant;

use super::pace::Suspects;
use super::reactor::Reactor;
use super::sleepers::Sleepers;
use super::time::Time;
use crate::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use crate::sync::thread_local;

/// Banks of an executor, each of 32 tasks. A test of schedules makes thousands of runtimes.
const BANKS: usize = if cfg!(trilane_shuttle) { 2 } else { 32 };
/// The tasks of a shard.
pub(super) const SHARD: usize = BANKS * 32;
/// The regions of a shard.
const REGIONS: usize = if cfg!(trilane_shuttle) { 8 } else { 64 };
pub(super) type Home = Shard<Worker, BANKS, 32>;

/// What is asked of a crew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    pub workers: usize,
    /// Shards of each worker.
    pub shards: usize,
    /// Lines of memory of each slot.
    pub lines: usize,
    pub fairness: Fairness,
    /// Whether one thread does all the work, in virtual time.
    pub is_simulated: bool,
    /// Whether that of its owner does, in real time.
    pub is_local: bool,
}

/// Workers and their shards. Static, as executors are.
pub(super) struct Crew {
    pub size: Size,
    pub sleepers: Sleepers<Reactor>,
    /// By number of the shard, then by slot.
    pub suspects: Suspects,
    clock: Time,
    /// Those of the first worker, then those of the second.
    shards: OnceLock<Box<[Home]>>,
    /// The shards in which a region was opened.
    with_regions: Box<[AtomicBool]>,
    /// The shards of each worker that have ever had a task.
    used: Box<[AtomicUsize]>,
    /// The shards of each worker in which a special task was woken, as far as nobody has looked: bit `n` is
    /// for each 64th, from its shard `n` on. A bit that comes late is no matter: all shards have their turn.
    special: Box<[AtomicU64]>,
    /// The worker that gets the next task from outside.
    next: AtomicUsize,
    stops: AtomicBool,
    /// Counts the runtimes that it has been.
    life: AtomicU64,
}

impl std::fmt::Debug for Crew {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Crew").field("size", &self.size).finish_non_exhaustive()
    }
}

/// The platform of a shard.
#[derive(Debug)]
pub struct Worker {
    crew: &'static Crew,
    /// Of the worker whose home it is.
    number: usize,
    #[cfg(feature = "tracing")]
    spans: super::spans::Spans,
    /// The number of the shard.
    shard: usize,
}

thread_local! {
    /// The crew whose worker this thread is, and which of them.
    static AT: Cell<(*const Crew, usize)> = const { Cell::new((ptr::null(), 0)) };
}

/// Where this thread is a worker, if it is.
pub(super) struct Inside {
    /// Where it was before.
    before: (*const Crew, usize),
}

impl Drop for Inside {
    fn drop(&mut self) {
        AT.with(|at| at.set(self.before));
    }
}

impl Platform for Worker {
    const SHARES: bool = true;
    const TELLS_SPECIAL: bool = true;

    fn now(&self) -> Instant {
        self.crew.clock.now()
    }

    fn set_alarm(&self, _at: Option<Instant>) {
        if self.is_here() {
            // It looks after this poll.
            self.crew.sleepers.ask_for_ticks();
        } else {
            self.crew.sleepers.set_alarm(self.number);
        }
    }

    #[inline]
    fn pend(&self) {
        if self.is_here() {
            // It looks after this poll.
            self.crew.sleepers.ask_for_ticks();
        } else {
            self.crew.sleepers.wake_one(self.number);
        }
    }

    fn pend_special(&self) {
        let number = self.shard - self.number * self.crew.size.shards;
        let (special, bit) = (&self.crew.special[self.number], 1 << (number % 64));
        if special.load(Relaxed) & bit == 0 {
            special.fetch_or(bit, SeqCst);
        }
        self.pend();
    }

    fn idle(&self, _quiet: &dyn Fn() -> bool) {}

    #[cfg(feature = "tracing")]
    const TRACES: bool = true;

    #[cfg(feature = "tracing")]
    fn trace(&self, event: trilane::exec::TraceEvent) {
        self.spans.trace(self.shard, event);
    }
}

impl Worker {
    /// Whether this is its thread.
    #[inline]
    fn is_here(&self) -> bool {
        let (crew, number) = AT.with(Cell::get);
        ptr::eq(crew, self.crew) && number == self.number
    }
}

impl Crew {
    /// A crew without threads.
    pub fn new(size: Size) -> &'static Self {
        let crew: &'static Self = Box::leak(Box::new(Self {
            size,
            sleepers: Sleepers::new(size.workers, Reactor::default()),
            suspects: Suspects::new(size.workers * size.shards * SHARD),
            clock: Time::new(size.is_simulated),
            shards: OnceLock::new(),
            with_regions: (0..size.workers * size.shards).map(|_| AtomicBool::new(false)).collect(),
            used: (0..size.workers).map(|_| AtomicUsize::new(1)).collect(),
            special: (0..size.workers).map(|_| AtomicU64::new(0)).collect(),
            next: AtomicUsize::new(0),
            stops: AtomicBool::new(false),
            life: AtomicU64::new(0),
        }));
        let shards = (0..size.workers * size.shards).map(|shard| {
            let regions: &'static Regions<REGIONS> = Box::leak(Box::new(Regions::new()));
            let platform = Worker {
                crew,
                number: shard / size.shards,
                #[cfg(feature = "tracing")]
                spans: Default::default(),
                shard,
            };
            let executor: &'static Executor<Worker, BANKS, 32> = Box::leak(Box::new(Executor::new(platform)));
            let executor = executor.with_regions(regions).with_fairness(size.fairness);
            match executor.share(zeroed_lines(SHARD * size.lines)) {
                Ok(shard) => shard,
                Err(error) => unreachable!("it is new: {error}"),
            }
        });
        let shards = crew.shards.get_or_init(|| shards.collect());
        debug_assert_eq!(shards.len(), size.workers * size.shards);
        crew
    }

    pub fn shards(&self) -> &[Home] {
        self.shards.get().map_or(&[], |shards| shards)
    }

    /// The shards of a worker that may have tasks.
    pub fn home(&self, worker: usize) -> &[Home] {
        let first = worker * self.size.shards;
        &self.shards()[first..first + self.used[worker].load(SeqCst)]
    }

    /// The shards that may have tasks, with their numbers.
    pub fn shards_in_use(&self) -> impl Iterator<Item = (usize, &Home)> {
        (0..self.size.workers).flat_map(|worker| (worker * self.size.shards..).zip(self.home(worker)))
    }

    /// The worker whose thread this is, if it is one of this crew's.
    pub fn worker_here(&self) -> Option<usize> {
        let (crew, number) = AT.with(Cell::get);
        ptr::eq(crew, self).then_some(number)
    }

    /// The crew whose worker this thread is.
    pub fn here() -> Option<&'static Self> {
        // SAFETY: the pointer is null, or that of a crew, which is static.
        unsafe { AT.with(Cell::get).0.as_ref() }
    }

    pub fn life(&self) -> u64 {
        self.life.load(SeqCst)
    }

    /// Has `spawn` try the shards that a new task may go to. Where regions are, half of the shard is left to
    /// their tasks, since those can't go elsewhere, for as long as there is room in others.
    pub fn spawn<T, R>(
        &self,
        rejected: R,
        mut spawn: impl FnMut(&Home, R) -> Result<T, (bool, R)>,
    ) -> Result<T, R> {
        let leaves_room = |number: usize, shard: &Home| {
            !self.with_regions[number].load(Relaxed)
                || shard.first_free().is_some_and(|slot| usize::from(slot) < SHARD / 2)
        };
        self.place(leaves_room, rejected, |_, shard, rejected| spawn(shard, rejected))
    }

    /// Opens a region where a task would be spawned; in a shard that is at most half full, if there is one,
    /// since its tasks will be there.
    pub fn open_region(&self, options: RegionOptions) -> Result<Region, OpenError> {
        let has_room = |_, shard: &Home| shard.len() <= SHARD / 2;
        self.place(has_room, OpenError::Full, |number, shard, _| {
            self.with_regions[number].store(true, Relaxed);
            let opened = shard.executor().open_region(options);
            opened.map_err(|error| (error == OpenError::Full, error))
        })
    }

    /// Tries the shards, with their numbers, until `take` takes one, or refuses and says that it isn't for
    /// want of room: the worker's own, if this thread is one, or those of the next worker; then the others'.
    /// Those that aren't fit come last.
    fn place<T, R>(
        &self,
        is_fit: impl Fn(usize, &Home) -> bool,
        mut rejected: R,
        mut take: impl FnMut(usize, &Home, R) -> Result<T, (bool, R)>,
    ) -> Result<T, R> {
        let (workers, shards) = (self.size.workers, self.size.shards);
        let first = match self.worker_here() {
            Some(worker) => worker,
            None if workers == 1 => 0,
            None => self.next.fetch_add(1, Relaxed) % workers,
        };
        for only_fit in [true, false] {
            let mut has_unfit = false;
            for worker in (first..workers).chain(0..first) {
                for index in 0..shards {
                    let number = worker * shards + index;
                    let shard = &self.shards()[number];
                    if only_fit && !is_fit(number, shard) {
                        has_unfit = true;
                        continue;
                    }
                    if index >= self.used[worker].load(Relaxed) {
                        // Before the task is there: whoever looks for it sees the shard.
                        self.used[worker].fetch_max(index + 1, SeqCst);
                    }
                    match take(number, shard, rejected) {
                        Ok(task) => return Ok(task),
                        Err((false, back)) => return Err(back),
                        Err((true, back)) => rejected = back,
                    }
                }
            }
            if !has_unfit {
                break;
            }
        }
        Err(rejected)
    }

    pub fn now(&self) -> Instant {
        self.clock.now()
    }

    /// Virtual time goes on to `at`, or begins anew at zero.
    pub fn set_time(&self, at: Instant) {
        self.clock.set(at);
    }

    /// This thread is a worker, until what is returned is dropped.
    pub fn enter(&'static self, worker: usize) -> Inside {
        Inside { before: AT.with(|at| at.replace((ptr::from_ref(self), worker))) }
    }

    /// Whether the workers are to return.
    pub fn is_stopping(&self) -> bool {
        self.stops.load(SeqCst)
    }

    /// Has the workers return when they have ended their polls.
    pub fn stop(&self) {
        self.stops.store(true, SeqCst);
        self.sleepers.wake_all();
    }

    /// The runtime has ended: its handles and sockets are of no use from now on.
    pub fn end_life(&self) {
        self.life.fetch_add(1, SeqCst);
        self.sleepers.driver.end_life();
    }

    /// Takes tasks again, if none is left, nor a result that somebody still holds. Returns whether it does.
    pub fn reopen(&self) -> bool {
        let is_free = self.shards().iter().all(Shard::reopen);
        if is_free {
            self.stops.store(false, SeqCst);
            self.next.store(0, Relaxed);
            self.with_regions.iter().for_each(|has| has.store(false, Relaxed));
        }
        is_free
    }

    /// Whether a special task was woken in a shard of `worker`, and nobody has looked since. One load.
    #[inline]
    pub fn is_special_next(&self, worker: usize) -> bool {
        self.special[worker].load(Relaxed) != 0
    }

    /// Calls `poll` with the number, at home, of each shard of `worker` in which a special task was woken
    /// since the last call: it is to poll once. Returns how often it did. One load if there was none;
    /// O(shards / 64) each otherwise.
    #[inline]
    pub fn visit_special(&self, worker: usize, poll: impl FnMut(usize) -> u32) -> u32 {
        if self.is_special_next(worker) { self.visit_each_special(worker, poll) } else { 0 }
    }

    fn visit_each_special(&self, worker: usize, mut poll: impl FnMut(usize) -> u32) -> u32 {
        let (special, mut polls) = (&self.special[worker], 0);
        let (home, mut bits) = (self.home(worker), special.swap(0, SeqCst));
        while bits != 0 {
            let bit = bits.trailing_zeros();
            bits &= bits - 1;
            for index in (bit as usize..home.len()).step_by(64) {
                if home[index].is_special_next() {
                    polls += poll(index);
                }
                if home[index].is_special_next() {
                    special.fetch_or(1 << bit, SeqCst);
                }
            }
        }
        polls
    }

    /// Whether some worker would find something to do; for one that is about to sleep.
    pub fn is_runnable(&self) -> bool {
        (0..self.size.workers).any(|worker| self.home(worker).iter().any(Shard::is_runnable_before_sleep))
    }

    /// Whether more than `most` tasks are runnable, or a special one is.
    pub fn has_backlog(&self, most: usize) -> bool {
        let mut woken = 0;
        self.shards_in_use().any(|(_, shard)| {
            woken += shard.woken().take(most + 1).count();
            woken > most || shard.is_special_next()
        })
    }

    /// How long it is until something is due at home.
    pub fn until_due(&self, number: usize) -> Option<Duration> {
        let due = self.home(number).iter().filter_map(Shard::next_due).min()?;
        Some(self.clock.until(due))
    }
}

/// Memory of zeros that is never freed; the system gives it when it is touched.
fn zeroed_lines(lines: usize) -> &'static mut [Line] {
    if lines == 0 {
        return &mut [];
    }
    let Ok(layout) = Layout::array::<Line>(lines) else { return &mut [] };
    // SAFETY: the layout isn't empty; the memory is as large as it says, aligned, and any bytes are lines.
    unsafe {
        let memory = alloc_zeroed(layout).cast::<Line>();
        if memory.is_null() {
            handle_alloc_error(layout);
        }
        slice::from_raw_parts_mut(memory, lines)
    }
}
