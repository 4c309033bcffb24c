//! A firmware that uses all of the scheduler: deadlines, priorities, quotas, regions, cancellation, joins,
//! sleeps and timeouts; each once, and little else.

#![no_std]
#![no_main]

use core::num::NonZeroU16;

use board::Board;
use trilane::exec::{Cancelled, Cx, Executor, JoinError, Regions, TaskOptions, TaskPool};
use trilane::sched::Priority;
use trilane::time::Duration;

mod frame;

static TASKS: TaskPool<512, 4> = TaskPool::new();
static REGIONS: Regions<2> = Regions::new();
static EXECUTOR: Executor<Board, 1, 4> = Executor::new(Board::new());

const SPAN: Duration = Duration::from_millis(10);

board::entry!(main);

fn main() -> ! {
    EXECUTOR.with_regions(&REGIONS).run(|spawner| {
        let options = TaskOptions::new().priority(Priority::of::<7>());
        drop(spawner.spawn_local_with(options, &TASKS, lead).unwrap());
    })
}

async fn lead(cx: Cx) {
    if work(cx).await.is_err() {
        board::exit(1)
    }
    frame::print(c"done\n");
    board::exit(0)
}

/// Two members of a region are asked to stop, one by its handle and one by the region's close; a third one
/// ends.
async fn work(cx: Cx) -> Result<(), JoinError> {
    let Ok(mut region) = cx.open_region(Default::default()) else { return Err(JoinError::Taken) };
    let timed = TaskOptions::new().deadline(cx.now() + SPAN);
    let limited = TaskOptions::new().poll_quota(const { NonZeroU16::new(100).unwrap() });
    let (Ok(ends), Ok(asked), Ok(closed)) = (
        region.spawn_with(limited, &TASKS, sleep_once),
        region.spawn(&TASKS, sleep_on),
        region.spawn_with(timed, &TASKS, sleep_on),
    ) else {
        return Err(JoinError::Taken);
    };
    drop(closed);
    let _ = cx.timeout(SPAN, core::future::pending::<()>()).await;
    let _ = asked.cancel();
    let _ = (ends.await?, asked.await?);
    let _ = region.close().await;
    Ok(())
}

async fn sleep_once(cx: Cx) -> Result<(), Cancelled> {
    cx.sleep(SPAN).await
}

async fn sleep_on(cx: Cx) -> Result<(), Cancelled> {
    loop {
        cx.sleep(SPAN).await?;
        if cx.set_deadline(Some(cx.now() + SPAN)).is_err() || cx.set_priority(Priority::HIGHEST).is_err() {
            return Ok(());
        }
    }
}
