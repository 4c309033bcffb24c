//! One alarm at any instant, out of a one-shot timer of limited range.

use core::cell::Cell;

use critical_section::Mutex;

/// A clock and a one-shot timer, as a board has them.
///
/// All functions are called with interrupts masked or not, from any context; [`Clock::start`] and [`Clock::stop`] only
/// inside a critical section.
pub trait Clock: 'static {
    /// The longest wait that [`Clock::start`] takes, in microseconds.
    const RANGE: u32;

    /// Microseconds since the clock was started.
    fn now() -> u64;

    /// Pends the timer's interrupt `micros` from now, once, in place of a wait under way. 0 is at once; at most
    /// [`Clock::RANGE`].
    fn start(micros: u32);

    /// Stops the timer and takes its interrupt flag down.
    fn stop();

    /// The alarm that this timer serves.
    fn alarm() -> &'static Alarm<Self>
    where
        Self: Sized;
}

/// The alarm of one executor: at most one instant is waited for.
///
/// An instant in the past fires at once, one beyond [`Clock::RANGE`] is reached in several waits.
pub struct Alarm<C> {
    /// The instant waited for, [`NEVER`] when there is none.
    at: Mutex<Cell<u64>>,
    clock: core::marker::PhantomData<fn() -> C>,
}

const NEVER: u64 = u64::MAX;

impl<C: Clock> Alarm<C> {
    /// An alarm that waits for nothing.
    pub const fn new() -> Self {
        Self { at: Mutex::new(Cell::new(NEVER)), clock: core::marker::PhantomData }
    }

    /// Waits for the instant `at` in place of any other, in microseconds of the clock; `None` and `u64::MAX` wait for
    /// nothing. O(1), one reading of the clock.
    pub fn set(&self, at: Option<u64>) {
        critical_section::with(|cs| {
            let at = at.unwrap_or(NEVER);
            self.at.borrow(cs).set(at);
            if at == NEVER {
                C::stop();
            } else {
                Self::wait(at, C::now());
            }
        });
    }

    /// The timer's interrupt: takes its flag down, then ends the wait or begins the next part of a long one.
    ///
    /// Returns whether the instant was reached. An interrupt that was under way when the alarm was moved returns false.
    pub fn on_interrupt(&self) -> bool {
        critical_section::with(|cs| {
            C::stop();
            let at = self.at.borrow(cs).get();
            if at == NEVER {
                return false;
            }
            let now = C::now();
            if now < at {
                Self::wait(at, now);
                return false;
            }
            self.at.borrow(cs).set(NEVER);
            true
        })
    }

    fn wait(at: u64, now: u64) {
        let left = at.saturating_sub(now).min(u64::from(C::RANGE));
        // In range by the line above.
        C::start(left as u32);
    }
}

impl<C: Clock> Default for Alarm<C> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::thread_local;

    use super::*;

    thread_local! {
        static NOW: Cell<u64> = const { Cell::new(0) };
        static FIRES_AT: Cell<Option<u64>> = const { Cell::new(None) };
        static ALARM: &'static Alarm<Fake> = std::boxed::Box::leak(std::boxed::Box::new(Alarm::new()));
    }

    struct Fake;

    impl Clock for Fake {
        const RANGE: u32 = 100;

        fn now() -> u64 {
            NOW.get()
        }

        fn start(micros: u32) {
            assert!(micros <= Self::RANGE);
            FIRES_AT.set(Some(NOW.get() + u64::from(micros)));
        }

        fn stop() {
            FIRES_AT.set(None);
        }

        fn alarm() -> &'static Alarm<Self> {
            ALARM.with(|alarm| *alarm)
        }
    }

    /// Lets time pass up to each interrupt, until one reaches the alarm's instant; then says how many it took.
    fn run_until_due() -> usize {
        let mut interrupts = 0;
        loop {
            NOW.set(FIRES_AT.get().expect("the timer runs"));
            interrupts += 1;
            if Fake::alarm().on_interrupt() {
                assert_eq!(FIRES_AT.get(), None);
                return interrupts;
            }
        }
    }

    #[test]
    fn an_instant_within_range_takes_one_wait() {
        NOW.set(1_000);
        Fake::alarm().set(Some(1_100));
        assert_eq!(run_until_due(), 1);
        assert_eq!(NOW.get(), 1_100);
    }

    #[test]
    fn an_instant_beyond_the_range_takes_several_and_is_exact() {
        Fake::alarm().set(Some(250));
        assert_eq!(run_until_due(), 3);
        assert_eq!(NOW.get(), 250);
    }

    #[test]
    fn an_instant_in_the_past_fires_at_once() {
        NOW.set(500);
        Fake::alarm().set(Some(20));
        assert_eq!(FIRES_AT.get(), Some(500));
        assert_eq!(run_until_due(), 1);
    }

    #[test]
    fn a_cancelled_alarm_stops_the_timer() {
        Fake::alarm().set(Some(50));
        Fake::alarm().set(None);
        assert_eq!(FIRES_AT.get(), None);
        assert!(!Fake::alarm().on_interrupt(), "the interrupt was under way already");
    }

    #[test]
    fn an_interrupt_of_an_earlier_wait_does_not_end_a_later_one() {
        Fake::alarm().set(Some(10));
        NOW.set(10);
        Fake::alarm().set(Some(60));
        assert!(!Fake::alarm().on_interrupt());
        assert_eq!(FIRES_AT.get(), Some(60));
        assert_eq!(run_until_due(), 1);
    }
}
