//! Runtimes: what it takes to spawn, to yield, to hand a turn on and to arm a timer, with one worker and with
//! two.
//!
//! All sides do the same in a task of their own, and are measured in turn. tokio's runtime of the current
//! thread stands in the rows of one worker.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use futures::future::join;
use futures::task::AtomicWaker;
use trilane::exec::Cx;
use trilane_std::runtime::{Handle, Runtime, block_on};

use crate::OWN;
use crate::allocator::allocations_of_all;
use crate::measure::Sample;
use crate::run::{Figures, Plan};

/// How often each side is measured in turn.
const ROUNDS: usize = 25;
/// The tasks that yield at a time.
const YIELDING: u64 = 200;
/// The tasks that are spawned before the first is awaited.
const MANY: u64 = 500;

/// What a task does again and again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Op {
    /// Spawns a task and awaits it.
    SpawnAwait,
    /// Spawns many, and awaits them.
    SpawnMany,
    /// Yields, as do many others.
    Yield,
    /// Hands its turn to another task, and waits until it comes back.
    PingPong,
    /// Begins to wait for a time, and gives it up.
    Timer,
}

impl Op {
    const ALL: [Self; 5] = [Self::SpawnAwait, Self::SpawnMany, Self::Yield, Self::PingPong, Self::Timer];

    const fn name(self) -> &'static str {
        match self {
            Self::SpawnAwait => "task-spawn-await",
            Self::SpawnMany => "task-spawn-many",
            Self::Yield => "task-yield",
            Self::PingPong => "task-ping-pong",
            Self::Timer => "task-timer",
        }
    }

    /// How many a run does.
    const fn operations(self, quick: bool) -> u64 {
        let least = match self {
            Self::SpawnMany => MANY,
            Self::Yield => YIELDING,
            _ => 1,
        };
        if quick {
            least
        } else {
            20_000_u64.next_multiple_of(least) * if matches!(self, Self::Yield) { 10 } else { 1 }
        }
    }
}

/// A runtime.
trait Tasks: Copy + Send + Sync + 'static {
    fn spawn<F>(self, future: F) -> impl Future<Output = F::Output> + Send
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static;

    fn yield_now(self) -> impl Future<Output = ()> + Send;

    /// Polls a timer once, and drops it.
    fn arm_and_cancel(self) -> impl Future<Output = ()> + Send;
}

/// A time that doesn't come.
const FAR: Duration = Duration::from_secs(1_000);

async fn poll_once(timer: impl Future) {
    let mut timer = pin!(timer);
    poll_fn(|cx| {
        assert!(timer.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
}

#[derive(Clone, Copy)]
struct Own {
    handle: Handle,
    /// Sleeps, though its task is over.
    cx: Cx,
}

impl Tasks for Own {
    fn spawn<F>(self, future: F) -> impl Future<Output = F::Output> + Send
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let task = self.handle.spawn(|_| future).expect("there is room").into_future();
        async move { task.await.expect("it ends by itself") }
    }

    fn yield_now(self) -> impl Future<Output = ()> + Send {
        trilane::exec::yield_now()
    }

    fn arm_and_cancel(self) -> impl Future<Output = ()> + Send {
        poll_once(self.cx.sleep(trilane::time::Duration::from_secs(FAR.as_secs())))
    }
}

#[derive(Clone, Copy)]
struct Tokio;

impl Tasks for Tokio {
    fn spawn<F>(self, future: F) -> impl Future<Output = F::Output> + Send
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let task = tokio::spawn(future);
        async move { task.await.expect("it ends by itself") }
    }

    fn yield_now(self) -> impl Future<Output = ()> + Send {
        tokio::task::yield_now()
    }

    fn arm_and_cancel(self) -> impl Future<Output = ()> + Send {
        poll_once(tokio::time::sleep(FAR))
    }
}

type Executor = async_executor::Executor<'static>;

#[derive(Clone, Copy)]
struct Smol(&'static Executor);

impl Tasks for Smol {
    fn spawn<F>(self, future: F) -> impl Future<Output = F::Output> + Send
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.0.spawn(future)
    }

    fn yield_now(self) -> impl Future<Output = ()> + Send {
        let mut yielded = false;
        poll_fn(move |cx| {
            if std::mem::replace(&mut yielded, true) {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
    }

    fn arm_and_cancel(self) -> impl Future<Output = ()> + Send {
        poll_once(async_io::Timer::after(FAR))
    }
}

/// Does `operations` of `op` in a task, and says what they took.
async fn measure(tasks: impl Tasks, op: Op, operations: u64) -> Sample {
    let mut many = Vec::with_capacity(MANY as usize);
    let mut yielding = Vec::with_capacity(YIELDING as usize);
    let allocated = allocations_of_all();
    let start = Instant::now();
    match op {
        Op::SpawnAwait => {
            for number in 0..operations {
                assert_eq!(tasks.spawn(async move { number }).await, number);
            }
        }
        Op::SpawnMany => {
            for _ in 0..operations / MANY {
                many.extend((0..MANY).map(|number| tasks.spawn(async move { number })));
                for task in many.drain(..) {
                    task.await;
                }
            }
        }
        Op::Yield => {
            yielding.extend((0..YIELDING).map(|number| {
                tasks.spawn(async move {
                    for _ in 0..operations / YIELDING {
                        tasks.yield_now().await;
                    }
                    number
                })
            }));
            for task in yielding.drain(..) {
                task.await;
            }
        }
        Op::PingPong => {
            static TURN: AtomicU64 = AtomicU64::new(0);
            static WAITING: [AtomicWaker; 2] = [const { AtomicWaker::new() }; 2];
            TURN.store(0, Ordering::SeqCst);
            let player = |me: usize| {
                tasks.spawn(poll_fn(move |cx| {
                    WAITING[me].register(cx.waker());
                    let mut turn = TURN.load(Ordering::SeqCst);
                    if turn % 2 == me as u64 {
                        turn += 1;
                        TURN.store(turn, Ordering::SeqCst);
                        WAITING[1 - me].wake();
                    }
                    if turn >= 2 * operations { Poll::Ready(()) } else { Poll::Pending }
                }))
            };
            join(player(0), player(1)).await;
        }
        Op::Timer => {
            for _ in 0..operations {
                tasks.arm_and_cancel().await;
            }
        }
    }
    let nanos = start.elapsed().as_nanos() as f64;
    Sample { operations, nanos, allocations: (allocations_of_all() - allocated) as f64 }
}

/// A runtime that is running, and its name.
type Side = (&'static str, Box<dyn Fn(Op, u64) -> Sample>);

/// The runtimes of so many workers.
fn sides(workers: usize) -> Vec<Side> {
    let runtime: &'static Runtime =
        Box::leak(Box::new(Runtime::builder().workers(workers).build().expect("the system gives threads")));
    let task = runtime.spawn(|cx| async move { cx }).expect("there is room");
    let own = Own { handle: runtime.handle(), cx: block_on(task.into_future()).expect("it ends") };
    let tokio = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_time()
        .build()
        .expect("the system gives threads");
    let executor: &'static Executor = Box::leak(Box::new(Executor::new()));
    for _ in 0..workers {
        thread::spawn(|| async_io::block_on(executor.run(std::future::pending::<()>())));
    }
    let mut sides: Vec<Side> = vec![
        (
            OWN,
            Box::new(move |op, operations| {
                let task = own.handle.spawn(move |_| measure(own, op, operations)).expect("there is room");
                block_on(task.into_future()).expect("it ends by itself")
            }),
        ),
        (
            "tokio",
            Box::new(move |op, operations| {
                tokio.block_on(async { tokio::spawn(measure(Tokio, op, operations)).await }).expect("it ends")
            }),
        ),
        (
            "async-executor",
            Box::new(move |op, operations| {
                async_io::block_on(executor.spawn(measure(Smol(executor), op, operations)))
            }),
        ),
    ];
    if workers == 1 {
        let tokio =
            tokio::runtime::Builder::new_current_thread().enable_time().build().expect("it takes no thread");
        sides.push((
            "tokio, current thread",
            Box::new(move |op, operations| {
                tokio.block_on(async { tokio::spawn(measure(Tokio, op, operations)).await }).expect("it ends")
            }),
        ));
    }
    sides
}

fn row(op: Op, workers: usize) -> String {
    format!("{}-{workers}w", op.name())
}

/// The names of all rows.
#[cfg(test)]
pub fn names() -> Vec<String> {
    [1, 2].into_iter().flat_map(|workers| Op::ALL.map(|op| row(op, workers))).collect()
}

/// Whether any of the rows is wanted.
pub fn is_wanted(plan: &Plan) -> bool {
    [1, 2].into_iter().any(|workers| Op::ALL.into_iter().any(|op| plan.wants(&row(op, workers))))
}

/// Measures the rows that are wanted. `print` is given the row's name, who it is about, and what that took.
pub fn run(plan: &Plan, mut print: impl FnMut(&str, usize, &str, &Figures)) {
    for workers in [1, 2] {
        let ops: Vec<Op> = Op::ALL.into_iter().filter(|&op| plan.wants(&row(op, workers))).collect();
        if ops.is_empty() {
            continue;
        }
        let sides = sides(workers);
        for op in ops {
            let operations = plan.iterations().unwrap_or(op.operations(plan.is_quick()));
            let rounds = if plan.is_quick() { 1 } else { ROUNDS };
            let mut samples: Vec<Vec<Sample>> = sides.iter().map(|_| Vec::new()).collect();
            // The first of each isn't counted: tables grow, threads begin.
            for round in 0..=rounds {
                for ((_, run), samples) in sides.iter().zip(&mut samples) {
                    // What the one before has left to threads of its own isn't this one's.
                    thread::sleep(Duration::from_millis(5));
                    let sample = run(op, operations);
                    if round != 0 {
                        samples.push(sample);
                    }
                }
            }
            for ((who, _), samples) in sides.iter().zip(samples) {
                print(&row(op, workers), workers, who, &Figures::of(samples));
            }
        }
    }
}
