//! The router's benches, beside other load balancers and designs; two executors beside each other; the
//! runtime beside others; and causal events beside the design they come from; in one process.
//!
//! `cargo board bench --on host` runs this and makes a table of what it prints. Read in this order:
//!
//! - [`world`]: the endpoints and the filter. [`contender`]: what a load balancer does to be measured.
//! - [`rows`]: what is measured, and the goals. [`side`]: how each operation is measured; [`measure`]: the
//!   clock.
//! - [`contenders`]: the load balancers. [`executors`], [`runtimes`] and [`events`]: rows of their own.
//! - [`quality`]: how well they choose, not how fast; a program of its own.
//!
//! Printed are one JSON object a row, such as
//! `{"op":"rr-select","n":16,"who":"trilane","ns":7.2,"allocations":0}`, then the goals. Lines that don't
//! begin with `{` are for the reader.

mod allocator;
mod contender;
mod contenders;
mod events;
mod executors;
mod measure;
mod quality;
mod random;
mod rows;
mod run;
mod runtimes;
mod side;
mod world;

use std::process::ExitCode;

/// Whose rows the others stand beside, and whose must not allocate.
const OWN: &str = "trilane";

#[global_allocator]
static ALLOCATOR: allocator::Counting = allocator::Counting;

/// A balancer of 1,024 endpoints with its ring has some megabytes, and is made on the stack.
const STACK: usize = 256 << 20;

/// What is to be run.
enum Run {
    Speed(run::Plan),
    Quality(quality::Plan),
}

fn main() -> ExitCode {
    let args = || std::env::args().skip(1);
    let read = if args().any(|arg| arg == "--quality") {
        quality::Plan::read(args().filter(|arg| arg != "--quality")).map(Run::Quality)
    } else {
        run::Plan::read(args()).map(Run::Speed)
    };
    match read {
        Ok(plan) => {
            let run = std::thread::Builder::new().stack_size(STACK).spawn(move || match plan {
                Run::Speed(plan) => run::run(&plan),
                Run::Quality(plan) => quality::run(&plan),
            });
            // Its panic has said why.
            run.expect("a thread can be started").join().unwrap_or(ExitCode::FAILURE)
        }
        Err(why) => {
            eprintln!(
                "{why}\n\nusage: trilane-peers [--quick] [--executors] [--runtimes] [--events] [--op NAME] [--iterations K] [--callgrind]\n       \
                 trilane-peers --quality [--check] [--json] [--scenario NAME] [--seed K] [--seeds N]\n  \
                 --quick         run each row once, and fail if trilane allocates\n  \
                 --executors     only the rows of two executors\n  \
                 --runtimes      only the rows of runtimes beside each other\n  \
                 --events        only the rows of causal events\n  \
                 --op NAME       only the rows of this name\n  \
                 --iterations K  run so many operations, rounded up, instead of what takes some milliseconds\n  \
                 --callgrind     run under callgrind, which counts the rows' instructions\n  \
                 --quality       simulate how well they choose instead\n  \
                 --check         fail where trilane is more than 5 % worse than exact least connections\n  \
                 --json          an object a row\n  \
                 --scenario NAME only this scenario\n  \
                 --seed K        the first seed; 1 if not given\n  \
                 --seeds N       how many seeds; 8 if not given"
            );
            ExitCode::from(2)
        }
    }
}
