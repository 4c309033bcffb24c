//~ ERROR the future needs an alignment above 8, which no pool gives
use trilane::exec::{Executor, Manual, TaskPool};

#[repr(align(16))]
struct Wide(#[allow(dead_code)] u8);

static EXECUTOR: Executor<Manual, 1, 1> = Executor::new(Manual::new());
static POOL: TaskPool<256, 1> = TaskPool::new();

fn main() {
    let wide = Wide(1);
    let _ = EXECUTOR.spawn(&POOL, |cx| async move {
        cx.yield_now().await;
        drop(wide);
    });
}
