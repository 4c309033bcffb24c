//! Two cores, an executor on each: messages, joins, requests to stop and pre-emption across cores, and a lock
//! that holds for both.
//!
//! Nothing here is particular to cores. A wake, a spawn, a join and a request to stop work from any context,
//! and the other core is one; `board::SecondCore` is the platform that lets core 0 end core 1's sleep, as
//! `board::Board` does the other way round. All printing is done on core 0, so that the order of the lines
//! doesn't depend on which core is faster.

#![cfg_attr(target_os = "none", no_std, no_main)]

use core::cell::Cell;

use board::{Board, Preemptive, SecondCore, println};
use embassy_sync::blocking_mutex::CriticalSectionMutex;
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::channel::Channel;
use embassy_sync::signal::Signal;
use trilane::exec::{
    AbortHandle, CancelError, Cancelled, Cx, Executor, JoinError, JoinHandle, TaskPool, future_size,
};
use trilane::time::{Duration, Instant};

static FIRST: Executor<Board, 1, 2> = Executor::new(Board::new());
static SECOND: Executor<SecondCore, 1, 2> = Executor::new(SecondCore::new());
/// Pre-empts `FIRST`, on the same core.
static HIGH: Executor<Preemptive, 1, 1> = Executor::new(Preemptive::new());

static TOUR: TaskPool<{ future_size(&tour) }, 1> = TaskPool::new();

board::entry!(main);

fn main() -> ! {
    let early = SECOND.spawn(&ADDER, |cx| add_up(cx, 10)).expect("room for one task");
    // Time for the wake to reach the other core, which it doesn't start.
    board::spin(1_000);
    board::start_second_core(main_of_second);
    Preemptive::start(HIGH.start_in_handler().expect("nobody else starts it"));
    FIRST.run(|spawner| {
        spawner.spawn_local(&TOUR, |cx| tour(cx, early)).expect("room for one task");
    })
}

/// What core 1 does all the time: run what core 0 spawns there.
fn main_of_second() -> ! {
    SECOND.run(|_| {})
}

async fn tour(cx: Cx, early: JoinHandle<u32>) {
    let sum = early.await.expect("nothing ends it");
    println!("spawned before its core had started, a task added up 1 to 10: {sum}");
    messages().await;
    alarms(cx).await;
    join().await;
    stop(cx).await;
    pre_emption(cx).await;
    count().await;
    board::exit(0)
}

static NUMBERS: Channel<CriticalSectionRawMutex, u32, 2> = Channel::new();
static SQUARE: Signal<CriticalSectionRawMutex, u32> = Signal::new();
static SQUARER: TaskPool<{ future_size(&square) }, 1> = TaskPool::new();

/// Each message ends the other core's sleep, each answer this one's.
async fn messages() {
    println!("answers from the other core:");
    let squarer = SECOND.spawn(&SQUARER, square).expect("room for one");
    for number in [3, 5, 7] {
        NUMBERS.send(number).await;
        println!("  {number} squared is {}", SQUARE.wait().await);
    }
    NUMBERS.send(0).await;
    println!("  it was asked {} times", squarer.await.expect("nothing ends it"));
}

/// Answers until it gets 0. Returns how often.
async fn square(_cx: Cx) -> u32 {
    let mut answers = 0;
    loop {
        let number = NUMBERS.receive().await;
        if number == 0 {
            return answers;
        }
        SQUARE.signal(number * number);
        answers += 1;
    }
}

static SLEEPERS: TaskPool<{ future_size(&sleep) }, 2> = TaskPool::new();

/// Each core has an alarm of its own; the clock is one.
async fn alarms(cx: Cx) {
    println!("while this core sleeps for 20 ms, the other one has two sleepers:");
    let start = cx.now();
    let [short, long] = [10, 30].map(|millis| {
        SECOND.spawn(&SLEEPERS, move |cx| sleep(cx, Duration::from_millis(millis))).expect("room for two")
    });
    cx.sleep(Duration::from_millis(20)).await.expect("nobody asks it to stop");
    println!("  after 20 ms, is the one of 10 ms done? {}", short.is_finished());
    println!("  after 20 ms, is the one of 30 ms done? {}", long.is_finished());
    println!("  the first slept for {} ms", slept(short.await).as_millis());
    println!("  the second slept for {} ms", slept(long.await).as_millis());
    println!("  by this core's clock it took {} ms", (cx.now() - start).as_millis());
}

fn slept(sleeper: Result<Result<Duration, Cancelled>, JoinError>) -> Duration {
    sleeper.expect("nothing ends it").expect("nobody asks it to stop")
}

/// Returns how long it slept, by its own core's reading of the clock.
async fn sleep(cx: Cx, span: Duration) -> Result<Duration, Cancelled> {
    let start = cx.now();
    cx.sleep(span).await?;
    Ok(cx.now() - start)
}

static ADDER: TaskPool<{ future_size(&add_up) }, 1> = TaskPool::new();

/// A result computed there, handed over here.
async fn join() {
    let sum = SECOND.spawn(&ADDER, |cx| add_up(cx, 100)).expect("room for one");
    println!("the other core adds up 1 to 100: {}", sum.await.expect("nothing ends it"));
}

async fn add_up(cx: Cx, last: u32) -> u32 {
    let mut sum = 0;
    for number in 1..=last {
        sum += number;
        cx.yield_now().await;
    }
    sum
}

const HOUR: Duration = Duration::from_secs(3_600);
const MOMENT: Duration = Duration::from_millis(10);

static ASKER: TaskPool<{ future_size(&ask) }, 1> = TaskPool::new();

/// A request to stop ends a sleep wherever the task is.
async fn stop(cx: Cx) {
    println!("sleeps of an hour, given up at the other core's request:");
    let there = SECOND.spawn(&SLEEPERS, |cx| sleep(cx, HOUR)).expect("room for two");
    cx.sleep(MOMENT).await.expect("nobody asks it to stop");
    there.cancel().expect("it sleeps");
    println!("  there: {}", given_up(there.await));

    let start = cx.now();
    let here = FIRST.spawn(&SLEEPERS, |cx| sleep(cx, HOUR)).expect("room for two");
    let request = here.abort_handle().expect("it is not joined yet");
    let asker = SECOND.spawn(&ASKER, move |cx| ask(cx, request)).expect("room for one");
    println!("  here: {}", given_up(here.await));
    asker.await.expect("nothing ends it").expect("the sleeper had not ended");
    println!("  the latter took {} ms", (cx.now() - start).as_millis());
}

fn given_up(sleeper: Result<Result<Duration, Cancelled>, JoinError>) -> Cancelled {
    sleeper.expect("it returned by itself").expect_err("nobody waits for an hour")
}

async fn ask(cx: Cx, sleeper: AbortHandle) -> Result<(), CancelError> {
    cx.sleep(MOMENT).await.expect("nobody asks it to stop");
    sleeper.cancel()
}

static CALL: Signal<CriticalSectionRawMutex, ()> = Signal::new();
static CALLER: TaskPool<{ future_size(&call) }, 1> = TaskPool::new();
static CALLED: TaskPool<{ future_size(&be_called) }, 1> = TaskPool::new();

/// A wake from the other core comes in the middle of a poll, if it is of a task that pre-empts.
async fn pre_emption(cx: Cx) {
    println!("while this core is busy for 30 ms, the other one calls a task of HIGH:");
    let start = cx.now();
    let called = HIGH.spawn(&CALLED, move |cx| be_called(cx, start)).expect("room for one");
    let caller = SECOND.spawn(&CALLER, call).expect("room for one");
    board::spin(30_000);
    println!("  busy no more at {} ms", (cx.now() - start).as_millis());
    called.await.expect("nothing ends it");
    caller.await.expect("nothing ends it").expect("nobody asks it to stop");
}

async fn call(cx: Cx) -> Result<(), Cancelled> {
    cx.sleep(MOMENT).await?;
    CALL.signal(());
    Ok(())
}

async fn be_called(cx: Cx, start: Instant) {
    CALL.wait().await;
    println!("  HIGH: called at {} ms", (cx.now() - start).as_millis());
}

const TURNS: u32 = 1_000;

static COUNT: CriticalSectionMutex<Cell<u32>> = CriticalSectionMutex::new(Cell::new(0));
static COUNTER: TaskPool<{ future_size(&count_there) }, 1> = TaskPool::new();

/// Both cores at once read, add one and write back; a turn that came between the two would be lost.
async fn count() {
    let there = SECOND.spawn(&COUNTER, count_there).expect("room for one");
    count_here();
    there.await.expect("nothing ends it");
    println!("{TURNS} turns of each core, counted together: {}", COUNT.lock(Cell::get));
}

async fn count_there(_cx: Cx) {
    count_here();
}

fn count_here() {
    for _ in 0..TURNS {
        COUNT.lock(|count| {
            let before = count.get();
            // The other core's turn, to do the same if the lock lets it.
            board::relax();
            count.set(before + 1);
        });
    }
}
