//! embassy-time on the board's clock and alarm, with the timer queue that embassy's own drivers use.
//!
//! The image says in `alarm_fired` what it does first in the alarm's interrupt.

use core::cell::RefCell;
use core::task::Waker;

use board::time::{Clock, Level, Timers};
use critical_section::{CriticalSection, Mutex};
use embassy_time_driver::Driver;
use embassy_time_queue_utils::Queue;

use crate::alarm_fired;

struct BoardDriver {
    queue: Mutex<RefCell<Queue>>,
}

embassy_time_driver::time_driver_impl!(static DRIVER: BoardDriver = BoardDriver {
    queue: Mutex::new(RefCell::new(Queue::new())),
});

impl Driver for BoardDriver {
    fn now(&self) -> u64 {
        Timers::now()
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        critical_section::with(|cs| {
            if self.queue.borrow_ref_mut(cs).schedule_wake(at, waker) {
                self.wake_expired(cs);
            }
        });
    }
}

impl BoardDriver {
    /// Wakes what has expired and sets the alarm to what is next; an alarm in the past fires at once.
    fn wake_expired(&self, cs: CriticalSection<'_>) {
        let next = self.queue.borrow_ref_mut(cs).next_expiration(Timers::now());
        Timers::alarm().set(Level::Thread, Some(next));
    }
}

/// Takes the place of the board's own handler of the alarm.
#[unsafe(no_mangle)]
extern "C" fn ALARM() {
    alarm_fired();
    if Timers::alarm().on_interrupt().thread {
        critical_section::with(|cs| DRIVER.wake_expired(cs));
    }
}
