//! The timers of Arm's Cortex-M System Design Kit (CMSDK), as the MPS2 boards have them. All count down.

use crate::Register;

/// A timer of 32 bits, which sets its flag on reaching 0 and on the next tick starts over with its reload
/// value.
pub struct Timer {
    control: Register,
    value: Register,
    reload: Register,
    /// Read: the flag. Written: takes it down.
    flag: Register,
}

impl Timer {
    const ENABLE: u32 = 1 << 0;
    const INTERRUPT_ENABLE: u32 = 1 << 3;

    /// # Safety
    ///
    /// `base` is the address of a CMSDK timer.
    pub const unsafe fn at(base: usize) -> Self {
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
    pub fn run(&self, last: u32) {
        self.reload.write(last);
        self.value.write(last);
        self.control.write(Self::ENABLE | Self::INTERRUPT_ENABLE);
    }

    /// Makes it one for [`run_once`](Self::run_once), and stops it: with a reload value of 0 it has nothing
    /// to start over with.
    ///
    /// A timer that reloads and is stopped by its interrupt would do for hardware. But QEMU's virtual time,
    /// while the cores are idle, skips one period of a timer that is about to reload and has the next
    /// deadline of all.
    pub fn prepare(&self) {
        self.stop();
        self.reload.write(0);
    }

    /// Pends the interrupt once, after `ticks`, in place of a run under way.
    #[inline]
    pub fn run_once(&self, ticks: u32) {
        self.stop();
        // One tick is the shortest run: a timer set to 0 has nothing to count.
        self.value.write(ticks.max(1));
        self.control.write(Self::ENABLE | Self::INTERRUPT_ENABLE);
    }

    /// Stops it and takes its flag down.
    #[inline]
    pub fn stop(&self) {
        self.control.write(0);
        self.clear();
    }

    /// Ticks left of the run.
    #[inline]
    pub fn count(&self) -> u32 {
        self.value.read()
    }

    /// Whether it has pended the interrupt.
    #[inline]
    pub fn flag(&self) -> bool {
        self.flag.read() != 0
    }

    /// Takes the flag down.
    #[inline]
    pub fn clear(&self) {
        self.flag.write(1);
    }
}

/// One half of a dual timer: 32 bits too. Both halves have one interrupt.
pub struct HalfTimer {
    /// Written: the count to begin with, and to start over with if it is [`PERIODIC`](Self::PERIODIC).
    load: Register,
    value: Register,
    control: Register,
    clear: Register,
    flag: Register,
}

impl HalfTimer {
    const ONE_SHOT: u32 = 1 << 0;
    const WIDTH_32: u32 = 1 << 1;
    const INTERRUPT_ENABLE: u32 = 1 << 5;
    const PERIODIC: u32 = 1 << 6;
    const ENABLE: u32 = 1 << 7;

    /// # Safety
    ///
    /// `base` is the address of half a CMSDK dual timer.
    pub const unsafe fn at(base: usize) -> Self {
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

    /// Pends the interrupt each `last + 1` ticks.
    pub fn run(&self, last: u32) {
        self.control.write(Self::PERIODIC | Self::WIDTH_32);
        self.load.write(last);
        self.control.write(Self::PERIODIC | Self::WIDTH_32 | Self::INTERRUPT_ENABLE | Self::ENABLE);
    }

    /// Pends the interrupt once, after `ticks`, in place of a run under way.
    pub fn run_once(&self, ticks: u32) {
        self.stop();
        self.load.write(ticks.max(1));
        self.control.write(Self::ENABLE | Self::INTERRUPT_ENABLE | Self::WIDTH_32 | Self::ONE_SHOT);
    }

    /// Stops it and takes its flag down.
    pub fn stop(&self) {
        self.control.write(0);
        self.clear();
    }

    /// Ticks left of the run.
    #[inline]
    pub fn count(&self) -> u32 {
        self.value.read()
    }

    /// Whether it has pended the interrupt.
    #[inline]
    pub fn flag(&self) -> bool {
        self.flag.read() != 0
    }

    /// Takes the flag down.
    #[inline]
    pub fn clear(&self) {
        self.clear.write(0);
    }
}
