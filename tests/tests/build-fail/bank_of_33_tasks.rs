//~ ERROR a bank holds 1 to 32 tasks
use trilane::exec::{Executor, Manual};

static EXECUTOR: Executor<Manual, 1, 33> = Executor::new(Manual::new());

fn main() {
    let _ = EXECUTOR.start();
}
