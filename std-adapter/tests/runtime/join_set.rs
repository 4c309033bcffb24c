//! Sets of tasks that are joined as they end.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use trilane::exec::{Cx, JoinError, Reason, RegionOptions, TaskOptions, yield_now};
use trilane::sched::Priority;
use trilane::time::Duration as Span;
use trilane_std::runtime::{JoinSet, Runtime, block_on};

use crate::runtime;

#[test]
fn results_come_in_the_order_in_which_tasks_end() {
    let mut simulation = Runtime::builder().simulate(1).unwrap();
    let handle = simulation.handle();
    let order = simulation.block_on(async {
        let mut set = JoinSet::new();
        for millis in [5, 1, 4, 2, 3] {
            let sleep =
                move |cx: Cx| async move { cx.sleep(Span::from_millis(millis)).await.map(|()| millis) };
            set.spawn(&handle, sleep).unwrap();
        }
        // All have ended when the last has.
        handle
            .spawn(|cx| async move { cx.sleep(Span::from_millis(9)).await })
            .unwrap()
            .await
            .unwrap()
            .unwrap();
        let mut order = Vec::new();
        while let Some(done) = set.join_next().await {
            order.push(done.unwrap().unwrap());
        }
        order
    });
    assert_eq!(order.unwrap(), [1, 2, 3, 4, 5]);
}

#[test]
fn no_task_is_lost_while_others_are_put_in() {
    let runtime = runtime(2, "set");
    let tasks = if cfg!(debug_assertions) { 5_000u64 } else { 200_000 };
    let sum = runtime.block_on(async {
        let (mut set, mut sum, mut next) = (JoinSet::new(), 0, 0);
        loop {
            while set.len() < 100 && next < tasks {
                let number = next;
                let work = move |_| async move {
                    if number % 3 == 0 {
                        yield_now().await;
                    }
                    number
                };
                set.spawn(runtime, work).unwrap();
                next += 1;
            }
            match set.join_next().await {
                Some(done) => sum += done.unwrap(),
                None => return sum,
            }
        }
    });
    assert_eq!(sum, (0..tasks).sum());
}

#[test]
fn a_set_that_is_dropped_asks_its_tasks_to_stop() {
    let runtime = runtime(1, "set-drop");
    let (told, tell) = mpsc::channel();
    let mut set = JoinSet::new();
    for _ in 0..3 {
        let told = told.clone();
        let wait = move |cx: Cx| async move { told.send(cx.cancelled().await.0).unwrap() };
        set.spawn(runtime, wait).unwrap();
    }
    assert_eq!(set.len(), 3);
    drop(set);
    for _ in 0..3 {
        assert_eq!(tell.recv_timeout(Duration::from_secs(20)), Ok(Reason::User));
    }
}

#[test]
fn tasks_that_are_stopped_or_panic_are_results_too() {
    let runtime = runtime(2, "set-ends");
    let mut set = JoinSet::new();
    let waits = runtime.spawn(|cx| async move { cx.cancelled().await.0 == Reason::User }).unwrap();
    let abort = waits.abort_handle().unwrap();
    set.push(waits);
    assert_eq!(set.try_join_next(), None);
    abort.cancel().unwrap();
    assert_eq!(block_on(set.join_next()), Some(Ok(true)));
    // Whatever was spawned otherwise is put in.
    set.push(runtime.spawn_with(TaskOptions::new(), |_| async { panic!("on purpose") }).unwrap());
    assert_eq!(block_on(set.join_next()), Some(Err(JoinError::Panicked)));
    set.push(runtime.spawn(|cx| async move { cx.cancelled().await.0 == Reason::User }).unwrap());
    set.cancel();
    assert_eq!(block_on(set.join_next()), Some(Ok(true)));
    assert_eq!(block_on(set.join_next()), None);
    assert!(set.is_empty());
    // One that has ended before it is put in.
    let ended = runtime.spawn(|_| async { true }).unwrap();
    while !ended.is_finished() {
        thread::yield_now();
    }
    set.push(ended);
    assert_eq!(set.try_join_next(), Some(Ok(true)));
}

#[test]
fn tasks_with_options_and_in_regions_are_in_the_set() {
    let runtime = runtime(2, "set-options");
    let mut region = runtime.open_region(RegionOptions::new()).unwrap();
    let mut set = JoinSet::new();
    let urgent = TaskOptions::new().priority(Priority::of::<1>());
    let wait = |cx: Cx| async move { cx.cancelled().await.0 };
    set.push(runtime.spawn_with(urgent, wait).unwrap());
    set.push(runtime.spawn_in(&region, urgent, wait).unwrap());
    block_on(async {
        region.close().await.unwrap();
        assert_eq!(set.join_next().await, Some(Ok(Reason::ParentClosed)));
        assert!(set.try_join_next().is_none());
        set.cancel();
        assert_eq!(set.join_next().await, Some(Ok(Reason::User)));
    });
    assert!(set.is_empty());
}

#[test]
fn a_task_that_waits_for_a_set_hears_that_it_is_to_stop() {
    let runtime = runtime(2, "set-asked");
    let waits = runtime.spawn(|_| async {
        let mut set = JoinSet::new();
        set.spawn(runtime, |cx| async move { cx.cancelled().await.0 }).unwrap();
        let interrupted = set.join_next().await;
        // Nothing was taken.
        (interrupted, set.len())
    });
    let waits = waits.unwrap();
    thread::sleep(Duration::from_millis(5));
    waits.cancel().unwrap();
    let interrupted = Some(Err(JoinError::Interrupted(Reason::User)));
    assert_eq!(block_on(waits), Ok((interrupted, 1)));
}

#[test]
fn a_wait_that_is_given_up_loses_no_result() {
    let runtime = runtime(2, "set-given-up");
    let task = runtime.spawn(|cx| async move {
        let mut set = JoinSet::new();
        set.spawn(runtime, |cx| async move { cx.sleep(Span::from_millis(20)).await }).unwrap();
        cx.timeout(Span::from_millis(1), set.join_next()).await.unwrap_err();
        set.join_next().await
    });
    assert_eq!(block_on(task.unwrap()), Ok(Some(Ok(Ok(())))));
}

#[test]
fn a_set_as_large_as_the_runtime_takes_the_same_time_for_each_task() {
    let runtime = Runtime::builder().workers(1).capacity(50_000).build().unwrap();
    let began = Instant::now();
    runtime.block_on(async {
        let mut set = JoinSet::new();
        for _ in 0..50_000 {
            set.spawn(&runtime, |_| async {}).unwrap();
        }
        while set.join_next().await.is_some() {}
    });
    // A look at all for each would be 2.5 thousand million looks.
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}
