//! A platform on which the runner really sleeps, so that a lost wake is a deadlock.

use loom::sync::{Condvar, Mutex};
use trilane::exec::Platform;
use trilane::time::Instant;

/// Sleeps until it is pended or, if an alarm is set, until that: then the time is the alarm's. Otherwise time
/// stands still. `SHARES` as its platform says.
pub struct Sleeper<const SHARES: bool = false> {
    pended: Mutex<bool>,
    woken: Condvar,
    /// The time and the alarm. Nothing that the models look for, so the checker needn't know it.
    clock: std::sync::Mutex<(Instant, Option<Instant>)>,
}

impl<const SHARES: bool> Sleeper<SHARES> {
    /// At the beginning of time, awake.
    #[expect(clippy::new_without_default, reason = "a model says that it makes one")]
    pub fn new() -> Self {
        Self {
            pended: Mutex::new(false),
            woken: Condvar::new(),
            clock: std::sync::Mutex::new((Instant::ZERO, None)),
        }
    }
}

impl<const SHARES: bool> Platform for Sleeper<SHARES> {
    const SHARES: bool = SHARES;

    fn now(&self) -> Instant {
        self.clock.lock().unwrap().0
    }

    fn set_alarm(&self, at: Option<Instant>) {
        self.clock.lock().unwrap().1 = at;
    }

    fn pend(&self) {
        *self.pended.lock().unwrap() = true;
        self.woken.notify_one();
    }

    fn idle(&self, quiet: &dyn Fn() -> bool) {
        *self.pended.lock().unwrap() = false;
        if !quiet() {
            return;
        }
        let alarm = self.clock.lock().unwrap().1.take();
        if let Some(at) = alarm {
            self.clock.lock().unwrap().0 = at;
            return;
        }
        let mut pended = self.pended.lock().unwrap();
        while !*pended {
            pended = self.woken.wait(pended).unwrap();
        }
    }
}
