//! `signal_round_trip`, `irq_to_task`, `preempt`: a task that another task, or an interrupt's handler, wakes
//! by a signal.

use core::sync::atomic::{AtomicU32, Ordering};

use board::Preemptive;
use embassy_sync::blocking_mutex::raw::{CriticalSectionRawMutex, NoopRawMutex};
use embassy_sync::signal::Signal;
use static_cell::StaticCell;
use trilane::exec::Executor;

use crate::measure::{IDLE_AFTER, MEASURED, Meter, Stats, WARM_UP, read};
use crate::{DONE, Small, TASKS, done, measure};

/// The cheapest sound signal between tasks of one executor: the mutex does nothing, and the signal is not
/// `Sync`.
type LocalSignal<T> = Signal<NoopRawMutex, T>;

pub fn rows(small: &mut Small, meter: Meter) {
    static PING: StaticCell<LocalSignal<u32>> = StaticCell::new();
    static PONG: StaticCell<LocalSignal<u32>> = StaticCell::new();
    let (ping, pong) = (&*PING.init(LocalSignal::new()), &*PONG.init(LocalSignal::new()));
    measure(small, |spawner| {
        drop(spawner.spawn_local(&TASKS, |_| answering(ping, pong)).unwrap());
        drop(spawner.spawn_local(&TASKS, |_| asking(meter, ping, pong)).unwrap());
    });
    measure(small, |spawner| drop(spawner.spawn_local(&TASKS, |_| interrupted(meter)).unwrap()));
    Preemptive::start(HIGH.start_in_handler().unwrap());
    drop(HIGH.spawn(&TASKS, |_| preempting(meter)).unwrap());
    measure(small, |spawner| drop(spawner.spawn_local(&TASKS, |_| preempted()).unwrap()));
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
        board::irq::trigger_after(IDLE_AFTER + stats.count() % 16);
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

/// From the first instruction of an interrupt's handler, while thread mode is busy, to the task's that it
/// wakes.
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
