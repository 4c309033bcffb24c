//~ ERROR `*const ()` cannot be sent between threads safely
use trilane::exec::{Executor, Manual};
use trilane::time::Instant;

static EXECUTOR: Executor<Manual, 1, 1> = Executor::new(Manual::new());

fn main() {
    let mut runner = EXECUTOR.start().unwrap();
    std::thread::spawn(move || {
        runner.poll_pending(Instant::ZERO);
    });
}
