//! Work that blocks, off the workers.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use trilane::exec::JoinError;
use trilane_std::runtime::{Runtime, block_on};

use super::runtime;

#[test]
fn work_that_blocks_keeps_no_worker() {
    let runtime = runtime(1, "blocking");
    let handle = runtime.handle();
    let (opens, gate) = mpsc::channel();
    let waits = runtime.spawn(move |_| async move {
        let worker = thread::current().id();
        let elsewhere = handle.spawn_blocking(move || {
            gate.recv().unwrap();
            thread::current().id()
        });
        elsewhere.await.unwrap() != worker
    });
    // The only worker is free for who opens the gate.
    let other = runtime.spawn(move |_| async move { opens.send(()).unwrap() });
    assert_eq!(block_on(other.unwrap().into_future()), Ok(()));
    assert_eq!(block_on(waits.unwrap().into_future()), Ok(true));
}

#[test]
fn work_that_panics_says_so_and_work_that_nobody_waits_for_is_done() {
    let runtime = runtime(1, "blocking-ends");
    let bad = runtime.spawn_blocking(|| -> u32 { panic!("on purpose") });
    assert_eq!(block_on(bad), Err(JoinError::Panicked));
    let (sender, receiver) = mpsc::channel();
    drop(runtime.spawn_blocking(move || {
        thread::sleep(Duration::from_millis(5));
        sender.send(7)
    }));
    assert_eq!(receiver.recv(), Ok(7));
}

#[test]
fn in_a_simulation_work_is_done_at_once() {
    let mut simulation = Runtime::builder().simulate(1).unwrap();
    let here = thread::current().id();
    let handle = simulation.handle();
    let task = simulation
        .spawn(move |_| async move { handle.spawn_blocking(move || thread::current().id() == here).await });
    assert_eq!(simulation.block_on(task.unwrap()).unwrap(), Ok(Ok(true)));
}
