//~ ERROR use of moved value: `handler`
use trilane::exec::{Executor, Handler, Manual};

static EXECUTOR: Executor<Manual, 1, 1> = Executor::new(Manual::new());

/// As a board's, which keeps what it is given.
fn bind(line: &mut Option<Handler>, handler: Handler) {
    *line = Some(handler);
}

fn main() {
    let mut lines = [None, None];
    let handler = EXECUTOR.start_in_handler().unwrap();
    bind(&mut lines[0], handler);
    bind(&mut lines[1], handler);
}
