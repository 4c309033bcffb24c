//! The external interrupts' part of the vector table.
//!
//! `device.x` gives each handler its default, the function of this file, so that an image can put its own in
//! place by defining a function of the handler's name: a peer's time driver takes over `ALARM`, for one.

use cortex_m::peripheral::NVIC;
use trilane_cortex_m::Irq;

use crate::{Preemptive, irq, time};

/// The timer of the clock and of the alarms.
pub const TIMER0_IRQ: Irq = Irq(8);
/// SWI4, one of six that no device raises.
pub const PREEMPT_IRQ: Irq = Irq(24);
/// SWI5, another one.
pub const SOFT_IRQ: Irq = Irq(25);

unsafe extern "C" {
    fn DefaultHandler();
    fn TIMER0();
    safe fn ALARM();
    #[link_name = "PREEMPT_IRQ"]
    fn PREEMPT_IRQ_HANDLER();
    #[link_name = "SOFT_IRQ"]
    fn SOFT_IRQ_HANDLER();
}

/// The nRF51 has 26 external interrupts.
#[unsafe(link_section = ".vector_table.interrupts")]
#[unsafe(no_mangle)]
static __INTERRUPTS: [unsafe extern "C" fn(); 26] = {
    let mut vectors = [DefaultHandler as unsafe extern "C" fn(); 26];
    vectors[TIMER0_IRQ.0 as usize] = TIMER0;
    vectors[PREEMPT_IRQ.0 as usize] = PREEMPT_IRQ_HANDLER;
    vectors[SOFT_IRQ.0 as usize] = SOFT_IRQ_HANDLER;
    vectors
};

#[unsafe(no_mangle)]
extern "C" fn board_timer() {
    time::on_interrupt(|| ALARM());
}

#[unsafe(no_mangle)]
extern "C" fn board_alarm() {
    // For the executor in thread mode its work is to end the WFI. Each finds what is due by looking at the
    // clock.
    if <time::Timers as time::Clock>::alarm().on_interrupt().interrupt {
        NVIC::pend(PREEMPT_IRQ);
    }
}

#[unsafe(no_mangle)]
extern "C" fn board_preempt() {
    // SAFETY: the vector table has this function for `PREEMPT_IRQ` alone, and there is one core.
    unsafe { Preemptive::on_interrupt() }
}

#[unsafe(no_mangle)]
extern "C" fn board_soft_irq() {
    irq::on_trigger();
}
