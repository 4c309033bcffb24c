//! The runtime: what it promises, what it refuses.

mod ends;
mod hostile;
mod join_set;
#[cfg(target_os = "linux")]
mod kernel;
mod local;
mod off_workers;
#[cfg(target_os = "linux")]
mod pinned;
mod refused;
mod simulated;
mod sleeping;
mod turns;

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use trilane::exec::{
    Attributes, Cx, JoinError, Reason, RegionOptions, SpawnErrorKind, TaskOptions, TaskPool, yield_now,
};
use trilane::sched::Priority;
use trilane::time::Duration as Span;
use trilane_std::runtime::{Handle, Runtime, block_on};

fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

fn runtime(workers: usize, name: &str) -> &'static Runtime {
    leak(Runtime::builder().workers(workers).name(name).build().unwrap())
}

/// Computes, as a poll that takes this long does.
fn compute(span: Duration) {
    let began = Instant::now();
    while began.elapsed() < span {
        std::hint::spin_loop();
    }
}

#[test]
fn tasks_run_and_are_joined_from_any_thread() {
    let runtime = runtime(2, "any-thread");
    let tasks: Vec<_> =
        (0..500u64).map(|number| runtime.spawn(move |_| async move { number }).unwrap()).collect();
    let sum = runtime.block_on(async {
        let mut sum = 0;
        for task in tasks {
            sum += task.await.unwrap();
        }
        sum
    });
    assert_eq!(sum, (0..500).sum());
}

#[test]
fn the_context_is_that_of_the_core() {
    let runtime = runtime(2, "context");
    static POOL: TaskPool<64, 4> = TaskPool::new();
    async fn main(cx: Cx) -> u32 {
        let began = cx.now();
        cx.sleep(Span::from_millis(3)).await.unwrap();
        assert!(cx.now() - began >= Span::from_millis(3));
        let slow = cx.sleep(Span::from_secs(100));
        cx.timeout(Span::from_millis(2), slow).await.unwrap_err();
        cx.spawn(&POOL, |_| async { 7 }).unwrap().await.unwrap()
    }
    assert_eq!(runtime.block_on(runtime.spawn(main).unwrap().into_future()), Ok(7));
}

#[test]
fn a_task_is_asked_to_stop_and_then_ended_by_force() {
    static SHORT: Attributes = Attributes::named("short").cleanup_time(Span::from_millis(5));
    let runtime = runtime(2, "force");
    let polite = runtime.spawn(|cx| async move { cx.cancelled().await.0 }).unwrap();
    let stubborn =
        runtime.spawn_with(TaskOptions::new().attributes(&SHORT), |_| std::future::pending::<()>()).unwrap();
    polite.cancel().unwrap();
    stubborn.cancel().unwrap();
    assert_eq!(block_on(polite.into_future()), Ok(Reason::User));
    assert_eq!(block_on(stubborn.into_future()), Err(JoinError::Cancelled(Reason::User)));
}

#[test]
fn a_region_ends_its_tasks() {
    static POOL: TaskPool<64, 8> = TaskPool::new();
    let runtime = runtime(2, "region");
    let mut region = runtime.open_region(RegionOptions::new()).unwrap();
    let wait = |cx: Cx| async move { cx.cancelled().await.0 };
    let in_pool = (0..8).map(|_| region.spawn(&POOL, wait).unwrap());
    let in_slots = (0..8).map(|_| runtime.spawn_in(&region, TaskOptions::new(), wait).unwrap());
    let tasks: Vec<_> = in_pool.chain(in_slots).collect();
    block_on(region.close()).unwrap();
    assert!(tasks.iter().all(|task| task.is_finished()));
    let late = runtime.spawn_in(&region, TaskOptions::new(), |_| async {}).unwrap_err();
    assert_eq!(late.kind, SpawnErrorKind::RegionClosed);
}

#[test]
fn a_task_owns_what_it_spawns_in_its_region() {
    let runtime = runtime(2, "own-region");
    let handle = runtime.handle();
    let task = runtime.spawn(move |cx| async move {
        let mut region = cx.open_region(RegionOptions::new().quota(4)).unwrap();
        let seven = 7u8;
        let spawn = |number: u8| {
            handle.spawn_in(&region, TaskOptions::new(), move |cx| async move {
                assert_eq!(cx.region(), handle.tasks().find(|info| info.id == cx.id()).unwrap().region);
                cx.sleep(Span::from_millis(number.into())).await.map(|()| seven * number)
            })
        };
        let wait = |cx: Cx| async move { cx.cancelled().await.0 };
        let stays = handle.spawn_in(&region, TaskOptions::new(), wait);
        let tasks = [1, 2, 3].map(|number| spawn(number).unwrap());
        let mut sum = 0;
        for task in tasks {
            sum += task.await.unwrap().unwrap();
        }
        let others = [(); 3].map(|()| handle.spawn_in(&region, TaskOptions::new(), wait).unwrap());
        let one_more = handle.spawn_in(&region, TaskOptions::new(), wait);
        assert_eq!(one_more.unwrap_err().kind, SpawnErrorKind::QuotaExceeded);
        region.close().await.unwrap();
        assert!(stays.unwrap().is_finished() && others.iter().all(|task| task.is_finished()));
        sum
    });
    assert_eq!(block_on(task.unwrap().into_future()), Ok(42));
}

#[test]
fn what_is_spawned_beside_a_member_ends_with_the_region() {
    let runtime = runtime(2, "beside");
    let handle = runtime.handle();
    let mut region = runtime.open_region(RegionOptions::new()).unwrap();
    let id = region.id();
    let (send, receive) = mpsc::channel();
    let member = handle.spawn_in(&region, TaskOptions::new(), move |cx| async move {
        let spawned = (0..20).map(|_| {
            let send = send.clone();
            let child = move |own: Cx| async move {
                assert_eq!(own.region(), Some(id));
                let grandchild = move |own: Cx| async move {
                    assert_eq!(own.region(), Some(id));
                    send.send(own.cancelled().await.0).unwrap();
                };
                handle.spawn_beside(own, TaskOptions::new(), grandchild).unwrap();
            };
            handle.spawn_beside(cx, TaskOptions::new().priority(Priority::of::<3>()), child).unwrap()
        });
        for child in spawned.collect::<Vec<_>>() {
            child.await.unwrap();
        }
    });
    assert_eq!(block_on(member.unwrap()), Ok(()));
    assert!(receive.try_recv().is_err());
    block_on(region.close()).unwrap();
    assert_eq!(receive.try_iter().collect::<Vec<_>>(), [Reason::ParentClosed; 20]);
}

#[test]
fn beside_a_task_of_no_region_a_task_is_in_none_and_beside_one_that_has_ended_there_is_no_place() {
    let [here, elsewhere] = ["beside-none", "beside-elsewhere"].map(|name| runtime(2, name));
    let region = here.open_region(RegionOptions::new()).unwrap();
    let (id, options) = (region.id(), TaskOptions::new());
    let task = here.spawn(move |cx| async move {
        let child = here.spawn_beside(cx, options, |own| async move { own.region() }).unwrap();
        assert_eq!(child.await, Ok(None));
        let refused =
            |handle: Handle, options| handle.spawn_beside(cx, options, |_| async {}).unwrap_err().kind;
        assert_eq!(refused(here.handle(), options.region(id)), SpawnErrorKind::RegionClosed);
        assert_eq!(refused(elsewhere.handle(), options), SpawnErrorKind::Stale);
        let ended = Runtime::builder().workers(1).build().unwrap().handle();
        assert_eq!(refused(ended, options), SpawnErrorKind::ShutDown);
        cx
    });
    let cx = block_on(task.unwrap()).unwrap();
    let error = here.spawn_beside(cx, options, |_| async { 7 }).unwrap_err();
    assert_eq!(error.kind, SpawnErrorKind::Stale);
    assert_eq!(block_on(here.spawn(error.rejected).unwrap()), Ok(7));
}

#[test]
fn a_region_is_opened_where_there_is_room() {
    let runtime = leak(Runtime::builder().workers(1).capacity(3_000).build().unwrap());
    let wait = |cx: Cx| async move { cx.cancelled().await.0 };
    let handle = runtime.handle();
    let task = runtime.spawn(move |cx| async move {
        // The task's own shard is full now.
        let others: Vec<_> = (0..1_023).map(|_| handle.spawn(wait).unwrap()).collect();
        let own = cx.open_region(RegionOptions::new()).unwrap();
        let full = handle.spawn_in(&own, TaskOptions::new(), wait).unwrap_err();
        assert_eq!(full.kind, SpawnErrorKind::ExecutorFull);
        let mut region = handle.open_region(RegionOptions::new()).unwrap();
        let tasks = (0..1_000).map(|_| handle.spawn_in(&region, TaskOptions::new(), wait).unwrap());
        let tasks: Vec<_> = tasks.collect();
        region.close().await.unwrap();
        assert!(tasks.iter().all(|task| task.is_finished()));
        // More than one shard has.
        let regions: Vec<_> = (0..190).map(|_| handle.open_region(RegionOptions::new()).unwrap()).collect();
        drop((regions, others));
    });
    assert_eq!(block_on(task.unwrap().into_future()), Ok(()));
}

#[test]
fn a_region_has_room_where_others_fill_the_runtime() {
    let runtime = leak(Runtime::builder().workers(2).capacity(4_096).build().unwrap());
    let wait = |cx: Cx| async move { cx.cancelled().await.0 };
    let regions = [(); 2].map(|()| runtime.open_region(RegionOptions::new()).unwrap());
    // All that there is but half of the shards with regions.
    let others: Vec<_> = (0..3_072).map(|_| runtime.spawn(wait).unwrap()).collect();
    let in_region = |region| runtime.spawn_in(region, TaskOptions::new(), wait);
    let tasks: Vec<_> = (0..400).flat_map(|_| regions.iter().map(in_region).map(Result::unwrap)).collect();
    // The last slots are for whoever comes first.
    let last: Vec<_> = (0..4_096 - 3_072 - tasks.len()).map(|_| runtime.spawn(wait).unwrap()).collect();
    assert_eq!(runtime.spawn(wait).unwrap_err().kind, SpawnErrorKind::ExecutorFull);
    assert_eq!(in_region(&regions[0]).unwrap_err().kind, SpawnErrorKind::ExecutorFull);
    for mut region in regions {
        block_on(region.close()).unwrap();
    }
    assert!(tasks.iter().all(|task| task.is_finished()));
    assert!(others.iter().chain(&last).all(|task| !task.is_finished()));
}

#[test]
fn a_task_gives_others_what_ends_it() {
    let runtime = runtime(2, "abort-handle");
    let handle = runtime.handle();
    let task = runtime.spawn(move |cx| async move {
        let own = cx.abort_handle();
        handle.spawn(move |_| async move { own.cancel().unwrap() }).unwrap();
        (cx.cancelled().await.0, own.id() == cx.id())
    });
    assert_eq!(block_on(task.unwrap().into_future()), Ok((Reason::User, true)));
}

#[test]
fn a_region_of_another_runtime_is_refused_and_what_was_to_run_comes_back() {
    let [here, elsewhere] = ["here", "elsewhere"].map(|name| runtime(1, name));
    let region = elsewhere.open_region(RegionOptions::new()).unwrap();
    let said = String::from("still mine");
    let error = here.spawn_in(&region, TaskOptions::new(), move |_| async move { said }).unwrap_err();
    assert_eq!(error.kind, SpawnErrorKind::RegionClosed);
    let task = elsewhere.spawn(error.rejected).unwrap();
    assert_eq!(block_on(task.into_future()).unwrap(), "still mine");
}

#[test]
fn a_panic_is_the_tasks_own() {
    let runtime = runtime(1, "panic");
    let bad = runtime.spawn(|_| async { panic!("on purpose") }).unwrap();
    let good = runtime.spawn(|_| async { 7 }).unwrap();
    assert_eq!(block_on(bad.into_future()), Err::<(), _>(JoinError::Panicked));
    assert_eq!(block_on(good.into_future()), Ok(7));
}

#[test]
fn a_panic_whose_message_panics_leaves_the_worker() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("the message panics, too");
        }
    }
    let runtime = runtime(1, "bomb");
    let bad = runtime.spawn(|_| async { std::panic::panic_any(Bomb) }).unwrap();
    assert_eq!(block_on(bad.into_future()), Err::<(), _>(JoinError::Panicked));
    assert_eq!(block_on(runtime.spawn(|_| async { 7 }).unwrap().into_future()), Ok(7));
}

#[test]
fn a_future_larger_than_a_slot_is_boxed_and_counted() {
    let runtime = runtime(1, "boxed");
    let before = Handle::boxed();
    let big = [7u8; 10_000];
    let task = runtime
        .spawn(move |_| async move {
            yield_now().await;
            big
        })
        .unwrap();
    assert_eq!(block_on(task.into_future()).unwrap(), big);
    let task =
        runtime.spawn_with(TaskOptions::new().priority(Priority::HIGHEST), move |_| async move { big });
    drop(task.unwrap());
    assert_eq!(Handle::boxed() - before, 2);
}

#[test]
fn a_million_tasks_go_through_two_thousand_slots() {
    let runtime = runtime(2, "many");
    let tasks = if cfg!(debug_assertions) { 20_000u32 } else { 1_000_000 };
    let sum: &'static AtomicU64 = Box::leak(Box::new(AtomicU64::new(0)));
    for number in 0..tasks {
        let mut build = move |_: Cx| async move {
            if number % 7 == 0 {
                yield_now().await;
            }
            sum.fetch_add(1, SeqCst);
        };
        while let Err(error) = runtime.spawn(build).map(drop) {
            build = error.rejected;
            thread::yield_now();
        }
    }
    let began = Instant::now();
    while sum.load(SeqCst) != u64::from(tasks) {
        assert!(began.elapsed() < Duration::from_secs(20), "{} of {tasks}", sum.load(SeqCst));
        thread::yield_now();
    }
}

#[test]
fn a_task_finds_its_runtime() {
    let runtime = runtime(2, "current");
    assert!(Handle::current().is_none());
    let task = runtime.spawn(|_| async {
        let handle = Handle::current().expect("this is a task");
        handle.spawn(|_| async { 7 }).unwrap().await.unwrap()
    });
    assert_eq!(block_on(task.unwrap().into_future()), Ok(7));
}
