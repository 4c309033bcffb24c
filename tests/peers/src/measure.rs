//! What is measured, and the clock.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::allocator::allocations;

/// How many selects there are to a change of membership in [`Op::Headline`].
pub const SELECTS_A_CHANGE: u64 = 10_000;
/// How many leases [`Op::Select`] holds at most.
pub const BATCH: u64 = 64;
/// How many endpoints leave or come within one reading of the clock.
pub const MOVED: u64 = 4;

/// An operation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Op {
    /// Select and release, with an endpoint leaving or coming back every 10,000.
    Headline,
    /// Select. The lease is released later, by no clock.
    Select,
    /// Select and release.
    Lease,
    /// Select and release, by two threads at a time; the time is that of one.
    Threads,
    /// The first select after an endpoint has gone down or come up.
    HealthFirst,
    /// The first select after an endpoint has left or come back.
    MemberFirst,
    /// An endpoint goes down or comes up, and a select.
    HealthAndFirst,
    /// An endpoint leaves or comes back, and a select.
    MemberAndFirst,
    /// An endpoint reports its load, and a select.
    ReportAndFirst,
    /// An endpoint leaves or comes back, and all that follows from it is done.
    MemberAndBuild,
    /// An endpoint goes down or comes up.
    Health,
    /// An endpoint reports its load.
    Report,
    /// An endpoint leaves.
    Remove,
    /// An endpoint comes back.
    Add,
}

impl Op {
    /// Its name, at the end of the rows'.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Headline => "headline",
            Self::Select => "select",
            Self::Lease => "lease",
            Self::Threads => "lease-2t",
            Self::HealthFirst => "health-first",
            Self::MemberFirst => "member-first",
            Self::HealthAndFirst => "health-and-first",
            Self::MemberAndFirst => "member-and-first",
            Self::ReportAndFirst => "report-and-first",
            Self::MemberAndBuild => "member-and-build",
            Self::Health => "health",
            Self::Report => "report",
            Self::Remove => "remove",
            Self::Add => "add",
        }
    }

    /// Runs are of whole multiples of so many operations.
    pub const fn quantum(self) -> u64 {
        match self {
            Self::Headline => SELECTS_A_CHANGE,
            Self::Remove | Self::Add => MOVED,
            Self::Select | Self::Lease | Self::Threads | Self::Report => 8,
            Self::HealthFirst
            | Self::MemberFirst
            | Self::HealthAndFirst
            | Self::MemberAndFirst
            | Self::ReportAndFirst
            | Self::MemberAndBuild
            | Self::Health => 2,
        }
    }
}

/// What some operations took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sample {
    /// How many there were.
    pub operations: u64,
    /// Their time, without what it takes to read the clock.
    pub nanos: f64,
    /// How often their thread allocated.
    pub allocations: f64,
}

impl Sample {
    /// Nanoseconds an operation.
    pub fn nanos_each(&self) -> f64 {
        self.nanos / self.operations as f64
    }
}

/// Measures parts of a run.
#[derive(Debug, Default)]
pub struct Clock {
    nanos: u128,
    readings: u32,
    allocations: u64,
}

impl Clock {
    /// Measures `body`.
    #[inline(always)]
    pub fn time<R>(&mut self, body: impl FnOnce() -> R) -> R {
        let allocated = allocations();
        let start = Instant::now();
        let result = measured_region(body);
        self.nanos += start.elapsed().as_nanos();
        self.readings += 1;
        self.allocations += allocations() - allocated;
        result
    }

    /// What was measured, as `operations`.
    pub fn sample(&self, operations: u64) -> Sample {
        let nanos = self.nanos as f64 - f64::from(self.readings) * overhead();
        Sample { operations, nanos: nanos.max(0.0), allocations: self.allocations as f64 }
    }
}

/// Callgrind counts what is done in here and nothing else; it knows it by its name.
#[inline(never)]
fn measured_region<R>(body: impl FnOnce() -> R) -> R {
    body()
}

/// Callgrind writes down what it has counted and starts anew when this returns; it knows it by its name.
#[inline(never)]
pub fn end_of_part() {
    // Something that no other function does, or the linker would make one of both.
    static PARTS: AtomicU64 = AtomicU64::new(0);
    PARTS.fetch_add(1, Ordering::Relaxed);
}

/// What a clock shows for nothing, in nanoseconds.
fn overhead() -> f64 {
    static OVERHEAD: OnceLock<f64> = OnceLock::new();
    *OVERHEAD.get_or_init(|| {
        let mut readings: Vec<u128> = (0..1001)
            .map(|_| {
                let mut clock = Clock::default();
                clock.time(|| std::hint::black_box(()));
                clock.nanos
            })
            .collect();
        median(&mut readings) as f64
    })
}

/// The middle one.
pub fn median<T: Copy + PartialOrd>(values: &mut [T]) -> T {
    values.sort_unstable_by(|a, b| a.partial_cmp(b).expect("no NaN"));
    values[values.len() / 2]
}
