//~ ERROR the task's output is larger than the pool's slots: raise the pool's BYTES, or size it by `{ future_size(&the_function) }`
use trilane::exec::{Executor, Manual, TaskPool};

static EXECUTOR: Executor<Manual, 1, 1> = Executor::new(Manual::new());
static POOL: TaskPool<64, 1> = TaskPool::new();

fn main() {
    let _ = EXECUTOR.spawn(&POOL, |_| std::future::poll_fn(|_| std::task::Poll::Ready([0u8; 65])));
}
