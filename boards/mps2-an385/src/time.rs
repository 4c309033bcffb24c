//! The clock and the alarm, on two CMSDK timers.
//!
//! A CMSDK timer counts down at the core's 25 MHz, sets its flag on reaching 0 and starts over on the next tick. TIMER0
//! starts over at a period of 2^27 microseconds (134 s), so that a period is a whole number of them and 64-bit time is
//! a shift and a division of 32 bits by a constant.

use cortex_m::peripheral::NVIC;
use trilane_cortex_m::{Alarm, Register, Wraps};
pub use trilane_cortex_m::{Clock, Level};

use crate::CLOCK_HZ;
use crate::vectors::{TIMER0_IRQ, TIMER1_IRQ};

const TICKS_PER_MICRO: u32 = CLOCK_HZ / 1_000_000;
const PERIOD_BITS: u32 = 27;
const LAST_TICK: u32 = (TICKS_PER_MICRO << PERIOD_BITS) - 1;

/// The registers of a CMSDK timer.
struct Timer {
    control: Register,
    value: Register,
    reload: Register,
    /// Read: the flag. Written: takes it down.
    flag: Register,
}

const ENABLE: u32 = 1 << 0;
const INTERRUPT_ENABLE: u32 = 1 << 3;

impl Timer {
    /// # Safety
    ///
    /// `base` is the address of a CMSDK timer.
    const unsafe fn at(base: usize) -> Self {
        // SAFETY: a timer's registers, none of which makes it write to memory.
        unsafe {
            Self {
                control: Register::at(base),
                value: Register::at(base + 0x4),
                reload: Register::at(base + 0x8),
                flag: Register::at(base + 0xC),
            }
        }
    }

    /// Pends the interrupt each `last + 1` ticks.
    fn run(&self, last: u32) {
        self.reload.write(last);
        self.value.write(last);
        self.control.write(ENABLE | INTERRUPT_ENABLE);
    }

    /// Pends the interrupt once, after `ticks`, of a stopped timer whose `reload` is 0.
    ///
    /// A timer that reloads and is stopped by its interrupt would do for hardware. But QEMU's virtual time, while the
    /// core is idle, skips one period of a timer that is about to reload and has the next deadline of all.
    fn run_once(&self, ticks: u32) {
        self.value.write(ticks);
        self.control.write(ENABLE | INTERRUPT_ENABLE);
    }

    fn stop(&self) {
        self.control.write(0);
        self.clear();
    }

    fn flag(&self) -> bool {
        self.flag.read() != 0
    }

    fn clear(&self) {
        self.flag.write(1);
    }
}

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

    #[inline]
    fn now() -> u64 {
        critical_section::with(|cs| WRAPS.read(cs, micros, || CLOCK.flag()))
    }

    #[inline]
    fn start(micros: u32) {
        ALARM.stop();
        // One tick is the shortest wait: a timer set to 0 has nothing to count.
        ALARM.run_once((micros * TICKS_PER_MICRO).max(1));
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
    (LAST_TICK - CLOCK.value.read()) / TICKS_PER_MICRO
}

/// Starts the clock at 0.
pub(crate) fn start() {
    CLOCK.run(LAST_TICK);
    ALARM.stop();
    ALARM.reload.write(0);
    // SAFETY: no critical section is built on these interrupts being disabled, and their handlers are in the vector
    // table.
    unsafe {
        NVIC::unmask(TIMER0_IRQ);
        NVIC::unmask(TIMER1_IRQ);
    }
}

/// The handler of TIMER0.
pub(crate) fn on_wrap() {
    critical_section::with(|cs| WRAPS.on_interrupt(cs, micros, || CLOCK.clear()));
}
