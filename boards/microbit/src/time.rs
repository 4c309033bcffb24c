//! The clock and the alarms, on TIMER0: 32 bits, one tick a microsecond.
//!
//! The timer's period of 2^32 microseconds (71 minutes) is that of its 32 bits, so that 64-bit time is the
//! count below the number of wraps, without a division, for which a Cortex-M0 has no instruction.

use cortex_m::peripheral::NVIC;
use trilane_cortex_m::{Alarm, Register, Wraps};
pub use trilane_cortex_m::{Clock, Level};

use crate::irq;
use crate::timer::{Channel, Timer, Width};
use crate::vectors::TIMER0_IRQ;

// SAFETY: TIMER0 of the nRF51's memory map.
const TIMER: Timer = unsafe { Timer::at(0x4000_8000) };

/// 16 MHz divided by 2^4.
const PRESCALER: u32 = 4;

const ALARM: Channel = TIMER.channel(0);
/// Its value is 0.
const WRAP: Channel = TIMER.channel(1);
/// Captures, inside critical sections only: an interrupt between the capture and its reading could replace
/// it.
pub(crate) const NOW: Channel = TIMER.channel(2);
/// [`irq::trigger_after`]'s.
pub(crate) const DELAY: Channel = TIMER.channel(3);

static WRAPS: Wraps<32> = Wraps::new();
static THE_ALARM: Alarm<Timers> = Alarm::new();

/// TIMER0 as the executors' clock.
pub struct Timers;

impl Clock for Timers {
    /// Half a period, so that an instant ahead differs from one that has passed.
    const RANGE: u32 = 1 << 31;

    #[inline]
    fn now() -> u64 {
        critical_section::with(|cs| WRAPS.read(cs, || NOW.count(), || WRAP.flag()))
    }

    #[inline]
    fn start(micros: u32) {
        if !ALARM.wait(NOW, micros) {
            NVIC::pend(TIMER0_IRQ);
        }
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

// SAFETY: TASKS_HFCLKSTART and EVENTS_HFCLKSTARTED of the nRF51's CLOCK, which writes no memory.
const CRYSTAL_START: Register = unsafe { Register::at(0x4000_0000) };
// SAFETY: as above.
const CRYSTAL_RUNS: Register = unsafe { Register::at(0x4000_0100) };

/// Starts the clock at 0.
pub(crate) fn start() {
    // The chip starts on an oscillator of its own, which is off by up to some percent.
    CRYSTAL_START.write(1);
    while CRYSTAL_RUNS.read() == 0 {}
    TIMER.start(Width::Bits32, PRESCALER);
    // QEMU takes the start at WRAP's value for a wrap.
    critical_section::with(|_| while NOW.count() == 0 {});
    WRAP.clear();
    WRAP.enable();
    // SAFETY: no critical section is built on this interrupt being disabled, and its handler is in the vector
    // table.
    unsafe { NVIC::unmask(TIMER0_IRQ) };
}

/// The handler of TIMER0. `on_alarm` runs whatever pended the interrupt, since an alarm in the past raises no
/// flag.
pub(crate) fn on_interrupt(on_alarm: impl FnOnce()) {
    if WRAP.flag() {
        critical_section::with(|cs| WRAPS.on_interrupt(cs, || NOW.count(), || WRAP.clear()));
    }
    if DELAY.pends() {
        irq::on_delay();
    }
    on_alarm();
}
