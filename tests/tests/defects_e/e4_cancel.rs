//! E4: tasks could not be cancelled, replaced or scoped, and gave no result.

use std::pin::pin;
use std::task::Poll;

use trilane::exec::{Cancelled, Cx, JoinError, Reason, RegionOptions};
use trilane::time::Duration;
use trilane_tests::future::poll_once;
use trilane_tests::watch::{Dropped, counter};
use trilane_tests::{pool, run_out, settle, us, with_regions};

/// Counts up until it is asked to stop; its result says how far it has come.
async fn count(cx: Cx) -> Result<u32, u32> {
    for rounds in 0.. {
        if let Err(Cancelled(_)) = cx.sleep(Duration::from_micros(10)).await {
            return Err(rounds);
        }
    }
    Ok(0)
}

#[test]
fn a_task_is_cancelled_and_still_gives_its_result() {
    let mut runner = with_regions::<2, 1, 4>();
    let mut task = runner.executor().spawn(pool::<1>(), count).unwrap();
    for now in [0, 10, 20, 30] {
        settle(&mut runner, us(now));
    }
    task.cancel().unwrap();
    assert_eq!(settle(&mut runner, us(30)), 1);
    assert_eq!(task.try_join(), Some(Ok(Err(3))));
}

#[test]
fn a_task_that_knows_nothing_of_cancellation_is_cancelled_as_well() {
    let mut runner = with_regions::<2, 1, 4>();
    let drops = counter();
    let held = Dropped::counted(&drops);
    let mut task = runner
        .executor()
        .spawn(pool::<1>(), |_| async move {
            let _held = held;
            std::future::pending::<()>().await;
        })
        .unwrap();
    settle(&mut runner, us(0));
    task.cancel().unwrap();
    run_out(&mut runner);
    assert_eq!(drops.load(std::sync::atomic::Ordering::SeqCst), 1);
    assert_eq!(task.try_join(), Some(Err(JoinError::Cancelled(Reason::User))));
}

#[test]
fn a_task_is_replaced_by_another_in_its_slot() {
    let mut runner = with_regions::<2, 1, 1>();
    let executor = runner.executor();
    let pool = pool::<1>();
    let mut task = executor.spawn(pool, count).unwrap();
    for round in 0..5 {
        settle(&mut runner, us(round));
        task.cancel().unwrap();
        settle(&mut runner, us(round));
        assert_eq!(task.try_join(), Some(Ok(Err(0))));
        task = executor.spawn(pool, count).unwrap();
    }
    assert_eq!(executor.counters().cancelled_by_user, 5);
}

#[test]
fn tasks_are_scoped() {
    let mut runner = with_regions::<2, 1, 4>();
    let executor = runner.executor();
    let pool = pool::<3>();
    let outside = executor.spawn(pool, count).unwrap();
    let mut region = executor.open_region(RegionOptions::new()).unwrap();
    let drops = counter();
    for _ in 0..2 {
        let held = Dropped::counted(&drops);
        // Their handles are dropped: the scope holds them, not their handles.
        drop(region.spawn(pool, |cx| async move {
            let _held = held;
            count(cx).await
        }));
    }
    settle(&mut runner, us(0));
    let mut close = pin!(region.close());
    assert_eq!(poll_once(close.as_mut()), Poll::Pending);
    settle(&mut runner, us(0));
    assert_eq!(drops.load(std::sync::atomic::Ordering::SeqCst), 2);
    assert_eq!(poll_once(close.as_mut()), Poll::Ready(Ok(())));
    assert!(!outside.is_finished());
    assert_eq!(executor.tasks().count(), 1);
}
