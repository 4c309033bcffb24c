//! Stopping tasks: asking, cleaning up, force; shields, regions, a request from an interrupt, a race.
//!
//! ```text
//!  request    the task's next wait returns `Err(Cancelled)`, or the one it is in; a shield holds that off
//!  clean-up   it returns by itself: its result is kept for whoever joins
//!  force      its clean-up time is over and it is still there: it is dropped, then its finaliser is called
//! ```
//!
//! A region asks all tasks and regions in it, and has closed once none is left. Look at `honoured` and
//! `forced` first.

#![cfg_attr(target_os = "none", no_std, no_main)]

use board::{Board, print, println};
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::channel::Channel;
use embassy_sync::once_lock::OnceLock;
use embassy_sync::signal::Signal;
use trilane::exec::{
    AbortHandle, Attributes, CancelError, Cancelled, Cx, Executor, Forced, JoinHandle, JoinSet, Platform,
    RegionId, RegionOptions, Regions, TaskOptions, TaskPool, future_size,
};
use trilane::time::{Duration, Instant};

static REGIONS: Regions<4> = Regions::new();
static EXECUTOR: Executor<Board, 1, 8> = Executor::new(Board::new());
static TOUR: TaskPool<{ future_size(&tour) }, 1> = TaskPool::new();

const TASK: TaskOptions = TaskOptions::new();
const REGION: RegionOptions = RegionOptions::new();

board::entry!(main);

fn main() -> ! {
    board::run(EXECUTOR.with_regions(&REGIONS), |spawner| {
        spawner.spawn_local(&TOUR, tour).expect("room for one task");
    })
}

async fn tour(cx: Cx) {
    let toured = async {
        honoured(cx).await?;
        forced(cx).await?;
        shielded(cx).await?;
        tree(cx).await?;
        from_an_interrupt(cx).await?;
        race(cx).await?;
        forgotten(cx).await
    };
    toured.await.expect("nobody asks the tour to stop");
    totals();
    board::exit(0)
}

static BLINKER: TaskPool<{ future_size(&blink) }, 1> = TaskPool::new();

async fn honoured(cx: Cx) -> Result<(), Cancelled> {
    println!("a request that the task honours:");
    let blinker = cx.spawn(&BLINKER, blink).expect("room for one");
    cx.sleep(millis(25)).await?;
    let asked = cx.now();
    blinker.cancel().expect("it has not ended");
    let blinks = blinker.await.expect("it ends by itself");
    println!("  its result, {} ms after the request: {blinks} blinks", since(asked));
    Ok(())
}

async fn blink(cx: Cx) -> u32 {
    let mut blinks = 0;
    let Cancelled(reason) = loop {
        blinks += 1;
        println!("  blink");
        if let Err(cancelled) = cx.sleep(millis(10)).await {
            break cancelled;
        }
    };
    println!("  asked to stop: {reason}; fading out");
    // The clean-up waits too: from now on, only a shield lets it.
    cx.shield(cx.sleep(millis(5))).await.expect("no request gets through a shield");
    blinks
}

const CLEAN_UP: Duration = Duration::from_millis(100);

static DRIVER: TaskPool<{ future_size(&drive) }, 1> = TaskPool::new();
static JOINER: TaskPool<{ future_size(&join) }, 1> = TaskPool::new();
static SPEEDS: Channel<CriticalSectionRawMutex, u32, 1> = Channel::new();

async fn forced(cx: Cx) -> Result<(), Cancelled> {
    println!(
        "a task that waits for a channel, which knows of no request; {} ms to clean up:",
        CLEAN_UP.as_millis()
    );
    let mut region = cx.open_region(REGION).expect("room for one");
    let options = TASK.attributes(const { &Attributes::new().cleanup_time(CLEAN_UP).finaliser(report) });
    let driver = region.spawn_with(options, &DRIVER, drive).expect("room for one");
    let joiner = cx.spawn(&JOINER, move |cx| join(cx, driver)).expect("room for one");
    cx.sleep(millis(10)).await?;
    let asked = cx.now();
    region.close().await.expect("closed once, from outside");
    let took = cx.now() - asked;
    joiner.await.expect("it ends by itself");
    println!(
        "  close took {} ms, within {} ms: {}",
        took.as_millis(),
        CLEAN_UP.as_millis(),
        yes(took < CLEAN_UP + millis(1))
    );
    Ok(())
}

async fn drive(_cx: Cx) {
    let _motor = Motor;
    loop {
        println!("  speed {}", SPEEDS.receive().await);
    }
}

/// A drop guard: runs whether the task returns or is ended.
struct Motor;

impl Drop for Motor {
    fn drop(&mut self) {
        println!("  its guard turns the motor off");
    }
}

fn report(forced: &Forced) {
    println!("  its finaliser: ended by force: {}", forced.reason);
}

async fn join(_cx: Cx, driver: JoinHandle<()>) {
    let error = driver.await.expect_err("a result can't come");
    println!("  whoever joins: {error}");
}

static WRITER: TaskPool<{ future_size(&write) }, 1> = TaskPool::new();

async fn shielded(cx: Cx) -> Result<(), Cancelled> {
    println!("pages that must not be torn, 10 ms each:");
    let start = cx.now();
    let writer = cx.spawn(&WRITER, write).expect("room for one");
    cx.sleep(millis(15)).await?;
    println!("  asked to stop at {} ms", since(start));
    writer.cancel().expect("it has not ended");
    let pages = writer.await.expect("it ends by itself");
    println!("  {pages} pages at {} ms", since(start));
    Ok(())
}

async fn write(cx: Cx) -> u32 {
    let mut pages = 0;
    // Between two pages it may stop.
    while !cx.is_cancelled() {
        pages += 1;
        cx.shield(write_page(cx, pages)).await.expect("no request gets through a shield");
    }
    pages
}

async fn write_page(cx: Cx, page: u32) -> Result<(), Cancelled> {
    println!("  page {page}, upper half");
    cx.sleep(millis(10)).await?;
    println!("  page {page}, lower half");
    Ok(())
}

static WORKERS: TaskPool<{ future_size(&work) }, 3> = TaskPool::new();
static LEADER: TaskPool<{ future_size(&lead) }, 1> = TaskPool::new();

/// ```text
/// plant: guard
///   press: valve
///   line (opened by the task `leader` of plant): belt
/// ```
async fn tree(cx: Cx) -> Result<(), Cancelled> {
    println!("a tree of regions closes:");
    let mut plant = cx.open_region(REGION.name(&"plant").finaliser(has_closed)).expect("room for one");
    let press = plant.open_region(REGION.name(&"press").finaliser(has_closed)).expect("room for one");
    plant.spawn(&WORKERS, |cx| work(cx, "guard")).expect("room for three");
    press.spawn(&WORKERS, |cx| work(cx, "valve")).expect("room for three");
    plant.spawn(&LEADER, lead).expect("room for one");
    cx.sleep(millis(1)).await?;
    show_regions();
    plant.close().await.expect("closed once, from outside");
    println!("  tasks left beside the tour: {}", others());
    Ok(())
}

async fn lead(cx: Cx) {
    // Inside the task's own region, which closes it if the task doesn't.
    let line = cx.open_region(REGION.name(&"line").finaliser(has_closed)).expect("room for one");
    line.spawn(&WORKERS, |cx| work(cx, "belt")).expect("room for three");
    work(cx, "leader").await;
}

async fn work(cx: Cx, name: &'static str) {
    let Cancelled(reason) = cx.cancelled().await;
    println!("  {name} stops: {reason}");
}

fn show_regions() {
    for region in EXECUTOR.regions() {
        println!("  {}: tasks {}, regions {}", region.name.unwrap_or("?"), region.tasks, region.children);
    }
}

fn has_closed(id: RegionId) {
    let region = EXECUTOR.regions().find(|region| region.id == id).expect("it is there until this returns");
    println!("  finaliser: {} has closed", region.name.unwrap_or("?"));
}

static PUMP: TaskPool<{ future_size(&pump) }, 1> = TaskPool::new();
static ON_STOP: OnceLock<AbortHandle> = OnceLock::new();
static PRESSED: Signal<CriticalSectionRawMutex, (Result<(), CancelError>, Instant)> = Signal::new();

/// The interrupt's handler.
fn stop_button() {
    if let Some(task) = ON_STOP.try_get() {
        PRESSED.signal((task.cancel(), EXECUTOR.platform().now()));
    }
}

async fn from_an_interrupt(cx: Cx) -> Result<(), Cancelled> {
    println!("a stop button's interrupt:");
    let pump = cx.spawn(&PUMP, pump).expect("room for one");
    let _ = ON_STOP.init(pump.abort_handle().expect("it has not been joined"));
    board::irq::bind(stop_button);
    board::irq::trigger_after(5_000);
    let stopped = pump.await.expect("it ends by itself");
    let (asked, at) = PRESSED.wait().await;
    asked.expect("it had not ended");
    println!("  pressed: the pump stops: {}", stopped.0);
    println!("~ from the handler to the join: {} us", (cx.now() - at).as_micros());
    board::irq::trigger();
    if let (Err(error), _) = PRESSED.wait().await {
        println!("  pressed again: {error}");
    }
    Ok(())
}

async fn pump(cx: Cx) -> Cancelled {
    cx.cancelled().await
}

static SERVERS: TaskPool<{ future_size(&ask) }, 3> = TaskPool::new();

async fn race(cx: Cx) -> Result<(), Cancelled> {
    println!("three servers are asked, the first answer counts:");
    let region = cx.open_region(REGION).expect("room for one");
    let mut set: JoinSet<_, 3> = JoinSet::new(region);
    for (server, span) in [("oslo", 30), ("rome", 10), ("kyiv", 20)] {
        set.spawn(&SERVERS, move |cx| ask(cx, server, span)).expect("room for three");
    }
    let start = cx.now();
    if let Some(Ok(Ok(server))) = set.join_next().await {
        println!("  {server} answers at {} ms", since(start));
    }
    let rest = set.len();
    set.close().await.expect("closed once, from outside");
    println!("  the other {rest} have ended before 20 ms: {}", yes(since(start) < 20));
    Ok(())
}

async fn ask(cx: Cx, server: &'static str, span: u64) -> Result<&'static str, Cancelled> {
    cx.sleep(millis(span)).await?;
    Ok(server)
}

static COUNTER: TaskPool<{ future_size(&count) }, 1> = TaskPool::new();

async fn forgotten(cx: Cx) -> Result<(), Cancelled> {
    println!("a handle that is neither joined nor dropped:");
    let mut region = cx.open_region(REGION).expect("room for one");
    let handle = region.spawn(&COUNTER, count).expect("room for one");
    core::mem::forget(handle);
    cx.sleep(millis(1)).await?;
    println!("  the task has ended, slots taken {}", others());
    let full = region.spawn(&COUNTER, count).expect_err("one place, and it is taken");
    println!("  another one: {full}");
    region.close().await.expect("closed once, from outside");
    println!("  its region has closed, slots taken {}", others());
    cx.spawn(&COUNTER, count).expect("room again").await.expect("it ends by itself");
    println!("  another one: has come and gone");
    Ok(())
}

async fn count(_cx: Cx) {}

/// Slots taken, beside the tour's own.
fn others() -> usize {
    EXECUTOR.tasks().count() - 1
}

fn totals() {
    let counters = EXECUTOR.counters();
    print!("tasks {}, asked to stop: by a user {}", counters.spawns, counters.cancelled_by_user);
    print!(", since their region closed {}", counters.cancelled_by_parent);
    println!("; ended by force {}", counters.forced);
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Whole milliseconds: how far into one a task runs depends on the board's speed.
fn since(start: Instant) -> u64 {
    (EXECUTOR.platform().now() - start).as_millis()
}

fn yes(holds: bool) -> &'static str {
    if holds { "yes" } else { "no" }
}
