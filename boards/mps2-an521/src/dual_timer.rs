//! The DUALTIMER: two timers of 32 bits with one interrupt.

use trilane_cortex_m::Register;

/// The registers of one of the two timers.
pub(crate) struct Half {
    /// Written: the count to begin with, and to start over with if it is [`PERIODIC`].
    pub(crate) load: Register,
    pub(crate) value: Register,
    pub(crate) control: Register,
    clear: Register,
    flag: Register,
}

pub(crate) const ONE_SHOT: u32 = 1 << 0;
pub(crate) const WIDTH_32: u32 = 1 << 1;
pub(crate) const INTERRUPT_ENABLE: u32 = 1 << 5;
pub(crate) const PERIODIC: u32 = 1 << 6;
pub(crate) const ENABLE: u32 = 1 << 7;

impl Half {
    /// # Safety
    ///
    /// `base` is the address of half a CMSDK dual timer.
    pub(crate) const unsafe fn at(base: usize) -> Self {
        // SAFETY: a timer's registers, none of which makes it write to memory.
        unsafe {
            Self {
                load: Register::at(base),
                value: Register::at(base + 0x4),
                control: Register::at(base + 0x8),
                clear: Register::at(base + 0xC),
                flag: Register::at(base + 0x14),
            }
        }
    }

    /// Whether it has pended the interrupt.
    pub(crate) fn flag(&self) -> bool {
        self.flag.read() != 0
    }

    /// Takes the flag down.
    pub(crate) fn clear(&self) {
        self.clear.write(0);
    }
}
