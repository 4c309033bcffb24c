//~ ERROR an executor has 1 to 32 banks
use trilane::exec::{Executor, Manual};

static EXECUTOR: Executor<Manual, 33, 1> = Executor::new(Manual::new());

fn main() {
    let _ = EXECUTOR.start();
}
