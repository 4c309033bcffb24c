//! F3: a sleep that was reset while a task waited for it woke nobody at its new time, and the alarm was not
//! set.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use trilane::exec::{Cancelled, Cx, Executor, JoinHandle, Manual, Platform, Runner, Sleep};
use trilane::time::Instant;
use trilane_tests::future::poll_once;
use trilane_tests::watch::Wakes;
use trilane_tests::{leak, manual, pool, settle, us};

use crate::bench::Bench;

type Run = Runner<Manual, 1, 8>;

/// A sleep that one context waits for and another one resets.
#[derive(Clone)]
struct Shared(Arc<Mutex<Pin<Box<Sleep>>>>);

impl Shared {
    fn new(sleep: Sleep) -> Self {
        Self(Arc::new(Mutex::new(Box::pin(sleep))))
    }

    fn reset(&self, due: u64) {
        self.0.lock().unwrap().as_mut().reset(us(due));
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<Result<(), Cancelled>> {
        self.0.lock().unwrap().as_mut().poll(cx)
    }
}

fn cx_of<P: Platform>(runner: &mut Runner<P, 1, 8>) -> Cx {
    let mut task = runner.executor().spawn(pool::<1>(), |cx| async move { cx }).unwrap();
    settle(runner, us(0));
    task.try_join().unwrap().unwrap()
}

/// A task that sleeps until 10, and its sleep, at time 0.
fn sleeper<P: Platform>(runner: &mut Runner<P, 1, 8>) -> (Shared, JoinHandle<()>) {
    let sleep = Shared::new(cx_of(runner).sleep_until(us(10)));
    let its = sleep.clone();
    let task = runner.executor().spawn(pool::<1>(), |_| async move {
        poll_fn(|cx| its.poll(cx)).await.unwrap();
    });
    settle(runner, us(0));
    (sleep, task.unwrap())
}

/// The task is not polled before `due`, and ends there.
fn wakes_at(runner: &mut Run, task: &JoinHandle<()>, due: u64) {
    assert_eq!(runner.next_alarm(), Some(us(due)));
    assert_eq!(settle(runner, us(due - 1)), 0, "polled before {due}");
    assert_eq!(settle(runner, us(due)), 1, "not woken at {due}");
    assert!(task.is_finished());
    assert_eq!(runner.next_alarm(), None);
}

#[test]
fn a_waiting_sleep_that_is_reset_wakes_at_its_new_time() {
    for due in [5, 10, 20] {
        let mut runner = manual();
        let (sleep, task) = sleeper(&mut runner);
        sleep.reset(due);
        wakes_at(&mut runner, &task, due);
    }
}

#[test]
fn a_task_that_resets_its_sleep_and_returns_pending_is_woken_at_the_new_time() {
    for due in [5, 20] {
        let mut runner: Run = manual();
        let task = runner.executor().spawn(pool::<1>(), move |cx| async move {
            let mut sleep = pin!(cx.sleep_until(us(10)));
            let mut polls = 0;
            poll_fn(|context| {
                polls += 1;
                if polls > 1 {
                    return Poll::Ready(());
                }
                assert!(sleep.as_mut().poll(context).is_pending());
                sleep.as_mut().reset(us(due));
                Poll::Pending
            })
            .await
        });
        settle(&mut runner, us(0));
        assert_eq!(runner.next_alarm(), Some(us(due)));
        assert_eq!(settle(&mut runner, us(due - 1)), 0);
        assert_eq!(settle(&mut runner, us(due)), 1);
        assert!(task.unwrap().is_finished());
    }
}

#[test]
fn a_sleep_that_is_reset_before_its_first_poll_wakes_at_its_new_time() {
    for due in [5, 20] {
        let mut runner: Run = manual();
        let task = runner.executor().spawn(pool::<1>(), move |cx| async move {
            let mut sleep = pin!(cx.sleep_until(us(10)));
            sleep.as_mut().reset(us(due));
            assert_eq!(sleep.due(), us(due));
            sleep.await.unwrap();
        });
        settle(&mut runner, us(0));
        wakes_at(&mut runner, &task.unwrap(), due);
    }
}

#[test]
fn of_several_resets_the_last_one_counts() {
    let mut runner = manual();
    let (sleep, task) = sleeper(&mut runner);
    for due in [30, 5, 40, 40, 15] {
        sleep.reset(due);
        assert_eq!(runner.next_alarm(), Some(us(due)));
    }
    wakes_at(&mut runner, &task, 15);
}

#[test]
fn a_sleep_can_be_put_off_again_and_again() {
    let mut runner = manual();
    let (sleep, task) = sleeper(&mut runner);
    for now in 1..100 {
        assert_eq!(settle(&mut runner, us(now)), 0);
        sleep.reset(now + 10);
    }
    wakes_at(&mut runner, &task, 109);
}

#[test]
fn a_sleep_that_is_reset_to_the_past_is_over_at_the_next_pass() {
    for due in [0, 3, 7] {
        let mut runner = manual();
        let (sleep, task) = sleeper(&mut runner);
        settle(&mut runner, us(7));
        sleep.reset(due);
        assert_eq!(settle(&mut runner, us(7)), 1);
        assert!(task.is_finished());
    }
}

/// The task is polled because the sleep has fired; in between, the sleep got another time.
#[test]
fn a_sleep_that_fired_and_is_reset_before_its_poll_waits_for_its_new_time() {
    let mut runner: Run = manual();
    let sleep = Shared::new(cx_of(&mut runner).sleep_until(us(10)));
    let (its, others) = (sleep.clone(), sleep);
    let first = runner.executor().spawn(pool::<1>(), |cx| async move {
        // In the slot before the sleeper's: it is polled first.
        cx.sleep_until(us(10)).await.unwrap();
        others.reset(30);
    });
    let task = runner.executor().spawn(pool::<1>(), |_| async move {
        poll_fn(|cx| its.poll(cx)).await.unwrap();
    });
    settle(&mut runner, us(0));
    settle(&mut runner, us(10));
    let task = task.unwrap();
    assert!(first.unwrap().is_finished() && !task.is_finished());
    wakes_at(&mut runner, &task, 30);
}

/// As a watchdog does: something else has happened in the same pass, the time begins anew, and there is no
/// reason to poll the sleep.
#[test]
fn a_sleep_that_fired_and_is_reset_instead_of_polled_wakes_at_its_new_time() {
    let mut runner: Run = manual();
    let task = runner.executor().spawn(pool::<1>(), |cx| async move {
        let mut sleep = pin!(cx.sleep_until(us(10)));
        let mut polls = 0;
        poll_fn(|context| {
            polls += 1;
            match polls {
                1 => assert!(sleep.as_mut().poll(context).is_pending()),
                2 => sleep.as_mut().reset(us(30)),
                _ => return sleep.as_mut().poll(context),
            }
            Poll::Pending
        })
        .await
        .unwrap();
    });
    settle(&mut runner, us(0));
    assert_eq!(settle(&mut runner, us(10)), 1);
    wakes_at(&mut runner, &task.unwrap(), 30);
}

#[test]
fn a_sleep_that_was_over_begins_anew() {
    let mut runner: Run = manual();
    let task = runner.executor().spawn(pool::<1>(), |cx| async move {
        let mut sleep = pin!(cx.sleep_until(us(10)));
        for due in [20, 15, 30] {
            sleep.as_mut().await.unwrap();
            sleep.as_mut().reset(us(due));
        }
        sleep.await.unwrap();
    });
    settle(&mut runner, us(0));
    assert_eq!(settle(&mut runner, us(10)), 1);
    assert_eq!(settle(&mut runner, us(20)), 1);
    // 15 has passed already: that is over at the next pass.
    assert_eq!(settle(&mut runner, us(20)), 1);
    wakes_at(&mut runner, &task.unwrap(), 30);
}

#[test]
fn a_foreign_waker_is_woken_at_the_new_time_once() {
    let mut runner: Run = manual();
    let mut sleep = Box::pin(cx_of(&mut runner).sleep_until(us(10)));
    let (counter, waker) = Wakes::waker();
    assert!(sleep.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    sleep.as_mut().reset(us(20));
    settle(&mut runner, us(19));
    assert_eq!(counter.get(), 0);
    settle(&mut runner, us(20));
    assert_eq!(counter.get(), 1);
    assert!(poll_once(sleep.as_mut()).is_ready());
}

#[test]
fn a_sleep_that_is_dropped_after_a_reset_leaves_no_timer() {
    let mut runner: Run = manual();
    let mut sleep = Box::pin(cx_of(&mut runner).sleep_until(us(10)));
    assert!(poll_once(sleep.as_mut()).is_pending());
    sleep.as_mut().reset(us(20));
    drop(sleep);
    assert_eq!(runner.next_alarm(), None);
}

#[test]
fn a_sleep_that_nobody_waits_for_is_not_armed_by_a_reset() {
    let mut runner: Run = manual();
    let mut sleep = Box::pin(cx_of(&mut runner).sleep_until(us(10)));
    sleep.as_mut().reset(us(20));
    assert_eq!(runner.next_alarm(), None);
}

#[test]
fn many_sleeps_that_are_reset_in_any_order_all_wake_at_their_new_times() {
    const SLEEPS: u64 = 200;
    let mut runner: Run = manual();
    let cx = cx_of(&mut runner);
    let counters: Vec<Arc<Wakes>> = (0..SLEEPS).map(|_| Arc::default()).collect();
    let mut sleeps = Vec::new();
    for (number, counter) in (0..).zip(&counters) {
        let mut sleep = Box::pin(cx.sleep_until(us(1 + number * 7_919 % 1_000)));
        let waker = Waker::from(counter.clone());
        assert!(sleep.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        sleeps.push(sleep);
    }
    let due = |number: u64| 1 + number * 6_007 % 1_000;
    for number in (0..SLEEPS).map(|number| number * 77 % SLEEPS) {
        sleeps[number as usize].as_mut().reset(us(due(number)));
    }
    for now in 0..=1_000 {
        settle(&mut runner, us(now));
        for (number, counter) in (0..).zip(&counters) {
            assert_eq!(counter.get(), u32::from(due(number) <= now), "sleep {number} at {now}");
        }
    }
}

/// The owner of the timers sleeps in its platform, until an alarm that comes too late now.
#[test]
fn a_reset_outside_a_pass_has_the_alarm_set_anew() {
    for (due, pends) in [(5, true), (20, false)] {
        let executor = leak(Executor::<_, 1, 8>::new(Bench::new()));
        let machine = executor.platform();
        let shown: &Mutex<Option<Shared>> = leak(Mutex::new(None));
        let ended: &AtomicBool = leak(AtomicBool::new(false));
        let handler = executor.start_in_handler().unwrap();
        let task = executor.spawn(pool::<1>(), |cx| async move {
            let sleep = Shared::new(cx.sleep_until(us(10)));
            *shown.lock().unwrap() = Some(sleep.clone());
            poll_fn(|cx| sleep.poll(cx)).await.unwrap();
            ended.store(true, SeqCst);
        });
        drop(task.unwrap());
        assert!(machine.take_pend());
        // SAFETY: on this thread only, and not from within itself.
        unsafe { handler.on_interrupt() }
        assert_eq!(machine.alarm(), Some(us(10)));

        let sleep = shown.lock().unwrap().clone().unwrap();
        // A task of another executor does it.
        let mut other: Run = manual();
        drop(other.executor().spawn(pool::<1>(), move |_| async move { sleep.reset(due) }).unwrap());
        settle(&mut other, us(0));
        // Nobody runs the owner but its interrupt and its alarm. One that goes off for nothing is allowed.
        assert!(!pends || machine.take_pend(), "the owner sleeps until its old alarm");
        machine.pend();
        machine.run_interrupts(&handler);
        assert!(ended.load(SeqCst));
        assert_eq!(machine.now(), Instant::from_micros(due));
    }
}
