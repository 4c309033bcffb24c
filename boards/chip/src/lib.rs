//! What boards share whatever their architecture: [`Alarm`], [`Register`], [`software_irq!`], [`run`],
//! [`start`] and `semihost` (console and exit status; only on chips). In builds with `--cfg trilane_masked`
//! there is `masked` too, which measures for how long interrupts are masked.

#![no_std]

mod alarm;
mod irq;
#[cfg(trilane_masked)]
pub mod masked;
mod register;
#[cfg(target_os = "none")]
pub mod semihost;
mod start;

pub use alarm::{Alarm, Clock, Due, Level};
pub use register::Register;
pub use start::{run, start};
