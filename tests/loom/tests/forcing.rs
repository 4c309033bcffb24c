//! The end by force against the handle and the wakes.
#![cfg(trilane_loom)]

use std::future::pending;
use std::task::Poll;

use loom::thread;
use trilane::exec::{Attributes, JoinError, JoinHandle, Reason, TaskOptions};
use trilane::time::Instant;
use trilane_loom::{Plain, Stage, Told, check};

/// Is never ready; its drop is told.
fn spawn_stubborn(stage: Stage<1, 1>, attributes: &'static Attributes, drops: &Plain) -> JoinHandle<()> {
    let held = Told::new(0, drops.clone());
    let task = async move {
        let _held = held;
        pending::<()>().await;
    };
    stage.executor.spawn_with(TaskOptions::new().attributes(attributes), stage.pool, |_cx| task).unwrap()
}

static NO_CLEANUP: Attributes = Attributes::new().cleanup_polls(0);

#[test]
fn a_task_ended_by_force_while_its_handle_is_dropped_is_dropped_once_and_the_slot_comes_back() {
    check(|| {
        let (stage, mut runner) = Stage::<1, 1>::set();
        let drops = Plain::new();
        let handle = spawn_stubborn(stage, &NO_CLEANUP, &drops);
        runner.poll_pending(Instant::ZERO);
        let holder = thread::spawn(move || {
            handle.cancel().unwrap();
            drop(handle);
        });
        runner.run_until(|| stage.executor.counters().forced == 1);
        holder.join().unwrap();
        assert_eq!(drops.get(), 1);
        let _next = spawn_stubborn(stage, &NO_CLEANUP, &drops);
    });
}

#[test]
fn a_task_ended_by_force_while_it_is_woken_and_joined_gives_the_reason_once() {
    check(|| {
        let (stage, mut runner) = Stage::<1, 1>::set();
        let options = TaskOptions::new().attributes(&NO_CLEANUP);
        let (mut handle, waker) = stage.spawn_asleep(&mut runner, options, |_| Poll::Pending::<()>);
        let stop = handle.abort_handle().unwrap();
        let waking = thread::spawn(move || waker.wake());
        let canceller = thread::spawn(move || {
            stop.cancel().unwrap();
            handle.try_join().map_or_else(|| Err(handle), Ok)
        });
        runner.run_until(|| stage.executor.counters().forced == 1);
        waking.join().unwrap();
        let result = canceller.join().unwrap().unwrap_or_else(|mut handle| handle.try_join().unwrap());
        assert_eq!(result, Err(JoinError::Cancelled(Reason::User)));
        assert_eq!(stage.executor.tasks().count(), 0);
    });
}
