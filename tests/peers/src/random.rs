//! A small generator with a fixed seed: the same benches on every run.

/// xorshift64* (Vigna 2016).
#[derive(Clone)]
pub struct Xorshift(u64);

impl Xorshift {
    /// A generator; any seed but 0.
    pub const fn new(seed: u64) -> Self {
        Self(if seed == 0 { 1 } else { seed })
    }

    /// The next 64 bits.
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// One of 0 to `end - 1`, by the high bits (Lemire's reduction without its rejection: the bias is below
    /// 2^-48 here).
    pub fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.next()) * end as u128) >> 64) as usize
    }
}
