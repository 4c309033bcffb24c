//! Random trees of regions, with everything that can happen to their tasks, against a book that is kept
//! beside.
//!
//! Tasks draw what they do next, as does whoever drives them, from one generator; so a run of one thread is
//! repeated by its seed. The book knows of each task whether its future and its output are alive, when it was
//! asked to stop and what became of it; of each region, where it belongs and whether it closes. After each
//! round it is compared with the executor's dumps.

mod world;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Poll, Waker};

use trilane::exec::{
    Attributes, CancelError, Cancelled, CloseError, Cx, Executor, Forced, JoinError, JoinHandle, Manual,
    OnMiss, OpenError, Reason, Region, RegionId, RegionOptions, Regions, Runner, SpawnError, SpawnErrorKind,
    TaskId, TaskOptions, TaskPool, TaskState, TimeoutError,
};
use trilane::sched::Priority;
use trilane::time::{Duration, Instant};
use trilane_tests::future::{parked, poll_once};
use trilane_tests::{leak, us};

use world::driver::play;

const POOL: usize = 12;
const TABLE: usize = 6;

/// What unwinds on purpose.
struct OnPurpose;

/// How long tasks may clean up: polls, and microseconds.
const LIMITS: [(u16, u64); 6] = [(64, 100_000), (0, 100_000), (3, 50), (5, 0), (1, 20), (8, u64::MAX)];

static KINDS: [Attributes; LIMITS.len()] = {
    let mut kinds = [const { Attributes::new().finaliser(forced) }; LIMITS.len()];
    let mut kind = 0;
    while kind < LIMITS.len() {
        let (polls, time) = LIMITS[kind];
        kinds[kind] = kinds[kind].cleanup_polls(polls).cleanup_time(Duration::from_micros(time));
        kind += 1;
    }
    kinds
};

thread_local! {
    /// The book of the executor that this thread runs, for finalisers.
    static BOOK: RefCell<Option<Book>> = const { RefCell::new(None) };
}

type Book = Arc<Mutex<Pages>>;

/// What is known beside the executor.
struct Pages {
    random: u64,
    operations: u64,
    now: u64,
    /// Whether one thread does everything, so that nothing happens between two looks.
    alone: bool,
    /// No more is begun.
    ending: bool,
    tasks: BTreeMap<usize, Task>,
    spawned: usize,
    /// Tasks that have a slot and no future yet.
    building: usize,
    regions: Vec<Scope>,
    fates: Fates,
}

/// How many tasks came to which end, so that a run shows that it has seen all of them.
#[derive(Clone, Copy, Debug, Default)]
struct Fates {
    returned: u32,
    forced: u32,
    panicked: u32,
    forgotten: u32,
    joined: u32,
    closes: u32,
}

impl Fates {
    fn note(&mut self, task: &Task) {
        self.returned += u32::from(task.returned);
        self.forced += u32::from(task.forced.is_some());
        self.panicked += u32::from(task.panicked);
        self.forgotten += u32::from(task.forgotten);
        self.joined += task.outcomes;
    }
}

struct Task {
    id: TaskId,
    region: Option<usize>,
    limits: (u16, u64),
    waker: Option<Waker>,
    asked_at: Option<u64>,
    polls_asked: u16,
    returned: bool,
    panicked: bool,
    forced: Option<Reason>,
    future: bool,
    output: bool,
    handle: bool,
    /// The handle was lost, not dropped.
    forgotten: bool,
    awaited: bool,
    outcomes: u32,
}

struct Scope {
    id: RegionId,
    parent: Option<usize>,
    quota: u16,
    fail_fast: bool,
    closing: Option<Reason>,
}

fn pages(book: &Book) -> MutexGuard<'_, Pages> {
    book.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Pages {
    /// Vigna's xorshift64* (2014).
    fn draw(&mut self, below: usize) -> usize {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        ((self.random.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % below as u64) as usize
    }

    fn one_in(&mut self, odds: usize) -> bool {
        self.draw(odds) == 0
    }

    fn some_task(&mut self) -> Option<usize> {
        let nth = self.draw(self.tasks.len().max(1));
        self.tasks.keys().nth(nth).copied()
    }

    fn by_id(&mut self, id: TaskId) -> Option<&mut Task> {
        self.tasks.values_mut().find(|task| task.id == id)
    }

    fn region_by_id(&self, id: RegionId) -> usize {
        self.regions.iter().rposition(|region| region.id == id).expect("a region that nobody opened")
    }

    fn is_within(&self, mut region: Option<usize>, outer: usize) -> bool {
        while let Some(inner) = region {
            if inner == outer {
                return true;
            }
            region = self.regions[inner].parent;
        }
        false
    }

    /// Whether the region, or one around it, was asked to close.
    fn closes(&self, region: usize) -> bool {
        self.regions[region].closing.is_some()
            || self.regions[region].parent.is_some_and(|parent| self.closes(parent))
    }

    fn is_populated(&self, region: usize) -> bool {
        self.tasks.values().any(|task| task.future && self.is_within(task.region, region))
    }

    fn has_ended(&self, region: usize) -> bool {
        self.closes(region) && !self.is_populated(region)
    }

    fn population(&self, region: usize) -> usize {
        self.tasks.values().filter(|task| task.future && task.region == Some(region)).count()
    }

    /// Why a region is to close, if it is.
    fn why(&self, region: usize) -> Option<Reason> {
        let Scope { closing, parent, .. } = self.regions[region];
        let below = parent.and_then(|parent| self.why(parent)).map(|reason| reason.max(Reason::ParentClosed));
        closing.max(below)
    }

    fn close(&mut self, region: usize, reason: Reason) {
        let closing = &mut self.regions[region].closing;
        *closing = (*closing).max(Some(reason));
    }

    /// A member's failure.
    fn failed(&mut self, region: Option<usize>) {
        if let Some(region) = region.filter(|&region| self.regions[region].fail_fast) {
            self.close(region, Reason::SiblingFailed);
        }
    }

    /// A join's end: the only one, and the right one.
    fn outcome(&mut self, number: usize, outcome: &Result<Output, JoinError>) {
        let alone = self.alone;
        let reclaimed = self.tasks[&number].region.is_some_and(|region| self.has_ended(region));
        let task = self.tasks.get_mut(&number).expect("joined after it was forgotten");
        task.outcomes += 1;
        assert_eq!(task.outcomes, 1, "a second outcome");
        assert!(!task.future, "joined alive");
        match outcome {
            Ok(output) => {
                assert_eq!(output.life.number, number);
                assert!(task.returned && !task.panicked && task.output && task.forced.is_none());
            }
            Err(JoinError::Cancelled(reason)) => assert_eq!(task.forced, Some(*reason)),
            Err(JoinError::Panicked) => assert!(task.panicked),
            Err(JoinError::Reclaimed) => assert!(!alone || reclaimed && !task.output),
            Err(error) => panic!("{error}"),
        }
    }
}

/// The finaliser of all tasks.
fn forced(forced: &Forced) {
    let Some(book) = BOOK.with_borrow(Clone::clone) else { return };
    let mut book = pages(&book);
    let (now, alone) = (book.now, book.alone);
    let task = book.by_id(forced.task).expect("an unknown task was forced");
    assert!(!task.future, "finalised before its future was dropped");
    assert_eq!(task.forced.replace(forced.reason), None, "forced twice");
    let (polls, time) = task.limits;
    if alone && task.polls_asked < polls && time != 0 {
        let over = task.asked_at.is_some_and(|asked| asked.saturating_add(time) <= now);
        assert!(
            over,
            "forced at {now} before its clean-up was over: {:?}, asked at {:?}, polled {} times since, may be {}, in {}",
            forced, task.asked_at, task.polls_asked, polls, time
        );
    }
    let region = task.region;
    if matches!(forced.reason, Reason::Deadline | Reason::PollQuota) {
        book.failed(region);
    }
    let panics = !std::thread::panicking() && book.one_in(40);
    drop(book);
    if panics {
        panic_any(OnPurpose);
    }
}

/// Lies in a task's future, or its output, and notes its end.
struct Life {
    book: Book,
    number: usize,
    is_output: bool,
}

impl Drop for Life {
    fn drop(&mut self) {
        let mut book = pages(&self.book);
        let panics = !std::thread::panicking() && book.one_in(60);
        let task = book.tasks.get_mut(&self.number).expect("an unknown task ended");
        let alive = if self.is_output { &mut task.output } else { &mut task.future };
        assert!(std::mem::replace(alive, false), "dropped twice");
        if !self.is_output && task.returned && panics {
            // The output is lost, and the task has failed.
            task.panicked = true;
        }
        if !self.is_output && task.panicked {
            let region = task.region;
            book.failed(region);
        }
        drop(book);
        if panics {
            panic_any(OnPurpose);
        }
    }
}

/// What some outputs take along.
type Luggage = (Option<Held>, Option<Handle>);

/// What tasks return. Some hand on what they hold: who drops the output closes a region, or lets go of
/// another task.
struct Output {
    life: Life,
    _luggage: Option<Box<Luggage>>,
}

/// A join handle, noted in the book.
struct Handle {
    handle: Option<JoinHandle<Output>>,
    number: usize,
    book: Book,
}

impl Handle {
    fn note(&self, change: impl FnOnce(&mut Task)) {
        change(pages(&self.book).tasks.get_mut(&self.number).expect("a handle's task is in the book"));
    }

    /// Loses the handle without dropping it.
    fn forget(mut self) {
        self.note(|task| task.forgotten = true);
        std::mem::forget(self.handle.take());
    }

    /// The result if it is there.
    fn try_join(mut self) -> Result<(), Self> {
        let handle = self.handle.as_mut().expect("taken only at the end");
        let Some(outcome) = handle.try_join() else { return Err(self) };
        pages(&self.book).outcome(self.number, &outcome);
        Ok(())
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take() {
            self.note(|task| (task.handle, task.awaited) = (false, false));
            // Out of the book's lock: it may drop the output.
            drop(handle);
        }
    }
}

/// A region, noted in the book.
struct Held {
    region: Region,
    number: usize,
    book: Book,
}

impl Drop for Held {
    fn drop(&mut self) {
        pages(&self.book).close(self.number, Reason::ParentClosed);
    }
}

impl Held {
    /// Closes or joins the region, and looks whether anything has outlived that.
    async fn wait(mut self, close: bool, inside: bool) -> Option<(Self, CloseError)> {
        if close && !inside {
            pages(&self.book).close(self.number, Reason::ParentClosed);
        }
        let result = if close { self.region.close().await } else { self.region.join_all().await };
        let book = self.book.clone();
        let mut book = pages(&book);
        match result {
            Ok(()) => {
                assert!(!inside);
                book.fates.closes += u32::from(close);
                for task in book.tasks.values().filter(|task| book.is_within(task.region, self.number)) {
                    assert!(!task.future || !close && !book.alone, "a task has outlived its region");
                    let taken = task.outcomes > 0 || task.awaited;
                    assert!(
                        !close || !book.alone || !task.output || taken,
                        "a result has outlived its region"
                    );
                }
                drop(book);
                if close { None } else { Some((self, CloseError::Closed)) }
            }
            Err(error) => {
                assert_eq!(inside, error == CloseError::Inside);
                assert_ne!(error, CloseError::Closed, "there is one handle, and it closes once");
                drop(book);
                Some((self, error))
            }
        }
    }
}

#[test]
fn nothing_outlives_its_region_on_an_executor_of_one_bank() {
    play::<1, 8>(250_000, 1);
}

#[test]
fn nothing_outlives_its_region_on_an_executor_of_part_filled_banks() {
    play::<3, 5>(250_000, 1);
}

#[test]
fn nothing_outlives_its_region_on_an_executor_of_full_banks() {
    play::<2, 32>(250_000, 1);
}

#[test]
fn nothing_is_lost_between_two_threads() {
    play::<2, 8>(250_000, 2);
}
