//! `two_tasks.rs` as a user of embassy-executor writes it.

#![no_std]
#![no_main]

use embassy_executor::Executor;
use embassy_time::Timer;
use static_cell::StaticCell;

#[path = "../bench/embassy_time_driver.rs"]
mod embassy_time_driver;
mod frame;

static EXECUTOR: StaticCell<Executor> = StaticCell::new();

board::entry!(main);

fn main() -> ! {
    EXECUTOR.init(Executor::new()).run(|spawner| {
        spawner.spawn(tick().unwrap());
        spawner.spawn(tock().unwrap());
    })
}

#[embassy_executor::task]
async fn tick() {
    loop {
        frame::print(c"tick\n");
        Timer::after_millis(500).await;
    }
}

#[embassy_executor::task]
async fn tock() {
    for _ in 0..3 {
        Timer::after_millis(1_200).await;
        frame::print(c"tock\n");
    }
    board::exit(0)
}

fn alarm_fired() {}
