//! In which order tasks run, and why: lanes, deadlines, priorities, and how often a wake counts.
//!
//! Tasks with a deadline wait in the timed lane, all others in the ready lane. The timed lane goes first,
//! earliest deadline first; in the ready lane the highest priority goes first. `main` drives the executor by
//! hand, pass by pass, to show one rule at a time; a program would call `EXECUTOR.run` instead.

#![cfg_attr(target_os = "none", no_std, no_main)]

use core::future::poll_fn;
use core::task::Poll;

use board::{Board, println};
use embassy_sync::waitqueue::AtomicWaker;
use trilane::exec::{
    Attributes, Cx, Executor, Platform, Runner, TaskId, TaskOptions, TaskPool, TaskState, future_size,
};
use trilane::sched::Priority;
use trilane::sync::{AtomicU32, Ordering::Relaxed};
use trilane::time::Instant;

static EXECUTOR: Executor<Board, 1, 8> = Executor::new(Board::new());

board::entry!(main);

fn main() -> ! {
    let mut runner = EXECUTOR.start().expect("nobody else starts it");
    order(&mut runner);
    wakes(&mut runner);
    rekey(&mut runner);
    fairness(&mut runner);
    board::exit(0)
}

/// Runs until every task waits. Returns the number of polls.
fn settle(runner: &mut Runner<Board, 1, 8>) -> u32 {
    let mut polls = 0;
    loop {
        let pass = runner.poll_pending(EXECUTOR.platform().now());
        polls += pass.polls;
        if !pass.more {
            return polls;
        }
    }
}

// Deadlines count from the start of the board; all of this takes less than a second.
const NEAR: Instant = Instant::from_secs(1);
const FAR: Instant = Instant::from_secs(2);

const TASK: TaskOptions = TaskOptions::new();

/// In the order in which they are spawned; which is why `report` goes before `blink`.
const MIXED: [(TaskOptions, &str); 6] = [
    (TASK.attributes(&Attributes::named("report")).priority(Priority::of::<1>()), "lower priority"),
    (
        TASK.attributes(&Attributes::named("blink")).priority(Priority::of::<1>()),
        "as report, but arrived after it",
    ),
    (
        TASK.attributes(&Attributes::named("radio")).priority(Priority::HIGHEST),
        "no deadline: after all that have one",
    ),
    (
        TASK.attributes(&Attributes::named("motor")).priority(Priority::of::<4>()).deadline(FAR),
        "same deadline, lower priority",
    ),
    (
        TASK.attributes(&Attributes::named("brake")).priority(Priority::of::<9>()).deadline(FAR),
        "later deadline",
    ),
    (
        TASK.attributes(&Attributes::named("sensor")).deadline(NEAR),
        "earliest deadline: its priority doesn't matter",
    ),
];

static MIXED_TASKS: TaskPool<{ future_size(&explain) }, { MIXED.len() }> = TaskPool::new();

fn order(runner: &mut Runner<Board, 1, 8>) {
    println!("six tasks, woken at once, run in this order:");
    for (options, why) in MIXED {
        // A spawn is the first wake; nothing runs before `settle`.
        let spawned = runner.spawner().spawn_local_with(options, &MIXED_TASKS, move |cx| explain(cx, why));
        spawned.expect("room for all of them");
    }
    settle(runner);
}

async fn explain(cx: Cx, why: &'static str) {
    let task = EXECUTOR.task(cx.id()).expect("a task that runs has not ended");
    let (name, priority) = (task.name, task.priority.level());
    match task.deadline {
        Some(at) => println!("  {name:6}  timed, {} ms, priority {priority:2}: {why}", at.as_millis()),
        None => println!("  {name:6}  ready,          priority {priority:2}: {why}"),
    }
}

static BELL: AtomicWaker = AtomicWaker::new();
static LISTENER: TaskPool<{ future_size(&listen) }, 1> = TaskPool::new();
static FIDGETER: TaskPool<{ future_size(&fidget) }, 1> = TaskPool::new();

fn wakes(runner: &mut Runner<Board, 1, 8>) {
    runner.spawner().spawn_local(&LISTENER, listen).expect("room for one");
    settle(runner);
    let before = EXECUTOR.counters().coalesced;
    for _ in 0..3 {
        BELL.wake();
    }
    let polls = settle(runner);
    let coalesced = EXECUTOR.counters().coalesced - before;
    println!("a waiting task, woken 3 times: polls {polls}, wakes that made no difference {coalesced}");

    runner.spawner().spawn_local(&FIDGETER, fidget).expect("room for one");
    println!("a task, woken 3 times during its first poll: polls {}", settle(runner));
}

/// Waits for ever, but can be woken by [`BELL`].
async fn listen(_cx: Cx) {
    poll_fn(|context| {
        BELL.register(context.waker());
        Poll::<()>::Pending
    })
    .await;
}

/// Wakes itself while it is being polled; the wakes count for the next poll, once.
async fn fidget(_cx: Cx) {
    let mut first = true;
    poll_fn(|context| {
        if !first {
            return Poll::Ready(());
        }
        first = false;
        for _ in 0..3 {
            context.waker().wake_by_ref();
        }
        Poll::Pending
    })
    .await;
}

static CONDUCTOR: TaskPool<{ future_size(&conduct) }, 1> = TaskPool::new();
static PLAYERS: TaskPool<{ future_size(&play) }, 3> = TaskPool::new();

static PLAYER_NAMES: [Attributes; 3] =
    [Attributes::named("flute"), Attributes::named("oboe"), Attributes::named("horn")];

fn rekey(runner: &mut Runner<Board, 1, 8>) {
    println!("re-keyed while they wait in a lane:");
    let spawner = runner.spawner();
    let [_, oboe, horn] = PLAYER_NAMES.each_ref().map(|attributes| {
        let options = TASK.attributes(attributes).priority(Priority::of::<5>());
        spawner.spawn_local_with(options, &PLAYERS, play).expect("room for three").id()
    });
    // The highest priority: it runs while the others are queued.
    let first = TASK.priority(Priority::HIGHEST);
    spawner.spawn_local_with(first, &CONDUCTOR, move |cx| conduct(cx, oboe, horn)).expect("room for one");
    settle(runner);
}

async fn conduct(_cx: Cx, oboe: TaskId, horn: TaskId) {
    show_queue("  before:");
    EXECUTOR.set_priority(oboe, Priority::of::<6>()).expect("it waits for its turn");
    EXECUTOR.set_deadline(horn, Some(NEAR)).expect("it waits for its turn");
    show_queue("  after: ");
}

fn show_queue(when: &str) {
    board::print!("{when}");
    for task in EXECUTOR.tasks() {
        if let TaskState::Queued(lane) = task.state {
            board::print!("  {} {lane:?} priority {}", task.name, task.priority.level());
        }
    }
    println!();
}

async fn play(cx: Cx) {
    let task = EXECUTOR.task(cx.id()).expect("a task that runs has not ended");
    println!("  runs: {}", task.name);
}

static GREEDY: TaskPool<{ future_size(&greedy) }, 1> = TaskPool::new();
static PATIENT: TaskPool<{ future_size(&patient) }, 1> = TaskPool::new();
static GREEDY_POLLS: AtomicU32 = AtomicU32::new(0);
static TURNS: AtomicU32 = AtomicU32::new(0);

/// The timed lane may pass over the ready one 16 times in a row (`Fairness`), then the ready one gets a turn.
fn fairness(runner: &mut Runner<Board, 1, 8>) {
    println!("a timed task that is always runnable, beside a ready one:");
    let spawner = runner.spawner();
    spawner.spawn_local_with(TASK.deadline(NEAR), &GREEDY, greedy).expect("room for one");
    spawner.spawn_local(&PATIENT, patient).expect("room for one");
    settle(runner);
}

async fn greedy(cx: Cx) {
    while TURNS.load(Relaxed) < 3 {
        GREEDY_POLLS.fetch_add(1, Relaxed);
        cx.yield_now().await;
    }
}

async fn patient(cx: Cx) {
    for _ in 0..3 {
        println!("  the ready task runs after {} polls of the timed one", GREEDY_POLLS.swap(0, Relaxed));
        TURNS.fetch_add(1, Relaxed);
        cx.yield_now().await;
    }
}
