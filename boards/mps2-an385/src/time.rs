//! The clock and the alarm, on two CMSDK timers.
//!
//! A CMSDK timer counts down at the core's 25 MHz, sets its flag on reaching 0 and starts over on the next
//! tick. TIMER0 starts over at a period of 2^27 microseconds (134 s), so that a period is a whole number of
//! them and 64-bit time is a shift and a division of 32 bits by a constant.

use cortex_m::peripheral::NVIC;
use trilane_cortex_m::cmsdk::Timer;
use trilane_cortex_m::{Alarm, Wraps};
pub use trilane_cortex_m::{Clock, Level};

use crate::CLOCK_HZ;
use crate::vectors::{TIMER0_IRQ, TIMER1_IRQ};

pub(crate) const TICKS_PER_MICRO: u32 = CLOCK_HZ / 1_000_000;
const PERIOD_BITS: u32 = 27;
const LAST_TICK: u32 = (TICKS_PER_MICRO << PERIOD_BITS) - 1;

// SAFETY: TIMER0 of the AN385 memory map.
const CLOCK: Timer = unsafe { Timer::at(0x4000_0000) };
// SAFETY: TIMER1 of the AN385 memory map.
const ALARM: Timer = unsafe { Timer::at(0x4000_1000) };

static WRAPS: Wraps<PERIOD_BITS> = Wraps::new();
static THE_ALARM: Alarm<Timers> = Alarm::new();

/// TIMER0 and TIMER1 as the executors' clock.
pub struct Timers;

impl Clock for Timers {
    /// A whole period of the clock; the timer itself has 32 bits, 171 s.
    const RANGE: u32 = 1 << PERIOD_BITS;

    /// Out of line, for the several places that a small image reads it at.
    #[inline(never)]
    fn now() -> u64 {
        critical_section::with(|cs| WRAPS.read(cs, micros, || CLOCK.flag()))
    }

    #[inline]
    fn start(micros: u32) {
        ALARM.run_once(micros * TICKS_PER_MICRO);
    }

    #[inline]
    fn stop() {
        ALARM.stop();
    }

    #[inline]
    fn alarm() -> &'static Alarm<Self> {
        &THE_ALARM
    }
}

/// Microseconds within the clock's period.
#[inline]
fn micros() -> u32 {
    (LAST_TICK - CLOCK.count()) / TICKS_PER_MICRO
}

/// Starts the clock at 0.
pub(crate) fn start() {
    CLOCK.run(LAST_TICK);
    ALARM.prepare();
    // SAFETY: no critical section is built on these interrupts being disabled, and their handlers are in the
    // vector table.
    unsafe {
        NVIC::unmask(TIMER0_IRQ);
        NVIC::unmask(TIMER1_IRQ);
    }
}

/// The handler of TIMER0.
pub(crate) fn on_wrap() {
    critical_section::with(|cs| WRAPS.on_interrupt(cs, micros, || CLOCK.clear()));
}
