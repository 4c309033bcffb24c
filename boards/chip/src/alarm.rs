//! An alarm at any instant for each executor, out of one one-shot timer of limited range.

use core::cell::Cell;

use critical_section::Mutex;
use trilane::exec::AlarmDue;

/// A clock and a one-shot timer, as a board has them.
///
/// All functions are called with interrupts masked or not, from any context; [`Clock::start`] and
/// [`Clock::stop`] only inside a critical section.
pub trait Clock: 'static {
    /// The longest wait that [`Clock::start`] takes, in microseconds.
    const RANGE: u32;

    /// Microseconds since the clock was started.
    fn now() -> u64;

    /// Pends the timer's interrupt `micros` from now, once, in place of a wait under way. 0 is at once; at
    /// most [`Clock::RANGE`].
    fn start(micros: u32);

    /// Stops the timer and takes its interrupt flag down.
    fn stop();

    /// Keeps the core busy for `micros`, interrupts that come meanwhile included.
    fn spin(micros: u32) {
        let until = Self::now().saturating_add(micros.into());
        while Self::now() < until {
            Self::relax();
        }
    }

    /// Passes a moment of a loop that waits for something. QEMU may run two cores in turns, and then gives
    /// the other one its turn.
    #[inline]
    fn relax() {
        core::hint::spin_loop();
    }

    /// The alarm that this timer serves, of all executors that share it.
    fn alarm() -> &'static Alarm<Self>
    where
        Self: Sized;
}

/// Which of the executors that share a timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// The one whose run loop is `main`.
    Thread,
    /// The one that runs in an interrupt and pre-empts it.
    Interrupt,
}

const LEVELS: usize = 2;

/// The executors whose instant has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Due {
    /// [`Level::Thread`]'s. It needs no more: the timer's interrupt has ended its sleep.
    pub thread: bool,
    /// [`Level::Interrupt`]'s. It has to be pended.
    pub interrupt: bool,
}

/// The alarms of the executors that share a timer: for each, at most one instant is waited for.
///
/// An instant in the past fires at once, one beyond [`Clock::RANGE`] is reached in several waits.
///
/// **Timer Invariant.** Outside critical sections the timer runs towards the earliest instant, or its
/// interrupt is pending; with no instant it stands.
pub struct Alarm<C> {
    /// For each level the instant waited for, [`NEVER`] when there is none.
    at: Mutex<[Cell<u64>; LEVELS]>,
    /// Where each level wants to be told.
    due: Mutex<[Cell<Option<&'static AlarmDue>>; LEVELS]>,
    clock: core::marker::PhantomData<fn() -> C>,
}

const NEVER: u64 = u64::MAX;

impl<C: Clock> Alarm<C> {
    /// An alarm that waits for nothing.
    pub const fn new() -> Self {
        Self {
            at: Mutex::new([const { Cell::new(NEVER) }; LEVELS]),
            due: Mutex::new([const { Cell::new(None) }; LEVELS]),
            clock: core::marker::PhantomData,
        }
    }

    /// From now on, raises `due` when the instant of `level` is reached.
    pub fn watch(&self, level: Level, due: &'static AlarmDue) {
        critical_section::with(|cs| self.due.borrow(cs)[level as usize].set(Some(due)));
    }

    /// Waits for the instant `at` in place of any other of `level`, in microseconds of the clock; `None` and
    /// `u64::MAX` wait for nothing. O(1), at most one reading of the clock.
    pub fn set(&self, level: Level, at: Option<u64>) {
        critical_section::with(|cs| {
            let instants = self.at.borrow(cs);
            let before = earliest(instants);
            instants[level as usize].set(at.unwrap_or(NEVER));
            let next = earliest(instants);
            if next == before {
                // The timer runs towards it already (Timer Invariant).
            } else if next == NEVER {
                C::stop();
            } else {
                Self::wait(next, C::now());
            }
        });
    }

    /// The timer's interrupt: takes its flag down, then begins the wait for the next instant, or the next
    /// part of a long one.
    ///
    /// Returns whose instants were reached. For an interrupt that was under way when the alarm was moved that
    /// is nobody's.
    pub fn on_interrupt(&self) -> Due {
        critical_section::with(|cs| {
            C::stop();
            let now = C::now();
            let (instants, due) = (self.at.borrow(cs), self.due.borrow(cs));
            let due = Due {
                thread: reach(&instants[Level::Thread as usize], &due[Level::Thread as usize], now),
                interrupt: reach(&instants[Level::Interrupt as usize], &due[Level::Interrupt as usize], now),
            };
            let next = earliest(instants);
            if next != NEVER {
                Self::wait(next, now);
            }
            due
        })
    }

    /// Out of line, for both places.
    #[inline(never)]
    fn wait(at: u64, now: u64) {
        let left = at.saturating_sub(now).min(u64::from(C::RANGE));
        // In range by the line above.
        C::start(left as u32);
    }
}

/// Whether the instant has come. Then it is waited for no more, and whoever wants to know is told.
#[inline(always)]
fn reach(at: &Cell<u64>, due: &Cell<Option<&'static AlarmDue>>, now: u64) -> bool {
    let reached = at.get() <= now;
    if reached {
        at.set(NEVER);
        if let Some(due) = due.get() {
            due.raise();
        }
    }
    reached
}

fn earliest([thread, interrupt]: &[Cell<u64>; LEVELS]) -> u64 {
    thread.get().min(interrupt.get())
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

    const NOBODY: Due = Due { thread: false, interrupt: false };
    const THREAD: Due = Due { thread: true, interrupt: false };
    const INTERRUPT: Due = Due { thread: false, interrupt: true };
    const BOTH: Due = Due { thread: true, interrupt: true };

    fn set(level: Level, at: impl Into<Option<u64>>) {
        Fake::alarm().set(level, at.into());
    }

    /// Lets time pass up to each interrupt, until one reaches an instant; then says how many it took, and
    /// whose it was.
    fn run_until_due() -> (usize, Due) {
        let mut interrupts = 0;
        loop {
            NOW.set(FIRES_AT.get().expect("the timer runs"));
            interrupts += 1;
            let due = Fake::alarm().on_interrupt();
            if due != NOBODY {
                return (interrupts, due);
            }
        }
    }

    #[test]
    fn an_instant_within_range_takes_one_wait() {
        NOW.set(1_000);
        set(Level::Thread, 1_100);
        assert_eq!(run_until_due(), (1, THREAD));
        assert_eq!(NOW.get(), 1_100);
        assert_eq!(FIRES_AT.get(), None);
    }

    #[test]
    fn an_instant_beyond_the_range_takes_several_and_is_exact() {
        set(Level::Interrupt, 250);
        assert_eq!(run_until_due(), (3, INTERRUPT));
        assert_eq!(NOW.get(), 250);
        assert_eq!(FIRES_AT.get(), None);
    }

    #[test]
    fn an_instant_in_the_past_fires_at_once() {
        NOW.set(500);
        set(Level::Thread, 20);
        assert_eq!(FIRES_AT.get(), Some(500));
        assert_eq!(run_until_due(), (1, THREAD));
    }

    #[test]
    fn a_cancelled_alarm_stops_the_timer() {
        set(Level::Thread, 50);
        set(Level::Thread, None);
        assert_eq!(FIRES_AT.get(), None);
        assert_eq!(Fake::alarm().on_interrupt(), NOBODY, "the interrupt was under way already");
    }

    #[test]
    fn an_interrupt_of_an_earlier_wait_does_not_end_a_later_one() {
        set(Level::Thread, 10);
        NOW.set(10);
        set(Level::Thread, 60);
        assert_eq!(Fake::alarm().on_interrupt(), NOBODY);
        assert_eq!(FIRES_AT.get(), Some(60));
        assert_eq!(run_until_due(), (1, THREAD));
    }

    #[test]
    fn the_earliest_of_two_goes_first_whoever_set_it_first() {
        for (early, late) in [(Level::Thread, Level::Interrupt), (Level::Interrupt, Level::Thread)] {
            for order in [[(early, 30), (late, 70)], [(late, 70), (early, 30)]] {
                NOW.set(0);
                order.into_iter().for_each(|(level, at)| set(level, at));
                let (first, second) =
                    if early == Level::Thread { (THREAD, INTERRUPT) } else { (INTERRUPT, THREAD) };
                assert_eq!((run_until_due(), NOW.get()), ((1, first), 30));
                assert_eq!((run_until_due(), NOW.get()), ((1, second), 70));
                assert_eq!(FIRES_AT.get(), None);
            }
        }
    }

    #[test]
    fn one_interrupt_serves_both_when_both_are_due() {
        set(Level::Thread, 30);
        set(Level::Interrupt, 40);
        // The interrupt was kept out until then.
        NOW.set(45);
        assert_eq!(Fake::alarm().on_interrupt(), BOTH);
        assert_eq!(FIRES_AT.get(), None);
    }

    #[test]
    fn moving_one_leaves_the_other() {
        set(Level::Thread, 80);
        set(Level::Interrupt, 30);
        NOW.set(10);
        set(Level::Interrupt, 90);
        assert_eq!(FIRES_AT.get(), Some(80));
        set(Level::Interrupt, 20);
        assert_eq!(FIRES_AT.get(), Some(20));
        set(Level::Interrupt, None);
        assert_eq!((run_until_due(), NOW.get()), ((1, THREAD), 80));
    }

    #[test]
    fn an_instant_in_the_past_does_not_delay_the_other() {
        NOW.set(100);
        set(Level::Thread, 130);
        set(Level::Interrupt, 20);
        assert_eq!((run_until_due(), NOW.get()), ((1, INTERRUPT), 100));
        assert_eq!((run_until_due(), NOW.get()), ((1, THREAD), 130));
    }

    #[test]
    fn a_near_instant_interrupts_a_wait_of_several_parts() {
        set(Level::Thread, 250);
        set(Level::Interrupt, 120);
        assert_eq!((run_until_due(), NOW.get()), ((2, INTERRUPT), 120));
        assert_eq!((run_until_due(), NOW.get()), ((2, THREAD), 250));
    }

    #[test]
    fn a_timer_that_runs_towards_the_earliest_is_left_alone() {
        set(Level::Interrupt, 50);
        // A mark that a restart would overwrite.
        FIRES_AT.set(Some(49));
        set(Level::Thread, 60);
        set(Level::Thread, 50);
        set(Level::Thread, None);
        assert_eq!(FIRES_AT.get(), Some(49));
    }
}
