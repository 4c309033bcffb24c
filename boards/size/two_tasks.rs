//! Two tasks that print and sleep, each at a pace of its own: as small as a firmware gets that does
//! something.

#![no_std]
#![no_main]

use board::Board;
use trilane::exec::{Cancelled, Cx, Executor, TaskPool, future_size};
use trilane::time::Duration;

mod frame;

static TICK: TaskPool<{ future_size(&tick) }, 1> = TaskPool::new();
static TOCK: TaskPool<{ future_size(&tock) }, 1> = TaskPool::new();
static EXECUTOR: Executor<Board, 1, 2> = Executor::new(Board::new());

board::entry!(main);

fn main() -> ! {
    EXECUTOR.run(|spawner| {
        spawner.spawn_local_detached(&TICK, tick).unwrap();
        spawner.spawn_local_detached(&TOCK, tock).unwrap();
    })
}

async fn tick(cx: Cx) -> Result<(), Cancelled> {
    loop {
        frame::print(c"tick\n");
        cx.sleep(Duration::from_millis(500)).await?;
    }
}

async fn tock(cx: Cx) -> Result<(), Cancelled> {
    for _ in 0..3 {
        cx.sleep(Duration::from_millis(1_200)).await?;
        frame::print(c"tock\n");
    }
    board::exit(0)
}
