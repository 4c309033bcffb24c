//! Deadlines at work: earliest first, re-keyed each period, missed in three ways; and a quota of polls.
//!
//! A task's deadline says by when it must be dispatched. `TaskOptions` gives the first one,
//! `Cx::set_deadline` each later one. What a miss does is the task's choice (`OnMiss`): it is always counted;
//! it may call the executor's hook; it may end the task, and whoever joins it learns why. Look at `misses`
//! first.

#![cfg_attr(target_os = "none", no_std, no_main)]

use core::num::NonZeroU16;

use board::{Board, println};
use trilane::exec::{
    Attributes, Cancelled, Cx, DeadlineError, Executor, Miss, OnMiss, TaskOptions, TaskPool, future_size,
};
use trilane::sched::Priority;
use trilane::time::{Duration, Instant};

static EXECUTOR: Executor<Board, 1, 8> = Executor::new(Board::new());
static TOUR: TaskPool<{ future_size(&tour) }, 1> = TaskPool::new();

const TASK: TaskOptions = TaskOptions::new();

board::entry!(main);

fn main() -> ! {
    board::run(EXECUTOR.with_miss_hook(on_miss), |spawner| {
        spawner.spawn_local(&TOUR, tour).expect("room for one task");
    })
}

async fn tour(cx: Cx) {
    earliest_first(cx).await;
    periods(cx).await;
    misses(cx).await;
    quota(cx).await;
    board::exit(0)
}

static SPEAKERS: TaskPool<{ future_size(&say) }, 3> = TaskPool::new();

async fn earliest_first(cx: Cx) {
    println!("the earlier deadline goes first, whatever the priority:");
    let now = cx.now();
    let top = TASK.priority(Priority::HIGHEST);
    let tasks = [
        (top, "highest priority, no deadline"),
        (top.deadline(now + Duration::from_millis(200)), "highest priority, deadline in 200 ms"),
        (TASK.deadline(now + Duration::from_millis(100)), "lowest priority, deadline in 100 ms"),
    ]
    .map(|(options, text)| {
        cx.spawn_with(options, &SPEAKERS, move |cx| say(cx, text)).expect("room for three")
    });
    for task in tasks {
        task.await.expect("nothing ends it");
    }
}

async fn say(_cx: Cx, text: &'static str) {
    println!("  {text}");
}

static SAMPLER: TaskPool<{ future_size(&sample) }, 1> = TaskPool::new();
static LOGGER: TaskPool<{ future_size(&log) }, 1> = TaskPool::new();

const PERIOD: Duration = Duration::from_millis(10);
const SLACK: Duration = Duration::from_millis(5);

async fn periods(cx: Cx) {
    println!(
        "a task that sets a deadline for each period, and one that wakes with it, of the highest priority:"
    );
    let start = cx.now();
    let sampler = cx.spawn(&SAMPLER, move |cx| sample(cx, start)).expect("room for one");
    let top = TASK.priority(Priority::HIGHEST);
    let logger = cx.spawn_with(top, &LOGGER, move |cx| log(cx, start)).expect("room for one");
    assert_eq!(sampler.await, Ok(Ok(())), "it is in time");
    assert_eq!(logger.await, Ok(Ok(())), "it has no deadline");
}

async fn sample(cx: Cx, start: Instant) -> Result<(), Cancelled> {
    let mut due = start;
    for number in 1..=3 {
        due += PERIOD;
        // By half a period after it is due. Set before the wait, so that it holds for the wake that ends it.
        // If the work before took so long that it has passed already, that period is skipped.
        while cx.set_deadline(Some(due + SLACK)) == Err(DeadlineError::Passed) {
            due += PERIOD;
        }
        cx.sleep_until(due).await?;
        let (now, deadline) = (since(start, cx.now()), since(start, due + SLACK));
        println!("  {now} ms: sample {number}, deadline {deadline} ms");
    }
    Ok(())
}

async fn log(cx: Cx, start: Instant) -> Result<(), Cancelled> {
    let mut due = start;
    for number in 1..=3 {
        due += PERIOD;
        cx.sleep_until(due).await?;
        println!("  {} ms: log {number}", since(start, cx.now()));
    }
    Ok(())
}

static SLEEPER: TaskPool<{ future_size(&oversleep) }, 1> = TaskPool::new();

async fn misses(cx: Cx) {
    println!("a deadline in 20 ms, and a task that sleeps for 50 ms:");
    for (name, on_miss) in [("count", OnMiss::Count), ("call", OnMiss::Call), ("cancel", OnMiss::Cancel)] {
        let start = cx.now();
        let options = TASK.deadline(start + Duration::from_millis(20)).on_miss(on_miss);
        let sleeper = cx.spawn_with(options, &SLEEPER, oversleep).expect("room for one");
        match sleeper.await {
            Ok(Ok(woke)) => println!("  {name}: ran at {} ms", since(start, woke)),
            Ok(Err(cancelled)) => println!("  {name}: {cancelled}"),
            Err(error) => println!("  {name}: {error}"),
        }
    }
    let counters = EXECUTOR.counters();
    println!("  misses {}, asked to stop for one {}", counters.misses, counters.cancelled_by_deadline);
}

async fn oversleep(cx: Cx) -> Result<Instant, Cancelled> {
    cx.sleep(Duration::from_millis(50)).await?;
    Ok(cx.now())
}

/// The executor's hook: called from its run loop, before the task is polled.
fn on_miss(miss: &Miss) {
    println!("  hook: a deadline has passed {} ms ago", since(miss.deadline, miss.now));
}

static RESTLESS: TaskPool<{ future_size(&never_done) }, 1> = TaskPool::new();

async fn quota(cx: Cx) {
    println!("a task that is never done, with a quota of 3 polls and 2 to clean up:");
    let options = TASK
        .attributes(const { &Attributes::new().cleanup_polls(2) })
        .poll_quota(NonZeroU16::new(3).expect("not zero"));
    let restless = cx.spawn_with(options, &RESTLESS, never_done).expect("room for one");
    if let Err(error) = restless.await {
        println!("  {error}");
    }
}

async fn never_done(cx: Cx) {
    for poll in 1_u32.. {
        println!("  poll {poll}{}", if cx.is_cancelled() { ": asked to stop" } else { "" });
        cx.yield_now().await;
    }
}

/// Whole milliseconds: how far into one a task runs depends on the board's speed.
fn since(start: Instant, now: Instant) -> u64 {
    (now - start).as_millis()
}
