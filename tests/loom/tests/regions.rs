//! Regions that close while their tasks end, begin, or are joined.
#![cfg(trilane_loom)]

use std::sync::Arc;
use std::task::Poll;

use loom::thread;
use trilane::exec::{Cx, JoinError, RegionOptions, SpawnErrorKind, TaskOptions};
use trilane::time::Instant;
use trilane_loom::{Plain, Stage, Told, check};

/// Ends when it is asked to.
async fn wait_for_request(cx: Cx) -> u32 {
    cx.cancelled().await;
    7
}

#[test]
fn a_region_cancelled_from_another_context_ends_its_task() {
    check(|| {
        let (stage, mut runner) = Stage::<1, 1>::set();
        let region = stage.executor.open_region(RegionOptions::new()).unwrap();
        let mut handle = region.spawn(stage.pool, wait_for_request).unwrap();
        runner.poll_pending(Instant::ZERO);
        let canceller = thread::spawn(move || {
            region.cancel().unwrap();
            region
        });
        runner.run_until(|| handle.is_finished());
        let region = canceller.join().unwrap();
        // When the runner has cleared up, the result of a task whose handle was forgotten is gone.
        assert!(matches!(handle.try_join(), Some(Ok(7) | Err(JoinError::Reclaimed))));
        drop(region);
        runner.poll_pending(Instant::ZERO);
        assert_eq!(stage.executor.regions().count(), 0);
        assert_eq!(stage.executor.tasks().count(), 0);
    });
}

#[test]
fn a_region_dropped_while_its_task_ends_gives_its_entry_back() {
    check(|| {
        let (stage, mut runner) = Stage::<1, 1>::set();
        let region = stage.executor.open_region(RegionOptions::new()).unwrap();
        drop(region.spawn(stage.pool, |_cx| std::future::ready(())).unwrap());
        let dropper = thread::spawn(move || drop(region));
        runner.poll_pending(Instant::ZERO);
        dropper.join().unwrap();
        runner.poll_pending(Instant::ZERO);
        assert_eq!(stage.executor.tasks().count(), 0);
        assert_eq!(stage.executor.regions().count(), 0);
        let again = [(); 2].map(|()| stage.executor.open_region(RegionOptions::new()));
        assert!(again.iter().all(Result::is_ok));
    });
}

#[test]
fn a_task_spawned_while_its_region_closes_is_refused_or_asked_to_stop() {
    check(|| {
        let (stage, mut runner) = Stage::<1, 1>::set();
        let region = Arc::new(stage.executor.open_region(RegionOptions::new()).unwrap());
        let spawner = {
            let region = region.clone();
            thread::spawn(move || region.spawn(stage.pool, wait_for_request).map_err(|error| error.kind))
        };
        let canceller = {
            let region = region.clone();
            thread::spawn(move || region.cancel().unwrap())
        };
        runner.poll_pending(Instant::ZERO);
        let spawned = spawner.join().unwrap();
        canceller.join().unwrap();
        runner.poll_pending(Instant::ZERO);
        match spawned {
            Ok(handle) => assert!(handle.is_finished()),
            Err(kind) => assert_eq!(kind, SpawnErrorKind::RegionClosed),
        }
        drop(region);
        runner.poll_pending(Instant::ZERO);
        assert_eq!(stage.executor.regions().count(), 0);
    });
}

#[test]
fn a_result_joined_while_its_region_clears_up_is_handed_out_or_dropped_once() {
    check(|| {
        let (stage, mut runner) = Stage::<1, 1>::set();
        let drops = Plain::new();
        let told = drops.clone();
        let region = stage.executor.open_region(RegionOptions::new()).unwrap();
        let mut handle = region
            .spawn(stage.pool, |_cx| std::future::poll_fn(move |_| Poll::Ready(Told::new(7, told.clone()))))
            .unwrap();
        runner.poll_pending(Instant::ZERO);
        drop(region);
        let holder = thread::spawn(move || match handle.try_join() {
            Some(Ok(told)) => assert_eq!(told.value(), 7),
            Some(Err(error)) => assert_eq!(error, JoinError::Reclaimed),
            None => panic!("the task is over"),
        });
        runner.poll_pending(Instant::ZERO);
        holder.join().unwrap();
        runner.poll_pending(Instant::ZERO);
        assert_eq!(drops.get(), 1);
        assert_eq!(stage.executor.tasks().count(), 0);
        assert_eq!(stage.executor.regions().count(), 0);
    });
}

#[test]
fn whoever_closes_a_region_on_another_executor_is_woken_when_all_in_it_is_over() {
    check(|| {
        let (stage, mut runner) = Stage::<1, 2>::set();
        // Lets the runner here end as well.
        let (last, waker) = stage.spawn_asleep(&mut runner, TaskOptions::new(), |_| Poll::Ready(()));
        let mut region = stage.executor.open_region(RegionOptions::new()).unwrap();
        let drops = Plain::new();
        let held = Told::new(7, drops.clone());
        let member = |cx: Cx| async move {
            let _held = held;
            cx.cancelled().await;
        };
        drop(region.spawn(stage.pool, member).unwrap());
        let other = thread::spawn(move || {
            let (there, mut runner) = Stage::<1, 1>::set();
            let closer = async move {
                region.close().await.unwrap();
                assert_eq!(drops.get(), 1);
            };
            let mut closer = there.executor.spawn(there.pool, |_cx| closer).unwrap();
            runner.run_until(|| closer.is_finished());
            waker.wake();
            closer.try_join()
        });
        runner.run_until(|| last.is_finished());
        assert_eq!(other.join().unwrap(), Some(Ok(())));
    });
}
