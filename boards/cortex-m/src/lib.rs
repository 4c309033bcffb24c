//! What boards with an Arm Cortex-M share.
//!
//! A board brings a hardware timer and its vector table; this crate turns them into the platforms of an
//! executor in thread mode and of one that pre-empts it:
//!
//! | the board writes | and gets |
//! | --- | --- |
//! | [`Clock`]: microseconds now, a one-shot timer | [`Alarm`]: any instant, past ones and far ones included, one for each executor |
//! | a counter of up to 32 bits | [`Wraps`]: the same counter with 64 bits, correct from any context |
//! | both | `ThreadMode`: the executor's `Platform`, tickless, asleep in WFI when idle |
//! | `Line`: an interrupt that no device raises | `InterruptMode`: the `Platform` of an executor that runs in it |
//!
//! For tests and benches there are `systick` (an instruction counter where QEMU runs with `-icount`),
//! `SoftIrq` (an interrupt pended by software) and `semihost` (console and exit status). `cmsdk` has the
//! timers of the MPS2 boards.
//!
//! [`Clock`], [`Alarm`], [`Wraps`] and [`ticks`] know no register and are tested on the host; the rest exists
//! on Arm only. Nothing here assumes that the chip has a SysTick or compare-and-swap (a Cortex-M0 may have
//! neither).
//!
//! The implementation of `critical-section` is the board's to choose, since only the board knows how many
//! cores share its memory. In builds with `--cfg trilane_masked`, `masked_section!` is one for a single core
//! that measures itself.

#![no_std]

mod crash;
mod extend;
pub mod ticks;

pub use extend::Wraps;
pub use trilane_chip::{Alarm, Clock, Due, Level, run, start};

#[cfg(all(target_arch = "arm", target_os = "none"))]
pub mod cmsdk;
#[cfg(all(target_arch = "arm", target_os = "none"))]
mod interrupt_mode;
#[cfg(all(target_arch = "arm", target_os = "none", trilane_masked))]
mod masked_section;
#[cfg(all(target_arch = "arm", target_os = "none"))]
mod soft_irq;
#[cfg(all(target_arch = "arm", target_os = "none"))]
pub mod systick;
#[cfg(all(target_arch = "arm", target_os = "none"))]
mod thread_mode;

#[cfg(all(target_arch = "arm", target_os = "none"))]
pub use {
    interrupt_mode::{Bound, InterruptMode, Line},
    soft_irq::{Irq, SoftIrq},
    thread_mode::{Nudge, OneCore, ThreadMode},
    trilane_chip::{Register, semihost, software_irq},
};
#[cfg(all(target_arch = "arm", target_os = "none", trilane_masked))]
pub use {masked_section::unmeasured, trilane_chip::masked};
