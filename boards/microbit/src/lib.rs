//! The BBC micro:bit with an nRF51822 (a Cortex-M0 at 16 MHz), as QEMU's machine `microbit` has it.
//!
//! | device | used for | priority |
//! | --- | --- | --- |
//! | TIMER0, free-running | the clock, the executors' alarms and [`irq::trigger_after`]: see [`time`] | `0x00`, the most urgent |
//! | SWI5 | [`irq::trigger`] | `0x00` |
//! | SWI4 | [`Preemptive`] | `0xC0`: above thread mode, below all others |
//! | TIMER1 and TIMER2, free-running | [`counter`] | no interrupt |
//! | semihosting | the console and the exit status | |
//!
//! So time goes on and interrupts are served while a task of a pre-empting executor runs, and may wake others
//! of its tasks.
//!
//! The core has no compare-and-swap and no SysTick. What the executor changes atomically it changes with
//! interrupts masked, through the critical section that this board chooses; that is enough for the one core.
//!
//! With `-icount shift=7` each instruction takes 128 ns of the machine's time, on every run alike:
//! [`counter`] counts instructions exactly, and with `sleep=off` time spent idle costs the host nothing.

#![no_std]

use trilane_cortex_m::{Bound, InterruptMode, Irq, Line, ThreadMode, semihost};

pub mod counter;
pub mod irq;
#[cfg(trilane_masked)]
pub mod masked;
pub mod time;
mod timer;
mod vectors;

pub use semihost::{exit, print, println};
pub use trilane_cortex_m::{run, start};

trilane_cortex_m::crash_handlers!();

/// The board's name, which is that of its folder.
pub const NAME: &str = "microbit";

/// The frequency of the core and, at most, of the timers.
pub const CLOCK_HZ: u32 = 16_000_000;

/// The RAM in KiB, by which bench images choose how many tasks they measure.
pub const RAM_KIB: usize = 16;

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
