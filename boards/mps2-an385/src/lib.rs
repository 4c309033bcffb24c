//! The Arm MPS2 with the AN385 image (a Cortex-M3 at 25 MHz), as QEMU's machine `mps2-an385` has it.
//!
//! | device | used for |
//! | --- | --- |
//! | CMSDK TIMER0, free-running | the clock: see [`time`] |
//! | CMSDK TIMER1, one shot | the executor's alarm |
//! | CMSDK DUALTIMER | [`irq::trigger_after`] |
//! | interrupt 31 | [`irq::trigger`] |
//! | SysTick | [`counter`] |
//! | semihosting | the console and the exit status |
//!
//! With `-icount shift=7` each instruction takes 128 ns of the machine's time, on every run alike: [`counter`] counts
//! instructions exactly, and with `sleep=off` time spent idle costs the host nothing.

#![no_std]

use trilane_cortex_m::{ThreadMode, semihost};

mod crash;
pub mod irq;
pub mod time;
mod vectors;

pub use semihost::{exit, print, println};

/// The board's name, which is that of its folder.
pub const NAME: &str = "mps2-an385";

/// The frequency of the core and of all timers.
pub const CLOCK_HZ: u32 = 25_000_000;

/// The platform of the executor in thread mode.
pub type Board = ThreadMode<time::Timers>;

/// Counts instructions.
pub mod counter {
    use trilane_cortex_m::systick;
    use trilane_cortex_m::ticks::{PerInstruction, elapsed_down};

    pub use systick::{read, start};

    /// 3.2 ticks under `-icount shift=7`.
    const RATIO: PerInstruction = PerInstruction::new(crate::CLOCK_HZ, 128);

    /// The instructions executed between two readings, exact up to 5.2 million. The second reading's own load counts.
    #[inline]
    pub const fn instructions(from: u32, to: u32) -> u32 {
        RATIO.instructions(elapsed_down(systick::BITS, from, to))
    }
}

/// Makes a function `fn() -> !` the program's entry.
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        #[$crate::__rt::entry]
        fn __board_entry() -> ! {
            $crate::__init();
            let main: fn() -> ! = $main;
            main()
        }
    };
}

#[doc(hidden)]
pub use cortex_m_rt as __rt;

#[doc(hidden)]
pub fn __init() {
    time::start();
}
