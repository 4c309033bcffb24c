//~ ERROR no method named `clone` found for struct `Handler`
use trilane::exec::{Executor, Manual};

static EXECUTOR: Executor<Manual, 1, 1> = Executor::new(Manual::new());

fn main() {
    let handler = EXECUTOR.start_in_handler().unwrap();
    let _ = handler.clone();
}
