//! What the bench images of all runtimes measure with, so that they differ in nothing but the runtime.
//!
//! A reading is one load of the board's counter. Between two readings lie the instructions of the operation
//! and the second reading's own; [`Meter`] measures the latter once and takes it off.

#![allow(dead_code, reason = "each image is a crate and uses a part")]

use core::hint::black_box;
#[cfg(not(trilane_masked))]
use core::sync::atomic::{Ordering, compiler_fence};

use board::counter;

#[cfg(trilane_masked)]
#[path = "masked.rs"]
mod masked;

/// Whether the costs are not instructions but the longest stretches with interrupts masked. That is another
/// build, so that looking for these doesn't change those.
const MASKED: bool = cfg!(trilane_masked);

/// Iterations dropped before the measured ones: first uses set things up.
pub const WARM_UP: u32 = 16;
/// Iterations measured.
pub const MEASURED: u32 = 1_000;

/// The largest number of tasks or timers, beside the measured one, that the board has RAM for.
pub const MOST: usize = if board::RAM_KIB >= 128 { 256 } else { 32 };
/// The numbers of timers measured.
pub const TIMERS: &[usize] = if MOST > 32 { &[1, 32, MOST] } else { &[1, MOST] };
/// The numbers of unrelated tasks beside which requests to stop are measured, and of a region's members.
pub const OTHERS: &[usize] = TIMERS;
/// The numbers of tasks with deadlines measured.
pub const TASKS: &[usize] = if MOST > 32 { &[1, 4, 32, MOST] } else { &[1, 4, MOST] };

/// Microseconds after which the executor is idle, whatever it has measured before.
pub const IDLE_AFTER: u32 = if MASKED { 1_000 } else { 100 };

/// A reading of the counter. Accesses to memory stay on the side of it on which they are written.
#[cfg(not(trilane_masked))]
#[inline(always)]
pub fn read() -> u32 {
    compiler_fence(Ordering::SeqCst);
    let reading = counter::read();
    compiler_fence(Ordering::SeqCst);
    reading
}

#[cfg(trilane_masked)]
pub use masked::mark as read;

/// The cost of two operations that are one together.
#[inline(always)]
pub const fn both(one: u32, other: u32) -> u32 {
    if !MASKED {
        one + other
    } else if one > other {
        one
    } else {
        other
    }
}

/// Turns pairs of readings into instructions.
#[derive(Clone, Copy)]
pub struct Meter {
    overhead: u32,
}

impl Meter {
    /// Starts the counter and measures what two readings with nothing between them cost.
    ///
    /// Panics if the counter is not exact; so where instructions don't all take the same time.
    pub fn start() -> Self {
        counter::start();
        #[cfg(trilane_masked)]
        board::masked::start();
        if MASKED {
            return Self { overhead: 0 };
        }
        let mut overhead = u32::MAX;
        for _ in 0..WARM_UP {
            let from = read();
            let to = read();
            overhead = overhead.min(counter::instructions(from, to));
        }
        let meter = Self { overhead };
        let [once, twice, thrice] = [1, 2, 3].map(|times| meter.loops(times * LOOPS));
        let each = (twice - once) / LOOPS;
        let exact = twice - once == each * LOOPS && thrice - twice == each * LOOPS;
        assert!(exact, "the counter is not exact: {once}, {twice}, {thrice} for 1, 2, 3 times {LOOPS} loops");
        meter
    }

    /// What a loop costs. Not inlined: the compiler would mix the sums of one measurement into the next one.
    #[inline(never)]
    fn loops(self, rounds: u32) -> u32 {
        let from = read();
        for round in 0..rounds {
            black_box(round);
        }
        let to = read();
        self.between(from, to)
    }

    /// The instructions between two readings.
    #[cfg(trilane_masked)]
    pub fn between(self, from: u32, to: u32) -> u32 {
        masked::longest(from, to)
    }

    /// The instructions between two readings.
    #[cfg(not(trilane_masked))]
    pub fn between(self, from: u32, to: u32) -> u32 {
        counter::instructions(from, to).saturating_sub(self.overhead)
    }
}

/// A power of two, since the compiler may do several rounds at once; more of them than any operation takes
/// instructions.
const LOOPS: u32 = 1 << 15;

/// The iterations of one operation.
#[derive(Clone, Copy)]
pub struct Stats {
    dropped: u32,
    count: u32,
    sum: u64,
    worst: u32,
}

impl Stats {
    /// No iterations yet; the first `warm_up` ones will be dropped.
    pub const fn new(warm_up: u32) -> Self {
        Self { dropped: warm_up, count: 0, sum: 0, worst: 0 }
    }

    /// Takes in an iteration of `cost` instructions.
    pub fn add(&mut self, cost: u32) {
        if self.dropped > 0 {
            self.dropped -= 1;
            return;
        }
        self.count += 1;
        self.sum += u64::from(cost);
        self.worst = self.worst.max(cost);
    }

    /// Iterations taken in, dropped ones not counted.
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// Prints the row of `op` at size `n`.
    pub fn print(&self, op: &str, n: usize) {
        self.print_each(op, n, 1);
    }

    /// Prints the row of `op` at size `n`, of which each iteration did `times`; so that the worst is the
    /// worst iteration's share, rounded up.
    pub fn print_each(&self, op: &str, n: usize, times: u32) {
        if MASKED {
            // A stretch is one of them, not a share of all.
            board::println!("{{\"op\":\"{op}\",\"n\":{n},\"masked\":{}}}", self.worst);
            return;
        }
        let divisor = u64::from(self.count) * u64::from(times);
        let tenths = (self.sum * 10 + divisor / 2) / divisor;
        let worst = self.worst.div_ceil(times);
        board::println!(
            "{{\"op\":\"{op}\",\"n\":{n},\"mean\":{}.{},\"worst\":{worst}}}",
            tenths / 10,
            tenths % 10
        );
    }
}

/// The rows of one operation at several sizes, the smallest first, and how its worst case may grow.
pub struct Growth {
    op: &'static str,
    /// A doubling of the size may add the first row's worst case divided by this.
    divisor: u32,
    first: Option<(usize, u32)>,
}

impl Growth {
    /// The worst case doesn't depend on the size. That the tasks lie in two banks instead of one may add an
    /// eighth, once.
    pub const fn none(op: &'static str) -> Self {
        Self { op, divisor: u32::MAX, first: None }
    }

    /// The worst case grows with the size's logarithm: a doubling adds a quarter of the first row's at most.
    /// So at 256 it is three times what it is at 1, where an operation that looks at each of them would be
    /// far beyond.
    pub const fn logarithmic(op: &'static str) -> Self {
        Self { op, divisor: 4, first: None }
    }

    /// Prints the row at size `n`.
    ///
    /// Panics if the worst case has grown by more than it may.
    pub fn print(&mut self, stats: &Stats, n: usize) {
        stats.print(self.op, n);
        let (smallest, least) = *self.first.get_or_insert((n, stats.worst));
        let doublings = n.ilog2() - smallest.ilog2();
        let mut most = least + doublings * (least / self.divisor);
        if self.divisor == u32::MAX && doublings > 0 {
            most += least / 8;
        }
        assert!(
            MASKED || stats.worst <= most,
            "{} at {n}: {} instead of at most {most}",
            self.op,
            stats.worst
        );
    }
}
