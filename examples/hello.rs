//! The smallest program: one executor, one task, a sleep.
//!
//! Nothing is allocated: `POOL` holds the task's future, `EXECUTOR` everything else, and both have their
//! final size when the program is built. While the task sleeps, so does the processor.

#![cfg_attr(target_os = "none", no_std, no_main)]

use board::{Board, println};
use trilane::exec::{Cancelled, Cx, Executor, TaskPool, future_size};
use trilane::time::Duration;

static POOL: TaskPool<{ future_size(&greet) }, 1> = TaskPool::new();
static EXECUTOR: Executor<Board, 1, 1> = Executor::new(Board::new());

board::entry!(main);

fn main() -> ! {
    board::run(&EXECUTOR, |spawner| {
        spawner.spawn_local(&POOL, greet).expect("room for one task");
    })
}

async fn greet(cx: Cx) -> Result<(), Cancelled> {
    println!("hello");
    cx.sleep(Duration::from_secs(1)).await?;
    println!("hello again, a second later");
    board::exit(0)
}
