//! A platform on which the runner really sleeps, so that a lost wake is a deadlock.

use loom::sync::{Condvar, Mutex};
use trilane::exec::Platform;
use trilane::time::Instant;

/// Time stands still; whoever sleeps is woken by [`pend`](Platform::pend) alone.
#[derive(Default)]
pub struct Sleeper {
    pended: Mutex<bool>,
    woken: Condvar,
}

impl Platform for Sleeper {
    fn now(&self) -> Instant {
        Instant::ZERO
    }

    fn set_alarm(&self, _at: Option<Instant>) {}

    fn pend(&self) {
        *self.pended.lock().unwrap() = true;
        self.woken.notify_one();
    }

    fn idle(&self, quiet: &dyn Fn() -> bool) {
        *self.pended.lock().unwrap() = false;
        if !quiet() {
            return;
        }
        let mut pended = self.pended.lock().unwrap();
        while !*pended {
            pended = self.woken.wait(pended).unwrap();
        }
    }
}
