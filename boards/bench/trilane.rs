//! The bench image of trilane: what its operations cost, in instructions.
//!
//! Each operation runs in a task of its own, since a future nested in another is polled through it. The signals are the
//! peer image's, from the same library.

#![no_std]
#![no_main]

use core::cell::Cell;
use core::future::poll_fn;
use core::pin::pin;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use core::task::Poll;

use board::{Preemptive, println};
use embassy_sync::blocking_mutex::CriticalSectionMutex;
use embassy_sync::blocking_mutex::raw::{CriticalSectionRawMutex, NoopRawMutex};
use embassy_sync::signal::Signal;
use static_cell::StaticCell;
use trilane::exec::{
    AbortHandle, Cx, Executor, LocalSpawner, Platform, Reason, RegionOptions, Regions, Runner, Sleep,
    TaskOptions, TaskPool, yield_now,
};
use trilane::sched::Priority;
use trilane::time::{Duration, Instant};

mod measure;
mod turns;

use measure::{Growth, MEASURED, MOST, Meter, OTHERS, Stats, TIMERS, WARM_UP, read};
use turns::Turns;

/// The cheapest sound signal between tasks of one executor: the mutex does nothing, and the signal is not `Sync`.
type LocalSignal<T> = Signal<NoopRawMutex, T>;

/// What a firmware of a few tasks has: one bank.
static SMALL: Executor<Board, 1, 8> = Executor::new(Board::new());
/// One full bank, for as many runnable tasks.
static BANK: Executor<Board, 1, 32> = Executor::new(Board::new());
/// Banks for the most tasks and the one that measures: nine on a board with room for 256.
static LARGE: Executor<Board, { (MOST + 1).div_ceil(32) }, 32> =
    Executor::new(Board::new()).with_regions(&REGIONS);
static REGIONS: Regions<1> = Regions::new();

static TASKS: TaskPool<384, 2> = TaskPool::new();
static MANY: TaskPool<160, { MOST + 1 }> = TaskPool::new();

/// The board's platform, but for a reading when sleep ends: before the interrupt's handler, as in the peer's image.
struct Board(board::Board);

static AWAKE_AT: AtomicU32 = AtomicU32::new(0);

impl Board {
    const fn new() -> Self {
        Self(board::Board::new())
    }
}

impl Platform for Board {
    const PENDS: bool = board::Board::PENDS;

    fn now(&self) -> Instant {
        self.0.now()
    }

    fn set_alarm(&self, at: Option<Instant>) {
        self.0.set_alarm(at);
    }

    fn pend(&self) {
        self.0.pend();
    }

    fn idle(&self, quiet: &dyn Fn() -> bool) {
        self.0.sleep(quiet, || AWAKE_AT.store(read(), Ordering::Relaxed));
    }
}

/// Set when the operation under way has been measured.
static DONE: AtomicBool = AtomicBool::new(false);

board::entry!(main);

fn main() -> ! {
    static PING: StaticCell<LocalSignal<u32>> = StaticCell::new();
    static PONG: StaticCell<LocalSignal<u32>> = StaticCell::new();
    static TURNS: StaticCell<Turns> = StaticCell::new();

    println!("{{\"image\":\"trilane\"}}");
    let meter = Meter::start();

    let mut small = SMALL.start().unwrap();
    measure(&mut small, |spawner| drop(spawner.spawn_local(&TASKS, |_| yielding(meter)).unwrap()));
    let (ping, pong) = (&*PING.init(LocalSignal::new()), &*PONG.init(LocalSignal::new()));
    measure(&mut small, |spawner| {
        drop(spawner.spawn_local(&TASKS, |_| answering(ping, pong)).unwrap());
        drop(spawner.spawn_local(&TASKS, |_| asking(meter, ping, pong)).unwrap());
    });
    measure(&mut small, |spawner| drop(spawner.spawn_local(&TASKS, |_| interrupted(meter)).unwrap()));
    Preemptive::start(HIGH.start_in_handler().unwrap());
    drop(HIGH.spawn(&TASKS, |_| preempting(meter)).unwrap());
    measure(&mut small, |spawner| drop(spawner.spawn_local(&TASKS, |_| preempted()).unwrap()));
    measure(&mut small, |spawner| drop(spawner.spawn_local(&TASKS, |cx| joining(cx, meter)).unwrap()));

    let (mut bank, mut large) = (BANK.start().unwrap(), LARGE.start().unwrap());
    let turns = &*TURNS.init(Turns::new(meter));
    for n in [4, 32] {
        take_turns(&mut bank, turns, n, None);
        turns.stats().print("yield", n);
    }
    for (op, rotate) in [("edf", false), ("edf_rotate", true)] {
        for n in [1, 4, 32] {
            take_turns(&mut bank, turns, n, Some(rotate));
            turns.stats().print(op, n);
        }
        if MOST > 32 {
            take_turns(&mut large, turns, MOST, Some(rotate));
            turns.stats().print(op, MOST);
        }
    }
    measure(&mut large, |spawner| drop(spawner.spawn_local(&TASKS, |cx| cancelling(cx, meter)).unwrap()));
    let first = large.now() + LATE;
    let urgent = TaskOptions::new().deadline(first);
    measure(&mut large, |spawner| {
        let task = |cx| cancelling_queued(cx, meter, first);
        drop(spawner.spawn_local_with(urgent, &TASKS, task).unwrap());
    });
    measure(&mut large, |spawner| drop(spawner.spawn_local(&TASKS, |cx| closing(cx, meter)).unwrap()));
    for &n in TIMERS {
        measure(&mut large, |spawner| drop(spawner.spawn_local(&TASKS, |cx| timing(cx, meter, n)).unwrap()));
    }
    board::exit(0)
}

/// Runs the tasks that `spawn` spawns until one of them says that it is done.
fn measure<const BANKS: usize, const PER_BANK: usize>(
    runner: &mut Runner<Board, BANKS, PER_BANK>,
    spawn: impl FnOnce(LocalSpawner<Board, BANKS, PER_BANK>),
) {
    DONE.store(false, Ordering::Relaxed);
    spawn(runner.spawner());
    runner.run_until(|| DONE.load(Ordering::Relaxed));
}

fn done() {
    DONE.store(true, Ordering::Relaxed);
}

// === yield ===

async fn yielding(meter: Meter) {
    let mut stats = Stats::new(WARM_UP);
    while stats.count() < MEASURED {
        let from = read();
        yield_now().await;
        let to = read();
        stats.add(meter.between(from, to));
    }
    stats.print("yield", 1);
    done();
}

// === signal_round_trip ===

/// Ends the answering task.
const LAST: u32 = 0;

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
    done();
}

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
static INTERRUPT: Signal<CriticalSectionRawMutex, ()> = Signal::new();

fn on_interrupt() {
    INTERRUPTED_AT.store(read(), Ordering::Relaxed);
    INTERRUPT.signal(());
}

async fn interrupted(meter: Meter) {
    let mut stats = Stats::new(WARM_UP);
    board::irq::bind(on_interrupt);
    while stats.count() < MEASURED {
        // Long enough to be idle by then, and varied so as to meet all instructions of the way to sleep.
        board::irq::trigger_after(100 + stats.count() % 16);
        INTERRUPT.wait().await;
        let to = read();
        stats.add(meter.between(INTERRUPTED_AT.load(Ordering::Relaxed), to));
    }
    stats.print("irq_to_task", 1);
    done();
}

// === preempt ===

/// Pre-empts all others.
static HIGH: Executor<Preemptive, 1, 8> = Executor::new(Preemptive::new());

/// From the first instruction of an interrupt's handler, while thread mode is busy, to the task's that it wakes.
async fn preempting(meter: Meter) {
    let mut stats = Stats::new(WARM_UP);
    while stats.count() < MEASURED {
        INTERRUPT.wait().await;
        let to = read();
        stats.add(meter.between(INTERRUPTED_AT.load(Ordering::Relaxed), to));
    }
    stats.print("preempt", 1);
    done();
}

/// Is busy with one poll, in which all of it happens.
async fn preempted() {
    board::irq::bind(on_interrupt);
    while !DONE.load(Ordering::Relaxed) {
        board::irq::trigger();
    }
}

// === spawn_join ===

async fn joining(cx: Cx, meter: Meter) {
    let mut stats = Stats::new(WARM_UP);
    while stats.count() < MEASURED {
        let from = read();
        let handle = cx.spawn(&TASKS, |_| async {}).unwrap();
        let joined = handle.await;
        let to = read();
        assert!(joined.is_ok(), "the task ended by itself");
        stats.add(meter.between(from, to));
    }
    stats.print("spawn_join", 1);
    done();
}

// === edf, edf_rotate ===

/// Between the deadlines of two tasks.
const GAP: Duration = Duration::from_millis(1);
/// Until the first deadline: late enough that none is missed.
const LATE: Duration = Duration::from_secs(1_000);

/// Measures `n` tasks that yield: without deadlines, or with such as stay or `rotate`.
fn take_turns<const BANKS: usize, const PER_BANK: usize>(
    runner: &mut Runner<Board, BANKS, PER_BANK>,
    turns: &'static Turns,
    n: usize,
    rotate: Option<bool>,
) {
    let first = runner.now() + LATE;
    turns.begin(n);
    measure(runner, |spawner| {
        for i in 0..n {
            if let Some(rotate) = rotate {
                let deadline = first + GAP.saturating_mul(i as u64);
                let options = TaskOptions::new().deadline(deadline);
                let task = |cx| turning(cx, deadline, rotate, n, turns);
                drop(spawner.spawn_local_with(options, &MANY, task).unwrap());
            } else {
                drop(spawner.spawn_local(&MANY, |_| yielding_in_turn(turns)).unwrap());
            }
        }
    });
}

async fn yielding_in_turn(turns: &'static Turns) {
    while turns.resumed() {
        turns.yields();
        yield_now().await;
    }
    if turns.ended() {
        done();
    }
}

/// Yields; where the tasks `rotate`, moves its deadline behind all others' first.
async fn turning(cx: Cx, mut deadline: Instant, rotate: bool, n: usize, turns: &'static Turns) {
    while turns.resumed() {
        turns.yields();
        if rotate {
            deadline += GAP.saturating_mul(n as u64);
            let _ = cx.set_deadline(Some(deadline));
        }
        yield_now().await;
    }
    if turns.ended() {
        done();
    }
}

// === cancel, cancel_call ===

/// Before the task that measures, so that they wait when it does.
const FIRST: TaskOptions = TaskOptions::new().priority(Priority::HIGHEST);

/// Asks a task that waits to stop, beside `n` others that wait: the call alone, and until the task has been joined.
async fn cancelling(cx: Cx, meter: Meter) {
    let (mut whole_growth, mut call_growth) = (Growth::none("cancel"), Growth::none("cancel_call"));
    for &n in OTHERS {
        let mut others = cx.open_region(RegionOptions::new()).unwrap();
        for _ in 0..n {
            drop(others.spawn_with(FIRST, &MANY, stopping).unwrap());
        }
        let (mut whole, mut call) = (Stats::new(WARM_UP), Stats::new(WARM_UP));
        while call.count() < MEASURED {
            shift_the_pass(call.count()).await;
            let victim = cx.spawn_with(FIRST, &MANY, stopping).unwrap();
            yield_now().await;
            let from = read();
            let asked = victim.cancel();
            let between = read();
            let joined = victim.await;
            let to = read();
            assert!(asked.is_ok() && joined.is_ok(), "the task waited, and ended by itself");
            call.add(meter.between(from, between));
            whole.add(meter.between(from, between) + meter.between(between, to));
        }
        whole_growth.print(&whole, n);
        call_growth.print(&call, n);
        others.close().await.unwrap();
    }
    done();
}

/// Its result is of a type of its own, so that the join of `spawn_join` stays the only one of its kind and is inlined.
async fn stopping(cx: Cx) -> Reason {
    cx.cancelled().await.0
}

/// Polls whose number changes with each iteration, and from one hundred to the next: so the end of a pass falls on each of
/// the measured ones some time.
async fn shift_the_pass(iteration: u32) {
    for _ in 0..iteration % 5 + iteration / 100 {
        yield_now().await;
    }
}

// === cancel_timed, cancel_timed_call, cancel_timed_irq ===

static VICTIM: CriticalSectionMutex<Cell<Option<AbortHandle>>> = CriticalSectionMutex::new(Cell::new(None));
static ASKED_AT: AtomicU32 = AtomicU32::new(0);
static ASKED_UNTIL: AtomicU32 = AtomicU32::new(0);

fn on_stop() {
    let victim = VICTIM.lock(Cell::get).unwrap();
    let from = read();
    let asked = victim.cancel();
    let to = read();
    assert!(asked.is_ok(), "the task was queued");
    ASKED_AT.store(from, Ordering::Relaxed);
    ASKED_UNTIL.store(to, Ordering::Relaxed);
}

/// Asks a task that is queued in the timed lane to stop, beside `n` others in it: the call alone, the call from an interrupt,
/// and until the task has been joined. Where it stands among the others changes each time.
///
/// This task's deadline is the `first`, so the others stay queued.
async fn cancelling_queued(cx: Cx, meter: Meter, first: Instant) {
    let mut whole_growth = Growth::logarithmic("cancel_timed");
    let mut call_growth = Growth::logarithmic("cancel_timed_call");
    let mut irq_growth = Growth::logarithmic("cancel_timed_irq");
    let due = |place: usize| TaskOptions::new().deadline(first + GAP.saturating_mul(place as u64 + 1));
    board::irq::bind(on_stop);
    for &n in OTHERS {
        let mut others = cx.open_region(RegionOptions::new()).unwrap();
        for i in 0..n {
            drop(others.spawn_with(due(2 * i + 1), &MANY, stopping).unwrap());
        }
        let (mut whole, mut call, mut irq) = (Stats::new(WARM_UP), Stats::new(WARM_UP), Stats::new(WARM_UP));
        while call.count() < MEASURED {
            shift_the_pass(call.count()).await;
            let place = due(2 * (call.count() as usize % (n + 1)));
            let victim = cx.spawn_with(place, &MANY, stopping).unwrap();
            yield_now().await;
            let from = read();
            let asked = victim.cancel();
            let between = read();
            let joined = victim.await;
            let to = read();
            assert!(asked.is_ok() && joined.is_ok(), "the task was queued, and ended by itself");
            call.add(meter.between(from, between));
            whole.add(meter.between(from, between) + meter.between(between, to));

            let victim = cx.spawn_with(place, &MANY, stopping).unwrap();
            yield_now().await;
            VICTIM.lock(|cell| cell.set(victim.abort_handle()));
            board::irq::trigger();
            irq.add(meter.between(ASKED_AT.load(Ordering::Relaxed), ASKED_UNTIL.load(Ordering::Relaxed)));
            assert!(victim.await.is_ok(), "the task ended by itself");
        }
        whole_growth.print(&whole, n);
        call_growth.print(&call, n);
        irq_growth.print(&irq, n);
        others.close().await.unwrap();
    }
    done();
}

// === region_close ===

/// Measured closes of a region.
const CLOSES: u32 = 50;

/// Closes a region of `n` tasks that wait: until it has closed.
async fn closing(cx: Cx, meter: Meter) {
    for &n in OTHERS {
        let mut stats = Stats::new(WARM_UP);
        while stats.count() < CLOSES {
            let mut region = cx.open_region(RegionOptions::new()).unwrap();
            for _ in 0..n {
                drop(region.spawn_with(FIRST, &MANY, stopping).unwrap());
            }
            yield_now().await;
            let from = read();
            let closed = region.close().await;
            let to = read();
            assert!(closed.is_ok(), "it was open, and this task is outside of it");
            stats.add(meter.between(from, to));
        }
        stats.print("region_close", n);
    }
    done();
}

// === timer_arm, timer_cancel (and _last), timer_expire ===

/// Measured expiries of all timers together.
const ROUNDS: u32 = 50;
/// From setting a timer to its instant, longer than setting takes.
const AHEAD: Duration = Duration::from_millis(2);

/// From one expiry of `n` timers to the next, longer than it takes to set them all again.
const fn step(n: usize) -> Duration {
    Duration::from_millis(10 + n as u64)
}

/// Sleepers that have woken in this round.
static ARRIVED: AtomicUsize = AtomicUsize::new(0);
/// Reports the round's end.
static ROUND: Signal<CriticalSectionRawMutex, u32> = Signal::new();
/// Sends the sleepers into the next round.
static GO: [Signal<CriticalSectionRawMutex, ()>; MOST] = [const { Signal::new() }; MOST];

/// Measures arming and cancelling beside `n` sleepers, then their waking.
async fn timing(cx: Cx, meter: Meter, n: usize) {
    // Well after arming and cancelling have been measured, each of which waits AHEAD.
    let start = cx.now() + Duration::from_secs(5);
    for go in &GO[..n] {
        drop(cx.spawn(&MANY, |cx| sleeping(cx, n, start, go)).unwrap());
    }
    // The sleepers' first polls, by which they set their timers, come before the second poll of this task.
    yield_now().await;

    let (mut arm, mut cancel) = (Stats::new(WARM_UP), Stats::new(WARM_UP));
    let (mut arm_last, mut cancel_last) = (Stats::new(WARM_UP), Stats::new(WARM_UP));
    while arm.count() < MEASURED {
        // Earlier than all others, so that the alarm moves; then later than all.
        arm_and_cancel(meter, cx.sleep_until(cx.now() + AHEAD), &mut arm, &mut cancel).await;
        arm_and_cancel(meter, cx.sleep_until(start + AHEAD), &mut arm_last, &mut cancel_last).await;
        // As the peer's image does, whose queue keeps the timer until then.
        cx.sleep(AHEAD).await.unwrap();
    }
    assert!(cx.now() < start, "the sleepers have slept throughout");
    arm.print("timer_arm", n);
    arm_last.print("timer_arm_last", n);
    cancel.print("timer_cancel", n);
    cancel_last.print("timer_cancel_last", n);

    let mut expire = Stats::new(WARM_UP);
    while expire.count() < ROUNDS {
        let to = ROUND.wait().await;
        expire.add(meter.between(AWAKE_AT.load(Ordering::Relaxed), to));
        ARRIVED.store(0, Ordering::Relaxed);
        for go in &GO[..n] {
            go.signal(());
        }
    }
    expire.print_each("timer_expire", n, n as u32);
    done();
}

/// Measures the first poll of a sleep, by which it is armed, and its drop.
async fn arm_and_cancel(meter: Meter, sleep: Sleep, arm: &mut Stats, cancel: &mut Stats) {
    let mut timer = pin!(Some(sleep));
    let spent = poll_fn(|context| {
        let from = read();
        let polled = timer.as_mut().as_pin_mut().map(|timer| timer.poll(context));
        let to = read();
        assert!(polled == Some(Poll::Pending), "the timer is set to an instant to come");
        Poll::Ready(meter.between(from, to))
    });
    arm.add(spent.await);
    let from = read();
    timer.set(None);
    let to = read();
    cancel.add(meter.between(from, to));
}

/// Sleeps until each round's instant; the last of the round's sleepers to wake reports when that was.
async fn sleeping(cx: Cx, n: usize, start: Instant, go: &'static Signal<CriticalSectionRawMutex, ()>) {
    for round in 0..WARM_UP + ROUNDS {
        cx.sleep_until(start + step(n).saturating_mul(round.into())).await.unwrap();
        let now = read();
        // A load and a store, because a Cortex-M0 has no read-modify-write; the tasks are of one executor.
        let arrived = ARRIVED.load(Ordering::Relaxed) + 1;
        ARRIVED.store(arrived, Ordering::Relaxed);
        if arrived == n {
            ROUND.signal(now);
        }
        go.wait().await;
    }
}
