//! The host as a board: the same names that a firmware board gives an example, on this computer.
//!
//! | option of the program | effect |
//! | --- | --- |
//! | none | virtual time: waits cost nothing, and each run is the same |
//! | `--real-time` | waits take as long as they say |
//! | `--workers` *number* | so many threads poll the tasks, 1 to 64: see [`start`] |
//! | `--livelock-after` *passes* | how long virtual time may stand still before a panic; 1,000,000 passes |
//! | `--help` | prints these |
//!
//! Any other argument ends the program with status 2. The command line is read at the first use of the
//! console, of [`exit`] or of a [`Board`], before its effect.
//!
//! A panic is std's own: it prints its message, and on the thread of either core ends the program with status
//! 101, as on every board.

pub mod irq;

mod command_line;
mod machine;
mod other_core;
mod platform;
mod second_core;
mod virtual_time;
mod workers;

use std::fmt;
use std::io::{self, Write as _};

use machine::MACHINE;
use other_core::OtherCore;
pub use platform::{Board, Preemptive};
pub use second_core::{SecondCore, start_second_core};
use trilane::time::Duration;
pub use workers::{Runner, Spawner, run, start};

/// The board's name, as in `--on host`.
pub const NAME: &str = "host";

/// Makes a `fn() -> !` the program's entry.
///
/// # Examples
///
/// ```
/// board::entry!(main);
///
/// fn main() -> ! {
///     board::println!("on {}", board::NAME);
///     board::exit(0)
/// }
/// ```
#[macro_export]
macro_rules! entry {
    // A function of this name is the entry already.
    (main) => {
        const _: fn() -> ! = main;
    };
    ($start:path) => {
        fn main() -> ! {
            let start: fn() -> ! = $start;
            start()
        }
    };
}

/// Writes to the console, without a newline.
#[macro_export]
macro_rules! print {
    ($($text:tt)*) => { $crate::write(::core::format_args!($($text)*), false) };
}

/// Writes a line to the console.
#[macro_export]
macro_rules! println {
    () => { $crate::write(::core::format_args!(""), true) };
    ($($text:tt)*) => { $crate::write(::core::format_args!($($text)*), true) };
}

/// Ends the program with status `code`.
pub fn exit(code: u8) -> ! {
    command_line::options();
    MACHINE.interrupt();
    std::process::exit(i32::from(code))
}

/// Keeps the processor busy for `micros`, as work of that length would; interrupts come meanwhile.
///
/// In virtual time it is only the clock that moves.
pub fn spin(micros: u32) {
    let span = Duration::from_micros(micros.into());
    match OtherCore::here() {
        None => MACHINE.spin(span),
        Some(core) => core.spin(span),
    }
}

/// Passes a moment of a loop that waits for the other core: another thread may have the processor meanwhile.
pub fn relax() {
    std::thread::yield_now();
}

/// What [`print!`] and [`println!`] call.
///
/// # Panics
///
/// When the console takes no more text. A console that was closed, as the pipe to `head` is, ends the program
/// with status 1 instead.
#[doc(hidden)]
pub fn write(text: fmt::Arguments, newline: bool) {
    command_line::options();
    MACHINE.interrupt();
    let mut console = io::stdout().lock();
    let written = console.write_fmt(text).and_then(|()| match newline {
        true => console.write_all(b"\n"),
        false => console.flush(),
    });
    match written {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(1),
        Err(error) => panic!("the console takes no text: {error}"),
    }
}
