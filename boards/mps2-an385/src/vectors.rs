//! The external interrupts' part of the vector table.
//!
//! `device.x` gives each handler its default, the function of this file, so that an image can put its own in
//! place by defining a function of the handler's name: a peer's time driver takes over `ALARM`, for one.

use cortex_m::peripheral::NVIC;
use trilane_cortex_m::Irq;

use crate::{Preemptive, irq, time};

/// The clock's timer.
pub const TIMER0_IRQ: Irq = Irq(8);
/// The alarm's timer.
pub const TIMER1_IRQ: Irq = Irq(9);
/// Both halves of the dual timer.
pub const DUALTIMER_IRQ: Irq = Irq(10);
/// Pin 14 of GPIO0, to which nothing is connected.
pub const PREEMPT_IRQ: Irq = Irq(30);
/// Pin 15 of GPIO0, to which nothing is connected.
pub const SOFT_IRQ: Irq = Irq(31);

unsafe extern "C" {
    fn DefaultHandler();
    fn TIMER0();
    fn ALARM();
    fn DUALTIMER();
    #[link_name = "PREEMPT_IRQ"]
    fn PREEMPT_IRQ_HANDLER();
    #[link_name = "SOFT_IRQ"]
    fn SOFT_IRQ_HANDLER();
}

/// The AN385 has 32 external interrupts.
#[unsafe(link_section = ".vector_table.interrupts")]
#[unsafe(no_mangle)]
static __INTERRUPTS: [unsafe extern "C" fn(); 32] = {
    let mut vectors = [DefaultHandler as unsafe extern "C" fn(); 32];
    vectors[TIMER0_IRQ.0 as usize] = TIMER0;
    vectors[TIMER1_IRQ.0 as usize] = ALARM;
    vectors[DUALTIMER_IRQ.0 as usize] = DUALTIMER;
    vectors[PREEMPT_IRQ.0 as usize] = PREEMPT_IRQ_HANDLER;
    vectors[SOFT_IRQ.0 as usize] = SOFT_IRQ_HANDLER;
    vectors
};

#[unsafe(no_mangle)]
extern "C" fn board_clock_wrapped() {
    time::on_wrap();
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
extern "C" fn board_delayed_trigger() {
    irq::on_delay();
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
