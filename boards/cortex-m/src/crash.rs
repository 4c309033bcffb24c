//! What ends a program that went wrong.

/// Defines the handlers of panics, hard faults and interrupts without a handler: each prints the cause and
/// ends the program with status 101, by [`semihost::crash`](crate::semihost::crash). Once in a board, which
/// depends on `cortex-m-rt`; a board with another way to report leaves it out.
#[macro_export]
macro_rules! crash_handlers {
    () => {
        #[panic_handler]
        fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
            $crate::semihost::crash(info)
        }

        #[cortex_m_rt::exception]
        unsafe fn HardFault(frame: &cortex_m_rt::ExceptionFrame) -> ! {
            $crate::semihost::crash(&format_args!("hard fault: {frame:?}"))
        }

        #[cortex_m_rt::exception]
        unsafe fn DefaultHandler(number: i16) {
            $crate::semihost::crash(&format_args!("interrupt {number} has no handler"))
        }
    };
}
