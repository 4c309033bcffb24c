//! Tasks that yield to each other, measured from each yield to the next resumption, whichever task's it is.

use core::cell::Cell;

use crate::measure::{MEASURED, Meter, Stats, WARM_UP, read};

/// What the tasks of one executor share while they take turns.
pub struct Turns {
    meter: Meter,
    stats: Cell<Stats>,
    yielded_at: Cell<u32>,
    running: Cell<usize>,
}

impl Turns {
    /// Nothing measured yet.
    pub const fn new(meter: Meter) -> Self {
        Self { meter, stats: Cell::new(Stats::new(0)), yielded_at: Cell::new(0), running: Cell::new(0) }
    }

    /// Starts anew with `n` tasks. Their first polls are dropped along with the warm-up.
    pub fn begin(&self, n: usize) {
        self.stats.set(Stats::new(WARM_UP + n as u32));
        self.running.set(n);
    }

    /// First thing in each poll: takes in the turn that ends here. False when the task is to end, since
    /// enough has been measured.
    #[inline(always)]
    pub fn resumed(&self) -> bool {
        let now = read();
        let mut stats = self.stats.get();
        if stats.count() == MEASURED {
            return false;
        }
        stats.add(self.meter.between(self.yielded_at.get(), now));
        self.stats.set(stats);
        true
    }

    /// Right before the yield, or before what belongs to it: a turn begins.
    #[inline(always)]
    pub fn yields(&self) {
        self.yielded_at.set(read());
    }

    /// Last thing in each task: whether it was the last of them.
    pub fn ended(&self) -> bool {
        self.running.set(self.running.get() - 1);
        self.running.get() == 0
    }

    /// What was measured.
    pub const fn stats(&self) -> Stats {
        self.stats.get()
    }
}
