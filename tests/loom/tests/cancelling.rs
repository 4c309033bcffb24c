//! Requests to stop against the runner: the task waits, is dispatched, ends, or has ended and left its slot.
#![cfg(trilane_loom)]

use std::future::poll_fn;
use std::num::NonZeroU16;
use std::task::Poll;

use loom::thread;
use trilane::exec::{Attributes, CancelError, Cx, JoinError, JoinHandle, Reason, TaskOptions};
use trilane::time::Instant;
use trilane_loom::{Plain, Stage, Told, check};

/// Ends when it is asked to, and then reads `letter`.
async fn wait_for_request(cx: Cx, letter: Plain) -> u32 {
    cx.cancelled().await;
    letter.get()
}

/// A thread that writes, then asks the task to stop.
fn write_and_cancel<T>(letter: Plain, handle: &JoinHandle<T>) -> thread::JoinHandle<()> {
    let stop = handle.abort_handle().unwrap();
    thread::spawn(move || {
        letter.set(7);
        stop.cancel().unwrap();
    })
}

#[test]
fn a_request_wakes_a_task_that_waits_and_what_was_written_before_is_seen() {
    check(|| {
        let (stage, mut runner) = Stage::<1, 1>::set();
        let letter = Plain::new();
        let read = letter.clone();
        let mut handle = stage.executor.spawn(stage.pool, |cx| wait_for_request(cx, read)).unwrap();
        runner.poll_pending(Instant::ZERO);
        let canceller = write_and_cancel(letter, &handle);
        runner.run_until(|| handle.is_finished());
        assert_eq!(handle.try_join(), Some(Ok(7)));
        canceller.join().unwrap();
    });
}

#[test]
fn what_was_written_before_a_request_is_seen_in_a_poll_that_another_wake_brings_about() {
    check(|| {
        let (stage, mut runner) = Stage::<1, 1>::set();
        let letter = Plain::new();
        let read = letter.clone();
        let hears = |cx: Cx| {
            poll_fn(move |_| cx.is_cancelled().then(|| read.get()).map_or(Poll::Pending, Poll::Ready))
        };
        let mut handle = stage.executor.spawn(stage.pool, hears).unwrap();
        let canceller = write_and_cancel(letter, &handle);
        // The first poll comes of the spawn.
        runner.run_until(|| handle.is_finished());
        assert_eq!(handle.try_join(), Some(Ok(7)));
        canceller.join().unwrap();
    });
}

#[test]
fn a_request_in_one_of_two_banks_wakes_its_task() {
    check(|| {
        let (stage, mut runner) = Stage::<2, 1>::set();
        let (_other, waker) = stage.spawn_asleep(&mut runner, TaskOptions::new(), |_| Poll::Ready(()));
        let letter = Plain::new();
        let read = letter.clone();
        let mut handle = stage.executor.spawn(stage.pool, |cx| wait_for_request(cx, read)).unwrap();
        runner.poll_pending(Instant::ZERO);
        let canceller = write_and_cancel(letter, &handle);
        let writer = thread::spawn(move || waker.wake());
        runner.run_until(|| handle.is_finished());
        assert_eq!(handle.try_join(), Some(Ok(7)));
        canceller.join().unwrap();
        writer.join().unwrap();
    });
}

#[test]
fn a_request_while_the_task_ends_takes_nothing_from_the_result() {
    check(|| {
        let (stage, mut runner) = Stage::<1, 1>::set();
        let drops = Plain::new();
        let told = drops.clone();
        let mut handle = stage.spawn(move |_| Poll::Ready(Told::new(7, told.clone())));
        let stop = handle.abort_handle().unwrap();
        let canceller = thread::spawn(move || stop.cancel());
        runner.poll_pending(Instant::ZERO);
        let asked = canceller.join().unwrap();
        assert!(matches!(asked, Ok(()) | Err(CancelError::Stale)));
        // If the request came first, its wake may be left over.
        runner.poll_pending(Instant::ZERO);
        assert_eq!(handle.try_join().unwrap().unwrap().value(), 7);
        assert_eq!(drops.get(), 1);
        let counters = stage.executor.counters();
        assert_eq!((counters.completions, counters.forced), (1, 0));
    });
}

static NO_CLEANUP: Attributes = Attributes::new().cleanup_polls(0);

#[test]
fn a_request_to_a_task_that_has_ended_never_reaches_the_next_in_its_slot() {
    check(|| {
        let (stage, mut runner) = Stage::<1, 1>::set();
        let mut first = stage.spawn(|_| Poll::Ready(7));
        let stop = first.abort_handle().unwrap();
        let canceller = thread::spawn(move || stop.cancel());
        let holder = thread::spawn(move || {
            first.try_join()?.unwrap();
            let cx_is_fine = |cx: Cx| poll_fn(move |_| Poll::Ready(!cx.is_cancelled()));
            Some(stage.executor.spawn(stage.pool, cx_is_fine).unwrap())
        });
        runner.poll_pending(Instant::ZERO);
        let second = holder.join().unwrap();
        let _ = canceller.join().unwrap();
        if let Some(mut second) = second {
            runner.poll_pending(Instant::ZERO);
            assert_eq!(second.try_join(), Some(Ok(true)));
        }
    });
}

#[test]
fn a_request_while_a_task_with_a_quota_is_dispatched_leaves_it_no_more_polls_than_it_may_have() {
    check(|| {
        let (stage, mut runner) = Stage::<1, 1>::set();
        let quota = NonZeroU16::new(5).unwrap();
        let options = TaskOptions::new().poll_quota(quota).attributes(&NO_CLEANUP);
        let (mut handle, waker) = stage.spawn_asleep(&mut runner, options, |_| Poll::Pending::<()>);
        let stop = handle.abort_handle().unwrap();
        waker.wake();
        let canceller = thread::spawn(move || stop.cancel().unwrap());
        runner.poll_pending(Instant::ZERO);
        canceller.join().unwrap();
        // It may have been polled before the request came, but now it has to go.
        runner.poll_pending(Instant::ZERO);
        assert_eq!(handle.try_join(), Some(Err(JoinError::Cancelled(Reason::User))));
    });
}

#[test]
fn a_request_while_a_shield_goes_up_or_down_is_heard_after_it() {
    check(|| {
        let (stage, mut runner) = Stage::<1, 1>::set();
        let task = |cx: Cx| async move {
            cx.shield(async { assert!(!cx.is_cancelled()) }).await;
            cx.cancelled().await.0
        };
        let mut handle = stage.executor.spawn(stage.pool, task).unwrap();
        let stop = handle.abort_handle().unwrap();
        let canceller = thread::spawn(move || stop.cancel().unwrap());
        runner.run_until(|| handle.is_finished());
        assert_eq!(handle.try_join(), Some(Ok(Reason::User)));
        canceller.join().unwrap();
    });
}

#[test]
fn of_two_requests_the_more_severe_reason_is_kept() {
    check(|| {
        let (stage, mut runner) = Stage::<1, 1>::set();
        let mut handle =
            stage.executor.spawn(stage.pool, |cx| async move { cx.cancelled().await.0 }).unwrap();
        runner.poll_pending(Instant::ZERO);
        let stop = handle.abort_handle().unwrap();
        let canceller = thread::spawn(move || stop.cancel());
        let closer = thread::spawn(move || stage.executor.shut_down());
        runner.run_until(|| handle.is_finished());
        let asked = canceller.join().unwrap();
        closer.join().unwrap();
        let reason = handle.try_join().unwrap().unwrap();
        assert!(matches!((asked, reason), (Ok(()), Reason::User) | (_, Reason::Shutdown)));
    });
}
