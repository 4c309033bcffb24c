//! The router's benches, beside other load balancers and designs, and two executors beside each other, in one
//! process.
//!
//! `cargo board bench --on host` runs this and makes a table of what it prints. Read in this order:
//!
//! - [`world`]: the endpoints and the filter. [`contender`]: what a load balancer does to be measured.
//! - [`rows`]: what is measured, and the goals. [`side`]: how each operation is measured; [`measure`]: the
//!   clock.
//! - [`contenders`]: the load balancers. [`executors`]: rows of their own.
//!
//! Printed are one JSON object a row, such as
//! `{"op":"rr-select","n":16,"who":"trilane","ns":7.2,"allocations":0}`, then the goals. Lines that don't
//! begin with `{` are for the reader.

mod allocator;
mod contender;
mod contenders;
mod executors;
mod measure;
mod random;
mod rows;
mod run;
mod side;
mod world;

use std::process::ExitCode;

/// Whose rows the others stand beside, and whose must not allocate.
const OWN: &str = "trilane";

#[global_allocator]
static ALLOCATOR: allocator::Counting = allocator::Counting;

/// A balancer of 1,024 endpoints with its ring has some megabytes, and is made on the stack.
const STACK: usize = 256 << 20;

fn main() -> ExitCode {
    match run::Plan::read(std::env::args().skip(1)) {
        Ok(plan) => {
            let run = std::thread::Builder::new().stack_size(STACK).spawn(move || run::run(&plan));
            // Its panic has said why.
            run.expect("a thread can be started").join().unwrap_or(ExitCode::FAILURE)
        }
        Err(why) => {
            eprintln!(
                "{why}\n\nusage: trilane-peers [--quick] [--executors] [--op NAME] [--iterations K] [--callgrind]\n  \
                 --quick         run each row once, and fail if trilane allocates\n  \
                 --executors     only the rows of two executors\n  \
                 --op NAME       only the rows of this name\n  \
                 --iterations K  run so many operations, rounded up, instead of what takes some milliseconds\n  \
                 --callgrind     run under callgrind, which counts the rows' instructions"
            );
            ExitCode::from(2)
        }
    }
}
