//! `examples/hello.rs` as a user of embassy-executor writes it.

#![no_std]
#![no_main]

use board::println;
use embassy_executor::Executor;
use embassy_time::Timer;
use static_cell::StaticCell;

#[path = "../bench/embassy_time_driver.rs"]
mod embassy_time_driver;

trilane_cortex_m::crash_handlers!();

static EXECUTOR: StaticCell<Executor> = StaticCell::new();

board::entry!(main);

fn main() -> ! {
    EXECUTOR.init(Executor::new()).run(|spawner| {
        spawner.spawn(greet().expect("room for one task"));
    })
}

#[embassy_executor::task]
async fn greet() {
    println!("hello");
    Timer::after_secs(1).await;
    println!("hello again, a second later");
    board::exit(0)
}

fn alarm_fired() {}
