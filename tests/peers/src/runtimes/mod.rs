//! Runtimes beside each other, with one worker and with two.
//!
//! All sides do the same, and are measured in turn. tokio's runtime of the current thread stands in the rows
//! of one worker. Read in this order: this file, for what the rows are; [`sides`]; [`tasks`], [`threads`],
//! [`timed`] and [`echo`], for what is measured; [`taken`] and [`kernel`], for how.

mod echo;
mod kernel;
mod sides;
mod taken;
mod tasks;
mod threads;
mod timed;

use std::thread;
use std::time::Duration;

use futures::executor::block_on;

use crate::run::{Figures, Plan};
use sides::{Tasks, sides};
use taken::Taken;

/// The tasks that yield at a time.
const YIELDING: u64 = 200;
/// The tasks that are spawned before the first is awaited.
const MANY: u64 = 500;
/// The numbers of workers.
const WORKERS: [usize; 2] = [1, 2];

/// What is done again and again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Op {
    /// A task spawns a task and awaits it.
    SpawnAwait,
    /// A task spawns many, and awaits them.
    SpawnMany,
    /// A thread does so.
    SpawnRemote,
    /// A task yields, as do many others.
    Yield,
    /// A task hands its turn to another one, and waits until it comes back.
    PingPong,
    /// A thread does so.
    PingPongThread,
    /// A task wakes another one that is woken already.
    WakeWoken,
    /// Threads wake tasks.
    Wakes { threads: u64, tasks: u64 },
    /// A task begins to wait for a time, and gives it up.
    Timer,
    /// The same, while many others wait.
    TimerPending,
    /// A thread spawns a task with a future of 128 bytes; what memory it takes.
    Bytes,
    /// Nothing for a tenth of a second.
    Idle,
    /// A request to an echo server, and the answer.
    Echo,
    /// A task is woken, by a thread, while others yield all the time.
    Timed { ready: u64 },
}

/// What is left of latencies.
const SHARES: [(&str, f64); 3] = [("p50", 0.5), ("p99", 0.99), ("p999", 0.999)];

impl Op {
    /// Those before what makes a runtime wait for sockets, those after that, and those after which a runtime
    /// has had many tasks: each group has runtimes of its own.
    fn groups() -> [Vec<Self>; 3] {
        let mut usual = vec![
            Self::SpawnAwait,
            Self::SpawnMany,
            Self::SpawnRemote,
            Self::Yield,
            Self::PingPong,
            Self::PingPongThread,
            Self::WakeWoken,
        ];
        for tasks in [1, 64] {
            usual.extend([1, 2, 4].map(|threads| Self::Wakes { threads, tasks }));
        }
        usual.extend([Self::Timer, Self::TimerPending, Self::Idle, Self::Bytes]);
        let timed = [100, 1_000, 10_000, 100_000].map(|ready| Self::Timed { ready });
        [usual, vec![Self::Echo], timed.to_vec()]
    }

    fn name(self) -> String {
        let name = match self {
            Self::SpawnAwait => "spawn-await",
            Self::SpawnMany => "spawn-many",
            Self::SpawnRemote => "spawn-remote",
            Self::Yield => "yield",
            Self::PingPong => "ping-pong",
            Self::PingPongThread => "ping-pong-thread",
            Self::WakeWoken => "wake-woken",
            Self::Wakes { threads, tasks } => return format!("task-wake-{threads}t-{tasks}"),
            Self::Timer => "timer",
            Self::TimerPending => "timer-10k",
            Self::Bytes => "bytes",
            Self::Idle => "idle",
            Self::Echo => "echo",
            Self::Timed { .. } => "timed",
        };
        format!("task-{name}")
    }

    /// The number that stands beside the row's name.
    fn n(self, workers: usize) -> usize {
        if let Self::Timed { ready } = self { ready as usize } else { workers }
    }

    /// Whether more than one worker say anything.
    fn fits(self, workers: usize) -> bool {
        workers == 1 || !matches!(self, Self::WakeWoken | Self::Bytes)
    }

    /// The rows' names: that of what each operation takes, if it has one, and those of the shares of
    /// latencies.
    fn rows(self, workers: usize) -> Vec<String> {
        let name = format!("{}-{workers}w", self.name());
        let shares = SHARES.map(|(share, _)| format!("{name}-{share}"));
        match self {
            Self::Timed { .. } => shares.to_vec(),
            Self::Echo => [vec![name], shares.to_vec()].concat(),
            _ => vec![name],
        }
    }

    /// How many a run does; or the least that say anything.
    const fn operations(self, least: bool) -> u64 {
        let (few, many) = match self {
            Self::SpawnMany | Self::SpawnRemote => (MANY, 40 * MANY),
            Self::Yield => (YIELDING, 1_000 * YIELDING),
            Self::PingPongThread => (20, 2_000),
            Self::Wakes { .. } => (64, 200_000),
            Self::WakeWoken => (1, 200_000),
            Self::Bytes => (1_000, 4_000),
            Self::Idle => (1, 20),
            Self::Echo => (64, 10_000),
            Self::Timed { .. } => (1, 1_000),
            _ => (1, 20_000),
        };
        if least { few } else { many }
    }

    /// How often each side is measured in turn.
    const fn rounds(self) -> usize {
        match self {
            Self::Idle => 1,
            Self::Bytes | Self::Timed { .. } => 3,
            _ => 25,
        }
    }
}

/// Does `operations` of `op`, and says what they took.
fn run_op(tasks: impl Tasks, op: Op, operations: u64) -> Taken {
    match op {
        Op::SpawnRemote => threads::spawn_many(tasks, operations),
        Op::PingPongThread => threads::ping_pong(tasks, operations),
        Op::Wakes { threads, tasks: targets } => threads::wakes(tasks, threads, targets, operations),
        Op::Bytes => threads::bytes(tasks, operations),
        Op::Idle => threads::idle(tasks, operations),
        Op::Echo => echo::run(tasks, operations).expect("the system connects sockets"),
        Op::Timed { ready } => timed::run(tasks, ready, operations),
        _ => block_on(tasks.spawn(move |tasks| tasks::run(tasks, op, operations))),
    }
}

/// All operations, with their numbers of workers.
fn all() -> impl Iterator<Item = (Op, usize)> {
    let of = |workers| Op::groups().concat().into_iter().map(move |op| (op, workers));
    WORKERS.into_iter().flat_map(of).filter(|(op, workers)| op.fits(*workers))
}

/// The names of all rows, with the numbers beside them.
#[cfg(test)]
pub fn rows() -> Vec<(String, usize)> {
    let rows = |(op, workers): (Op, usize)| op.rows(workers).into_iter().map(move |row| (row, op.n(workers)));
    all().flat_map(rows).collect()
}

fn wants(plan: &Plan, op: Op, workers: usize) -> bool {
    op.fits(workers) && op.rows(workers).iter().any(|row| plan.wants(row))
}

/// Whether any of the rows is wanted.
pub fn is_wanted(plan: &Plan) -> bool {
    all().any(|(op, workers)| wants(plan, op, workers))
}

/// Measures the rows that are wanted. `print` is given the row's name, the number beside it, who it is about,
/// and what that took.
pub fn run(plan: &Plan, mut print: impl FnMut(&str, usize, &str, &Figures)) {
    for workers in WORKERS {
        for group in Op::groups() {
            let ops: Vec<Op> = group.into_iter().filter(|&op| wants(plan, op, workers)).collect();
            if ops.is_empty() {
                continue;
            }
            let sides = sides(workers, ops.contains(&Op::Echo));
            for op in ops {
                let done = match op {
                    Op::Timed { ready } if plan.is_quick() => Op::Timed { ready: ready.min(1_000) },
                    op => op,
                };
                let operations = plan.iterations().unwrap_or(op.operations(plan.is_quick()));
                let rounds = if plan.is_quick() { 1 } else { op.rounds() };
                let mut taken: Vec<Vec<Taken>> = sides.iter().map(|_| Vec::new()).collect();
                // The first of each isn't counted: tables grow, threads begin. These have time to, anyway.
                let first = usize::from(matches!(op, Op::Idle | Op::Timed { ready: 1_000.. }));
                for round in first..=rounds {
                    for ((_, run), taken) in sides.iter().zip(&mut taken) {
                        // What the one before has left to threads of its own isn't this one's.
                        thread::sleep(Duration::from_millis(5));
                        if round == 0 {
                            run(done, op.operations(true));
                        } else {
                            taken.push(run(done, operations));
                        }
                    }
                }
                for ((who, _), taken) in sides.iter().zip(taken) {
                    for (row, figures) in figures(op, workers, taken) {
                        print(&row, op.n(workers), who, &figures);
                    }
                }
            }
        }
    }
}

/// What the rows of `op` say.
fn figures(op: Op, workers: usize, taken: Vec<Taken>) -> Vec<(String, Figures)> {
    let mut latencies: Vec<f64> = taken.iter().flat_map(|taken| &taken.latencies).copied().collect();
    latencies.sort_unstable_by(f64::total_cmp);
    let operations: u64 = taken.iter().map(|taken| taken.sample.operations).sum();
    let mut counts: Vec<(&'static str, f64)> = Vec::new();
    for (name, count) in taken.iter().flat_map(|taken| &taken.counts) {
        match counts.iter_mut().find(|(known, _)| known == name) {
            Some((_, sum)) => *sum += count / operations as f64,
            None => counts.push((name, count / operations as f64)),
        }
    }
    let own = Figures { counts, ..Figures::of(taken.into_iter().map(|taken| taken.sample)) };
    let share = |row: &str| {
        let (_, share) = SHARES.into_iter().find(|(name, _)| row.ends_with(name))?;
        Some(latencies[((latencies.len() - 1) as f64 * share).round() as usize])
    };
    // Only the first says what all operations took together.
    let figures = |(index, row): (usize, String)| {
        let nanos = share(&row).unwrap_or(own.nanos);
        let counts = if index == 0 { own.counts.clone() } else { Vec::new() };
        (row, Figures { nanos, counts, ..own })
    };
    op.rows(workers).into_iter().enumerate().map(figures).collect()
}
