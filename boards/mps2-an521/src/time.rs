//! The clock of both cores and an alarm for each, on the timers of the SSE-200.
//!
//! Each interrupt is enabled on one core, so that a timer's two halves, which share an interrupt, are core
//! 0's both:
//!
//! | timer | used for | interrupts |
//! | --- | --- | --- |
//! | DUALTIMER, second half | the clock: counts down at 20 MHz and starts over at a period of 2^27 microseconds (134 s) | core 0 |
//! | TIMER0, one shot | core 0's alarm | core 0 |
//! | TIMER1, one shot | core 1's alarm | core 1 |
//!
//! The period is a whole number of microseconds, so that 64-bit time is a shift and a division of 32 bits by
//! a constant.

use cortex_m::peripheral::NVIC;
pub use trilane_cortex_m::Clock;
use trilane_cortex_m::cmsdk::{HalfTimer, Timer};
use trilane_cortex_m::{Alarm, Wraps};

use crate::CLOCK_HZ;
use crate::vectors::{DUALTIMER_IRQ, TIMER0_IRQ, TIMER1_IRQ};

pub(crate) const TICKS_PER_MICRO: u32 = CLOCK_HZ / 1_000_000;
const PERIOD_BITS: u32 = 27;
const LAST_TICK: u32 = (TICKS_PER_MICRO << PERIOD_BITS) - 1;

// SAFETY: the second half of the DUALTIMER of the SSE-200.
const CLOCK: HalfTimer = unsafe { HalfTimer::at(0x5000_2020) };
// SAFETY: TIMER0 of the SSE-200.
const ALARM: Timer = unsafe { Timer::at(0x5000_0000) };
// SAFETY: TIMER1 of the SSE-200.
const SECOND_ALARM: Timer = unsafe { Timer::at(0x5000_1000) };

static WRAPS: Wraps<PERIOD_BITS> = Wraps::new();

/// The clock, with core 0's alarm.
pub struct Timers;

/// The clock, with core 1's alarm.
pub struct SecondTimers;

impl Clock for Timers {
    /// A whole period of the clock; the timer itself has 32 bits, 214 s.
    const RANGE: u32 = 1 << PERIOD_BITS;

    #[inline]
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
        static ALARM: Alarm<Timers> = Alarm::new();
        &ALARM
    }
}

impl Clock for SecondTimers {
    const RANGE: u32 = Timers::RANGE;

    #[inline]
    fn now() -> u64 {
        Timers::now()
    }

    #[inline]
    fn start(micros: u32) {
        SECOND_ALARM.run_once(micros * TICKS_PER_MICRO);
    }

    #[inline]
    fn stop() {
        SECOND_ALARM.stop();
    }

    #[inline]
    fn alarm() -> &'static Alarm<Self> {
        static ALARM: Alarm<SecondTimers> = Alarm::new();
        &ALARM
    }
}

/// Microseconds within the clock's period.
#[inline]
fn micros() -> u32 {
    (LAST_TICK - CLOCK.count()) / TICKS_PER_MICRO
}

/// Starts the clock at 0, on core 0.
pub(crate) fn start() {
    CLOCK.run(LAST_TICK);
    ALARM.prepare();
    // SAFETY: no critical section is built on these interrupts being disabled, and their handlers are in the
    // vector table.
    unsafe {
        NVIC::unmask(DUALTIMER_IRQ);
        NVIC::unmask(TIMER0_IRQ);
    }
}

/// Lets core 1, which calls it, have its alarm.
pub(crate) fn start_second() {
    SECOND_ALARM.prepare();
    // SAFETY: as above.
    unsafe { NVIC::unmask(TIMER1_IRQ) };
}

/// Half of the handler of DUALTIMER.
pub(crate) fn on_dual_timer() {
    if CLOCK.flag() {
        critical_section::with(|cs| WRAPS.on_interrupt(cs, micros, || CLOCK.clear()));
    }
}
