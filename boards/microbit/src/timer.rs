//! The chip's timers, as far as the board uses them.

use trilane_cortex_m::Register;

/// One of the three timers: a counter that counts up and starts over, and four [`Channel`]s.
pub struct Timer {
    base: usize,
}

/// How many bits a timer counts with. On the chip only TIMER0 has more than 16, in QEMU all of them have.
#[derive(Clone, Copy)]
pub enum Width {
    Bits16 = 0,
    Bits32 = 3,
}

impl Timer {
    /// # Safety
    ///
    /// `base` is the address of a timer of the nRF51.
    pub const unsafe fn at(base: usize) -> Self {
        Self { base }
    }

    const fn register(&self, offset: usize) -> Register {
        // SAFETY: a register of the timer that `at` was promised; a timer writes no memory.
        unsafe { Register::at(self.base + offset) }
    }

    /// One of the timer's channels, 0 to 3.
    pub const fn channel(&self, number: usize) -> Channel {
        assert!(number < 4, "a timer has four channels");
        Channel {
            capture: self.register(0x040 + 4 * number),
            event: self.register(0x140 + 4 * number),
            value: self.register(0x540 + 4 * number),
            enable: self.register(0x304),
            disable: self.register(0x308),
            interrupt: 1 << (16 + number),
        }
    }

    /// Counts up from 0 at 16 MHz divided by 2^`prescaler` (0 to 9).
    pub fn start(&self, width: Width, prescaler: u32) {
        let [start, stop, clear] = [0x000, 0x004, 0x00C].map(|task| self.register(task));
        let [bits, divider] = [0x508, 0x510].map(|setting| self.register(setting));
        stop.write(TRIGGER);
        bits.write(width as u32);
        divider.write(prescaler);
        clear.write(TRIGGER);
        start.write(TRIGGER);
    }
}

/// What starts a task, as the chip's documents call it.
const TRIGGER: u32 = 1;

/// A capture and compare register of a timer: it takes the counter's value, or raises an event when the
/// counter comes to its own.
#[derive(Clone, Copy)]
pub struct Channel {
    capture: Register,
    event: Register,
    value: Register,
    enable: Register,
    disable: Register,
    interrupt: u32,
}

impl Channel {
    /// The counter's value now. A channel captures or compares, never both.
    #[inline(always)]
    pub fn count(self) -> u32 {
        self.capture.write(TRIGGER);
        self.value.read()
    }

    /// Whether the counter has come to the channel's value since [`Channel::clear`].
    #[inline]
    pub fn flag(self) -> bool {
        self.event.read() != 0
    }

    /// Takes the flag down.
    #[inline]
    pub fn clear(self) {
        self.event.write(0);
    }

    /// Whether the flag is up and pends the timer's interrupt.
    #[inline]
    pub fn pends(self) -> bool {
        self.flag() && self.enable.read() & self.interrupt != 0
    }

    /// Lets the flag pend the timer's interrupt.
    #[inline]
    pub fn enable(self) {
        self.enable.write(self.interrupt);
    }

    /// Pends nothing any more, and takes the flag down.
    #[inline]
    pub fn stop(self) {
        self.disable.write(self.interrupt);
        self.clear();
    }

    /// Pends the interrupt `ticks` from now, once, if no earlier than the next tick.
    ///
    /// Returns false when that instant has passed while the channel was being set, in which case the
    /// interrupt may or may not have been pended. `now` is a channel of the same timer that captures.
    #[inline]
    #[must_use]
    pub fn wait(self, now: Self, ticks: u32) -> bool {
        let from = now.count();
        self.value.write(from.wrapping_add(ticks));
        // After the value: what the earlier value raises until then goes with it.
        self.clear();
        self.enable();
        now.count().wrapping_sub(from) < ticks
    }
}
