//! Sleeps that another context arms or ends, against a runner on its way to sleep.
#![cfg(trilane_loom)]

use std::task::{Context, Poll};

use loom::thread;
use trilane::exec::TaskOptions;
use trilane::time::{Duration, Instant};
use trilane_loom::{Plain, Stage, check};

#[test]
fn an_alarm_that_another_context_arms_is_not_slept_through() {
    check(|| {
        let (stage, mut runner) = Stage::<1, 2>::set();
        let cx = stage.spawn_for_cx(&mut runner);
        let (handle, waker) = stage.spawn_asleep(&mut runner, TaskOptions::new(), |_| Poll::Ready(()));
        let sleeper = thread::spawn(move || {
            let mut sleep = Box::pin(cx.sleep(Duration::from_millis(1)));
            assert!(sleep.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            sleep
        });
        runner.run_until(|| handle.is_finished());
        assert_eq!(runner.now(), Instant::from_millis(1));
        drop(sleeper.join().unwrap());
    });
}

#[test]
fn a_sleep_dropped_while_it_falls_due_wakes_or_not() {
    check(|| {
        let (stage, mut runner) = Stage::<1, 2>::set();
        let cx = stage.spawn_for_cx(&mut runner);
        let woken = Plain::new();
        let tell = woken.clone();
        let (mut handle, waker) = stage.spawn_asleep(&mut runner, TaskOptions::new(), move |_| {
            tell.set(1);
            Poll::Ready(())
        });
        let mut sleep = Box::pin(cx.sleep(Duration::from_millis(1)));
        assert!(sleep.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        let dropper = thread::spawn(move || drop(sleep));
        let due = Instant::from_millis(1);
        runner.poll_pending(due);
        dropper.join().unwrap();
        assert_eq!(runner.next_alarm(), None);
        runner.poll_pending(due);
        assert_eq!(handle.try_join().is_some(), woken.get() == 1);
    });
}
