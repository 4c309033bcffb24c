//! Device registers.

/// A 32-bit device register.
///
/// The one place of the boards that turns an address into an access: a register is declared once, unsafely,
/// and is safe to use from then on.
#[derive(Clone, Copy)]
pub struct Register(*mut u32);

// SAFETY: a volatile access of an aligned word is atomic on a 32-bit chip, and `Register::at` was promised
// that no access affects memory safety, from wherever it comes.
unsafe impl Send for Register {}
// SAFETY: as for `Send`.
unsafe impl Sync for Register {}

impl Register {
    /// The register at `address`.
    ///
    /// # Safety
    ///
    /// `address` is that of a 32-bit register of a device on this chip, word-aligned, and no value written to
    /// it makes the device write to memory.
    pub const unsafe fn at(address: usize) -> Self {
        Self(core::ptr::without_provenance_mut(address))
    }

    /// Reads the register.
    #[inline(always)]
    pub fn read(self) -> u32 {
        // SAFETY: a device register, as promised to `Register::at`.
        unsafe { self.0.read_volatile() }
    }

    /// Writes the register.
    #[inline(always)]
    pub fn write(self, value: u32) {
        // SAFETY: a device register, as promised to `Register::at`.
        unsafe { self.0.write_volatile(value) }
    }
}
