//! From a counter's ticks to instructions.
//!
//! Under QEMU's `-icount shift=7` each instruction takes exactly 128 ns of the machine's time, so a counter
//! on a clock of `f` Hz advances by `128e-9 * f` ticks an instruction: 3.2 at 25 MHz. Any counter that does
//! at least two ticks an instruction gives an exact number, because the readings are off by less than one
//! tick.

/// Ticks of a counter for each instruction, as a fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PerInstruction {
    ticks: u32,
    instructions: u32,
}

impl PerInstruction {
    /// The ratio on a machine whose counter runs at `hertz` and whose instructions take `nanos` each.
    ///
    /// Panics (at build time, in a constant) when an instruction takes fewer than two ticks: the result would
    /// not be exact.
    pub const fn new(hertz: u32, nanos: u32) -> Self {
        let (ticks, instructions) = (hertz as u64 * nanos as u64, 1_000_000_000);
        let shared = gcd(ticks, instructions);
        let (ticks, instructions) = (ticks / shared, instructions / shared);
        assert!(ticks >= 2 * instructions, "too slow a counter to tell instructions apart");
        assert!(ticks <= u32::MAX as u64, "the ratio has too large terms");
        Self { ticks: ticks as u32, instructions: instructions as u32 }
    }

    /// The number of instructions in `ticks`, rounded to nearest.
    #[inline]
    pub const fn instructions(self, ticks: u32) -> u32 {
        ((ticks as u64 * self.instructions as u64 + self.ticks as u64 / 2) / self.ticks as u64) as u32
    }
}

/// Ticks between two readings of a counter of `bits` bits that counts down.
#[inline]
pub const fn elapsed_down(bits: u32, from: u32, to: u32) -> u32 {
    from.wrapping_sub(to) & (u32::MAX >> (32 - bits))
}

/// Ticks between two readings of a counter of `bits` bits that counts up.
#[inline]
pub const fn elapsed_up(bits: u32, from: u32, to: u32) -> u32 {
    elapsed_down(bits, to, from)
}

const fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_count_is_exact_at_every_phase_of_the_clock() {
        for hertz in [25_000_000, 20_000_000, 16_000_000] {
            let ratio = PerInstruction::new(hertz, 128);
            for start in 0..64_u64 {
                for count in 0..2_000 {
                    let tick = |instruction: u64| instruction * 128 * u64::from(hertz) / 1_000_000_000;
                    let ticks = tick(start + u64::from(count)) - tick(start);
                    assert_eq!(ratio.instructions(ticks as u32), count);
                }
            }
        }
    }

    #[test]
    fn the_ratio_is_reduced() {
        assert_eq!(PerInstruction::new(25_000_000, 128), PerInstruction { ticks: 16, instructions: 5 });
        assert_eq!(PerInstruction::new(20_000_000, 128), PerInstruction { ticks: 64, instructions: 25 });
    }

    #[test]
    fn readings_across_a_wrap_subtract() {
        assert_eq!(elapsed_down(24, 3, 0xFF_FFFE), 5);
        assert_eq!(elapsed_up(24, 0xFF_FFFE, 3), 5);
        assert_eq!(elapsed_down(32, 3, 0xFFFF_FFFE), 5);
    }
}
