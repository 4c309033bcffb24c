//! Several threads that poll the tasks of one executor: what `--workers` makes of a program.
//!
//! The executor is a [`Shard`]. The first worker is the thread of core 0, each other one has a core of its
//! own. A wake nudges all cores. So virtual time, which moves when all cores sleep and none has been nudged,
//! stands still while a task is polled or a wake is on its way.

use std::cell::Cell;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::SeqCst};

use trilane::exec::{Cursor, Cx, Executor, JoinHandle, Shard, SpawnError, TaskOptions, TaskPool};
use trilane::time::Instant;
use trilane_std::standstill::Creep;

use crate::command_line::options;
use crate::machine::{Alarm, MACHINE};
use crate::other_core::OtherCore;
use crate::platform::Board;
use crate::virtual_time::{self, VirtualCore};

/// The most polls that take no time before what is due is done.
const MOST_POLLS: u32 = 128;

/// How many workers beside the first don't rest.
static AT_WORK: AtomicUsize = AtomicUsize::new(0);
/// None of them does, since some did: the first is to look whether the program is done.
static ALL_REST: AtomicBool = AtomicBool::new(false);

/// Starts `executor` in thread mode: for the thread that calls this, or for as many as `--workers` says.
///
/// With workers each poll of a task may be on another thread, and tasks are polled at the same time; for the
/// rest they are what they are on one: their names, deadlines, regions, their sleeps. Virtual time moves on
/// when all of them wait. So a program prints the same by any number of workers, if no line of it depends on
/// which of two tasks that run at the same instant is first. What holds of their order, says
/// [`Shard`](trilane::exec::Shard).
///
/// A program that starts its executor otherwise, one with an executor that pre-empts, and one with a second
/// core need their one thread: with `--workers` they end with status 2.
///
/// # Panics
///
/// When the executor has been started before.
pub fn start<const BANKS: usize, const PER_BANK: usize>(
    executor: &'static Executor<Board, BANKS, PER_BANK>,
) -> Runner<BANKS, PER_BANK> {
    const ONCE: &str = "nobody else starts it";
    let tasks = match options().workers {
        None => Tasks::OfOneThread(executor.start().expect(ONCE)),
        Some(_) => Tasks::OfWorkers(executor.share(&mut []).expect(ONCE)),
    };
    Runner { executor, tasks }
}

/// [Starts](start) `executor`, lets `init` spawn, and has its tasks polled for ever.
///
/// # Panics
///
/// As [`start`] and [`Runner::run`].
pub fn run<const BANKS: usize, const PER_BANK: usize>(
    executor: &'static Executor<Board, BANKS, PER_BANK>,
    init: impl FnOnce(Spawner<BANKS, PER_BANK>),
) -> ! {
    let mut runner = start(executor);
    init(runner.spawner());
    runner.run()
}

/// What has the tasks of an executor polled; as [`trilane::exec::Runner`], by one thread or by several.
pub struct Runner<const BANKS: usize, const PER_BANK: usize> {
    executor: &'static Executor<Board, BANKS, PER_BANK>,
    tasks: Tasks<BANKS, PER_BANK>,
}

enum Tasks<const BANKS: usize, const PER_BANK: usize> {
    OfOneThread(trilane::exec::Runner<Board, BANKS, PER_BANK>),
    OfWorkers(Shard<Board, BANKS, PER_BANK>),
}

impl<const BANKS: usize, const PER_BANK: usize> Runner<BANKS, PER_BANK> {
    /// Spawns tasks.
    pub fn spawner(&self) -> Spawner<BANKS, PER_BANK> {
        Spawner(self.executor)
    }

    /// Has the tasks polled for ever.
    ///
    /// # Panics
    ///
    /// With a task that this thread polls. A panic on another thread ends the program, with the same status.
    pub fn run(&mut self) -> ! {
        loop {
            self.run_until(|| false);
        }
    }

    /// Has the tasks polled until `done`. That is looked at after each pass, or, with `--workers`, when all
    /// tasks wait; other workers than the first go on after this has returned.
    ///
    /// # Panics
    ///
    /// As [`run`](Self::run); and when the operating system has no thread for a worker.
    pub fn run_until(&mut self, mut done: impl FnMut() -> bool) {
        match &mut self.tasks {
            Tasks::OfOneThread(runner) => runner.run_until(done),
            Tasks::OfWorkers(shard) => {
                let shard = *shard;
                for number in 1..options().workers.unwrap_or(1) {
                    AT_WORK.fetch_add(1, SeqCst);
                    let work = move || Worker::new(number, shard).work_on(number);
                    if !OtherCore::of(number).start(format!("worker {number}"), work) {
                        // It has been at work since an earlier call.
                        AT_WORK.fetch_sub(1, SeqCst);
                    }
                }
                Worker::new(0, shard).work_until(&mut done);
            }
        }
    }
}

impl<const BANKS: usize, const PER_BANK: usize> fmt::Debug for Runner<BANKS, PER_BANK> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner").field("executor", self.executor).finish_non_exhaustive()
    }
}

/// Spawns tasks for whoever polls them.
///
/// As [`trilane::exec::LocalSpawner`], but for futures that are `Send`: with `--workers`, each poll may be on
/// another thread.
#[derive(Clone, Copy, Debug)]
pub struct Spawner<const BANKS: usize, const PER_BANK: usize>(&'static Executor<Board, BANKS, PER_BANK>);

impl<const BANKS: usize, const PER_BANK: usize> Spawner<BANKS, PER_BANK> {
    /// Spawns a task with default options; as [`Executor::spawn`].
    ///
    /// # Errors
    ///
    /// As for [`Executor::spawn`].
    pub fn spawn_local<B, F, const BYTES: usize, const SLOTS: usize>(
        &self,
        pool: &'static TaskPool<BYTES, SLOTS>,
        build: B,
    ) -> Result<JoinHandle<F::Output>, SpawnError<B>>
    where
        B: FnOnce(Cx) -> F,
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.0.spawn(pool, build)
    }

    /// Spawns a task; as [`Executor::spawn_with`].
    ///
    /// # Errors
    ///
    /// As for [`Executor::spawn_with`].
    pub fn spawn_local_with<B, F, const BYTES: usize, const SLOTS: usize>(
        &self,
        options: TaskOptions,
        pool: &'static TaskPool<BYTES, SLOTS>,
        build: B,
    ) -> Result<JoinHandle<F::Output>, SpawnError<B>>
    where
        B: FnOnce(Cx) -> F,
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.0.spawn_with(options, pool, build)
    }
}

/// Something is to be done: all workers that sleep look.
pub(crate) fn nudge_all() {
    if !options().real_time {
        return virtual_time::nudge_all();
    }
    MACHINE.nudge();
    for number in 1..options().workers.unwrap_or(1) {
        OtherCore::of(number).pend();
    }
}

/// The passes of all workers together in which a sleep was due at once, since the clock has last moved by
/// more than a moment. A worker alone can't count them: one ends a sleep that another has armed, so that none
/// of them ever rests.
struct ShortWaits {
    /// The time of the latest pass, in microseconds.
    instant: AtomicU64,
    passes: AtomicU32,
}

static SHORT_WAITS: ShortWaits = ShortWaits { instant: AtomicU64::new(0), passes: AtomicU32::new(0) };

impl ShortWaits {
    fn pass_begins(&self, now: Instant, due: Option<Instant>) {
        let before = self.instant.swap(now.as_micros(), SeqCst);
        if now > Instant::from_micros(before) + Creep::STEP {
            self.passes.store(0, SeqCst);
        }
        if due.is_some_and(|due| due <= now) {
            self.passes.fetch_add(1, SeqCst);
        }
    }

    /// Whether the clock is to be moved for those who wait for no time at all. A burst of such waits keeps
    /// its exact times by any number of workers.
    fn are_too_many(&self) -> bool {
        let workers = options().workers.unwrap_or(1) as u32;
        self.passes.load(SeqCst) > Creep::AFTER * workers && !options().real_time
    }
}

struct Worker<const BANKS: usize, const PER_BANK: usize> {
    core: VirtualCore,
    shard: Shard<Board, BANKS, PER_BANK>,
    cursor: Cursor,
    /// When it last told the others that there is more to do than it does itself. Once an instant: tasks that
    /// wait for no time again and again would otherwise keep all cores awake, and so the clock from moving.
    told: Cell<Option<Instant>>,
}

impl<const BANKS: usize, const PER_BANK: usize> Worker<BANKS, PER_BANK> {
    fn new(core: usize, shard: Shard<Board, BANKS, PER_BANK>) -> Self {
        Self { core: VirtualCore(core), shard, cursor: Cursor::default(), told: Cell::new(None) }
    }

    /// What the first worker does.
    fn work_until(mut self, done: &mut dyn FnMut() -> bool) {
        loop {
            self.work();
            ALL_REST.store(false, SeqCst);
            // Then nobody polls: what is done is done to its end.
            if AT_WORK.load(SeqCst) == 0 && !self.shard.is_runnable_before_sleep() && done() {
                return;
            }
            let (due, quiet) = self.before_rest();
            MACHINE.set_alarm(Alarm::Thread, due);
            MACHINE.idle(&|| quiet() && !ALL_REST.load(SeqCst));
        }
    }

    /// What the worker of this number does. It is counted as being at work.
    fn work_on(mut self, number: usize) {
        let core = OtherCore::of(number);
        loop {
            self.work();
            if AT_WORK.fetch_sub(1, SeqCst) == 1 {
                ALL_REST.store(true, SeqCst);
                MACHINE.nudge();
            }
            let (due, quiet) = self.before_rest();
            core.set_alarm(due);
            core.idle(&quiet);
            AT_WORK.fetch_add(1, SeqCst);
        }
    }

    /// Does what is due, and polls until no task is left to claim.
    fn work(&mut self) {
        loop {
            let now = MACHINE.now();
            MACHINE.pass_begins(now);
            SHORT_WAITS.pass_begins(now, self.shard.next_due());
            self.shard.serve(now);
            let before = |more, _| {
                if more && self.told.replace(Some(now)) != Some(now) {
                    nudge_all();
                }
            };
            // In virtual time polls take none.
            let goes_on = |polls| polls < MOST_POLLS && MACHINE.now() == now;
            self.shard.work(&mut self.cursor, false, &before, &goes_on);
            if SHORT_WAITS.are_too_many() {
                self.core.creep();
            }
            if !self.shard.is_runnable() {
                return;
            }
        }
    }

    /// Until when the worker may sleep, and whether it still may: a task may be woken, a sleep be armed that
    /// is due before, or the time have come. Whoever does that nudges then, and `idle` forgets nudges before
    /// it asks: so it is told, or its sleep is ended.
    fn before_rest(&self) -> (Option<Instant>, impl Fn() -> bool) {
        let shard = self.shard;
        let due = shard.next_due();
        (due, move || {
            let is_ahead = due.is_none_or(|due| due > MACHINE.now());
            is_ahead && !shard.is_runnable_before_sleep() && shard.next_due() == due
        })
    }
}
