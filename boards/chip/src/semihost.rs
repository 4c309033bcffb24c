//! Console and exit status through semihosting: the debugger's or QEMU's, no device needed.
//!
//! Each call stops the core until the host has answered, and without a host it faults: for tests, benches and
//! examples in QEMU, not for a product.

use core::fmt::Display;

pub use semihosting::{print, println};

/// The exit status of a program that panicked or faulted; the same as Rust's on a host.
pub const CRASHED: u8 = 101;

/// Ends the program: QEMU exits with the status `code`.
#[inline(never)]
pub fn exit(code: u8) -> ! {
    semihosting::process::exit(i32::from(code))
}

/// Says what went wrong on the console's error stream and ends the program with [`CRASHED`].
///
/// For a board's panic handler and its handlers of faults.
pub fn crash(cause: &dyn Display) -> ! {
    semihosting::eprintln!("{cause}");
    exit(CRASHED)
}
