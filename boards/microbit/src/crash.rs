//! What ends a program that went wrong: the cause on the console, then the exit status 101.

use core::panic::PanicInfo;

use cortex_m_rt::{ExceptionFrame, exception};
use trilane_cortex_m::semihost::crash;

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    crash(info)
}

#[exception]
unsafe fn HardFault(frame: &ExceptionFrame) -> ! {
    crash(&format_args!("hard fault: {frame:?}"))
}

#[exception]
unsafe fn DefaultHandler(number: i16) {
    crash(&format_args!("interrupt {number} has no handler"))
}
