//! What boards share whatever their architecture: [`Register`], and `semihost` (console and exit status; only on chips).

#![no_std]

mod register;
#[cfg(target_os = "none")]
pub mod semihost;

pub use register::Register;
