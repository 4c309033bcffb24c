//~ ERROR `local` does not live long enough
use trilane::exec::{Executor, Manual, TaskPool};

static EXECUTOR: Executor<Manual, 1, 1> = Executor::new(Manual::new());
static POOL: TaskPool<64, 1> = TaskPool::new();

fn main() {
    let local = 1;
    let borrowed = &local;
    let _ = EXECUTOR.spawn(&POOL, move |_| async move { println!("{borrowed}") });
}
