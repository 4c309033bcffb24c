//! The clock, and the alarms of hart 0.

pub use trilane_chip::{Clock, Level};

use crate::harts::Hart0;

/// The CLINT's clock runs at 10 MHz.
pub const TICKS_PER_MICRO: u32 = 10;

/// The clock and the comparator of hart 0.
pub type Timers = trilane_riscv::Timer<Hart0>;
