//! Wakes against the drain and the poll.
#![cfg(trilane_loom)]

use std::sync::Arc;
use std::task::{Poll, Waker};

use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;
use trilane::exec::TaskOptions;
use trilane::time::Instant;
use trilane_loom::{Plain, Stage, check};

#[test]
fn what_was_written_before_a_wake_is_seen_in_its_poll() {
    check(|| {
        let (stage, mut runner) = Stage::<1, 1>::set();
        let letter = Plain::new();
        let read = letter.clone();
        let (mut handle, waker) =
            stage.spawn_asleep(&mut runner, TaskOptions::new(), move |_| Poll::Ready(read.get()));
        let writer = thread::spawn(move || {
            letter.set(7);
            waker.wake();
        });
        runner.run_until(|| handle.is_finished());
        assert_eq!(handle.try_join(), Some(Ok(7)));
        writer.join().unwrap();
        // One to show the waker, one for the wake.
        assert_eq!(stage.executor.counters().polls, 2);
    });
}

/// One task, woken by two threads.
fn two_wakes<const BANKS: usize>() {
    check(|| {
        let (stage, mut runner) = Stage::<BANKS, 1>::set();
        let called: [Arc<AtomicBool>; 2] = std::array::from_fn(|_| Arc::new(AtomicBool::new(false)));
        let seen = called.clone();
        let (handle, waker) = stage.spawn_asleep(&mut runner, TaskOptions::new(), move |_| {
            // Relaxed: a poll may see a call before its wake, but after the wake it must.
            if seen.iter().all(|seen| seen.load(Ordering::Relaxed)) { Poll::Ready(()) } else { Poll::Pending }
        });
        let callers = called.map(|called| {
            let waker = waker.clone();
            thread::spawn(move || {
                called.store(true, Ordering::Relaxed);
                waker.wake();
            })
        });
        runner.run_until(|| handle.is_finished());
        callers.into_iter().for_each(|caller| caller.join().unwrap());
        // A wake may come after the task's end.
        runner.poll_pending(Instant::ZERO);
        let counters = stage.executor.counters();
        let wakes = 1 + 2;
        assert_eq!(counters.polls + counters.coalesced + counters.stale_wakes, wakes, "{counters:?}");
    });
}

#[test]
fn of_two_wakes_none_is_lost_and_each_is_a_poll_or_collapses() {
    two_wakes::<1>();
}

#[test]
fn of_two_wakes_in_one_of_two_banks_none_is_lost_and_each_is_a_poll_or_collapses() {
    two_wakes::<2>();
}

#[test]
fn a_wake_during_a_poll_gives_one_more_poll() {
    check(|| {
        let (stage, mut runner) = Stage::<1, 1>::set();
        let letter = Plain::new();
        let read = letter.clone();
        let mut polls = 0;
        let (mut handle, waker) = stage.spawn_asleep(&mut runner, TaskOptions::new(), move |cx| {
            polls += 1;
            if polls == 1 {
                // The writer begins while this poll runs.
                let (letter, waker) = (letter.clone(), cx.waker().clone());
                thread::spawn(move || {
                    letter.set(7);
                    waker.wake();
                });
                Poll::Pending
            } else {
                Poll::Ready((polls, read.get()))
            }
        });
        waker.wake();
        runner.run_until(|| handle.is_finished());
        assert_eq!(handle.try_join(), Some(Ok((2, 7))));
    });
}

/// Two tasks, woken by a thread each; alone and through the lanes that `options` lead to.
fn two_tasks_with_a_writer_each(options: [TaskOptions; 2]) {
    check(move || {
        let (stage, mut runner) = Stage::<1, 2>::set();
        let pairs = options.map(|options| {
            let letter = Plain::new();
            let read = letter.clone();
            let (handle, waker) = stage.spawn_asleep(&mut runner, options, move |_| Poll::Ready(read.get()));
            (handle, letter, waker)
        });
        let mut number = 0;
        let mut pairs = pairs.map(|(handle, letter, waker)| {
            number += 1;
            let written = number;
            let writer = thread::spawn(move || {
                letter.set(written);
                waker.wake();
            });
            (handle, writer)
        });
        runner.run_until(|| pairs.iter().all(|(handle, _)| handle.is_finished()));
        assert_eq!(pairs.each_mut().map(|(handle, _)| handle.try_join().unwrap()), [Ok(1), Ok(2)]);
        pairs.into_iter().for_each(|(_, writer)| writer.join().unwrap());
        assert_eq!(stage.executor.counters().polls, 4);
    });
}

/// Two tasks that were woken before, so that one is in a lane while the other runs, and a third that is woken
/// meanwhile.
fn a_writer_while_two_others_run(options: TaskOptions) {
    check(move || {
        let (stage, mut runner) = Stage::<1, 3>::set();
        let others = [0, 0].map(|_| stage.spawn_asleep(&mut runner, options, |_| Poll::Ready(())).1);
        let letter = Plain::new();
        let read = letter.clone();
        let (mut handle, waker) = stage.spawn_asleep(&mut runner, options, move |_| Poll::Ready(read.get()));
        others.into_iter().for_each(Waker::wake);
        let writer = thread::spawn(move || {
            letter.set(7);
            waker.wake();
        });
        runner.run_until(|| handle.is_finished());
        assert_eq!(handle.try_join(), Some(Ok(7)));
        writer.join().unwrap();
    });
}

const READY: TaskOptions = TaskOptions::new();
const TIMED: TaskOptions = TaskOptions::new().deadline(Instant::from_millis(1));

#[test]
fn two_ready_tasks_each_see_what_their_waker_wrote() {
    two_tasks_with_a_writer_each([READY, READY]);
}

#[test]
fn two_timed_tasks_each_see_what_their_waker_wrote() {
    two_tasks_with_a_writer_each([TIMED, TIMED]);
}

#[test]
fn a_timed_and_a_ready_task_each_see_what_their_waker_wrote() {
    two_tasks_with_a_writer_each([TIMED, READY]);
}

#[test]
fn a_ready_task_woken_while_others_take_turns_sees_what_its_waker_wrote() {
    a_writer_while_two_others_run(READY);
}

#[test]
fn a_timed_task_woken_while_others_take_turns_sees_what_its_waker_wrote() {
    a_writer_while_two_others_run(TIMED);
}

/// A task that goes first wakes itself again and again; another one, of its bank or of another, is woken
/// meanwhile.
fn a_writer_while_one_goes_on<const BANKS: usize, const PER_BANK: usize>(options: TaskOptions) {
    check(move || {
        let (stage, mut runner) = Stage::<BANKS, PER_BANK>::set();
        let mut polls = 0;
        let (_going, first) = stage.spawn_asleep(&mut runner, options, move |cx| {
            polls += 1;
            if polls < 4 {
                cx.waker().wake_by_ref();
            }
            Poll::<()>::Pending
        });
        let letter = Plain::new();
        let read = letter.clone();
        let (mut handle, waker) = stage.spawn_asleep(&mut runner, options, move |_| Poll::Ready(read.get()));
        first.wake();
        let writer = thread::spawn(move || {
            letter.set(7);
            waker.wake();
        });
        runner.run_until(|| handle.is_finished());
        assert_eq!(handle.try_join(), Some(Ok(7)));
        writer.join().unwrap();
    });
}

#[test]
fn a_ready_task_woken_while_another_goes_on_sees_what_its_waker_wrote() {
    a_writer_while_one_goes_on::<1, 2>(READY);
}

#[test]
fn a_timed_task_woken_while_another_goes_on_sees_what_its_waker_wrote() {
    a_writer_while_one_goes_on::<1, 2>(TIMED);
}

#[test]
fn a_ready_task_woken_while_one_of_another_bank_goes_on_sees_what_its_waker_wrote() {
    a_writer_while_one_goes_on::<2, 1>(READY);
}

#[test]
fn a_timed_task_woken_while_one_of_another_bank_goes_on_sees_what_its_waker_wrote() {
    a_writer_while_one_goes_on::<2, 1>(TIMED);
}
