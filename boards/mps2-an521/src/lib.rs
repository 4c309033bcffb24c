//! The Arm MPS2 with the AN521 image (two Cortex-M33 at 20 MHz in an SSE-200 subsystem), as QEMU's machine
//! `mps2-an521` has it.
//!
//! | device | used for | priority |
//! | --- | --- | --- |
//! | DUALTIMER, second half | the clock: see [`time`] | `0x00`, the most urgent |
//! | CMSDK TIMER0 and TIMER1, one shot | the alarms of core 0's and core 1's executors | `0x00` |
//! | DUALTIMER, first half | [`irq::trigger_after`] | `0x00` |
//! | interrupt 87 | [`irq::trigger`] | `0x00` |
//! | message handling unit 0 | wakes across cores | `0x00` |
//! | message handling unit 1 | [`Preemptive`] | `0xC0`: above thread mode, below all others |
//! | SysTick | [`counter`] | no interrupt |
//! | semihosting | the console and the exit status | |
//!
//! All of a program runs in the secure state, which the chip starts in. Both cores run the same image; core 1
//! waits for [`start_second_core`]. The critical section keeps the other core out as well. A stack that
//! overflows, of either core, is a hard fault.
//!
//! With `-icount shift=7` each instruction takes 128 ns of the machine's time, on every run alike, whichever
//! core executes it: while core 1 sleeps, [`counter`] counts core 0's instructions exactly. With `sleep=off`
//! time spent idle costs the host nothing.

#![no_std]

use trilane_cortex_m::{InterruptMode, ThreadMode, semihost};

mod cores;
mod doorbell;
pub mod irq;
mod lock;
#[cfg(trilane_masked)]
pub mod masked;
pub mod time;
mod vectors;

pub use cores::start_second_core;
pub use doorbell::{Doorbell, Preempting};
pub use semihost::{exit, print, println};
pub use trilane_cortex_m::{run, start};

trilane_cortex_m::crash_handlers!();

/// The board's name, which is that of its folder.
pub const NAME: &str = "mps2-an521";

/// The frequency of the cores and of all timers.
pub const CLOCK_HZ: u32 = 20_000_000;

/// The RAM in KiB, by which bench images choose how many tasks they measure.
pub const RAM_KIB: usize = 4_096;

/// The platform of the executor in thread mode of core 0.
pub type Board = ThreadMode<time::Timers, Doorbell<0>>;

/// The platform of an executor that pre-empts the one in thread mode of core 0, where [`Preemptive::start`]
/// lets it run.
pub type Preemptive = InterruptMode<Preempting>;

/// The platform of the executor in thread mode of core 1.
pub type SecondCore = ThreadMode<time::SecondTimers, Doorbell<1>>;

/// Keeps the core that calls it busy for `micros`, as work of that length would; interrupts come meanwhile.
pub fn spin(micros: u32) {
    <time::Timers as time::Clock>::spin(micros);
}

/// Passes a moment of a loop that waits for the other core, and gives that one its turn in QEMU.
pub fn relax() {
    <time::Timers as time::Clock>::relax();
}

/// Counts instructions.
pub mod counter {
    use trilane_cortex_m::systick;
    use trilane_cortex_m::ticks::{PerInstruction, elapsed_down};

    pub use systick::{read, start};

    /// 2.56 ticks under `-icount shift=7`.
    const RATIO: PerInstruction = PerInstruction::new(crate::CLOCK_HZ, 128);

    /// The instructions executed between two readings, exact up to 6.5 million. The second reading's own load
    /// counts.
    #[inline]
    pub const fn instructions(from: u32, to: u32) -> u32 {
        RATIO.instructions(elapsed_down(systick::BITS, from, to))
    }
}

/// Makes a function `fn() -> !` the program's entry, on core 0.
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
    cores::guard_stack();
    time::start();
    doorbell::start();
}
