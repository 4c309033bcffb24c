//! Who pends an executor: whoever leaves it something to do, although another was about to pend it and was
//! interrupted.

use std::pin::pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::task::{Context, Waker};

use trilane::exec::{Executor, Platform};
use trilane::time::Instant;
use trilane_tests::{leak, pool, us};

/// A machine on which an interrupt comes in before a pend.
struct Interrupted {
    pends: AtomicU32,
    interrupt: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Platform for Interrupted {
    fn now(&self) -> Instant {
        Instant::ZERO
    }

    fn set_alarm(&self, _at: Option<Instant>) {}

    fn pend(&self) {
        let interrupt = self.interrupt.lock().unwrap().take();
        if let Some(interrupt) = interrupt {
            interrupt();
        }
        self.pends.fetch_add(1, SeqCst);
    }

    fn idle(&self, _quiet: &dyn Fn() -> bool) {}
}

impl Interrupted {
    /// The next pend is interrupted by `handler`, which has to pend by itself: whom it interrupts may not go
    /// on for long.
    fn by(&'static self, handler: impl FnOnce() + Send + 'static) {
        *self.interrupt.lock().unwrap() = Some(Box::new(move || {
            let before = self.pends.load(SeqCst);
            handler();
            assert_eq!(self.pends.load(SeqCst), before + 1);
        }));
    }
}

fn interrupted() -> &'static Executor<Interrupted, 1, 4> {
    leak(Executor::new(Interrupted { pends: AtomicU32::new(0), interrupt: Mutex::new(None) }))
}

#[test]
fn a_second_request_pends_although_the_first_is_about_to() {
    let executor = interrupted();
    let mut runner = executor.start().unwrap();
    let task = executor.spawn(pool::<1>(), |cx| cx.cancelled()).unwrap();
    runner.poll_pending(us(0));
    let stop = task.abort_handle().unwrap();
    executor.platform().by(move || stop.cancel().unwrap());
    task.cancel().unwrap();
    assert_eq!(executor.platform().pends.load(SeqCst), 3);
}

#[test]
fn a_sleep_armed_behind_one_whose_alarm_is_about_to_be_set_pends_as_well() {
    let executor = interrupted();
    let mut runner = executor.start().unwrap();
    let mut task = executor.spawn(pool::<1>(), |cx| async move { cx }).unwrap();
    runner.poll_pending(us(0));
    let cx = task.try_join().unwrap().unwrap();
    let mut later = Box::pin(cx.sleep_until(us(20)));
    executor.platform().by(move || {
        assert!(later.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    });
    let sooner = pin!(cx.sleep_until(us(10)));
    assert!(sooner.poll(&mut Context::from_waker(Waker::noop())).is_pending());
    assert_eq!(executor.platform().pends.load(SeqCst), 3);
}
