//! The bench image of embassy-executor: what its operations cost, in instructions.
//!
//! Each operation runs in a task of its own, since a future nested in another is polled through it.
//!
//! Where embassy's operation is not quite the peer's:
//!
//! * `timer_cancel`: dropping a `Timer` leaves its entry in the queue, so it costs nothing here and a
//!   spurious poll at the instant it was set to.
//! * `timer_arm`: arming looks through the whole queue for the next instant, and a task has one entry in it.
//! * `spawn_join`: tasks can't be joined; the task signals its end, as in `spawn_detached`.
//! * `irq_to_task`: QEMU takes WFE for a no-op, so the executor does not sleep while idle but polls in
//!   circles, and the interrupt falls on any instruction of a circle.

#![no_std]
#![no_main]

use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use core::task::Poll;

use board::println;
use embassy_executor::{Executor, Metadata, Spawner};
use embassy_futures::yield_now;
use embassy_sync::blocking_mutex::raw::{CriticalSectionRawMutex, NoopRawMutex};
use embassy_sync::signal::Signal;
use embassy_time::{Duration, Instant, Timer};
use static_cell::StaticCell;

mod embassy_time_driver;
mod measure;
mod turns;

use measure::{IDLE_AFTER, MEASURED, MOST, Meter, Stats, TIMERS, WARM_UP, read};
use turns::Turns;

/// The cheapest sound signal between tasks of one executor: the mutex does nothing, and the signal is not
/// `Sync`.
type LocalSignal<T> = Signal<NoopRawMutex, T>;
/// The signal for interrupts.
type IrqSignal<T> = Signal<CriticalSectionRawMutex, T>;

/// Given when the operation under way has been measured.
static DONE: IrqSignal<()> = IrqSignal::new();

/// Cargo unifies the features of packages that one call builds, and this image must not get the other one's
/// scheduler.
const _: () =
    assert!(size_of::<Metadata>() == 0, "build this image's package alone: cargo build -p bench-embassy");

board::entry!(main);

fn main() -> ! {
    static EXECUTOR: StaticCell<Executor> = StaticCell::new();

    println!("{{\"image\":\"embassy-executor 0.10\"}}");
    let meter = Meter::start();
    EXECUTOR.init(Executor::new()).run(|spawner| spawner.spawn(all(spawner, meter).unwrap()))
}

#[embassy_executor::task]
async fn all(spawner: Spawner, meter: Meter) {
    static PING: StaticCell<LocalSignal<u32>> = StaticCell::new();
    static PONG: StaticCell<LocalSignal<u32>> = StaticCell::new();
    static JOINED: StaticCell<LocalSignal<()>> = StaticCell::new();
    static ROUND: StaticCell<LocalSignal<u32>> = StaticCell::new();
    static GO: StaticCell<[LocalSignal<()>; MOST]> = StaticCell::new();
    static TURNS: StaticCell<Turns> = StaticCell::new();

    spawner.spawn(yielding(meter).unwrap());
    DONE.wait().await;
    let turns = &*TURNS.init(Turns::new(meter));
    for n in [4, 32] {
        turns.begin(n);
        for _ in 0..n {
            spawner.spawn(yielding_in_turn(turns).unwrap());
        }
        DONE.wait().await;
        turns.stats().print("yield", n);
    }

    let (ping, pong) = (&*PING.init(Signal::new()), &*PONG.init(Signal::new()));
    spawner.spawn(answering(ping, pong).unwrap());
    spawner.spawn(asking(meter, ping, pong).unwrap());
    DONE.wait().await;

    spawner.spawn(interrupted(meter).unwrap());
    DONE.wait().await;

    spawner.spawn(joining(meter, spawner, JOINED.init(Signal::new())).unwrap());
    DONE.wait().await;

    let (round, go) = (&*ROUND.init(Signal::new()), &*GO.init([const { Signal::new() }; MOST]));
    for &n in TIMERS {
        spawner.spawn(timing(meter, spawner, n, round, go).unwrap());
        DONE.wait().await;
    }
    board::exit(0)
}

// === yield ===

#[embassy_executor::task]
async fn yielding(meter: Meter) {
    let mut stats = Stats::new(WARM_UP);
    while stats.count() < MEASURED {
        let from = read();
        yield_now().await;
        let to = read();
        stats.add(meter.between(from, to));
    }
    stats.print("yield", 1);
    DONE.signal(());
}

#[embassy_executor::task(pool_size = 32)]
async fn yielding_in_turn(turns: &'static Turns) {
    while turns.resumed() {
        turns.yields();
        yield_now().await;
    }
    if turns.ended() {
        DONE.signal(());
    }
}

// === signal_round_trip ===

/// Ends the answering task.
const LAST: u32 = 0;

#[embassy_executor::task]
async fn asking(meter: Meter, ping: &'static LocalSignal<u32>, pong: &'static LocalSignal<u32>) {
    let mut stats = Stats::new(WARM_UP);
    while stats.count() < MEASURED {
        let from = read();
        ping.signal(1);
        pong.wait().await;
        let to = read();
        stats.add(meter.between(from, to));
    }
    ping.signal(LAST);
    stats.print("signal_round_trip", 1);
    DONE.signal(());
}

#[embassy_executor::task]
async fn answering(ping: &'static LocalSignal<u32>, pong: &'static LocalSignal<u32>) {
    loop {
        let value = ping.wait().await;
        if value == LAST {
            return;
        }
        pong.signal(value);
    }
}

// === irq_to_task ===

static INTERRUPTED_AT: AtomicU32 = AtomicU32::new(0);
static INTERRUPT: IrqSignal<()> = IrqSignal::new();

fn on_interrupt() {
    INTERRUPTED_AT.store(read(), Ordering::Relaxed);
    INTERRUPT.signal(());
}

#[embassy_executor::task]
async fn interrupted(meter: Meter) {
    let mut stats = Stats::new(WARM_UP);
    board::irq::bind(on_interrupt);
    while stats.count() < MEASURED {
        // Long enough to be idle by then, and varied so as to meet all instructions of the idle loop.
        board::irq::trigger_after(IDLE_AFTER + stats.count() % 16);
        INTERRUPT.wait().await;
        let to = read();
        stats.add(meter.between(INTERRUPTED_AT.load(Ordering::Relaxed), to));
    }
    stats.print("irq_to_task", 1);
    DONE.signal(());
}

// === spawn_join ===

#[embassy_executor::task]
async fn joining(meter: Meter, spawner: Spawner, joined: &'static LocalSignal<()>) {
    let mut stats = Stats::new(WARM_UP);
    while stats.count() < MEASURED {
        let from = read();
        spawner.spawn(finishing(joined).unwrap());
        joined.wait().await;
        let to = read();
        stats.add(meter.between(from, to));
    }
    stats.print("spawn_join", 1);
    stats.print("spawn_detached", 1);
    DONE.signal(());
}

#[embassy_executor::task]
async fn finishing(joined: &'static LocalSignal<()>) {
    joined.signal(());
}

// === timer_arm, timer_cancel, timer_expire ===

/// Measured expiries of all timers together.
const ROUNDS: u32 = 50;
/// From setting a timer to its instant, longer than setting takes.
const AHEAD: Duration = Duration::from_millis(2);

/// From one expiry of `n` timers to the next, longer than it takes to set them all again.
const fn step(n: usize) -> Duration {
    Duration::from_millis(10 + n as u64)
}

/// The counter at the first instruction of the alarm's latest interrupt.
static ALARM_AT: AtomicU32 = AtomicU32::new(0);

#[inline(always)]
fn alarm_fired() {
    ALARM_AT.store(read(), Ordering::Relaxed);
}

/// Sleepers that have woken in this round.
static ARRIVED: AtomicUsize = AtomicUsize::new(0);

/// Measures arming and cancelling beside `n` sleepers, then their waking.
#[embassy_executor::task]
async fn timing(
    meter: Meter,
    spawner: Spawner,
    n: usize,
    round: &'static LocalSignal<u32>,
    go: &'static [LocalSignal<()>; MOST],
) {
    // Well after arming and cancelling have been measured.
    let start = Instant::now() + Duration::from_secs(5);
    for go in &go[..n] {
        spawner.spawn(sleeping(n, start, round, go).unwrap());
    }
    // The sleepers' first polls, by which they set their timers, come before the second poll of this task.
    yield_now().await;

    let (mut arm, mut cancel) = (Stats::new(WARM_UP), Stats::new(WARM_UP));
    while arm.count() < MEASURED {
        // Earlier than all others, so that the alarm moves.
        let at = Instant::now() + AHEAD;
        let mut timer = Timer::at(at);
        let spent = poll_fn(|context| {
            let from = read();
            let polled = Pin::new(&mut timer).poll(context);
            let to = read();
            assert!(polled.is_pending(), "the timer is set to an instant to come");
            Poll::Ready(meter.between(from, to))
        });
        arm.add(spent.await);
        let from = read();
        drop(timer);
        let to = read();
        cancel.add(meter.between(from, to));
        // The entry left in the queue has to go before the next one can be new.
        Timer::at(at).await;
    }
    assert!(Instant::now() < start, "the sleepers have slept throughout");
    arm.print("timer_arm", n);
    cancel.print("timer_cancel", n);

    let mut expire = Stats::new(WARM_UP);
    while expire.count() < ROUNDS {
        let to = round.wait().await;
        expire.add(meter.between(ALARM_AT.load(Ordering::Relaxed), to));
        ARRIVED.store(0, Ordering::Relaxed);
        for go in &go[..n] {
            go.signal(());
        }
    }
    expire.print_each("timer_expire", n, n as u32);
    DONE.signal(());
}

/// Sleeps until each round's instant; the last of the round's sleepers to wake reports when that was.
#[embassy_executor::task(pool_size = MOST)]
async fn sleeping(n: usize, start: Instant, round: &'static LocalSignal<u32>, go: &'static LocalSignal<()>) {
    for at in (0..WARM_UP + ROUNDS).map(|round| start + step(n) * round) {
        Timer::at(at).await;
        let now = read();
        // A load and a store, because a Cortex-M0 has no read-modify-write; the tasks are of one executor.
        let arrived = ARRIVED.load(Ordering::Relaxed) + 1;
        ARRIVED.store(arrived, Ordering::Relaxed);
        if arrived == n {
            round.signal(now);
        }
        go.wait().await;
    }
}
