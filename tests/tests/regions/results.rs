//! Results of members, by handles and by join sets.

use std::pin::pin;
use std::sync::OnceLock;
use std::sync::atomic::Ordering::SeqCst;
use std::task::Poll;

use trilane::exec::{Cx, JoinError, JoinHandle, JoinSet, Reason, RegionOptions, SpawnErrorKind, TaskState};
use trilane::time::Duration;
use trilane_tests::future::poll_once;
use trilane_tests::watch::{Dropped, counter};
use trilane_tests::{leak, pool, run_out, settle, us};

use crate::{close, open, start};

#[test]
fn a_forgotten_handle_keeps_no_slot_once_its_region_has_closed() {
    let mut runner = start();
    let executor = runner.executor();
    let pool = pool::<4>();
    let drops = counter();
    for round in 1..=3 {
        let region = open(&runner);
        for _ in 0..4 {
            let output = Dropped::counted(&drops);
            std::mem::forget(region.spawn(pool, |_| async move { output }).unwrap());
        }
        settle(&mut runner, us(0));
        assert_eq!(region.spawn(pool, |_| async {}).unwrap_err().kind, SpawnErrorKind::PoolFull);
        assert_eq!(executor.tasks().filter(|task| task.state == TaskState::Done).count(), 4);
        close(&mut runner, region);
        assert_eq!((executor.tasks().count(), drops.load(SeqCst)), (0, 4 * round));
    }
}

#[test]
fn a_result_that_is_awaited_outlives_its_region() {
    let mut runner = start();
    let executor = runner.executor();
    let pool = pool::<4>();
    let mut region = open(&runner);
    let answer = region.spawn(pool, |cx| async move { cx.cancelled().await.0 }).unwrap();
    let unclaimed = region.spawn(pool, |cx| async move { cx.cancelled().await.0 }).unwrap();
    let mut joiner = executor.spawn(pool, |_| answer.into_future()).unwrap();
    settle(&mut runner, us(0));
    assert_eq!(poll_once(pin!(region.close())), Poll::Pending);
    settle(&mut runner, us(0));
    assert_eq!(joiner.try_join(), Some(Ok(Ok(Reason::ParentClosed))));
    let mut unclaimed = unclaimed;
    assert!(unclaimed.is_finished());
    assert_eq!(unclaimed.try_join(), Some(Err(JoinError::Reclaimed)));
    assert_eq!(unclaimed.try_join(), Some(Err(JoinError::Taken)));
    assert_eq!(executor.tasks().count(), 0);
}

#[test]
fn a_set_gives_results_in_the_order_in_which_its_tasks_end() {
    let mut runner = start();
    let pool = pool::<4>();
    let mut task = runner
        .executor()
        .spawn(pool, move |cx| async move {
            let mut set: JoinSet<u64, 3> = JoinSet::new(cx.open_region(RegionOptions::new()).unwrap());
            for span in [30, 10, 20] {
                set.spawn(pool, move |cx| async move {
                    cx.sleep(Duration::from_micros(span)).await.unwrap();
                    span
                })
                .unwrap();
            }
            let mut order = Vec::new();
            while let Some(result) = set.join_next().await {
                order.push((result.unwrap(), cx.now().as_micros()));
            }
            order
        })
        .unwrap();
    run_out(&mut runner);
    assert_eq!(task.try_join(), Some(Ok(vec![(10, 10), (20, 20), (30, 30)])));
}

#[test]
fn the_results_of_a_cancelled_set_can_still_be_taken() {
    for wait_first in [false, true] {
        let mut runner = start();
        let executor = runner.executor();
        let pool = pool::<4>();
        let mut task = executor
            .spawn(pool, move |cx| async move {
                let mut set: JoinSet<Reason, 3> = JoinSet::new(cx.open_region(RegionOptions::new()).unwrap());
                for _ in 0..3 {
                    set.spawn(pool, |cx| async move { cx.cancelled().await.0 }).unwrap();
                }
                cx.yield_now().await;
                set.cancel().unwrap();
                if wait_first {
                    cx.sleep(Duration::from_micros(10)).await.unwrap();
                }
                let mut reasons = Vec::new();
                while let Some(result) = set.join_next().await {
                    reasons.push(result);
                }
                reasons
            })
            .unwrap();
        run_out(&mut runner);
        assert_eq!(task.try_join(), Some(Ok(vec![Ok(Reason::User); 3])));
        assert_eq!((executor.tasks().count(), executor.regions().count()), (0, 0));
    }
}

#[test]
fn the_drop_of_a_set_drops_every_result_once() {
    for ended in [false, true] {
        let mut runner = start();
        let executor = runner.executor();
        let pool = pool::<3>();
        let drops = counter();
        let mut set: JoinSet<Dropped, 3> = JoinSet::new(open(&runner));
        for _ in 0..3 {
            let output = Dropped::counted(&drops);
            set.spawn(pool, |cx| async move {
                let _ = cx.sleep(Duration::from_micros(1)).await;
                output
            })
            .unwrap();
        }
        settle(&mut runner, us(0));
        settle(&mut runner, us(ended.into()));
        assert_eq!(drops.load(SeqCst), 0);
        drop(set);
        settle(&mut runner, us(1));
        assert_eq!((drops.load(SeqCst), executor.tasks().count(), executor.regions().count()), (3, 0, 0));
    }
}

#[test]
fn an_output_that_spawns_when_it_is_dropped_spawns_nothing_by_the_task_that_has_ended() {
    struct Spawns(Cx, &'static OnceLock<Option<SpawnErrorKind>>);

    impl Drop for Spawns {
        fn drop(&mut self) {
            let spawned = self.0.spawn(pool::<1>(), |_| async {});
            self.1.set(spawned.err().map(|refused| refused.kind)).unwrap();
        }
    }

    for joined in [false, true] {
        let mut runner = start();
        let region = open(&runner);
        let told = leak(OnceLock::new());
        let task: JoinHandle<Spawns> =
            region.spawn(pool::<1>(), |cx| async move { Spawns(cx, told) }).unwrap();
        settle(&mut runner, us(0));
        if joined {
            drop(task);
        } else {
            std::mem::forget(task);
            close(&mut runner, region);
        }
        assert_eq!(told.get(), Some(&Some(SpawnErrorKind::Stale)));
    }
}
