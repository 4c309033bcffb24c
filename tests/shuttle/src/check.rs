use std::env;

use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, MaxSteps, Runner};
use trilane_std::runtime::Runtime;

/// So many schedules of each test are tried by each scheduler, unless `SHUTTLE_RUNS` says otherwise.
const RUNS: usize = 1_000;
/// The pre-emptions at chosen places by which the second scheduler tries to break a run.
const DEPTH: usize = 3;
/// Tasks have small stacks, but debug assertions format.
const STACK: usize = 0x20000;

/// Runs `test` with a runtime of 3 workers, and with one of 4, under many schedules: each time its threads
/// take turns in another order. A run in which all threads wait is a deadlock, and fails; so is one that
/// takes too many steps.
///
/// What `test` returns is dropped after the runtime. A failure prints the schedule; `shuttle::replay` runs it
/// again.
pub fn check<T>(test: impl Fn(&Runtime) -> T + Send + Sync + Copy + 'static) {
    let runs = env::var("SHUTTLE_RUNS").map_or(RUNS, |runs| runs.parse().expect("SHUTTLE_RUNS is a number"));
    let mut config = Config::new();
    config.stack_size = STACK;
    config.max_steps = MaxSteps::FailAfter(200_000);
    for workers in [3, 4] {
        let run = move || {
            let runtime = Runtime::builder().workers(workers).build().expect("threads are given");
            let after = test(&runtime);
            drop(runtime);
            drop(after);
        };
        Runner::new(RandomScheduler::new(runs), config.clone()).run(run);
        Runner::new(PctScheduler::new(DEPTH, runs), config.clone()).run(run);
    }
}
