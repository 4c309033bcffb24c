//! One week of real earthquakes in one minute: twelve networks report, a detector with a deadline raises
//! alerts.
//!
//! ```text
//!  12 sources  --Report-->  detector  --Alert-->  reporter
//!  one a network            timed lane            lowest priority
//! ```
//!
//! Twelve tasks wake on their own, so their reports may come in any order; yet the detector must see the
//! events in the order in which they happened. So each report says when the source will have its next one,
//! and the detector always waits for the source that is to be next: the order holds however late a task runs.
//! All queues are bounded, and whoever finds one full waits; nothing is lost.
//!
//! The tasks speak through the channels of `embassy-sync`, which know nothing of this runtime: a waker is all
//! they need.
//!
//! The last line holds the totals, and those counters which are the same on every board; the line before it
//! the others.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[path = "quakes/detector.rs"]
mod detector;

use core::fmt;

use board::{Board, println};
use detector::{Detector, DetectorError, Strong, Swarm};
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::channel::Channel;
use quake_table::{EVENTS, Event, NETWORKS};
use trilane::exec::{Attributes, Cancelled, Cx, Executor, JoinError, TaskOptions, TaskPool, future_size};
use trilane::sched::Priority;
use trilane::time::{Duration, Instant};

/// A week takes a minute.
const SPEED_UP: u64 = 7 * 24 * 60;
/// The board's time at which the week begins: every source has found its first event by then.
const START: Instant = Instant::from_millis(100);
/// How soon after it has happened an event must reach the detector, in the board's time.
const LATENCY: Duration = Duration::from_millis(5);

/// With room for the sources, the detector and the reporter.
static EXECUTOR: Executor<Board, 1, { NETWORKS.len() + 2 }> = Executor::new(Board::new());
static SOURCES: TaskPool<{ future_size(&source) }, { NETWORKS.len() }> = TaskPool::new();
static DETECTOR: TaskPool<{ future_size(&detect) }, 1> = TaskPool::new();
static REPORTER: TaskPool<{ future_size(&report) }, 1> = TaskPool::new();

/// A channel between tasks.
type Queue<T, const N: usize> = Channel<CriticalSectionRawMutex, T, N>;

/// From each source to the detector.
static REPORTS: [Queue<Report, 1>; NETWORKS.len()] = [const { Queue::new() }; NETWORKS.len()];
/// From the detector to the reporter; `None` is the last.
static ALERTS: Queue<Option<Alert>, 8> = Queue::new();

/// What a source tells the detector.
struct Report {
    /// The event that has just happened; the first report has none.
    event: Option<&'static Event>,
    /// The time of the source's next event; after the last one, none.
    next_ms: Option<u32>,
}

enum Alert {
    Strong(Strong<'static>),
    Swarm(Swarm),
}

impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Strong(strong) => strong.fmt(f),
            Self::Swarm(swarm) => swarm.fmt(f),
        }
    }
}

/// The sources are named after their networks.
static NAMES: [Attributes; NETWORKS.len()] = {
    let mut names = [Attributes::new(); NETWORKS.len()];
    let mut network = 0;
    while network < NETWORKS.len() {
        names[network] = Attributes::named(NETWORKS[network]);
        network += 1;
    }
    names
};

board::entry!(main);

fn main() -> ! {
    let mut runner = board::start(&EXECUTOR);
    let spawner = runner.spawner();
    let middle = TaskOptions::new().priority(Priority::of::<1>());
    for (network, attributes) in NAMES.iter().enumerate() {
        let options = middle.attributes(attributes);
        let spawned = spawner.spawn_local_with(options, &SOURCES, move |cx| source(cx, network));
        spawned.expect("room for all networks");
    }
    let urgent =
        TaskOptions::new().attributes(const { &Attributes::named("detector") }).deadline(START + LATENCY);
    let mut detector = spawner.spawn_local_with(urgent, &DETECTOR, detect).expect("room for one");
    let lowest = TaskOptions::new().attributes(const { &Attributes::named("reporter") });
    let mut reporter = spawner.spawn_local_with(lowest, &REPORTER, report).expect("room for one");

    runner.run_until(|| detector.is_finished() && reporter.is_finished());
    let outcome = detector.try_join().expect("it is finished");
    let printed = reporter.try_join().expect("it is finished");
    board::exit(conclude(outcome, printed))
}

/// Replays what one network has recorded, each event at its time.
async fn source(cx: Cx, network: usize) -> Result<(), Cancelled> {
    let mut events = EVENTS.iter().filter(|event| usize::from(event.net) == network);
    let mut next = events.next();
    REPORTS[network].send(Report { event: None, next_ms: next.map(|event| event.t_ms) }).await;
    while let Some(event) = next {
        // Before the wait: a search after it would delay the event.
        next = events.next();
        cx.sleep_until(board_time(event.t_ms)).await?;
        REPORTS[network].send(Report { event: Some(event), next_ms: next.map(|event| event.t_ms) }).await;
    }
    Ok(())
}

/// What the detector has seen.
#[derive(Default)]
struct Tally {
    events: usize,
    strong: usize,
    swarms: usize,
    /// Events that came so late that no deadline could be set for them.
    late: u32,
}

async fn detect(cx: Cx) -> Result<Tally, DetectorError> {
    let outcome = detect_all(cx).await;
    // Nothing is urgent any more: waiting for the reporter now must not count as a miss.
    cx.set_deadline(None).expect("a task that runs has not ended");
    ALERTS.send(None).await;
    outcome
}

/// Takes the reports in the order of their events and raises the alerts.
async fn detect_all(cx: Cx) -> Result<Tally, DetectorError> {
    let mut detector = Detector::<32>::new();
    let mut tally = Tally::default();
    let mut next_ms = [None; NETWORKS.len()];
    for (next_ms, reports) in next_ms.iter_mut().zip(&REPORTS) {
        *next_ms = reports.receive().await.next_ms;
    }
    while let Some((network, t_ms)) = earliest(&next_ms) {
        if cx.set_deadline(Some(board_time(t_ms) + LATENCY)).is_err() {
            tally.late += 1;
        }
        // No other source has an event before this one.
        let report = REPORTS[network].receive().await;
        next_ms[network] = report.next_ms;
        let Some(event) = report.event else { continue };
        tally.events += 1;
        if let Some(strong) = Strong::check(event) {
            tally.strong += 1;
            ALERTS.send(Some(Alert::Strong(strong))).await;
        }
        if let Some(swarm) = detector.observe(event)? {
            tally.swarms += 1;
            ALERTS.send(Some(Alert::Swarm(swarm))).await;
        }
    }
    Ok(tally)
}

/// The network that has the next event, and when.
fn earliest(next_ms: &[Option<u32>]) -> Option<(usize, u32)> {
    let known = next_ms.iter().enumerate().filter_map(|(network, t_ms)| Some((network, (*t_ms)?)));
    known.min_by_key(|&(_, t_ms)| t_ms)
}

/// Prints the alerts when nothing more urgent is to be done. Returns how many.
async fn report(_cx: Cx) -> usize {
    let mut printed = 0;
    while let Some(alert) = ALERTS.receive().await {
        println!("{alert}");
        printed += 1;
    }
    printed
}

/// When the board replays what happened `t_ms` milliseconds into the week.
fn board_time(t_ms: u32) -> Instant {
    START + Duration::from_micros(u64::from(t_ms) * 1_000 / SPEED_UP)
}

/// Prints the totals. Returns the exit status: 0 if every event was processed and every alert printed.
fn conclude(
    outcome: Result<Result<Tally, DetectorError>, JoinError>,
    printed: Result<usize, JoinError>,
) -> u8 {
    let tally = match outcome {
        Ok(Ok(tally)) => tally,
        Ok(Err(error)) => return failed(format_args!("the detector gave up: {error}")),
        Err(error) => return failed(format_args!("the detector did not finish: {error}")),
    };
    let Tally { events, strong, swarms, late } = tally;
    if events != EVENTS.len() {
        return failed(format_args!(
            "{events} of {} events were processed: a source ended early",
            EVENTS.len()
        ));
    }
    if printed != Ok(strong + swarms) {
        return failed(format_args!("not all {} alerts were printed", strong + swarms));
    }
    let counters = EXECUTOR.counters();
    println!(
        "~ {}: polls {} wakes {} coalesced {} deepest lane {}",
        board::NAME,
        counters.polls,
        counters.wakes,
        counters.coalesced,
        counters.deepest_lane
    );
    println!(
        "events {events} strong {strong} swarm {swarms} misses {} spawns {} completions {} cancelled {}",
        counters.misses + late,
        counters.spawns,
        counters.completions,
        counters.cancelled_by_deadline + counters.cancelled_by_quota,
    );
    0
}

fn failed(why: fmt::Arguments) -> u8 {
    println!("{why}");
    1
}
