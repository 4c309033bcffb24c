//! The firmware of which `cargo board size` says what a task of capacity costs: the images differ in nothing
//! but the number of tasks that there is room for, `BANKS * PER_BANK`.

use board::Board;
use trilane::exec::{Cx, Executor, Regions, TaskPool, future_size};
use trilane::time::Duration;

use crate::{BANKS, PER_BANK};

static TASKS: TaskPool<{ future_size(&sleeping) }, { BANKS * PER_BANK }> = TaskPool::new();
static REGIONS: Regions<1> = Regions::new();
static EXECUTOR: Executor<Board, BANKS, PER_BANK> = Executor::new(Board::new());

pub fn run() -> ! {
    EXECUTOR.with_regions(&REGIONS).run(|spawner| {
        for _ in 0..BANKS * PER_BANK {
            spawner.spawn_local(&TASKS, sleeping).expect("room for as many tasks");
        }
    })
}

async fn sleeping(cx: Cx) {
    while cx.sleep(Duration::from_secs(1)).await.is_ok() {}
}
