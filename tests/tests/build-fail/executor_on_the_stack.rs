//~ ERROR `executor` does not live long enough
use trilane::exec::{Executor, Manual};

fn main() {
    let executor: Executor<Manual, 1, 1> = Executor::new(Manual::new());
    let _ = executor.start();
}
