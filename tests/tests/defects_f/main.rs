//! One module for each defect that firmware met with executors, together with its whole kind: there it
//! happens, here it must not.
//!
//! F2, virtual time that can't move, is tested where virtual time is: with `trilane-std` and with the board
//! `host`.

mod bench;
mod f10_alarm_due;
mod f16_no_flash;
mod f3_reset;
mod f4_clock_back;
mod f5_interrupts;
mod f6_regions_at_once;
mod f7_panicking_wakers;
mod f8_early_alarm;
mod f9_inside;
mod f9_waits_for_oneself;
