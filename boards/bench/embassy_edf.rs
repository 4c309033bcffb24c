//! The bench image of embassy-executor with its scheduler by deadlines, which excludes the default one.
//!
//! `edf`: of `n` runnable tasks, the one with the earliest deadline yields and is chosen again, since
//! deadlines stay. `edf_rotate`: each task moves its deadline behind all others' before it yields, so that
//! all take turns.

#![no_std]
#![no_main]

use board::println;
use embassy_executor::{Executor, Metadata, Spawner};
use embassy_futures::yield_now;
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::signal::Signal;
use static_cell::StaticCell;

mod measure;
mod turns;

use measure::{MOST, Meter, TASKS};
use turns::Turns;

/// Between the deadlines of two tasks, in microseconds.
const GAP: u64 = 1_000;

/// Given when the last of the tasks has ended.
type Ended = Signal<NoopRawMutex, ()>;

board::entry!(main);

fn main() -> ! {
    static EXECUTOR: StaticCell<Executor> = StaticCell::new();

    println!("{{\"image\":\"embassy-executor 0.10\",\"features\":\"scheduler-deadline\"}}");
    let meter = Meter::start();
    EXECUTOR.init(Executor::new()).run(|spawner| spawner.spawn(all(spawner, meter).unwrap()))
}

#[embassy_executor::task]
async fn all(spawner: Spawner, meter: Meter) {
    static TURNS: StaticCell<Turns> = StaticCell::new();
    static ENDED: StaticCell<Ended> = StaticCell::new();

    let (turns, ended) = (&*TURNS.init(Turns::new(meter)), &*ENDED.init(Signal::new()));
    for (op, rotate) in [("edf", false), ("edf_rotate", true)] {
        for &n in TASKS {
            turns.begin(n);
            for i in 0..n {
                let token = turning(rotate, n, turns, ended).unwrap();
                token.metadata().set_deadline((i as u64 + 1) * GAP);
                spawner.spawn(token);
            }
            ended.wait().await;
            turns.stats().print(op, n);
        }
    }
    board::exit(0)
}

#[embassy_executor::task(pool_size = MOST)]
async fn turning(rotate: bool, n: usize, turns: &'static Turns, ended: &'static Ended) {
    let metadata = Metadata::for_current_task().await;
    while turns.resumed() {
        turns.yields();
        if rotate {
            metadata.increment_deadline(n as u64 * GAP);
        }
        yield_now().await;
    }
    if turns.ended() {
        ended.signal(());
    }
}
