//! The Arm MPS2 with the AN385 image (a Cortex-M3 at 25 MHz), as QEMU's machine `mps2-an385` has it.
//!
//! | device | used for | priority |
//! | --- | --- | --- |
//! | CMSDK TIMER0, free-running | the clock: see [`time`] | `0x00`, the most urgent |
//! | CMSDK TIMER1, one shot | the executors' alarms | `0x00` |
//! | CMSDK DUALTIMER | [`irq::trigger_after`] | `0x00` |
//! | interrupt 31 | [`irq::trigger`] | `0x00` |
//! | interrupt 30 | [`Preemptive`] | `0xC0`: above thread mode, below all others |
//! | SysTick | [`counter`] | no interrupt |
//! | semihosting | the console and the exit status | |
//!
//! So time goes on and interrupts are served while a task of a pre-empting executor runs, and may wake others
//! of its tasks.
//!
//! With `-icount shift=7` each instruction takes 128 ns of the machine's time, on every run alike:
//! [`counter`] counts instructions exactly, and with `sleep=off` time spent idle costs the host nothing.

#![no_std]

use trilane_cortex_m::{Bound, InterruptMode, Irq, Line, ThreadMode, semihost};

pub mod irq;
#[cfg(trilane_masked)]
pub mod masked;
pub mod time;
mod vectors;

pub use semihost::{exit, print, println};
pub use trilane_cortex_m::{run, start};

#[cfg(feature = "crash-handlers")]
trilane_cortex_m::crash_handlers!();

/// The board's name, which is that of its folder.
pub const NAME: &str = "mps2-an385";

/// The frequency of the core and of all timers.
pub const CLOCK_HZ: u32 = 25_000_000;

/// The RAM in KiB, by which bench images choose how many tasks they measure.
pub const RAM_KIB: usize = 4_096;

/// The platform of the executor in thread mode.
pub type Board = ThreadMode<time::Timers>;

/// The platform of an executor that pre-empts the one in thread mode: [`Preemptive::start`] lets it run.
pub type Preemptive = InterruptMode<Preempting>;

/// The interrupt of [`Preemptive`].
pub struct Preempting;

impl Line for Preempting {
    type Clock = time::Timers;

    const IRQ: Irq = vectors::PREEMPT_IRQ;
    const PRIORITY: u8 = 0xC0;

    #[inline]
    fn bound() -> &'static Bound {
        static BOUND: Bound = Bound::new();
        &BOUND
    }
}

/// Keeps the processor busy for `micros`, as work of that length would; interrupts come meanwhile.
pub fn spin(micros: u32) {
    <time::Timers as time::Clock>::spin(micros);
}

/// Counts instructions.
pub mod counter {
    use trilane_cortex_m::systick;
    use trilane_cortex_m::ticks::{PerInstruction, elapsed_down};

    pub use systick::{read, start};

    /// 3.2 ticks under `-icount shift=7`.
    const RATIO: PerInstruction = PerInstruction::new(crate::CLOCK_HZ, 128);

    /// The instructions executed between two readings, exact up to 5.2 million. The second reading's own load
    /// counts.
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
