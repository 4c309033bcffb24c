//! What a small firmware has beside its tasks: text goes out as it is, and a panic prints nothing.

use core::ffi::CStr;
use core::panic::PanicInfo;

#[allow(dead_code, reason = "each image is a crate and uses a part")]
pub fn print(text: &CStr) {
    semihosting::sys::arm_compat::sys_write0(text);
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    board::exit(101)
}
