//! Two executors, each with a pool and a thread of its own: what their neighbour costs them.
//!
//! They share nothing that a program has given them. A row compares two situations, measured in turn in one
//! run:
//!
//! - `…-2t`: what each of two takes on two threads at the same time, their memory far apart, and what one
//!   takes alone;
//! - `…-beside`: the same two threads, with the executors and the pools side by side in memory, and far
//!   apart.
//!
//! Of two threads only the time counts in which both were at work: who has done its share goes on until the
//! other has, too, and a run that one of them began late, or in which another program took a processor,
//! doesn't count.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use futures::poll;
use trilane::exec::{Cx, Executor, Platform, Runner, TaskPool};
use trilane::time;

use crate::measure::{Clock, Sample};
use crate::run::{Figures, Plan, TARGET};

/// How often the situations of an operation are measured in turn, at least.
const ROUNDS: usize = 51;
/// Then it goes on until so many runs of each situation count, or until [`PATIENCE`] is over.
const ENOUGH: usize = 25;
const PATIENCE: Duration = Duration::from_secs(15);
/// A run of two threads counts if for at most this share of it only one was at work.
const SINGLE: f64 = 0.05;
/// What stands beside a row if no run counts.
const BUSY: &str = "the machine was too busy to run both threads at a time: this figure says nothing";
/// The bytes of a line of the cache.
const LINE: usize = 64;
/// How many operations a thread does between two looks at the other.
const STEP: u64 = 64;

/// What a task does again and again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Op {
    /// Spawns a task and waits for its result.
    SpawnJoin,
    /// Begins to wait for a time, and gives it up.
    ArmCancel,
    /// Yields.
    Yield,
    /// Sleeps to the end; no time passes for the thread.
    Sleep,
}

impl Op {
    const ALL: [Self; 4] = [Self::SpawnJoin, Self::ArmCancel, Self::Yield, Self::Sleep];

    const fn name(self) -> &'static str {
        match self {
            Self::SpawnJoin => "spawn-join",
            Self::ArmCancel => "arm-cancel",
            Self::Yield => "yield",
            Self::Sleep => "sleep",
        }
    }
}

/// Which executors are at work.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Situation {
    /// One of those that are far apart.
    Alone,
    /// Both of those.
    Apart,
    /// Both of those that lie side by side.
    Beside,
}

impl Situation {
    const ALL: [Self; 3] = [Self::Alone, Self::Apart, Self::Beside];
}

/// A row: a name's end, and the two situations that it compares.
type Comparison = (&'static str, [(Situation, &'static str); 2]);

const COMPARISONS: [Comparison; 2] = [
    ("2t", [(Situation::Apart, crate::OWN), (Situation::Alone, "one alone")]),
    ("beside", [(Situation::Beside, crate::OWN), (Situation::Apart, "far apart")]),
];

/// A clock that its runner's thread sets.
struct Still;

impl Platform for Still {
    const PENDS: bool = false;

    fn now(&self) -> time::Instant {
        time::Instant::ZERO
    }

    fn set_alarm(&self, _at: Option<time::Instant>) {}

    fn pend(&self) {}

    fn idle(&self, _quiet: &dyn Fn() -> bool) {}
}

/// As small as can be, so that what is used lies close to what is the neighbour's.
type Exec = Executor<Still, 1, 2>;
type Pool = TaskPool<256, 2>;

/// Alone on its page.
#[repr(align(4096))]
struct Page<T>(T);

/// One executor's.
#[derive(Clone, Copy)]
struct Place {
    executor: &'static Exec,
    pool: &'static Pool,
    /// How many operations its task has done.
    done: &'static Page<AtomicU64>,
}

fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

fn place(executor: &'static Exec, pool: &'static Pool) -> Place {
    Place { executor, pool, done: leak(Page(AtomicU64::new(0))) }
}

fn apart() -> [Place; 2] {
    [(); 2].map(|()| place(&leak(Page(Exec::new(Still))).0, &leak(Page(Pool::new())).0))
}

fn beside() -> [Place; 2] {
    let executors = neighbours(|| Exec::new(Still));
    let pools = neighbours(Pool::new);
    [0, 1].map(|which| place(&executors[which], &pools[which]))
}

/// Two side by side, the end of the first and the beginning of the second in one line of the cache, unless
/// their type's alignment keeps them from it.
fn neighbours<T>(mut value: impl FnMut() -> T) -> &'static [T; 2] {
    #[repr(C)]
    struct Shifted<T, const BYTES: usize>([u8; BYTES], [T; 2]);
    let both = [value(), value()];
    if size_of::<T>() % LINE == LINE / 2 {
        &leak(Page(Shifted::<T, 0>([], both))).0.1
    } else {
        &leak(Page(Shifted::<T, { LINE / 2 }>([0; LINE / 2], both))).0.1
    }
}

/// An executor in the thread that runs it.
struct Worker {
    runner: Runner<Still, 1, 2>,
    place: Place,
    op: Op,
    now: time::Instant,
}

impl Worker {
    fn new(place: Place, op: Op) -> Self {
        let runner = place.executor.start().expect("is started once");
        let spawned = place.executor.spawn(place.pool, move |cx| repeat(cx, place, op));
        drop(spawned.expect("there is room for two"));
        Self { runner, place, op, now: time::Instant::ZERO }
    }

    fn done(&self) -> u64 {
        self.place.done.0.load(Ordering::Relaxed)
    }

    /// Does some operations, `wanted` at least; how many it were.
    fn run(&mut self, wanted: u64) -> u64 {
        let before = self.done();
        while self.done() - before < wanted {
            self.runner.poll_pending(self.now);
            if self.op == Op::Sleep {
                self.now = self.runner.next_alarm().unwrap_or(self.now);
            }
        }
        self.done() - before
    }

    fn measure(&mut self, wanted: u64) -> Sample {
        let mut clock = Clock::default();
        let operations = clock.time(|| self.run(wanted));
        clock.sample(operations)
    }
}

async fn repeat(cx: Cx, place: Place, op: Op) {
    const FAR: time::Instant = time::Instant::from_secs(1 << 30);
    loop {
        match op {
            Op::SpawnJoin => {
                let task = cx.spawn(place.pool, |_| async { 1u32 }).expect("there is room for two");
                assert_eq!(task.await, Ok(1));
            }
            Op::ArmCancel => {
                for _ in 1..STEP {
                    arm_and_cancel(&cx, FAR).await;
                    count(place);
                }
                arm_and_cancel(&cx, FAR).await;
                cx.yield_now().await;
            }
            Op::Yield => cx.yield_now().await,
            Op::Sleep => cx.sleep(time::Duration::from_micros(1)).await.expect("nobody asks it to stop"),
        }
        count(place);
    }
}

async fn arm_and_cancel(cx: &Cx, far: time::Instant) {
    let sleep = pin!(cx.sleep_until(far));
    assert!(poll!(sleep).is_pending());
}

fn count(place: Place) {
    let done = &place.done.0;
    done.store(done.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}

/// What two threads know of each other. What one of them waits for in a loop has a page of its own.
struct Meeting {
    barrier: Barrier,
    arrived: Page<AtomicU64>,
    finished: Page<AtomicU64>,
    epoch: Instant,
    seen: [Mutex<Run>; 2],
    over: AtomicBool,
}

/// How a run went for one thread; times in nanoseconds.
#[derive(Clone, Copy, Default)]
struct Run {
    begun: u64,
    took: u64,
    /// How often another program took the thread's processor.
    preempted: u64,
}

impl Meeting {
    fn new() -> Self {
        Self {
            barrier: Barrier::new(2),
            arrived: Page(AtomicU64::new(0)),
            finished: Page(AtomicU64::new(0)),
            epoch: Instant::now(),
            seen: Default::default(),
            over: AtomicBool::new(false),
        }
    }

    /// Both call it, each as `which` of the two. What `worker` took for `wanted` operations while the other
    /// was at work.
    fn together(&self, which: usize, worker: &mut Worker, wanted: u64) -> Shared {
        let both = |count: &AtomicU64, idle: &mut dyn FnMut()| {
            let target = count.fetch_add(1, Ordering::AcqRel) / 2 * 2 + 2;
            while count.load(Ordering::Acquire) < target {
                idle();
            }
        };
        self.barrier.wait();
        // Twice, since to count takes its time, and the first wait may be long.
        let spin = &mut || std::hint::spin_loop();
        both(&self.arrived.0, spin);
        let before = preemptions();
        both(&self.arrived.0, spin);
        let begun = self.epoch.elapsed().as_nanos() as u64;
        let sample = worker.measure(wanted);
        let took = self.epoch.elapsed().as_nanos() as u64 - begun;
        both(&self.finished.0, &mut || {
            worker.run(STEP);
        });
        let preempted = preemptions() - before;
        *self.seen[which].lock().expect("nobody panics") = Run { begun, took, preempted };
        self.barrier.wait();
        let [one, other] = [0, 1].map(|which| *self.seen[which].lock().expect("nobody panics"));
        let single = one.begun.abs_diff(other.begun) as f64 / one.took.min(other.took) as f64;
        (single + (one.preempted + other.preempted) as f64, sample)
    }
}

/// How often this thread has had to give its processor to another program; 0 where the system doesn't say. To
/// wait for a lock is not that.
fn preemptions() -> u64 {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("nonvoluntary_ctxt_switches:"));
    line.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
}

/// The share of a run in which only one thread was at work, 1 and more if one was interrupted, and what the
/// run took.
type Shared = (f64, Sample);

/// All samples that one thread took, by situation.
type Samples = [Vec<Shared>; 3];

fn counts(shared: &&Shared) -> bool {
    shared.0 <= SINGLE
}

/// One of the two threads.
fn measure(plan: &Plan, op: Op, meeting: &Meeting, which: usize, places: [Place; 2]) -> Samples {
    let [mut apart, mut beside] = places.map(|place| Worker::new(place, op));
    let wanted = match plan.iterations() {
        _ if plan.is_quick() => STEP,
        Some(iterations) => iterations,
        None => enough(&mut apart),
    };
    beside.run(wanted);
    let mut samples = Samples::default();
    for round in 1.. {
        for (situation, samples) in Situation::ALL.into_iter().zip(&mut samples) {
            match situation {
                Situation::Alone => {
                    meeting.barrier.wait();
                    if round % 2 == which {
                        samples.push((0.0, apart.measure(wanted)));
                    }
                    meeting.barrier.wait();
                }
                Situation::Apart => samples.push(meeting.together(which, &mut apart, wanted)),
                Situation::Beside => samples.push(meeting.together(which, &mut beside, wanted)),
            }
        }
        if which == 0 {
            let enough = samples.iter().all(|samples| samples.iter().filter(counts).count() >= ENOUGH);
            let late = meeting.epoch.elapsed() > PATIENCE;
            meeting.over.store(plan.is_quick() || late || (round >= ROUNDS && enough), Ordering::Relaxed);
        }
        meeting.barrier.wait();
        if meeting.over.load(Ordering::Relaxed) {
            break;
        }
    }
    samples
}

/// How many operations take about as long as a measurement should.
fn enough(worker: &mut Worker) -> u64 {
    let mut wanted = STEP;
    loop {
        let start = Instant::now();
        worker.run(wanted);
        let took = start.elapsed().max(Duration::from_nanos(1));
        if took >= TARGET / 8 {
            return (wanted as f64 * TARGET.as_secs_f64() / took.as_secs_f64()) as u64;
        }
        wanted *= 4;
    }
}

/// The names of the rows that end so.
pub fn names(end: &str) -> Vec<String> {
    Op::ALL.into_iter().map(|op| row(op, end)).collect()
}

fn row(op: Op, end: &str) -> String {
    format!("{}-{end}", op.name())
}

/// Whether any of the rows is wanted.
pub fn is_wanted(plan: &Plan) -> bool {
    COMPARISONS.iter().flat_map(|(end, _)| names(end)).any(|row| plan.wants(&row))
}

/// Measures the rows that are wanted. `print` is given the row's name, who it is about, what that took, and
/// what is to be said of it.
pub fn run(plan: &Plan, mut print: impl FnMut(&str, &str, &Figures, &[&str])) {
    for op in Op::ALL {
        if !COMPARISONS.iter().any(|(end, _)| plan.wants(&row(op, end))) {
            continue;
        }
        let meeting = &Meeting::new();
        let [apart, beside] = [apart(), beside()];
        let samples: [Samples; 2] = thread::scope(|scope| {
            let threads = [0, 1].map(|which| {
                let places = [apart[which], beside[which]];
                scope.spawn(move || measure(plan, op, meeting, which, places))
            });
            threads.map(|thread| thread.join().expect("does not panic"))
        });
        for (end, sides) in COMPARISONS.iter().filter(|(end, _)| plan.wants(&row(op, end))) {
            for &(situation, who) in sides {
                let all: Vec<Shared> =
                    samples.iter().flat_map(|samples| &samples[situation as usize]).copied().collect();
                let mut good: Vec<Sample> = all.iter().filter(counts).map(|shared| shared.1).collect();
                let notes: &[&str] = if good.is_empty() { &[BUSY] } else { &[] };
                if good.is_empty() {
                    good.extend(all.into_iter().min_by(|a, b| a.0.total_cmp(&b.0)).map(|shared| shared.1));
                }
                print(&row(op, end), who, &Figures::of(good), notes);
            }
        }
    }
}
