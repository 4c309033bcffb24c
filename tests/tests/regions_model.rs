//! Random trees of regions, with everything that can happen to their tasks, against a book that is kept beside.
//!
//! Tasks draw what they do next, as does whoever drives them, from one generator; so a run of one thread is repeated by its
//! seed. The book knows of each task whether its future and its output are alive, when it was asked to stop and what became
//! of it; of each region, where it belongs and whether it closes. After each round it is compared with the executor's dumps.

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

/// What tasks return. Some hand on what they hold: who drops the output closes a region, or lets go of another task.
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

/// One executor and all around it.
struct World<const BANKS: usize, const PER_BANK: usize> {
    executor: &'static Executor<Manual, BANKS, PER_BANK>,
    pool: &'static TaskPool<64, POOL>,
    book: Book,
    handles: Mutex<Vec<Handle>>,
    held: Mutex<Vec<Held>>,
}

/// Makes a task that plays.
type Build = Box<dyn FnOnce(Cx) -> Playing + Send>;
type Playing = Pin<Box<dyn Future<Output = Output> + Send>>;
type Spawned = Result<JoinHandle<Output>, SpawnErrorKind>;

impl<const BANKS: usize, const PER_BANK: usize> World<BANKS, PER_BANK> {
    fn draw(&self, below: usize) -> usize {
        pages(&self.book).draw(below)
    }

    fn some_handle(&self) -> Option<Handle> {
        take_some(&self.handles, &self.book)
    }

    fn some_region(&self) -> Option<Held> {
        take_some(&self.held, &self.book)
    }

    fn put_back(&self, held: Held) {
        self.held.lock().unwrap().push(held);
    }

    /// What can be done from anywhere.
    fn act(self: &Arc<Self>) {
        let what = {
            let mut book = pages(&self.book);
            book.operations += 1;
            book.draw(20)
        };
        let mut book = pages(&self.book);
        let task = book.some_task();
        match what {
            0..=3 => {
                let waker = task.and_then(|task| book.tasks[&task].waker.clone());
                drop(book);
                if let Some(waker) = waker {
                    waker.wake();
                }
            }
            4 | 5 => {
                let Some((id, alive)) = task.map(|task| (book.tasks[&task].id, book.tasks[&task].future))
                else {
                    return;
                };
                let asked = self.executor.cancel(id);
                assert!(!book.alone || alive || asked == Err(CancelError::Stale) || asked.is_ok());
            }
            6 => {
                let level = book.draw(3) as u8;
                if let Some(task) = task {
                    let _stale =
                        self.executor.set_priority(book.tasks[&task].id, Priority::new(level).unwrap());
                }
            }
            7 => {
                let due = us(book.now + book.draw(60) as u64);
                if let Some(task) = task {
                    let _stale = self.executor.set_deadline(book.tasks[&task].id, Some(due));
                }
            }
            8 | 9 => {
                drop(book);
                drop(self.some_handle());
            }
            10 => {
                drop(book);
                if let Some(handle) = self.some_handle() {
                    let in_region = pages(&self.book).tasks[&handle.number].region.is_some();
                    // Out of a region, its slot would be lost.
                    if in_region { handle.forget() } else { self.handles.lock().unwrap().push(handle) }
                }
            }
            11 | 12 => {
                drop(book);
                if let Some(Err(not_yet)) = self.some_handle().map(Handle::try_join) {
                    self.handles.lock().unwrap().push(not_yet);
                }
            }
            13 | 14 => {
                drop(book);
                drop(self.some_region());
            }
            15 => {
                drop(book);
                if let Some(held) = self.some_region() {
                    pages(&self.book).close(held.number, Reason::User);
                    held.region.cancel().expect("nobody has closed it");
                    self.put_back(held);
                }
            }
            16 => {
                drop(book);
                self.open(None);
            }
            _ => {
                drop(book);
                let inside = self.draw(4) > 0;
                match inside.then(|| self.some_region()).flatten() {
                    Some(held) => {
                        self.spawn_by(Some(held.number), |options, build| {
                            held.region.spawn_with(options, self.pool, build).map_err(|error| error.kind)
                        });
                        self.put_back(held);
                    }
                    None => self.spawn_by(None, |options, build| {
                        self.executor.spawn_with(options, self.pool, build).map_err(|error| error.kind)
                    }),
                }
            }
        }
    }

    /// Opens a region, in that of the task with `cx`, in another, or in none.
    fn open(self: &Arc<Self>, cx: Option<Cx>) {
        let mut book = pages(&self.book);
        let quota = if book.one_in(3) { book.draw(4) as u16 } else { u16::MAX };
        let (fail_fast, inside) = (book.one_in(3), book.draw(3) > 0);
        let (alone, ending) = (book.alone, book.ending);
        drop(book);
        if ending {
            return;
        }
        let mut options = RegionOptions::new().quota(quota);
        if fail_fast {
            options = options.fail_fast();
        }
        let (parent, opened) = match (cx, inside.then(|| self.some_region()).flatten()) {
            (Some(cx), around) => {
                if let Some(around) = around {
                    self.put_back(around);
                }
                let parent = cx.region().map(|id| pages(&self.book).region_by_id(id));
                (parent, cx.open_region(options))
            }
            (None, Some(around)) => {
                let opened = around.region.open_region(options);
                let parent = around.number;
                self.put_back(around);
                (Some(parent), opened)
            }
            (None, None) => (None, self.executor.open_region(options)),
        };
        let mut book = pages(&self.book);
        match opened {
            Ok(region) => {
                assert!(!alone || parent.is_none_or(|parent| book.regions[parent].closing.is_none()));
                let number = book.regions.len();
                book.regions.push(Scope { id: region.id(), parent, quota, fail_fast, closing: None });
                drop(book);
                self.put_back(Held { region, number, book: self.book.clone() });
            }
            // Regions that have ended take their places until somebody takes note; at the end all are free.
            Err(OpenError::Full) => {}
            Err(OpenError::Closed) => {
                assert!(!alone || parent.is_some_and(|parent| book.closes(parent)));
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// Spawns a task that plays, in `region`.
    fn spawn_by(self: &Arc<Self>, region: Option<usize>, spawn: impl FnOnce(TaskOptions, Build) -> Spawned) {
        let mut book = pages(&self.book);
        if book.ending {
            return;
        }
        let number = book.spawned;
        book.spawned += 1;
        let kind = book.draw(LIMITS.len());
        let mut options = TaskOptions::new().attributes(&KINDS[kind]);
        options = options.priority(Priority::new(book.draw(3) as u8).unwrap());
        if book.one_in(4) {
            options = options.deadline(us(book.now + book.draw(40) as u64)).on_miss(OnMiss::Cancel);
        }
        if book.one_in(4) {
            options = options.poll_quota(std::num::NonZeroU16::new(1 + book.draw(6) as u16).unwrap());
        }
        let closing = region.is_some_and(|region| book.regions[region].closing.is_some());
        drop(book);
        let spawned = spawn(options, self.build(number, kind));
        let book = pages(&self.book);
        match spawned {
            Ok(handle) => {
                let task = &book.tasks[&number];
                assert_eq!(task.region, region, "a task has strayed into another region");
                assert_eq!(task.id, handle.id());
                if let Some(region) = region.filter(|_| book.alone) {
                    assert!(!closing, "spawned into a region that closes");
                    assert!(book.population(region) <= book.regions[region].quota.into());
                }
                let handle = Handle { handle: Some(handle), number, book: self.book.clone() };
                // Never both locks in this order.
                drop(book);
                self.handles.lock().unwrap().push(handle);
            }
            Err(_) if !book.alone => {}
            Err(SpawnErrorKind::RegionClosed) => assert!(region.is_some_and(|region| book.closes(region))),
            Err(SpawnErrorKind::QuotaExceeded) => {
                let region = region.expect("only regions have quotas");
                assert_eq!(book.population(region), book.regions[region].quota.into());
            }
            Err(SpawnErrorKind::PoolFull) => {
                assert_eq!(self.executor.tasks().count() + book.building, POOL);
            }
            Err(SpawnErrorKind::ExecutorFull) => {
                assert_eq!(self.executor.tasks().count() + book.building, BANKS * PER_BANK);
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// What makes the task of that number. It may act itself, while the task is neither here nor there.
    fn build(self: &Arc<Self>, number: usize, kind: usize) -> Build {
        /// Notes that a build is over, also if it unwinds.
        struct Building(Book);

        impl Drop for Building {
            fn drop(&mut self) {
                pages(&self.0).building -= 1;
            }
        }

        let world = self.clone();
        Box::new(move |cx: Cx| {
            let mut book = pages(&world.book);
            let region = cx.region().map(|id| book.region_by_id(id));
            let task = Task {
                id: cx.id(),
                region,
                limits: LIMITS[kind],
                waker: None,
                asked_at: None,
                polls_asked: 0,
                returned: false,
                panicked: false,
                forced: None,
                future: true,
                output: false,
                handle: false,
                forgotten: false,
                awaited: false,
                outcomes: 0,
            };
            book.tasks.insert(number, task);
            book.building += 1;
            let acts = book.one_in(8);
            drop(book);
            let building = Building(world.book.clone());
            let life = Life { book: world.book.clone(), number, is_output: false };
            if acts {
                world.act();
            }
            pages(&world.book).tasks.get_mut(&number).unwrap().handle = true;
            drop(building);
            world.around(cx, life)
        })
    }

    /// A task's life, watched: each poll, and its end.
    fn around(self: Arc<Self>, cx: Cx, life: Life) -> Playing {
        /// Notes a poll that unwinds.
        struct Unwinds<'a>(&'a Life);

        impl Drop for Unwinds<'_> {
            fn drop(&mut self) {
                pages(&self.0.book).tasks.get_mut(&self.0.number).unwrap().panicked = true;
            }
        }

        let executor = self.executor;
        let mut inner = Box::pin(self.play(cx));
        Box::pin(std::future::poll_fn(move |context| {
            let number = life.number;
            {
                let mut book = pages(&life.book);
                let asked = executor.task(cx.id()).expect("it is being polled").cancelled.is_some();
                let (now, alone) = (book.now, book.alone);
                let task = book.tasks.get_mut(&number).unwrap();
                if asked {
                    task.asked_at.get_or_insert(now);
                    task.polls_asked += 1;
                    // Another thread may ask between the count and this look.
                    let most = task.limits.0 + u16::from(!alone);
                    assert!(task.polls_asked <= most, "polled too often after it was asked to stop");
                }
                task.waker = Some(context.waker().clone());
            }
            let unwinds = Unwinds(&life);
            let polled = inner.as_mut().poll(context);
            std::mem::forget(unwinds);
            polled.map(|luggage| {
                let mut book = pages(&life.book);
                let task = book.tasks.get_mut(&number).unwrap();
                (task.returned, task.output) = (true, true);
                Output { life: Life { book: life.book.clone(), number, is_output: true }, _luggage: luggage }
            })
        }))
    }

    /// What a task does, one thing after the other, until it has enough.
    async fn play(self: Arc<Self>, cx: Cx) -> Option<Box<Luggage>> {
        self.live(cx).await;
        // What it takes along must not keep it, or nobody could ever let go of it: a region that ends with its own, or is about
        // to end; a handle whose task ends with its region.
        let region = cx.region().map(|id| pages(&self.book).region_by_id(id));
        let what = self.draw(6);
        let held = (what < 2).then(|| self.some_region()).flatten().and_then(|held| {
            let book = pages(&self.book);
            let fits = match region {
                Some(region) if region == held.number => book.closes(region),
                Some(region) => book.is_within(Some(held.number), region),
                None => true,
            };
            drop(book);
            if fits {
                Some(held)
            } else {
                self.held.lock().unwrap().push(held);
                None
            }
        });
        let handle = (what == 0 || what == 3).then(|| self.some_handle()).flatten().and_then(|handle| {
            let fits = pages(&self.book).tasks[&handle.number].region.is_some();
            if fits {
                Some(handle)
            } else {
                self.handles.lock().unwrap().push(handle);
                None
            }
        });
        (held.is_some() || handle.is_some()).then(|| Box::new((held, handle)))
    }

    async fn live(self: &Arc<Self>, cx: Cx) {
        loop {
            let (what, span, ending) = {
                let mut book = pages(&self.book);
                book.operations += 1;
                (book.draw(24), Duration::from_micros(book.draw(40) as u64), book.ending)
            };
            let mut asked = None;
            match what {
                0 | 1 => return,
                2 => cx.yield_now().await,
                3 => parked().await,
                4 | 5 => asked = cx.sleep(span).await.err(),
                6 => cx.shield(cx.sleep(span)).await.expect("shielded"),
                7 => {
                    let twice =
                        cx.shield(async { cx.shield(cx.sleep(span)).await.and(cx.sleep(span).await) });
                    twice.await.expect("shielded");
                }
                8 => asked = cx.run_until_cancelled(std::future::pending::<()>()).await.err(),
                9 => std::future::pending().await,
                10 => panic_any(OnPurpose),
                11..=13 => {
                    let region = cx.region().map(|id| pages(&self.book).region_by_id(id));
                    self.spawn_by(region, |options, build| {
                        cx.spawn_with(options, self.pool, build).map_err(|error: SpawnError<_>| error.kind)
                    });
                }
                14 => self.open(Some(cx)),
                15 | 16 => {
                    if let Some(held) = self.some_region() {
                        let inside = {
                            let book = pages(&self.book);
                            let own = cx.region().map(|id| book.region_by_id(id));
                            book.is_within(own, held.number)
                        };
                        let close = self.draw(2) == 0;
                        if let Some((held, error)) = held.wait(close, inside).await {
                            self.put_back(held);
                            if let CloseError::Cancelled(reason) = error {
                                asked = Some(Cancelled(reason));
                            }
                        }
                    }
                }
                17 | 18 => {
                    if let Some(mut handle) = self.some_handle() {
                        handle.note(|task| task.awaited = true);
                        let within = self.draw(2) == 0;
                        let inner = handle.handle.as_mut().expect("taken only at the end");
                        let outcome =
                            if within { inner.join_within(cx, span).await } else { inner.join().await };
                        match outcome {
                            Err(JoinError::Interrupted(reason)) => {
                                handle.note(|task| task.awaited = false);
                                asked = Some(Cancelled(reason));
                                self.handles.lock().unwrap().push(handle);
                            }
                            outcome => pages(&self.book).outcome(handle.number, &outcome),
                        }
                    }
                }
                19 => match cx.timeout(span, std::future::pending::<()>()).await {
                    Err(TimeoutError::Cancelled(reason)) => asked = Some(Cancelled(reason)),
                    other => assert_eq!(other, Err(TimeoutError::Elapsed)),
                },
                _ => self.act(),
            }
            if let Some(Cancelled(reason)) = asked {
                let known = cx.cancelled_for().expect("heard of a request that nobody made");
                assert!(reason <= known);
                // Most tasks do as they are asked.
                if self.draw(4) > 0 {
                    return;
                }
            }
            if ending && cx.is_cancelled() {
                return;
            }
        }
    }
}

fn take_some<T>(from: &Mutex<Vec<T>>, book: &Book) -> Option<T> {
    let mut from = from.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let nth = pages(book).draw(from.len().max(1));
    (nth < from.len()).then(|| from.swap_remove(nth))
}

/// Does something that may unwind on purpose.
fn caught<R>(what: impl FnOnce() -> R) -> Option<R> {
    match catch_unwind(AssertUnwindSafe(what)) {
        Ok(result) => Some(result),
        Err(cause) if cause.is::<OnPurpose>() => None,
        Err(cause) => std::panic::resume_unwind(cause),
    }
}

/// Keeps what unwinds on purpose from being reported.
fn hush() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !info.payload().is::<OnPurpose>() {
                report(info);
            }
        }));
    });
}

type Waiting = Pin<Box<dyn Future<Output = Option<(Held, CloseError)>> + Send>>;

/// A world and the one who drives it.
struct Driver<const BANKS: usize, const PER_BANK: usize> {
    world: Arc<World<BANKS, PER_BANK>>,
    runner: Runner<Manual, BANKS, PER_BANK>,
    waiting: Vec<Waiting>,
}

impl<const BANKS: usize, const PER_BANK: usize> Driver<BANKS, PER_BANK> {
    fn new(seed: u64, alone: bool) -> Self {
        hush();
        let book = Pages {
            random: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
            operations: 0,
            now: 0,
            alone,
            ending: false,
            tasks: BTreeMap::new(),
            spawned: 0,
            building: 0,
            regions: Vec::new(),
            fates: Fates::default(),
        };
        let book = Arc::new(Mutex::new(book));
        BOOK.set(Some(book.clone()));
        let regions: &Regions<TABLE> = leak(Regions::new());
        let executor = leak(Executor::new(Manual::new()).with_regions(regions));
        let (handles, held) = (Mutex::default(), Mutex::default());
        let world = Arc::new(World { executor, pool: leak(TaskPool::new()), book, handles, held });
        Self { world, runner: executor.start().unwrap(), waiting: Vec::new() }
    }

    fn step(&mut self) {
        match self.world.draw(16) {
            0 => {
                pages(&self.world.book).operations += 1;
                let close = self.world.draw(2) == 0;
                if let Some(held) = self.world.some_region() {
                    self.waiting.push(Box::pin(held.wait(close, false)));
                }
            }
            1 if self.world.draw(8) == 0 => {
                // A wait that is given up, and the region with it.
                let given_up = self.waiting.pop();
                caught(|| drop(given_up));
            }
            _ => drop(caught(|| self.world.act())),
        }
        if self.world.draw(3) == 0 {
            self.settle();
            if self.world.draw(2) == 0 {
                let next = self.runner.next_alarm().map_or(u64::MAX, Instant::as_micros);
                let mut book = pages(&self.world.book);
                let span = book.draw(30) as u64;
                book.now = (book.now + span).min(next.max(book.now));
                drop(book);
                self.settle();
            }
        }
    }

    /// Runs until nothing is runnable, and looks whether all is as it should be.
    fn settle(&mut self) {
        let now = pages(&self.world.book).now;
        while caught(|| self.runner.poll_pending(us(now))).is_none_or(|pass| pass.more) {}
        let world = &self.world;
        self.waiting.retain_mut(|wait| match caught(|| poll_once(wait.as_mut())) {
            Some(Poll::Pending) => true,
            Some(Poll::Ready(left)) => {
                left.into_iter().for_each(|(held, _)| world.put_back(held));
                false
            }
            None => false,
        });
        while caught(|| self.runner.poll_pending(us(now))).is_none_or(|pass| pass.more) {}
        if pages(&self.world.book).alone {
            self.compare();
        }
        let mut book = pages(&self.world.book);
        // What is over and out of everybody's hands is of no more interest.
        let is_over = |task: &Task| {
            let reclaimed = task.forgotten && task.region.is_some_and(|region| book.has_ended(region));
            !task.future && !task.output && (!task.handle || reclaimed)
        };
        let over: Vec<_> =
            book.tasks.iter().filter(|(_, task)| is_over(task)).map(|(&number, _)| number).collect();
        for number in over {
            let task = book.tasks.remove(&number);
            book.fates.note(&task.expect("it was there just now"));
        }
    }

    fn compare(&self) {
        let executor = self.world.executor;
        let mut book = pages(&self.world.book);
        let book = &mut *book;
        let ended: Vec<bool> = (0..book.regions.len()).map(|region| book.has_ended(region)).collect();
        let whys: Vec<_> = (0..book.regions.len()).map(|region| book.why(region)).collect();
        let is_over = |task: &Task| task.region.is_some_and(|region| ended[region]);
        for (number, task) in &mut book.tasks {
            match executor.task(task.id) {
                Ok(info) if info.state == TaskState::Done => {
                    assert!(!task.future && task.handle, "task {number} takes a slot for nobody");
                    assert!(!is_over(task) || task.awaited, "a result has outlived its region");
                }
                Ok(info) => {
                    assert!(task.future, "task {number} is over and lives on");
                    assert_eq!(info.region, task.region.map(|region| book.regions[region].id));
                    if info.cancelled.is_some() {
                        let asked = *task.asked_at.get_or_insert(book.now);
                        let end = asked.saturating_add(task.limits.1);
                        assert!(end > book.now, "task {number} has outlived its clean-up");
                        assert!(self.runner.next_alarm().is_some_and(|alarm| alarm <= us(end)));
                    }
                    let why = task.region.and_then(|region| whys[region]);
                    assert!(why <= info.cancelled, "task {number} is to stop: {why:?}");
                    assert!(
                        info.cancelled.is_none() || task.polls_asked < task.limits.0,
                        "task {number} will never be polled again"
                    );
                }
                Err(_) => {
                    assert!(!task.future && !task.output || task.outcomes > 0, "task {number} is lost");
                    assert!(!task.handle || task.outcomes > 0 || is_over(task), "result {number} is lost");
                }
            }
        }
        for (region, scope) in book.regions.iter().enumerate().filter(|&(region, _)| !ended[region]) {
            let info = executor.regions().find(|info| info.id == scope.id).expect("a region is lost");
            assert_eq!(usize::from(info.tasks), book.population(region));
            let children = |&inner: &usize| book.regions[inner].parent == Some(region) && !ended[inner];
            assert_eq!(usize::from(info.children), (0..ended.len()).filter(children).count());
            assert_eq!(info.closing, whys[region]);
            assert_eq!(info.parent, scope.parent.map(|parent| book.regions[parent].id));
        }
    }

    /// Ends everything; then every slot is there again.
    fn end(mut self) -> (u64, Fates) {
        let world = self.world.clone();
        pages(&world.book).ending = true;
        for wait in std::mem::take(&mut self.waiting) {
            caught(|| drop(wait));
        }
        let executor = world.executor;
        for round in 0.. {
            while let Some(held) = world.some_region() {
                caught(|| drop(held));
            }
            while let Some(handle) = world.some_handle() {
                caught(|| drop(handle));
            }
            if executor.tasks().count() + executor.regions().count() == 0 {
                break;
            }
            assert!(round < 300, "this never ends:\n{}", trilane_tests::dump(executor));
            for task in executor.tasks() {
                let _ended = executor.cancel(task.id);
            }
            let wakers: Vec<_> =
                pages(&world.book).tasks.values().filter_map(|task| task.waker.clone()).collect();
            wakers.into_iter().for_each(Waker::wake);
            self.settle();
            pages(&world.book).now += 1_000;
            self.settle();
        }
        let book = pages(&world.book);
        assert!(book.tasks.values().all(|task| !task.future && !task.output), "something was not dropped");
        let fresh: &TaskPool<64, 65> = leak(TaskPool::new());
        let all: Vec<_> =
            (0..BANKS * PER_BANK).map(|_| executor.spawn(fresh, |_| async {}).unwrap()).collect();
        assert_eq!(executor.spawn(fresh, |_| async {}).unwrap_err().kind, SpawnErrorKind::ExecutorFull);
        let other: &Executor<Manual, 1, 16> = leak(Executor::new(Manual::new()));
        let pool: Vec<_> = (0..POOL).map(|_| other.spawn(world.pool, |_| async {}).unwrap()).collect();
        assert_eq!(other.spawn(world.pool, |_| async {}).unwrap_err().kind, SpawnErrorKind::PoolFull);
        let regions: Vec<_> =
            (0..TABLE).map(|_| executor.open_region(RegionOptions::new()).unwrap()).collect();
        assert_eq!(executor.open_region(RegionOptions::new()).unwrap_err(), OpenError::Full);
        drop((all, pool, regions));
        (book.operations, book.fates)
    }
}

/// Plays until so many operations have been made, 2,000 or so with each executor.
fn play<const BANKS: usize, const PER_BANK: usize>(operations: u64, threads: u64) {
    let (mut done, mut seed, mut fates) = (0, (BANKS as u64) << 32, Fates::default());
    while done < operations {
        seed += 1;
        let mut driver = Driver::<BANKS, PER_BANK>::new(seed, threads == 1);
        let others: Vec<_> = (1..threads)
            .map(|_| {
                let world = driver.world.clone();
                std::thread::spawn(move || {
                    for _ in 0..500 {
                        caught(|| world.act());
                    }
                })
            })
            .collect();
        while pages(&driver.world.book).operations < 2_000 || others.iter().any(|other| !other.is_finished())
        {
            driver.step();
        }
        others.into_iter().for_each(|other| other.join().unwrap());
        let (operations, seen) = driver.end();
        done += operations;
        fates.returned += seen.returned;
        fates.forced += seen.forced;
        fates.panicked += seen.panicked;
        fates.forgotten += seen.forgotten;
        fates.joined += seen.joined;
        fates.closes += seen.closes;
    }
    println!("{done} operations on executors of {BANKS} banks: {fates:?}");
    assert!(done >= operations);
    let Fates { returned, forced, panicked, forgotten, joined, closes } = fates;
    assert!([returned, forced, panicked, forgotten, joined, closes].into_iter().all(|seen| seen > 100));
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
