//! A runtime without threads, in virtual time, in an order that is drawn from a seed.

use std::any::Any;
use std::cell::Cell;
use std::fmt;
use std::future::IntoFuture;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use trilane::exec::{Cursor, TaskInfo, TaskState};
use trilane::route::Random;
use trilane::time::{Duration, Instant};

use super::crew::{Crew, Home, Size};
use super::handle::Handle;
use super::owner::{give_crew_back, take_crew};
use super::work::forget;
use crate::standstill::write_names;

/// The polls at one instant that are a livelock, unless it is told another number.
const LIVELOCK_AFTER: u64 = 1_000_000;
/// So many of the last decisions tell which tasks a livelock is of.
const NOTED: usize = 1_000;

/// A [`Runtime`](super::Runtime) for tests: all that its workers might do at the same time is done one after
/// the other by the thread that calls [`block_on`](Self::block_on), in an order that is drawn from a seed.
/// Made by [`Builder::simulate`](super::Builder::simulate).
///
/// Tasks are spawned, joined and stopped as on a runtime, by its [`Handle`]. Which of those that are woken is
/// polled next is drawn, and which worker polls it; special tasks go before plain ones of their shard, in the
/// order of the lanes. Time stands still while tasks run, and jumps to the next thing that is due when all
/// wait: a week passes in milliseconds. So a program that decides by its tasks alone does the same each time
/// for the same seed and the same builder, and [`log`](Self::log) shows that it has. Try many seeds: an order
/// that breaks the program may be rare.
///
/// What comes from outside (other threads, sockets, the real time) is not simulated. A wake by another
/// thread is heard, but nobody waits for it. What the program decides by such things, or by the order of a
/// `HashMap`, differs from run to run.
///
/// # What it doesn't find
///
/// Tasks change places where they wait, at an `await`: two atomic operations in one poll always come
/// together, for which there are model checkers such as loom. Polls take no time unless
/// [`poll_time`](Self::poll_time) says so: of two sleeps, that which is shorter by a microsecond always ends
/// first.
///
/// Dropping it asks all tasks to stop, and runs until they have.
///
/// # Examples
///
/// ```
/// use trilane::time::Duration;
/// use trilane_std::runtime::Runtime;
///
/// let order = |seed| {
///     let mut simulation = Runtime::builder().simulate(seed).unwrap();
///     let handle = simulation.handle();
///     let ended = simulation.block_on(async move {
///         let first = handle.spawn(|cx| async move { cx.sleep(Duration::from_secs(3_600)).await }).unwrap();
///         let second = handle.spawn(|_| async {}).unwrap();
///         second.await.unwrap();
///         first.await.unwrap()
///     });
///     assert!(ended.is_ok());
///     simulation.log().to_vec()
/// };
/// assert_eq!(order(7), order(7));
/// ```
#[derive(Debug)]
pub struct Simulation {
    handle: Handle,
    random: Random,
    poll_time: Duration,
    livelock_after: u64,
    /// At this instant.
    polls: u64,
    log: Vec<Decision>,
    panics: Vec<Panicked>,
    /// What may be next; kept for its memory.
    choice: Vec<Next>,
}

/// What a [`Simulation`] did next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Decision {
    /// When, in virtual time.
    pub at: Instant,
    /// By which worker.
    pub worker: usize,
    /// What.
    pub next: Next,
    /// The name of the [task](Next::Task).
    pub name: Option<&'static str>,
}

/// A panic that a [`Simulation`] has caught.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Panicked {
    /// When, in virtual time.
    pub at: Instant,
    /// The task's name and place. There is none for a drop, a finaliser or a waker outside of polls.
    pub task: String,
    /// What it panicked with, if that is text.
    pub message: Option<String>,
}

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, task, message } = self;
        write!(f, "{task} at {at}: {}", message.as_deref().unwrap_or("a panic without text"))
    }
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Next {
    /// The future that was given to `block_on` is polled.
    Main,
    /// A task of this shard is polled.
    Task {
        /// The shard's number.
        shard: usize,
        /// The task's slot, as in its [id](trilane::exec::TaskId).
        slot: u16,
    },
    /// Special tasks and regions of this shard are seen to, and none is polled.
    Special {
        /// The shard's number.
        shard: usize,
    },
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, worker, next, name } = self;
        write!(f, "{at} worker {worker}: ")?;
        match next {
            Next::Main => f.write_str("main"),
            Next::Task { shard, slot } => {
                write!(f, "{} (shard {shard}, slot {slot})", name.unwrap_or("a task that has ended"))
            }
            Next::Special { shard } => write!(f, "regions (shard {shard})"),
        }
    }
}

/// Why a [`Simulation`] can't go on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Standstill {
    /// All tasks wait, and none for time.
    Deadlock {
        /// The virtual time.
        at: Instant,
        /// The tasks that wait: names and places.
        tasks: Vec<String>,
    },
    /// Tasks are polled again and again, and none waits for time.
    Livelock {
        /// The virtual time.
        at: Instant,
        /// The polls since it was this time.
        polls: u64,
        /// The tasks that were polled last: names and places.
        tasks: Vec<String>,
    },
}

impl fmt::Display for Standstill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deadlock { at, tasks } => {
                write!(f, "deadlock in virtual time at {at}: all wait, none of them for time")?;
                write_names(f, tasks)
            }
            Self::Livelock { at, polls, tasks } => {
                write!(f, "livelock in virtual time at {at}: {polls} polls, and nobody waits for time")?;
                write_names(f, tasks)
            }
        }
    }
}

impl std::error::Error for Standstill {}

/// The future of `block_on` is woken.
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, SeqCst);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.store(true, SeqCst);
    }
}

impl Simulation {
    pub(super) fn new(size: Size, seed: u64) -> Self {
        let crew = take_crew(size);
        crew.set_time(Instant::ZERO);
        for (number, shard) in crew.shards_in_use() {
            // Wakes that came too late for the tasks of the runtime before.
            let done = at_work(crew, number / crew.size.shards, || {
                shard.work(&mut Cursor::default(), false, &|_, _| {}, &|_| true);
            });
            let _ = done.map_err(forget);
        }
        Self {
            handle: Handle::new(crew),
            random: Random::new(seed),
            poll_time: Duration::ZERO,
            livelock_after: LIVELOCK_AFTER,
            polls: 0,
            log: Vec::new(),
            panics: Vec::new(),
            choice: Vec::new(),
        }
    }

    /// The same simulation, in which each poll takes so long; no time if this isn't called.
    pub fn poll_time(mut self, span: Duration) -> Self {
        self.poll_time = span;
        self
    }

    /// The same simulation, which takes it for a livelock when so many polls come at one instant; 1,000,000
    /// if this isn't called.
    pub fn livelock_after(mut self, polls: u64) -> Self {
        self.livelock_after = polls;
        self
    }

    /// What spawns on it, in tasks too.
    pub fn handle(&self) -> Handle {
        self.handle
    }

    /// What it has done so far.
    pub fn log(&self) -> &[Decision] {
        &self.log
    }

    /// The panics so far. A task's is told by its handle, too.
    pub fn panics(&self) -> &[Panicked] {
        &self.panics
    }

    /// Runs until `future` is ready. Tasks that have not ended stay as they are, for the next call.
    ///
    /// # Errors
    ///
    /// [`Standstill`] when nothing can happen any more, or time can't go on; `future` is dropped then.
    ///
    /// # Panics
    ///
    /// When `future` does; and inside a task, which is to await its future instead.
    #[track_caller]
    pub fn block_on<F: IntoFuture>(&mut self, future: F) -> Result<F::Output, Standstill> {
        assert!(Crew::here().is_none(), "a simulation can't be run inside a task: await the future");
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        let waker = Waker::from(woken.clone());
        let mut future = pin!(future.into_future());
        let mut output = None;
        loop {
            let main = |crew: &'static Crew, worker| {
                woken.0.store(false, SeqCst);
                let _inside = crew.enter(worker);
                if let Poll::Ready(ready) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                    output = Some(ready);
                }
            };
            self.step(woken.0.load(SeqCst), main)?;
            if let Some(output) = output {
                return Ok(output);
            }
        }
    }

    /// Does what is next, or has time pass.
    fn step(
        &mut self,
        is_main_woken: bool,
        main: impl FnOnce(&'static Crew, usize),
    ) -> Result<(), Standstill> {
        self.count()?;
        let crew = self.handle.crew();
        let now = crew.now();
        self.choice.clear();
        self.choice.extend(is_main_woken.then_some(Next::Main));
        for (number, shard) in crew.shards_in_use() {
            let home = number / crew.size.shards;
            let served = at_work(crew, home, || shard.serve(now));
            self.note(number, None, served);
            let before = self.choice.len();
            self.choice.extend(shard.woken().map(|slot| Next::Task { shard: number, slot }));
            if self.choice.len() == before && shard.is_runnable_before_sleep() {
                self.choice.push(Next::Special { shard: number });
            }
        }
        if self.choice.is_empty() {
            return self.pass_time();
        }
        let next = self.choice[self.random.below(self.choice.len() as u32) as usize];
        let worker = self.random.below(crew.size.workers as u32) as usize;
        self.log.push(Decision { at: now, worker, next, name: None });
        match next {
            Next::Main => main(crew, worker),
            Next::Task { shard, slot } => self.work(worker, shard, slot),
            Next::Special { shard } => self.work(worker, shard, 0),
        }
        if self.poll_time != Duration::ZERO {
            self.go_on(now.saturating_add(self.poll_time));
        }
        Ok(())
    }

    /// Has a worker poll a task of a shard: that in this slot, unless a special one goes first.
    fn work(&mut self, worker: usize, shard: usize, slot: u16) {
        let crew = self.handle.crew();
        let polled = Cell::new(None);
        let before = |_, slot| polled.set(crew.shards()[shard].task(slot));
        let done = at_work(crew, worker, || {
            crew.shards()[shard].work(&mut Cursor::at(slot), false, &before, &|_| false);
        });
        if let (Some(task), Some(decision)) = (polled.get(), self.log.last_mut()) {
            decision.next = Next::Task { shard, slot: task.id.slot() };
            decision.name = Some(task.name);
        }
        self.note(shard, polled.get(), done);
    }

    /// Notes a panic; that is its task's, and told by its handle.
    fn note(&mut self, shard: usize, task: Option<TaskInfo>, done: thread::Result<()>) {
        let Err(payload) = done else { return };
        let task = task.map_or_else(|| format!("no task (shard {shard})"), |task| place(shard, &task));
        self.panics.push(Panicked { at: self.handle.now(), task, message: message(&*payload) });
        forget(payload);
    }

    /// Nobody is runnable: time goes on to what is due next.
    fn pass_time(&mut self) -> Result<(), Standstill> {
        match self.handle.crew().shards_in_use().filter_map(|(_, shard)| shard.next_due()).min() {
            Some(due) => self.go_on(due),
            None => {
                let tasks = self.describe(|_, task| task.state != TaskState::Done);
                return Err(Standstill::Deadlock { at: self.handle.now(), tasks });
            }
        }
        Ok(())
    }

    fn go_on(&mut self, at: Instant) {
        if at > self.handle.now() {
            self.handle.crew().set_time(at);
            self.polls = 0;
        }
    }

    /// Counts a step at this instant.
    fn count(&mut self) -> Result<(), Standstill> {
        self.polls += 1;
        if self.polls <= self.livelock_after {
            return Ok(());
        }
        let polls = std::mem::take(&mut self.polls);
        let last = &self.log[self.log.len().saturating_sub(NOTED)..];
        let tasks = self.describe(|shard, task| {
            let next = Next::Task { shard, slot: task.id.slot() };
            last.iter().any(|done| done.next == next)
        });
        Err(Standstill::Livelock { at: self.handle.now(), polls, tasks })
    }

    /// The names and places of those tasks, of which the number of the shard is given too.
    fn describe(&self, which: impl Fn(usize, &TaskInfo) -> bool) -> Vec<String> {
        let of_shard = |(number, shard): (usize, &Home)| {
            let tasks = shard.executor().tasks().filter(|task| which(number, task));
            tasks.map(|task| place(number, &task)).collect::<Vec<_>>()
        };
        self.handle.crew().shards_in_use().flat_map(of_shard).collect()
    }
}

impl Deref for Simulation {
    type Target = Handle;

    fn deref(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Simulation {
    fn drop(&mut self) {
        let crew = self.handle.crew();
        for shard in crew.shards() {
            shard.executor().shut_down();
        }
        while self.handle.tasks().any(|task| task.state != TaskState::Done) {
            if self.step(false, |_, _| {}).is_err() {
                crew.end_life(); // Its memory can't be used again.
                return;
            }
        }
        give_crew_back(crew);
    }
}

fn place(shard: usize, task: &TaskInfo) -> String {
    format!("{} (shard {shard}, slot {})", task.name, task.id.slot())
}

/// What the macros that panic make of their arguments.
fn message(payload: &dyn Any) -> Option<String> {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).map(str::to_owned)
}

/// Does something as a worker.
fn at_work(crew: &'static Crew, worker: usize, does: impl FnOnce()) -> thread::Result<()> {
    let _inside = crew.enter(worker);
    catch_unwind(AssertUnwindSafe(does))
}
