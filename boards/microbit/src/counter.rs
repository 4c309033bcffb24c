//! Counts instructions.
//!
//! TIMER1 ticks at the core's 16 MHz, 2.048 times an instruction under `-icount shift=7`. Its 16 bits last
//! for 4 ms; so TIMER2 ticks beside it, 512 times as slow, and tells how often TIMER1 has started over. The
//! chip can feed one timer's wraps to another by itself, but through a part that QEMU doesn't have.

use trilane_cortex_m::ticks::{PerInstruction, elapsed_up};

use crate::CLOCK_HZ;
use crate::timer::{Channel, Timer, Width};

// SAFETY: TIMER1 of the nRF51's memory map.
const FINE: Timer = unsafe { Timer::at(0x4000_9000) };
// SAFETY: TIMER2 of the nRF51's memory map.
const COARSE: Timer = unsafe { Timer::at(0x4000_A000) };

const FINE_COUNT: Channel = FINE.channel(0);
const COARSE_COUNT: Channel = COARSE.channel(0);

/// TIMER2 ticks once in 2^9 ticks of TIMER1.
const COARSE_PRESCALER: u32 = 9;
const BITS: u32 = 16;

/// 2.048 ticks under `-icount shift=7`.
const RATIO: PerInstruction = PerInstruction::new(CLOCK_HZ, 128);

/// Starts the counter. It then needs no care.
pub fn start() {
    FINE.start(Width::Bits16, 0);
    COARSE.start(Width::Bits16, COARSE_PRESCALER);
}

/// The count: TIMER1 in the lower half, TIMER2 in the upper.
///
/// Not inlined, so that each call takes the same number of instructions whatever is around it.
#[inline(never)]
pub fn read() -> u32 {
    let fine = FINE_COUNT.count();
    let coarse = COARSE_COUNT.count();
    coarse << BITS | fine
}

/// The instructions executed between two readings, up to 16 million. The readings' own count, from capture to
/// capture.
///
/// Exact if at most two other readings lie between them: QEMU rounds an odd number of ticks down to whole
/// nanoseconds, by which TIMER1 gains half a nanosecond with a reading, 1/256 of an instruction.
#[inline]
pub const fn instructions(from: u32, to: u32) -> u32 {
    RATIO.instructions(ticks(from, to))
}

/// TIMER1's ticks between two readings: the number that agrees with TIMER1 and comes closest to what TIMER2
/// says.
const fn ticks(from: u32, to: u32) -> u32 {
    let fine = elapsed_up(BITS, from, to);
    let coarse = elapsed_up(BITS, from >> BITS, to >> BITS) << COARSE_PRESCALER;
    // The two are read at different phases of TIMER2: half a period of TIMER1 is left for what they differ
    // by.
    let wraps = (coarse + (1 << (BITS - 1))).saturating_sub(fine) >> BITS;
    (wraps << BITS) + fine
}

const _: () = {
    // TIMER1 starts over, and TIMER2 ticks with it, before it or after it.
    assert!(ticks(0x007F_FFFF, 0x0080_0000) == 1);
    assert!(ticks(0x007F_FFFF, 0x007F_0000) == 1);
    assert!(ticks(0x0000_0000, 0x007F_FFFF) == 0xFFFF);
    assert!(ticks(0x0000_0000, 0x0080_FFFF) == 0xFFFF);
    assert!(ticks(0x0000_0001, 0x0080_0000) == 0xFFFF);
    // TIMER2 starts over.
    assert!(ticks(0xFFF0_1000, 0x0070_1000) == 0x1_0000);
    assert!(ticks(0x0000_0000, 0xFF80_0005) == 0x1FF_0005);
};
