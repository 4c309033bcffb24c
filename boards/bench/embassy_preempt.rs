//! The bench image of embassy-executor with two executors, of which one pre-empts the other.
//!
//! An image of its own, because the cargo feature of the second executor makes waking dearer for the first.

#![no_std]
#![no_main]

use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use board::{Preempting, println};
use cortex_m::peripheral::Peripherals;
use embassy_executor::{Executor, InterruptExecutor};
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::signal::Signal;
use static_cell::StaticCell;
use trilane_cortex_m::Line;

mod measure;

use measure::{MEASURED, Meter, Stats, WARM_UP, read};

static HIGH: InterruptExecutor = InterruptExecutor::new();
static DONE: AtomicBool = AtomicBool::new(false);

board::entry!(main);

fn main() -> ! {
    static LOW: StaticCell<Executor> = StaticCell::new();

    println!("{{\"image\":\"embassy-executor 0.10\"}}");
    let meter = Meter::start();
    // SAFETY: nothing else has the peripherals, and the interrupt is not enabled yet.
    unsafe { Peripherals::steal().NVIC.set_priority(Preempting::IRQ, Preempting::PRIORITY) };
    HIGH.start(Preempting::IRQ).spawn(preempting(meter).unwrap());
    LOW.init(Executor::new()).run(|spawner| spawner.spawn(preempted().unwrap()))
}

/// Takes the place of the board's own handler.
#[unsafe(no_mangle)]
extern "C" fn PREEMPT_IRQ() {
    // SAFETY: this is the handler of the interrupt with which `main` has started it.
    unsafe { HIGH.on_interrupt() }
}

static INTERRUPTED_AT: AtomicU32 = AtomicU32::new(0);
static INTERRUPT: Signal<CriticalSectionRawMutex, ()> = Signal::new();

fn on_interrupt() {
    INTERRUPTED_AT.store(read(), Ordering::Relaxed);
    INTERRUPT.signal(());
}

/// From the first instruction of an interrupt's handler, while thread mode is busy, to the task's that it
/// wakes.
#[embassy_executor::task]
async fn preempting(meter: Meter) {
    let mut stats = Stats::new(WARM_UP);
    while stats.count() < MEASURED {
        INTERRUPT.wait().await;
        let to = read();
        stats.add(meter.between(INTERRUPTED_AT.load(Ordering::Relaxed), to));
    }
    stats.print("preempt", 1);
    DONE.store(true, Ordering::Relaxed);
}

/// Is busy with one poll, in which all of it happens.
#[embassy_executor::task]
async fn preempted() {
    board::irq::bind(on_interrupt);
    while !DONE.load(Ordering::Relaxed) {
        board::irq::trigger();
    }
    board::exit(0)
}
