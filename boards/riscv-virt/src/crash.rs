//! What ends a program that went wrong: the cause on the console, then the exit status 101.

use core::panic::PanicInfo;

use riscv::register::{mcause, mepc, mtval};
use riscv_rt::TrapFrame;
use trilane_chip::semihost::crash;
use trilane_riscv::current;

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    crash(info)
}

#[unsafe(no_mangle)]
extern "C" fn ExceptionHandler(frame: &TrapFrame) -> ! {
    let (hart, cause, at, value) = (current(), mcause::read().code(), mepc::read(), mtval::read());
    crash(&format_args!("hart {hart}: exception {cause} at {at:#x}, mtval {value:#x}: {frame:x?}"))
}

#[unsafe(no_mangle)]
extern "C" fn DefaultHandler() -> ! {
    crash(&format_args!("hart {}: interrupt {} has no handler", current(), mcause::read().code()))
}
