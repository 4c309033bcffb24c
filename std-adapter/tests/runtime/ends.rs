//! How a runtime ends, and what is left of it.

use std::panic::catch_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::mpsc;
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use trilane::exec::{OpenError, Reason, RegionOptions, SpawnErrorKind};
use trilane::time::Duration as Span;
use trilane_std::runtime::{Runtime, Unfinished, block_on};

#[test]
fn nothing_is_spawned_in_a_runtime_that_shuts_down() {
    let runtime = Runtime::builder().workers(1).build().unwrap();
    let handle = runtime.handle();
    let (told, tell) = mpsc::channel();
    let late = runtime
        .spawn(move |cx| async move {
            cx.cancelled().await;
            let kind = handle.spawn(|_| async {}).map(drop).map_err(|error| error.kind);
            told.send(kind).unwrap();
        })
        .unwrap();
    drop(late);
    runtime.shut_down(Duration::from_secs(10)).unwrap();
    assert_eq!(tell.recv().unwrap(), Err(SpawnErrorKind::ShutDown));
    // Another runtime may have the memory: it isn't this handle's.
    let _next = Runtime::builder().workers(1).build().unwrap();
    assert_eq!(handle.spawn(|_| async {}).unwrap_err().kind, SpawnErrorKind::ShutDown);
    assert_eq!(handle.open_region(RegionOptions::new()).unwrap_err(), OpenError::ShutDown);
}

#[test]
fn a_shutdown_that_takes_too_long_says_how_many_are_left() {
    let runtime = Runtime::builder().workers(1).build().unwrap();
    let goes_on = Arc::new(AtomicBool::new(true));
    let flag = goes_on.clone();
    drop(runtime.spawn(move |_| async move {
        while flag.load(SeqCst) {
            thread::yield_now();
        }
    }));
    let error = runtime.shut_down(Duration::from_millis(50)).unwrap_err();
    assert_eq!(error, Unfinished { tasks: 1 });
    goes_on.store(false, SeqCst);
}

#[test]
fn a_runtime_that_was_dropped_gives_its_memory_to_the_next() {
    for _ in 0..20 {
        let runtime = Runtime::builder().workers(2).capacity(3_000).slot_bytes(192).build().unwrap();
        let tasks: Vec<_> = (0..2_000).map(|_| runtime.spawn(|_| async { 1 }).unwrap()).collect();
        let sum: u32 = block_on(async {
            let mut sum = 0;
            for task in tasks {
                sum += task.await.unwrap();
            }
            sum
        });
        assert_eq!(sum, 2_000);
        drop(runtime.spawn(|cx| async move { cx.cancelled().await }));
    }
}

#[test]
fn a_waker_outlives_its_runtime() {
    let runtime = Runtime::builder().workers(1).capacity(5_000).build().unwrap();
    let (told, tell) = mpsc::channel();
    drop(runtime.spawn(move |_| {
        std::future::poll_fn(move |cx| {
            told.send(cx.waker().clone()).unwrap();
            Poll::<()>::Pending
        })
    }));
    let waker: Waker = tell.recv().unwrap();
    drop(runtime);
    waker.wake_by_ref();
    let again = Runtime::builder().workers(1).capacity(5_000).build().unwrap();
    waker.wake();
    assert_eq!(block_on(again.spawn(|_| async { 7 }).unwrap().into_future()), Ok(7));
}

#[test]
fn a_runtime_that_ends_in_a_task_of_its_own_doesnt_wait_for_it() {
    for shuts_down in [false, true] {
        let runtime = Runtime::builder().workers(1).build().unwrap();
        let handle = runtime.handle();
        let (told, tell) = mpsc::channel();
        let task = handle.spawn(move |cx| async move {
            if shuts_down {
                assert!(catch_unwind(|| runtime.shut_down(Span::from_secs(1))).is_err());
            } else {
                drop(runtime);
            }
            told.send(cx.cancelled().await.0).unwrap();
        });
        drop(task);
        assert_eq!(tell.recv_timeout(Duration::from_secs(20)), Ok(Reason::Shutdown));
    }
}

#[test]
fn a_handle_shows_nothing_of_the_next_runtime() {
    let runtime = Runtime::builder().workers(1).capacity(7_000).build().unwrap();
    let old = runtime.handle();
    drop(runtime);
    let next = Runtime::builder().workers(1).capacity(7_000).build().unwrap();
    drop(next.spawn(|cx| async move { cx.cancelled().await }));
    assert_eq!(next.tasks().count(), 1);
    assert_eq!((old.tasks().count(), old.counters().len()), (0, 0));
}

#[test]
fn the_memory_of_a_runtime_whose_results_are_still_held_is_used_again_later() {
    let build = || Runtime::builder().workers(1).capacity(9_000).build().unwrap();
    let runtime = build();
    let held = runtime.spawn(|_| async { 7 }).unwrap();
    block_on(runtime.spawn(|_| async {}).unwrap()).unwrap();
    while !held.is_finished() {
        thread::yield_now();
    }
    drop(runtime);
    let other = build();
    assert_eq!(block_on(held), Ok(7));
    drop(other);
    let (one, two) = (build(), build());
    // They count anew, but both have memory from before: some slot isn't at its first task.
    assert_eq!((one.counters()[0].spawns, two.counters()[0].spawns), (0, 0));
    let first = [one, two].map(|runtime| runtime.spawn(|_| async {}).unwrap().id().generation());
    assert_ne!(first, [0, 0]);
}
