//! `cancel`, `cancel_timed` (and `_call`, `_irq`), `region_close`: tasks asked to stop.

use core::cell::Cell;
use core::sync::atomic::{AtomicU32, Ordering};

use embassy_sync::blocking_mutex::CriticalSectionMutex;
use trilane::exec::{AbortHandle, Cx, Reason, RegionOptions, TaskOptions, yield_now};
use trilane::sched::Priority;
use trilane::time::Instant;

use crate::measure::{Growth, MEASURED, Meter, OTHERS, Stats, WARM_UP, both, read};
use crate::{GAP, LATE, Large, MANY, TASKS, done, measure};

pub fn rows(large: &mut Large, meter: Meter) {
    measure(large, |spawner| drop(spawner.spawn_local(&TASKS, |cx| cancelling(cx, meter)).unwrap()));
    let first = large.now() + LATE;
    let urgent = TaskOptions::new().deadline(first);
    measure(large, |spawner| {
        let task = |cx| cancelling_queued(cx, meter, first);
        drop(spawner.spawn_local_with(urgent, &TASKS, task).unwrap());
    });
    measure(large, |spawner| drop(spawner.spawn_local(&TASKS, |cx| closing(cx, meter)).unwrap()));
}

// === cancel, cancel_call ===

/// Before the task that measures, so that they wait when it does.
const FIRST: TaskOptions = TaskOptions::new().priority(Priority::HIGHEST);

/// Asks a task that waits to stop, beside `n` others that wait: the call alone, and until the task has been
/// joined.
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
            whole.add(both(meter.between(from, between), meter.between(between, to)));
        }
        whole_growth.print(&whole, n);
        call_growth.print(&call, n);
        others.close().await.unwrap();
    }
    done();
}

/// Its result is of a type of its own, so that the join of `spawn_join` stays the only one of its kind and is
/// inlined.
async fn stopping(cx: Cx) -> Reason {
    cx.cancelled().await.0
}

/// Polls whose number changes with each iteration, and from one hundred to the next: so the end of a pass
/// falls on each of the measured ones some time.
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

/// Asks a task that is queued in the timed lane to stop, beside `n` others in it: the call alone, the call
/// from an interrupt, and until the task has been joined. Where it stands among the others changes each time.
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
            whole.add(both(meter.between(from, between), meter.between(between, to)));

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
