//! What boards with a 32-bit RISC-V share whose harts run in machine mode and have a CLINT.
//!
//! A board says which harts it has; this crate makes of each the platforms of an executor in thread mode and
//! of one that pre-empts it:
//!
//! | the board writes | and gets |
//! | --- | --- |
//! | `Hart`: a number, the CLINT, two statics | `Timer`: time and alarms, on `mtime` and the hart's `mtimecmp` |
//! | the same | `ThreadMode`: the executor's `Platform`, tickless, asleep in WFI when idle |
//! | the same | `InterruptMode`: the `Platform` of an executor that runs in the hart's software interrupt |
//! | the set-up of a hart's interrupts | `SecondHart`: parked until the first one starts it |
//!
//! For tests and benches there is `SoftIrq`, another interrupt pended by software.
//!
//! The implementation of `critical-section` is the board's to choose, since only the board knows how many
//! harts share its memory; [`SpinLock`] is what it needs beside a mask if there are several. The lock is
//! tested on the host; the rest exists on RISC-V only.

#![no_std]

#[cfg(all(target_arch = "riscv32", target_os = "none"))]
mod clint;
#[cfg(all(target_arch = "riscv32", target_os = "none"))]
mod hart;
#[cfg(all(target_arch = "riscv32", target_os = "none"))]
mod interrupt_mode;
#[cfg(all(target_arch = "riscv32", target_os = "none"))]
mod second_hart;
#[cfg(all(target_arch = "riscv32", target_os = "none"))]
mod soft_irq;
mod spin_lock;
#[cfg(all(target_arch = "riscv32", target_os = "none"))]
mod thread_mode;

pub use spin_lock::SpinLock;
#[cfg(all(target_arch = "riscv32", target_os = "none"))]
pub use {
    clint::Clint,
    hart::{Hart, Timer, current, relax},
    interrupt_mode::{InterruptMode, Soft},
    second_hart::SecondHart,
    soft_irq::SoftIrq,
    thread_mode::ThreadMode,
};
