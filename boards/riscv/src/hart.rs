//! One hart: its number, and time as it sees it.

use core::marker::PhantomData;

use riscv::register::{mhartid, mie, mip};
use trilane_chip::{Alarm, Clock};

use crate::{Clint, Soft};

/// A hart, as its board describes it.
pub trait Hart: 'static {
    /// What `mhartid` reads.
    const ID: usize;

    /// The CLINT that serves it.
    const CLINT: Clint;

    /// Ticks of the CLINT's clock in a microsecond.
    const TICKS_PER_MICRO: u32;

    /// The alarms that the hart's comparator serves.
    fn alarm() -> &'static Alarm<Timer<Self>>
    where
        Self: Sized;

    /// What the hart's software interrupt is for.
    fn soft() -> &'static Soft;
}

/// The number of the hart that calls.
#[inline]
pub fn current() -> usize {
    mhartid::read()
}

/// Passes time in a loop that waits for another hart. The caller has interrupts masked.
///
/// QEMU runs harts by turns under `-icount`, and 7.2 lets one that spins spin for ever, with the `pause`
/// instruction or without; WFI ends the turn. To have something that ends WFI in turn, the hart pends an
/// interrupt that it otherwise doesn't use, the supervisor's external one. On a chip this is a few
/// instructions and no sleep.
#[inline]
pub fn relax() {
    // SAFETY: the interrupt is enabled while interrupts are masked only, so nothing handles it.
    unsafe {
        mip::set_sext();
        mie::set_sext();
        riscv::asm::wfi();
        mie::clear_sext();
        mip::clear_sext();
    }
}

/// The clock of all harts, and the comparator of the hart `H`.
pub struct Timer<H>(PhantomData<fn() -> H>);

impl<H: Hart> Clock for Timer<H> {
    const RANGE: u32 = u32::MAX;

    #[inline]
    fn now() -> u64 {
        H::CLINT.now() / u64::from(H::TICKS_PER_MICRO)
    }

    #[inline]
    fn start(micros: u32) {
        let ticks = u64::from(micros) * u64::from(H::TICKS_PER_MICRO);
        H::CLINT.set_timer(H::ID, H::CLINT.now() + ticks);
    }

    #[inline]
    fn stop() {
        H::CLINT.set_timer(H::ID, u64::MAX);
    }

    #[inline]
    fn relax() {
        riscv::interrupt::free(relax);
    }

    #[inline]
    fn alarm() -> &'static Alarm<Self> {
        H::alarm()
    }
}
