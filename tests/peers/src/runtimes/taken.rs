//! What a run of some operations took.

use std::time::Instant;

use super::kernel;
use crate::allocator::allocations_of_all;
use crate::measure::Sample;

/// What some operations took.
#[derive(Default)]
pub struct Taken {
    pub sample: Sample,
    /// What else was counted, by name, for all operations together.
    pub counts: Vec<(&'static str, f64)>,
    /// What each took, in nanoseconds, if that is measured.
    pub latencies: Vec<f64>,
}

/// The time in which operations are measured.
pub struct Window {
    /// Those of the runtime, by how their names begin.
    threads: &'static [&'static str],
    switches: Option<u64>,
    futex_calls: Option<u64>,
    allocations: u64,
    start: Instant,
}

impl Window {
    pub fn open(threads: &'static [&'static str]) -> Self {
        let switches = kernel::switches(threads);
        let (futex_calls, allocations) = (kernel::futex_calls(), allocations_of_all());
        Self { threads, switches, futex_calls, allocations, start: Instant::now() }
    }

    pub fn close(self, operations: u64) -> Taken {
        let nanos = self.start.elapsed().as_nanos() as f64;
        let allocations = (allocations_of_all() - self.allocations) as f64;
        let since = |before: Option<u64>, now: Option<u64>| Some((now? - before?) as f64);
        let futex_calls = since(self.futex_calls, kernel::futex_calls());
        let switches = since(self.switches, kernel::switches(self.threads));
        let counts = [("futex calls", futex_calls), ("switches", switches)];
        Taken {
            sample: Sample { operations, nanos, allocations },
            counts: counts.into_iter().filter_map(|(name, count)| Some((name, count?))).collect(),
            latencies: Vec::new(),
        }
    }
}
