//! Interrupts: a value passed from a handler to a task, and an executor that pre-empts another.
//!
//! ```text
//!  irq handler      highest: tells a task by a signal or a channel
//!  HIGH             an executor that runs in an interrupt of lower priority than devices
//!  LOW              the executor of thread mode; each of the above comes in the middle of a poll
//! ```
//!
//! A task is never pre-empted by another of its own executor. So tasks that must react while others compute
//! go to `HIGH`; they may be joined and woken from `LOW`, and the other way round. What two executors share
//! is shared between contexts: hence the `CriticalSectionRawMutex`.

#![cfg_attr(target_os = "none", no_std, no_main)]

use board::{Board, Preemptive, println};
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::channel::Channel;
use embassy_sync::signal::Signal;
use trilane::exec::{Cancelled, Cx, Executor, Platform, TaskPool, future_size};
use trilane::sync::{AtomicU32, Ordering::Relaxed};
use trilane::time::{Duration, Instant};

static LOW: Executor<Board, 1, 4> = Executor::new(Board::new());
static HIGH: Executor<Preemptive, 1, 4> = Executor::new(Preemptive::new());

static TOUR: TaskPool<{ future_size(&tour) }, 1> = TaskPool::new();

type Bell<T> = Signal<CriticalSectionRawMutex, T>;

board::entry!(main);

fn main() -> ! {
    Preemptive::start(HIGH.start_in_handler().expect("nobody else starts it"));
    LOW.run(|spawner| {
        spawner.spawn_local(&TOUR, tour).expect("room for one task");
    })
}

async fn tour(cx: Cx) {
    from_a_handler(cx).await;
    in_the_middle_of_a_poll(cx).await;
    at_its_time(cx).await;
    joined_both_ways().await;
    woken_both_ways(cx).await;
    board::exit(0)
}

/// A reading, and when it was taken.
type Reading = (u32, Instant);

static READINGS: Channel<CriticalSectionRawMutex, Reading, 2> = Channel::new();
static TAKEN: AtomicU32 = AtomicU32::new(0);

/// The interrupt's handler: no task, so it may not wait. With the channel full, the reading would be lost.
fn take_reading() {
    let number = TAKEN.fetch_add(1, Relaxed) + 1;
    READINGS.try_send((number, LOW.platform().now())).expect("room for two");
}

async fn from_a_handler(cx: Cx) {
    println!("a handler passes values to a task:");
    board::irq::bind(take_reading);
    // Now: it comes in the middle of this poll.
    board::irq::trigger();
    board::irq::trigger();
    println!("  {} readings are taken, none is received", READINGS.len());
    for _ in 0..2 {
        let (number, _) = READINGS.receive().await;
        println!("  reading {number}");
    }
    // Later: it ends the sleep.
    board::irq::trigger_after(1_000);
    let (number, at) = READINGS.receive().await;
    println!("  reading {number}, waited for");
    println!("~ from the handler to the task: {} us", (cx.now() - at).as_micros());
}

static STEP: Bell<u32> = Signal::new();
static WATCHER: TaskPool<{ future_size(&watch) }, 1> = TaskPool::new();

async fn in_the_middle_of_a_poll(_cx: Cx) {
    println!("a task of HIGH pre-empts a poll of LOW:");
    let watcher = HIGH.spawn(&WATCHER, watch).expect("room for one");
    // No await: it is one poll.
    for step in 1..=3 {
        println!("  LOW: step {step}");
        STEP.signal(step);
    }
    println!("  LOW: end of the poll");
    watcher.await.expect("nothing ends it");
}

async fn watch(_cx: Cx) {
    loop {
        let step = STEP.wait().await;
        println!("    HIGH: has seen step {step}");
        if step == 3 {
            return;
        }
    }
}

static SAMPLER: TaskPool<{ future_size(&sample) }, 1> = TaskPool::new();

async fn at_its_time(cx: Cx) {
    println!("a sleep in HIGH ends while LOW is busy:");
    let start = cx.now();
    let sampler = HIGH.spawn(&SAMPLER, move |cx| sample(cx, start)).expect("room for one");
    println!("  LOW: busy for 35 ms");
    board::spin(35_000);
    println!("  LOW: busy no more, at {} ms", (cx.now() - start).as_millis());
    let latest = sampler.await.expect("nothing ends it").expect("nobody asks it to stop");
    println!("~ late by {} us at most", latest.as_micros());
}

/// Returns by how much it has woken late at most.
async fn sample(cx: Cx, start: Instant) -> Result<Duration, Cancelled> {
    let mut latest = Duration::ZERO;
    for number in 1..=3 {
        let due = start + Duration::from_millis(10 * number);
        cx.sleep_until(due).await?;
        let late = cx.now() - due;
        println!("    HIGH: sample {number} at {} ms", (due + late - start).as_millis());
        latest = latest.max(late);
    }
    Ok(latest)
}

static DOUBLERS: TaskPool<{ future_size(&double) }, 2> = TaskPool::new();
static ASKER: TaskPool<{ future_size(&ask) }, 1> = TaskPool::new();

async fn joined_both_ways() {
    println!("tasks joined across executors:");
    let doubled = HIGH.spawn(&DOUBLERS, |cx| double(cx, "  HIGH", 21)).expect("room for two");
    println!("  LOW: has spawned it");
    println!("  LOW: got {}", doubled.await.expect("nothing ends it"));
    let asker = HIGH.spawn(&ASKER, ask).expect("room for one");
    println!("  LOW: goes on, since its own tasks don't pre-empt it");
    asker.await.expect("nothing ends it");
}

async fn ask(_cx: Cx) {
    let doubled = LOW.spawn(&DOUBLERS, |cx| double(cx, "LOW", 100)).expect("room for two");
    println!("    HIGH: has spawned it");
    println!("    HIGH: got {}", doubled.await.expect("nothing ends it"));
}

async fn double(_cx: Cx, on: &'static str, number: u32) -> u32 {
    println!("  {on}: doubles {number}");
    2 * number
}

static TO_HIGH: Bell<u32> = Signal::new();
static TO_LOW: Bell<u32> = Signal::new();
static ECHO: TaskPool<{ future_size(&echo) }, 1> = TaskPool::new();

/// Calls and answers of which each waits for the other.
const ROUNDS: u32 = 100;

async fn woken_both_ways(cx: Cx) {
    let echo = HIGH.spawn(&ECHO, echo).expect("room for one");
    let start = cx.now();
    for number in 1..=ROUNDS {
        TO_HIGH.signal(number);
        let answer = TO_LOW.wait().await;
        assert_eq!(answer, number, "an answer of another call");
    }
    let spent = cx.now() - start;
    echo.await.expect("nothing ends it");
    println!("{ROUNDS} calls from LOW to HIGH, each answered");
    println!("~ {} us a call, there and back", spent.as_micros() / u64::from(ROUNDS));
}

async fn echo(_cx: Cx) {
    for _ in 0..ROUNDS {
        TO_LOW.signal(TO_HIGH.wait().await);
    }
}
