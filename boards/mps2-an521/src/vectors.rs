//! The external interrupts' part of the vector table, which both cores use.
//!
//! Each core enables its own interrupts in its own NVIC. `device.x` gives each handler its default, the
//! function of this file, so that an image can put its own in place by defining a function of the handler's
//! name.

use trilane_cortex_m::{Clock, Irq, Line};

use crate::{Preempting, doorbell, irq, time};

/// The timer of core 0's alarm.
pub const TIMER0_IRQ: Irq = Irq(3);
/// The timer of core 1's alarm.
pub const TIMER1_IRQ: Irq = Irq(4);
/// Both halves of the dual timer: the clock and the delayed trigger.
pub const DUALTIMER_IRQ: Irq = Irq(5);
/// Message handling unit 0, with an interrupt of this number to each core.
pub const MHU0_IRQ: Irq = Irq(6);
/// Message handling unit 1, in the same way; core 1 leaves it disabled.
pub const MHU1_IRQ: Irq = Irq(7);
/// Pin 15 of GPIO0, to which nothing is connected.
pub const SOFT_IRQ: Irq = Irq(87);

unsafe extern "C" {
    fn DefaultHandler();
    fn ALARM();
    fn SECOND_ALARM();
    fn DUALTIMER();
    fn AWAKE();
    fn PREEMPT();
    #[link_name = "SOFT_IRQ"]
    fn SOFT_IRQ_HANDLER();
}

/// 32 interrupts of the SSE-200 subsystem and 92 of the AN521 around it.
#[unsafe(link_section = ".vector_table.interrupts")]
#[unsafe(no_mangle)]
static __INTERRUPTS: [unsafe extern "C" fn(); 124] = {
    let mut vectors = [DefaultHandler as unsafe extern "C" fn(); 124];
    vectors[TIMER0_IRQ.0 as usize] = ALARM;
    vectors[TIMER1_IRQ.0 as usize] = SECOND_ALARM;
    vectors[DUALTIMER_IRQ.0 as usize] = DUALTIMER;
    vectors[MHU0_IRQ.0 as usize] = AWAKE;
    vectors[MHU1_IRQ.0 as usize] = PREEMPT;
    vectors[SOFT_IRQ.0 as usize] = SOFT_IRQ_HANDLER;
    vectors
};

#[unsafe(no_mangle)]
extern "C" fn board_alarm() {
    // For the executor in thread mode its work is to end the WFI. Each finds what is due by looking at the
    // clock.
    if time::Timers::alarm().on_interrupt().interrupt {
        Preempting::pend();
    }
}

#[unsafe(no_mangle)]
extern "C" fn board_second_alarm() {
    // Core 1 has an executor in thread mode alone.
    let _ = time::SecondTimers::alarm().on_interrupt();
}

#[unsafe(no_mangle)]
extern "C" fn board_clock_or_delay() {
    time::on_dual_timer();
    irq::on_dual_timer();
}

#[unsafe(no_mangle)]
extern "C" fn board_awake() {
    doorbell::on_awake();
}

#[unsafe(no_mangle)]
extern "C" fn board_preempt() {
    // SAFETY: the vector table has this function for `MHU1_IRQ` alone, and nothing rings core 1 by that unit.
    unsafe { doorbell::on_preempt() }
}

#[unsafe(no_mangle)]
extern "C" fn board_soft_irq() {
    irq::on_trigger();
}
