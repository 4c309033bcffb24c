//! The two harts: what each one has, and how it begins.

use riscv::register::mie;
use trilane_chip::{Alarm, Clock};
use trilane_riscv::{Clint, Hart, SecondHart, Soft, Timer};

use crate::time::TICKS_PER_MICRO;

// SAFETY: the address of the CLINT in QEMU's `virt`, which has room for 4,095 harts.
const CLINT: Clint = unsafe { Clint::at(0x0200_0000) };

/// The hart on which `main` runs.
pub struct Hart0;

impl Hart for Hart0 {
    const ID: usize = 0;
    const CLINT: Clint = CLINT;
    const TICKS_PER_MICRO: u32 = TICKS_PER_MICRO;

    #[inline]
    fn alarm() -> &'static Alarm<Timer<Self>> {
        static ALARM: Alarm<Timer<Hart0>> = Alarm::new();
        &ALARM
    }

    #[inline]
    fn soft() -> &'static Soft {
        static SOFT: Soft = Soft::new();
        &SOFT
    }
}

/// The hart that [`start_second_core`] starts.
pub struct Hart1;

impl Hart for Hart1 {
    const ID: usize = 1;
    const CLINT: Clint = CLINT;
    const TICKS_PER_MICRO: u32 = TICKS_PER_MICRO;

    #[inline]
    fn alarm() -> &'static Alarm<Timer<Self>> {
        static ALARM: Alarm<Timer<Hart1>> = Alarm::new();
        &ALARM
    }

    #[inline]
    fn soft() -> &'static Soft {
        static SOFT: Soft = Soft::new();
        &SOFT
    }
}

static SECOND: SecondHart = SecondHart::new(Hart1::ID, CLINT);

/// Runs `main` on hart 1, for ever.
///
/// # Panics
///
/// When it has been called before, and when there is no hart 1, since QEMU runs without `-smp 2`.
pub fn start_second_core(main: fn() -> !) {
    SECOND.start(main);
}

/// Where each hart begins, its stack and all variables being in place.
pub fn enter(hart: usize, main: fn() -> !) -> ! {
    if hart != Hart0::ID {
        SECOND.run(set_up::<Hart1>)
    }
    set_up::<Hart0>();
    main()
}

/// Enables the interrupts of the hart that calls.
fn set_up<H: Hart>() {
    Timer::<H>::stop();
    crate::irq::set_up();
    // SAFETY: no critical section is built on these interrupts being disabled, and their handlers are linked
    // in.
    unsafe {
        mie::set_msoft();
        mie::set_mtimer();
        riscv::interrupt::enable();
    }
}
