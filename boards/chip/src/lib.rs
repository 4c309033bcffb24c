//! What boards share whatever their architecture: [`Alarm`], [`Register`], [`software_irq!`], and `semihost` (console and
//! exit status; only on chips).

#![no_std]

mod alarm;
mod irq;
mod register;
#[cfg(target_os = "none")]
pub mod semihost;

pub use alarm::{Alarm, Clock, Due, Level};
pub use register::Register;
