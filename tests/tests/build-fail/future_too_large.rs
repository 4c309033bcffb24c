//~ ERROR the future is larger than the pool's slots: raise the pool's BYTES, or size it by `{ future_size(&the_function) }`
use trilane::exec::{Executor, Manual, TaskPool};

static EXECUTOR: Executor<Manual, 1, 1> = Executor::new(Manual::new());
static POOL: TaskPool<64, 1> = TaskPool::new();

fn main() {
    let _ = EXECUTOR.spawn(&POOL, |cx| async move {
        let kept = [1u8; 128];
        cx.yield_now().await;
        drop(kept);
    });
}
