//! How a result gets to whoever waits for it.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Context, Poll};

use futures::future::{Either, join_all, select};
use trilane::exec::{CancelError, Cx, JoinHandle, SpawnErrorKind, TaskState};
use trilane_tests::future::{Bell, poll_once};
use trilane_tests::watch::{Dropped, Wakes, counter};
use trilane_tests::{leak, manual, pool, settle, us};

#[test]
fn a_task_joins_the_tasks_that_it_spawns() {
    let mut runner = manual::<1, 8>();
    let pool = pool::<8>();
    let mut parent = runner
        .executor()
        .spawn(pool, |cx| async move {
            let children = [1, 2, 3].map(|number| {
                cx.spawn(pool, move |cx| async move {
                    cx.yield_now().await;
                    number * 10
                })
                .unwrap()
            });
            let outputs = join_all(children.map(JoinHandle::into_future)).await;
            outputs.into_iter().map(Result::unwrap).sum::<u32>()
        })
        .unwrap();
    settle(&mut runner, us(0));
    assert_eq!(parent.try_join(), Some(Ok(60)));
    assert_eq!(runner.executor().tasks().count(), 0);
}

#[test]
fn a_joiner_is_polled_once_when_the_task_ends() {
    let mut runner = manual::<1, 4>();
    let executor = runner.executor();
    let pool = pool::<2>();
    let (task_bell, joiner_bell): (&Bell, &Bell) = (leak(Bell::new()), leak(Bell::new()));
    let task = executor.spawn(pool, |_| task_bell.until(4)).unwrap();
    let joiner = executor.spawn(pool, |_| joiner_bell.around(task.into_future()));
    settle(&mut runner, us(0));
    for _ in 0..3 {
        assert_eq!(joiner_bell.polls(), 1);
        task_bell.ring();
        settle(&mut runner, us(0));
    }
    assert_eq!(joiner_bell.polls(), 2);
    assert_eq!(joiner.unwrap().try_join(), Some(Ok(Ok(()))));
}

#[test]
fn a_join_that_was_given_up_can_be_begun_anew() {
    let mut runner = manual::<1, 4>();
    let executor = runner.executor();
    let pool = pool::<2>();
    let bell: &Bell = leak(Bell::new());
    let mut task = executor.spawn(pool, |_| async {
        bell.until(2).await;
        'x'
    });
    let mut joiner = executor
        .spawn(pool, |cx| async move {
            let task: &mut JoinHandle<char> = task.as_mut().unwrap();
            let yielded = matches!(select(pin!(task.join()), pin!(cx.yield_now())).await, Either::Right(_));
            assert!(yielded);
            bell.ring();
            task.join().await
        })
        .unwrap();
    settle(&mut runner, us(0));
    assert_eq!(joiner.try_join(), Some(Ok(Ok('x'))));
}

#[test]
fn the_waker_of_the_last_poll_is_woken_and_no_other() {
    let mut runner = manual::<1, 4>();
    let mut task = runner.executor().spawn(pool::<1>(), |_| async {}).unwrap();
    let counts: [Arc<Wakes>; 3] = Default::default();
    let mut given_up = Box::pin(task.join());
    let waker = counts[0].clone().into();
    assert!(given_up.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    drop((waker, given_up));
    let mut join = Box::pin(task.into_future());
    for count in &counts[1..] {
        let waker = count.clone().into();
        assert!(join.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }
    settle(&mut runner, us(0));
    assert_eq!(counts.each_ref().map(|count| count.get()), [0, 0, 1]);
    assert!(counts.iter().all(|count| Arc::strong_count(count) == 1), "a waker was kept");
    assert_eq!(poll_once(join.as_mut()), Poll::Ready(Ok(())));
}

#[test]
fn a_finished_task_keeps_its_slot_until_it_is_joined_or_detached() {
    let mut runner = manual::<1, 2>();
    let executor = runner.executor();
    let pool = pool::<2>();
    let mut joined = executor.spawn(pool, |_| async { 1 }).unwrap();
    let detached = executor.spawn(pool, |_| async { 2 }).unwrap();
    settle(&mut runner, us(0));
    assert!(executor.tasks().all(|task| task.state == TaskState::Done));
    assert!(executor.spawn(pool, |_| async {}).is_err());
    assert_eq!(joined.try_join(), Some(Ok(1)));
    let third = executor.spawn(pool, |_| async { 3 }).unwrap();
    assert!(executor.spawn(pool, |_| async {}).is_err());
    drop(detached);
    assert!(executor.spawn(pool, |_| async {}).is_ok());
    drop((joined, third));
}

#[test]
fn a_task_without_a_handle_gives_its_slot_back_when_it_ends_and_drops_its_output() {
    let mut runner = manual::<1, 2>();
    let executor = runner.executor();
    let pool = pool::<2>();
    let drops = counter();
    let output = Dropped::counted(&drops);
    let parent = |cx: Cx| async move {
        cx.spawn_detached(pool, |_| async { output }).unwrap();
    };
    let id = executor.spawn_detached(pool, parent).unwrap();
    assert_eq!(executor.tasks().map(|task| task.id).collect::<Vec<_>>(), [id]);
    settle(&mut runner, us(0));
    assert_eq!((executor.tasks().count(), drops.load(SeqCst)), (0, 1));
    let waits = executor.spawn_detached(pool, |cx| async move { cx.cancelled().await }).unwrap();
    runner.spawner().spawn_local_detached(pool, |_| std::future::pending::<()>()).unwrap();
    let refused = executor.spawn_detached(pool, |_| async {}).unwrap_err();
    assert_eq!(refused.kind, SpawnErrorKind::PoolFull);
    executor.cancel(waits).unwrap();
    settle(&mut runner, us(0));
    assert_eq!(executor.cancel(waits), Err(CancelError::Stale));
}

#[test]
fn an_output_is_dropped_once_whoever_has_it() {
    let mut runner = manual::<1, 4>();
    let executor = runner.executor();
    let pool = pool::<4>();
    let drops = counter();
    let spawn = || {
        let output = Dropped::counted(&drops);
        executor.spawn(pool, |cx| async move {
            cx.yield_now().await;
            output
        })
    };
    let (mut joined, detached, kept) = (spawn().unwrap(), spawn().unwrap(), spawn().unwrap());
    drop(detached);
    settle(&mut runner, us(0));
    assert_eq!(drops.load(SeqCst), 1, "a detached task's output is dropped when it ends");
    drop(kept);
    assert_eq!(drops.load(SeqCst), 2, "a finished task's output is dropped with its handle");
    let output = joined.try_join();
    drop(joined);
    assert_eq!(drops.load(SeqCst), 2);
    drop(output);
    assert_eq!(drops.load(SeqCst), 3);
}

#[test]
fn an_output_may_be_larger_or_smaller_than_its_future() {
    let mut runner = manual::<1, 2>();
    let executor = runner.executor();
    let pool = pool::<2>();
    let mut large = executor.spawn(pool, |_| poll_fn(|_| Poll::Ready([7u8; 1024]))).unwrap();
    let bytes = [1u8; 400];
    let mut small = executor
        .spawn(pool, move |cx| async move {
            let bytes = bytes;
            cx.yield_now().await;
            bytes.iter().all(|&byte| byte == 1)
        })
        .unwrap();
    settle(&mut runner, us(0));
    assert_eq!(large.try_join(), Some(Ok([7; 1024])));
    assert_eq!(small.try_join(), Some(Ok(true)));
}

#[test]
fn an_output_that_is_not_send_is_joined_in_its_own_context() {
    let mut runner = manual::<1, 4>();
    let spawner = runner.spawner();
    let pool = pool::<2>();
    let mut outer = spawner
        .spawn_local(pool, move |_| async move {
            let shared = std::rc::Rc::new(5);
            let copy = shared.clone();
            let inner = spawner.spawn_local(pool, move |_| async move { copy }).unwrap();
            let copy = inner.await.unwrap();
            assert!(std::rc::Rc::ptr_eq(&shared, &copy));
            *copy
        })
        .unwrap();
    settle(&mut runner, us(0));
    assert_eq!(outer.try_join(), Some(Ok(5)));
}
