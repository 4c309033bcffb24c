//~ ERROR `Rc<i32>` cannot be sent between threads safely
use std::rc::Rc;

use trilane::exec::{Executor, Manual, TaskPool};

static EXECUTOR: Executor<Manual, 1, 1> = Executor::new(Manual::new());
static POOL: TaskPool<64, 1> = TaskPool::new();

fn main() {
    let runner = EXECUTOR.start().unwrap();
    let mut task = runner.spawner().spawn_local(&POOL, |_| async { Rc::new(1i32) }).unwrap();
    std::thread::spawn(move || drop(task.try_join()));
}
