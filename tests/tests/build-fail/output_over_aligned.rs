//~ ERROR the task's output needs an alignment above 8, which no pool gives
use trilane::exec::{Executor, Manual, TaskPool};

#[repr(align(16))]
struct Wide;

static EXECUTOR: Executor<Manual, 1, 1> = Executor::new(Manual::new());
static POOL: TaskPool<256, 1> = TaskPool::new();

fn main() {
    let _ = EXECUTOR.spawn(&POOL, |_| std::future::poll_fn(|_| std::task::Poll::Ready(Wide)));
}
