//! The core-local interruptor: one clock for all harts, and for each a comparator and a software interrupt.

use trilane_chip::Register;

/// A CLINT, as SiFive's chips and QEMU's have it.
#[derive(Clone, Copy)]
pub struct Clint {
    base: usize,
}

impl Clint {
    /// The CLINT at `base`.
    ///
    /// # Safety
    ///
    /// `base` is the address of a CLINT, and has room for the harts whose numbers are used.
    pub const unsafe fn at(base: usize) -> Self {
        Self { base }
    }

    /// Ticks of the clock. Three loads, six if its lower half has just wrapped.
    #[inline]
    pub fn now(self) -> u64 {
        let (low, high) = (self.register(0xBFF8), self.register(0xBFFC));
        loop {
            let before = high.read();
            let ticks = low.read();
            if high.read() == before {
                return u64::from(before) << 32 | u64::from(ticks);
            }
        }
    }

    /// Pends the timer interrupt of `hart` as long as the clock is at `ticks` or later; `u64::MAX` never.
    #[inline]
    pub fn set_timer(self, hart: usize, ticks: u64) {
        let (low, high) = (self.register(0x4000 + 8 * hart), self.register(0x4004 + 8 * hart));
        // No value in between is earlier than both the old and the new one.
        high.write(u32::MAX);
        low.write(ticks as u32);
        high.write((ticks >> 32) as u32);
    }

    /// Pends the software interrupt of `hart`, which sees what was written before.
    #[inline]
    pub fn pend(self, hart: usize) {
        riscv::asm::fence();
        self.register(4 * hart).write(1);
    }

    /// Takes the software interrupt of `hart` down; then the hart sees what was written before the last
    /// pending.
    #[inline]
    pub fn unpend(self, hart: usize) {
        riscv::asm::fence();
        self.register(4 * hart).write(0);
        riscv::asm::fence();
    }

    /// Whether the software interrupt of `hart` is pended; what is read afterwards is not older.
    #[inline]
    pub fn is_pended(self, hart: usize) -> bool {
        let pended = self.register(4 * hart).read() != 0;
        riscv::asm::fence();
        pended
    }

    const fn register(self, offset: usize) -> Register {
        // SAFETY: a CLINT's registers, as promised to `Clint::at`; it writes no memory.
        unsafe { Register::at(self.base + offset) }
    }
}
