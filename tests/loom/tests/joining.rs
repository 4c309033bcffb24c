//! The end of a task against its handle: join, detach, and the slot's next task.
#![cfg(trilane_loom)]

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use loom::thread;
use trilane::exec::{JoinHandle, TaskOptions};
use trilane::time::Instant;
use trilane_loom::{Plain, Stage, Told, check};

/// A task that is about to end, with an output that counts its drops.
fn ending<const BANKS: usize, const PER_BANK: usize>(
    stage: Stage<BANKS, PER_BANK>,
    value: u32,
    drops: &Plain,
) -> JoinHandle<Told> {
    let drops = drops.clone();
    stage.spawn(move |_| Poll::Ready(Told::new(value, drops.clone())))
}

#[test]
fn a_handle_dropped_while_the_task_ends_drops_the_output_once_and_the_slot_comes_back() {
    check(|| {
        let (stage, mut runner) = Stage::<1, 1>::set();
        let drops = Plain::new();
        let handle = ending(stage, 7, &drops);
        let holder = thread::spawn(move || drop(handle));
        runner.poll_pending(Instant::ZERO);
        holder.join().unwrap();
        assert_eq!(drops.get(), 1);

        let mut next = ending(stage, 8, &drops);
        runner.poll_pending(Instant::ZERO);
        assert_eq!(next.try_join().unwrap().unwrap().value(), 8);
        assert_eq!(drops.get(), 2);
    });
}

#[test]
fn a_handle_tried_while_the_task_ends_gives_the_output_once_or_not_yet() {
    check(|| {
        let (stage, mut runner) = Stage::<1, 1>::set();
        let drops = Plain::new();
        let mut handle = ending(stage, 7, &drops);
        let holder = thread::spawn(move || {
            let early = handle.try_join().map(|told| told.unwrap().value());
            (handle, early)
        });
        runner.poll_pending(Instant::ZERO);
        let (mut handle, early) = holder.join().unwrap();
        match early {
            Some(value) => {
                assert_eq!(value, 7);
                assert!(handle.try_join().unwrap().is_err());
            }
            None => assert_eq!(handle.try_join().unwrap().unwrap().value(), 7),
        }
        assert_eq!(drops.get(), 1);
    });
}

/// Joins from a task of the executor of `stage`.
fn join_on(stage: Stage<1, 2>, told: JoinHandle<Told>) -> JoinHandle<u32> {
    let task = async move { told.await.unwrap().value() };
    stage.executor.spawn(stage.pool, |_cx| task).unwrap()
}

#[test]
fn the_end_of_a_task_wakes_its_joiner_on_another_executor() {
    check(|| {
        let (stage, mut runner) = Stage::<1, 1>::set();
        let drops = Plain::new();
        let told = ending(stage, 7, &drops);
        let other = thread::spawn(move || {
            let (stage, mut runner) = Stage::set();
            let mut joiner = join_on(stage, told);
            runner.run_until(|| joiner.is_finished());
            joiner.try_join()
        });
        runner.poll_pending(Instant::ZERO);
        assert_eq!(other.join().unwrap(), Some(Ok(7)));
        assert_eq!(drops.get(), 1);
    });
}

#[test]
fn the_end_of_a_task_wakes_its_joiner_on_the_same_executor() {
    check(|| {
        let (stage, mut runner) = Stage::<1, 2>::set();
        let drops = Plain::new();
        let (told, waker) = {
            let drops = drops.clone();
            stage.spawn_asleep(&mut runner, TaskOptions::new(), move |_| {
                Poll::Ready(Told::new(7, drops.clone()))
            })
        };
        let mut joiner = join_on(stage, told);
        let ender = thread::spawn(move || waker.wake());
        runner.run_until(|| joiner.is_finished());
        assert_eq!(joiner.try_join(), Some(Ok(7)));
        assert_eq!(drops.get(), 1);
        ender.join().unwrap();
    });
}

#[test]
fn a_join_given_up_while_the_task_ends_leaves_the_result_to_the_next_join() {
    check(|| {
        let (stage, mut runner) = Stage::<1, 1>::set();
        let drops = Plain::new();
        let mut handle = ending(stage, 7, &drops);
        let joiner = thread::spawn(move || {
            let early = {
                let join = pin!(handle.join());
                join.poll(&mut Context::from_waker(Waker::noop()))
            };
            (handle, early.map(|told| told.unwrap().value()))
        });
        runner.poll_pending(Instant::ZERO);
        let (mut handle, early) = joiner.join().unwrap();
        let value = match early {
            Poll::Ready(value) => value,
            Poll::Pending => handle.try_join().unwrap().unwrap().value(),
        };
        assert_eq!(value, 7);
        assert_eq!(drops.get(), 1);
    });
}

#[test]
fn a_task_spawned_into_a_slot_as_soon_as_it_is_joined_has_nothing_of_the_last() {
    check(|| {
        let (stage, mut runner) = Stage::<1, 1>::set();
        let drops = Plain::new();
        let mut first = ending(stage, 7, &drops);
        let id = first.id();
        let holder = thread::spawn(move || {
            let told = first.try_join()?.unwrap();
            assert_eq!(told.value(), 7);
            drop(told);
            assert!(stage.executor.task(id).is_err());
            Some(ending(stage, 8, &drops))
        });
        runner.poll_pending(Instant::ZERO);
        if let Some(mut second) = holder.join().unwrap() {
            runner.poll_pending(Instant::ZERO);
            assert_ne!(second.id(), id);
            assert_eq!(second.try_join().unwrap().unwrap().value(), 8);
        }
    });
}
