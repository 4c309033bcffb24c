//! Executors that several threads poll.

mod storm;
mod workers;

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use trilane::exec::{
    Cursor, Cx, Executor, JoinError, Manual, OpenError, RegionOptions, Regions, TaskOptions, TaskPool,
    TaskState,
};
use trilane::sched::Priority;
use trilane_tests::{leak, us};
use workers::{Host, alone, memory, shard, spawn, spawn_with, with_workers};

#[test]
fn a_task_is_polled_and_joined() {
    let shard = shard::<2, 4>();
    let mut task = spawn(shard, |cx| async move { cx.id() }).unwrap();
    assert!(shard.is_runnable());
    assert_eq!(alone(shard, 10), 1);
    assert!(!shard.is_runnable());
    let id = task.id();
    assert_eq!(task.try_join(), Some(Ok(id)));
    assert_eq!(shard.executor().tasks().count(), 0);
}

#[test]
fn an_executor_is_started_once_in_one_way() {
    let executor: &Executor<Manual, 2, 4> = leak(Executor::new(Manual::new()));
    let _runner = executor.start().unwrap();
    executor.share(memory(8, 1)).unwrap_err();
    let executor: &Executor<Manual, 2, 4> = leak(Executor::new(Manual::new()));
    executor.share(memory(8, 1)).unwrap();
    executor.share(memory(8, 1)).unwrap_err();
    assert!(executor.start().is_err());
}

#[test]
fn a_single_bank_is_shared_if_its_platform_says_so() {
    static POOL: TaskPool<256, 4> = TaskPool::new();
    let executor: &Executor<workers::Shared, 1, 4> = leak(Executor::new(workers::Shared));
    // A wake from before counts, of a special task as well.
    let sleep = |cx: trilane::exec::Cx| cx.sleep_until(us(50));
    let urgent = TaskOptions::new().priority(Priority::of::<3>());
    let mut sleepers =
        [executor.spawn(&POOL, sleep).unwrap(), executor.spawn_with(urgent, &POOL, sleep).unwrap()];
    let shard = executor.share(&mut []).unwrap();
    assert!(shard.is_runnable_before_sleep());
    assert_eq!(alone(shard, 10), 2);
    assert!(!shard.is_runnable_before_sleep());
    shard.serve(us(50));
    assert!(shard.is_runnable());
    assert_eq!(alone(shard, 10), 2);
    assert!(sleepers.iter_mut().all(|sleeper| sleeper.try_join() == Some(Ok(Ok(())))));
    assert!(!shard.is_runnable());
}

#[test]
fn the_platform_is_told_of_tasks_that_wake_themselves_once_and_whoever_else_polls_finds_them() {
    let executor: &Executor<workers::Told, 1, 4> = leak(Executor::new(workers::Told(AtomicU32::new(0))));
    let told = || executor.platform().0.swap(0, SeqCst);
    let shard = executor.share(memory(4, 4)).unwrap();
    let mut tasks = [(); 2].map(|()| {
        let yields = |cx: Cx| async move {
            while !cx.is_cancelled() {
                cx.yield_now().await;
            }
        };
        spawn(shard, yields).unwrap()
    });
    assert_eq!(told(), 2, "of each spawn");
    for polls in [1, 2, 3, 10] {
        assert_eq!(alone(shard, polls), polls);
        assert_eq!(told(), 1, "after {polls} polls");
        assert!(shard.is_runnable_before_sleep());
    }
    tasks.iter().for_each(|task| task.cancel().unwrap());
    assert_eq!(alone(shard, 100), 2);
    assert!(tasks.iter_mut().all(|task| task.try_join() == Some(Ok(()))));
    assert!(!shard.is_runnable_before_sleep());
}

#[test]
fn a_full_shard_gives_the_build_function_back() {
    let shard = shard::<2, 4>();
    let tasks: Vec<_> = (0..8).map(|number| spawn(shard, move |_| async move { number }).unwrap()).collect();
    let error = spawn(shard, |_| async {}).unwrap_err();
    assert_eq!(error.kind, trilane::exec::SpawnErrorKind::ExecutorFull);
    alone(shard, 100);
    drop(tasks);
    spawn(shard, error.rejected).unwrap();
}

#[test]
fn each_slot_has_memory_of_its_own() {
    // Banks that are part filled: their slots' numbers have gaps.
    const LINES: usize = 4;
    let regions: &Regions<4> = leak(Regions::new());
    let executor: &Executor<workers::Still, 3, 5> = leak(Executor::new(workers::Still)).with_regions(regions);
    let memory = memory(15, LINES);
    let inside = memory.as_ptr_range();
    let inside = inside.start.addr()..inside.end.addr();
    let shard = executor.share(memory).unwrap();
    let places: &std::sync::Mutex<Vec<usize>> = leak(std::sync::Mutex::new(Vec::new()));
    for number in 0..15u8 {
        let task = move |_| {
            let bytes = [number; LINES * 64 - 16];
            std::future::poll_fn(move |_| {
                places.lock().unwrap().push(bytes.as_ptr().addr());
                assert!(bytes.iter().all(|&byte| byte == number));
                std::task::Poll::<()>::Pending
            })
        };
        drop(spawn(shard, task).unwrap());
    }
    assert_eq!(alone(shard, 100), 15);
    let mut places = places.lock().unwrap();
    places.sort_unstable();
    assert!(places.iter().all(|place| inside.contains(place)), "{places:x?} {inside:x?}");
    assert!(places.windows(2).all(|two| two[1] - two[0] >= LINES * 64));
}

#[test]
fn a_future_that_has_room_nowhere_comes_back() {
    let shard = shard::<2, 4>();
    let big = [7u8; 1_000];
    assert!(shard.slot_bytes() < 1_000);
    let before = trilane_tests::dump(shard.executor());
    let error = spawn(shard, move |_| async move { big }).unwrap_err();
    assert_eq!(error.kind, trilane::exec::SpawnErrorKind::PoolFull);
    assert_eq!(trilane_tests::dump(shard.executor()), before);
}

#[test]
fn special_tasks_go_before_plain_ones_in_the_order_of_the_lanes() {
    let shard = shard::<2, 32>();
    let order: &std::sync::Mutex<Vec<u32>> = leak(std::sync::Mutex::new(Vec::new()));
    let add = |options: TaskOptions, number: u32| {
        drop(spawn_with(shard, options, move |_| async move { order.lock().unwrap().push(number) }).unwrap());
    };
    for number in 0..40 {
        add(TaskOptions::new(), number);
    }
    add(TaskOptions::new().priority(Priority::of::<3>()), 100);
    add(TaskOptions::new().priority(Priority::of::<9>()), 101);
    add(TaskOptions::new().deadline(us(900)), 102);
    add(TaskOptions::new().deadline(us(300)), 103);
    alone(shard, 100);
    let order = order.lock().unwrap();
    assert_eq!(order[..4], [103, 102, 101, 100]);
    assert_eq!(order[4..], (0..40).collect::<Vec<_>>());
}

#[test]
fn two_tasks_that_wake_each_other_do_not_starve_the_others() {
    // With 30 others that always yield: each of them has its turn within a round.
    let shard = shard::<2, 32>();
    let polls: &[AtomicU32; 32] = leak([const { AtomicU32::new(0) }; 32]);
    let wakers: &[std::sync::Mutex<Option<std::task::Waker>>; 2] =
        leak([const { std::sync::Mutex::new(None) }; 2]);
    for number in 0..32 {
        let poll = move |cx: &mut std::task::Context<'_>| {
            polls[number].fetch_add(1, SeqCst);
            if number < 2 {
                *wakers[number].lock().unwrap() = Some(cx.waker().clone());
                if let Some(other) = &*wakers[1 - number].lock().unwrap() {
                    other.wake_by_ref();
                }
            } else {
                cx.waker().wake_by_ref();
            }
            std::task::Poll::<()>::Pending
        };
        drop(spawn(shard, move |_| std::future::poll_fn(poll)).unwrap());
    }
    alone(shard, 3_200);
    let least = polls[2..].iter().map(|polls| polls.load(SeqCst)).min().unwrap();
    let most = polls.iter().map(|polls| polls.load(SeqCst)).max().unwrap();
    assert!(least >= 50, "{polls:?}");
    assert!(most <= 8 * least, "{polls:?}");
}

#[test]
fn r1_all_that_are_woken_have_their_turns_also_by_a_guest() {
    const TASKS: usize = 40;
    for (guest, most) in [(false, 1), (false, 7), (true, 1), (true, 7), (true, 16), (true, 50)] {
        let shard = shard::<4, 16>();
        let polls: &'static [AtomicU32; TASKS] = leak([const { AtomicU32::new(0) }; TASKS]);
        let tasks = polls.iter().map(|polls| {
            let runs = move |cx: Cx| async move {
                while !cx.is_cancelled() {
                    polls.fetch_add(1, SeqCst);
                    cx.yield_now().await;
                }
            };
            spawn(shard, runs).unwrap()
        });
        let tasks: Vec<_> = tasks.collect();
        let mut cursor = Cursor::default();
        for _ in 0..TASKS {
            assert_eq!(shard.work(&mut cursor, guest, &|_, _| {}, &|polls| polls < most), most);
        }
        let polls: Vec<_> = polls.iter().map(|polls| polls.load(SeqCst)).collect();
        assert!(polls.iter().all(|&polls| polls > 0), "guest {guest}, {most} at once: {polls:?}");
        drop(tasks);
    }
}

#[test]
fn a_task_that_ignores_a_request_is_ended_by_force_on_time() {
    static STUBBORN: trilane::exec::Attributes =
        trilane::exec::Attributes::named("stubborn").cleanup_time(trilane::time::Duration::from_micros(50));
    let shard = shard::<2, 4>();
    let options = TaskOptions::new().attributes(&STUBBORN);
    let mut task = spawn_with(shard, options, |_| std::future::pending::<()>()).unwrap();
    alone(shard, 10);
    task.cancel().unwrap();
    alone(shard, 10);
    assert_eq!(task.try_join(), None);
    let due = shard.next_due().unwrap();
    assert_eq!(due, us(50));
    shard.serve(us(49));
    assert_eq!(task.try_join(), None);
    shard.serve(us(50));
    assert!(matches!(task.try_join(), Some(Err(JoinError::Cancelled(_)))));
    assert_eq!(shard.next_due(), None);
}

#[test]
fn a_queued_task_that_is_asked_to_stop_is_polled_once_more() {
    let shard = shard::<2, 8>();
    let first = TaskOptions::new().priority(Priority::HIGHEST);
    // Queues the second, and takes one poll.
    let mut one = spawn_with(shard, first, |_| async {}).unwrap();
    let mut two =
        spawn_with(
            shard,
            TaskOptions::new().priority(Priority::of::<1>()),
            |cx| async move { cx.is_cancelled() },
        )
        .unwrap();
    assert_eq!(alone(shard, 1), 1);
    assert_eq!(one.try_join(), Some(Ok(())));
    let info = shard.executor().task(two.id()).unwrap();
    assert!(matches!(info.state, TaskState::Queued(_)), "{info:?}");
    two.cancel().unwrap();
    assert_eq!(alone(shard, 10), 1);
    assert_eq!(two.try_join(), Some(Ok(true)));
}

#[test]
fn a_panicking_task_leaves_the_others() {
    let shard = shard::<2, 8>();
    let mut bad = spawn(shard, |_| async { panic!("on purpose") }).unwrap();
    let mut worse =
        spawn_with(shard, TaskOptions::new().priority(Priority::HIGHEST), |_| async { panic!("on purpose") })
            .unwrap();
    let mut good = spawn(shard, |_| async { 7 }).unwrap();
    let mut panics = 0;
    while shard.is_runnable() {
        let work = std::panic::AssertUnwindSafe(|| alone(shard, 100));
        panics += u32::from(std::panic::catch_unwind(work).is_err());
    }
    assert_eq!(panics, 2);
    assert_eq!(bad.try_join(), Some(Err::<(), _>(JoinError::Panicked)));
    assert_eq!(worse.try_join(), Some(Err::<(), _>(JoinError::Panicked)));
    assert_eq!(good.try_join(), Some(Ok(7)));
    assert_eq!(shard.executor().counters().polls, 3);
}

#[test]
fn a_dump_says_what_runs() {
    let shard = shard::<2, 8>();
    let seen = spawn(shard, move |cx| async move { shard.executor().task(cx.id()).unwrap().state }).unwrap();
    alone(shard, 10);
    let mut seen = seen;
    assert_eq!(seen.try_join(), Some(Ok(TaskState::Running)));
}

#[test]
fn a_region_closes_while_others_work() {
    let shards = with_workers(2, Duration::from_secs(20), |shards| async move {
        for round in 0..if cfg!(miri) { 4 } else { 200u32 } {
            let mut region =
                shards[(round % 2) as usize].executor().open_region(RegionOptions::new()).unwrap();
            for number in 0..8u32 {
                let pool = workers::POOL.get_or_init(|| leak(trilane::exec::TaskPool::new()));
                drop(region.spawn(pool, move |cx| async move {
                    for _ in 0..number {
                        cx.yield_now().await;
                    }
                    cx.cancelled().await;
                }));
            }
            region.close().await.unwrap();
        }
    });
    for shard in shards {
        assert_eq!(shard.executor().tasks().count(), 0);
        assert_eq!(shard.executor().regions().count(), 0);
    }
}

#[test]
fn no_room_for_regions_is_said() {
    let executor: &Executor<Host, 2, 4> = leak(Executor::new(Host::new()));
    let shard = executor.share(memory(8, 1)).unwrap();
    assert_eq!(shard.executor().open_region(RegionOptions::new()).unwrap_err(), OpenError::Full);
}
