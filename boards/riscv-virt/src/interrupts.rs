//! The handlers of interrupts.
//!
//! `device.x` gives each interrupt the function of this file, so that an image can put its own in place by
//! defining one of the interrupt's name: a peer's time driver takes over `ALARM`, for one.
//!
//! A trap masks interrupts, and they stay masked while a handler runs, but for the executor in hart 0's
//! software interrupt.

use trilane::exec::Platform;
use trilane_riscv::{Hart, InterruptMode, current};

use crate::harts::{Hart0, Hart1};
use crate::irq;

#[unsafe(no_mangle)]
extern "C" fn board_soft() {
    // SAFETY: this is the handler of each hart's software interrupt, and a trap masks interrupts.
    unsafe {
        if current() == Hart0::ID {
            InterruptMode::<Hart0>::on_interrupt();
        } else {
            InterruptMode::<Hart1>::on_interrupt();
        }
    }
}

#[unsafe(no_mangle)]
extern "C" fn board_alarm() {
    if current() == Hart0::ID { on_alarm::<Hart0>() } else { on_alarm::<Hart1>() }
}

fn on_alarm<H: Hart>() {
    // For the executor in thread mode its work is to end the WFI. Each finds what is due by looking at the
    // clock.
    if H::alarm().on_interrupt().interrupt {
        InterruptMode::<H>::new().pend();
    }
}

#[unsafe(no_mangle)]
extern "C" fn board_delayed_trigger() {
    irq::on_delay();
}

#[unsafe(no_mangle)]
extern "C" fn board_soft_irq() {
    irq::on_trigger();
}
