//~ ERROR `*const ()` cannot be sent between threads safely
use trilane::exec::{Executor, Manual, TaskPool};

static EXECUTOR: Executor<Manual, 1, 1> = Executor::new(Manual::new());
static POOL: TaskPool<64, 1> = TaskPool::new();

fn main() {
    let runner = EXECUTOR.start().unwrap();
    let spawner = runner.spawner();
    std::thread::spawn(move || {
        let _ = spawner.spawn_local(&POOL, |_| async {});
    });
}
