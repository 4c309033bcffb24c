//! The runtime: what it promises, what it refuses.

#[cfg(target_os = "linux")]
mod kernel;

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::task::{Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

#[cfg(target_os = "linux")]
use kernel::{switches, threads_named};
use trilane::exec::{
    Attributes, Cx, JoinError, OpenError, Reason, RegionOptions, SpawnErrorKind, TaskOptions, TaskPool,
    yield_now,
};
use trilane::sched::Priority;
use trilane::time::Duration as Span;
use trilane_std::runtime::{BuildError, Builder, Handle, Runtime, Unfinished, block_on};

fn runtime(workers: usize, name: &str) -> &'static Runtime {
    Box::leak(Box::new(Runtime::builder().workers(workers).name(name).build().unwrap()))
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
    let tasks: Vec<_> =
        (0..8).map(|_| region.spawn(&POOL, |cx| async move { cx.cancelled().await.0 }).unwrap()).collect();
    block_on(region.close()).unwrap();
    assert!(tasks.iter().all(|task| task.is_finished()));
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

// === what is refused ===

#[test]
fn numbers_out_of_range_are_refused() {
    let build = |builder: Builder| builder.build().map(drop).unwrap_err();
    assert!(matches!(build(Runtime::builder().workers(0)), BuildError::Workers(0)));
    assert!(matches!(build(Runtime::builder().workers(65)), BuildError::Workers(65)));
    assert!(matches!(build(Runtime::builder().capacity(0)), BuildError::Capacity(0)));
    assert!(matches!(build(Runtime::builder().capacity((1 << 20) + 1)), BuildError::Capacity(_)));
    assert!(matches!(build(Runtime::builder().slot_bytes(70_000)), BuildError::SlotBytes(70_000)));
    assert_eq!(build(Runtime::builder().workers(0)).to_string(), "a runtime has 1 to 64 workers, not 0");
}

#[test]
fn a_full_runtime_gives_the_build_function_back() {
    let runtime = Runtime::builder().workers(2).capacity(10).build().unwrap();
    let mut tasks = Vec::new();
    for _ in 0..runtime.capacity() {
        tasks.push(runtime.spawn(|cx| async move { cx.cancelled().await.0 }).unwrap());
    }
    let error = runtime.spawn(|_| async { 7 }).unwrap_err();
    assert_eq!(error.kind, SpawnErrorKind::ExecutorFull);
    let last = tasks.pop().unwrap();
    last.cancel().unwrap();
    block_on(last.into_future()).unwrap();
    assert_eq!(block_on(runtime.spawn(error.rejected).unwrap().into_future()), Ok(7));
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

#[test]
fn block_on_inside_a_task_is_refused() {
    let runtime = runtime(1, "nested");
    let task = runtime.spawn(|_| async { block_on(async {}) }).unwrap();
    assert_eq!(block_on(task.into_future()), Err(JoinError::Panicked));
}

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
    assert_eq!(tell.recv().unwrap(), Err(SpawnErrorKind::RegionClosed));
    // Another runtime may have the memory: it isn't this handle's.
    let _next = Runtime::builder().workers(1).build().unwrap();
    assert_eq!(handle.spawn(|_| async {}).unwrap_err().kind, SpawnErrorKind::RegionClosed);
    assert_eq!(handle.open_region(RegionOptions::new()).unwrap_err(), OpenError::Closed);
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

// === who runs what, and who sleeps ===

#[test]
fn r1_no_runnable_task_waits_while_a_worker_sleeps() {
    let runtime = runtime(2, "rescue");
    // One worker is in a poll of 200 ms, in which it wakes others of its home.
    let waited: &'static [AtomicU64; 8] = Box::leak(Box::new([const { AtomicU64::new(0) }; 8]));
    let long = runtime
        .spawn(move |_| async move {
            let woken = Instant::now();
            let others: Vec<_> = waited
                .iter()
                .map(|slot| {
                    runtime
                        .spawn(move |_| async move {
                            slot.store(woken.elapsed().as_micros() as u64, SeqCst);
                        })
                        .unwrap()
                })
                .collect();
            compute(Duration::from_millis(200));
            others.len()
        })
        .unwrap();
    assert_eq!(block_on(long.into_future()), Ok(8));
    for waited in waited {
        let waited = waited.load(SeqCst);
        // A millisecond, and the noise of a busy computer.
        assert!(waited > 0 && waited < 100_000, "{waited} us");
    }
}

#[test]
fn r6_a_timer_of_a_busy_worker_is_fired_by_another() {
    let runtime = runtime(2, "timers");
    let fired: &'static AtomicU64 = Box::leak(Box::new(AtomicU64::new(0)));
    let long = runtime
        .spawn(move |cx| async move {
            let armed = Instant::now();
            let sleeper = runtime
                .spawn(move |cx| async move {
                    cx.sleep(Span::from_millis(5)).await.unwrap();
                    fired.store(armed.elapsed().as_micros() as u64, SeqCst);
                })
                .unwrap();
            // The sleeper has armed its timer when this goes on.
            yield_now().await;
            cx.sleep(Span::from_millis(1)).await.unwrap();
            compute(Duration::from_millis(200));
            sleeper.await.unwrap();
        })
        .unwrap();
    block_on(long.into_future()).unwrap();
    let fired = fired.load(SeqCst);
    assert!((5_000..100_000).contains(&fired), "{fired} us");
}

#[cfg(target_os = "linux")]
#[test]
fn r2_a_ping_pong_on_one_worker_makes_no_system_call() {
    let runtime = runtime(1, "ping");
    let rounds = 20_000u32;
    let turn: &'static AtomicU32 = Box::leak(Box::new(AtomicU32::new(0)));
    let wakers: &'static [Mutex<Option<Waker>>; 2] = Box::leak(Box::new([const { Mutex::new(None) }; 2]));
    let switched = runtime
        .spawn(move |_| async move {
            let before = switches();
            let players: Vec<_> = (0..2usize)
                .map(|me| {
                    let play = move |cx: &mut std::task::Context<'_>| {
                        *wakers[me].lock().unwrap() = Some(cx.waker().clone());
                        let now = turn.load(SeqCst);
                        if now % 2 == me as u32 {
                            turn.store(now + 1, SeqCst);
                        }
                        if let Some(other) = &*wakers[1 - me].lock().unwrap() {
                            other.wake_by_ref();
                        }
                        if now >= rounds { Poll::Ready(()) } else { Poll::Pending }
                    };
                    runtime.spawn(move |_| std::future::poll_fn(play)).unwrap()
                })
                .collect();
            for player in players {
                player.await.unwrap();
            }
            switches() - before
        })
        .unwrap();
    assert_eq!(block_on(switched.into_future()), Ok(0), "the worker slept");
}

#[cfg(target_os = "linux")]
#[test]
fn r13_nothing_wakes_up_when_all_sleep() {
    let runtime = runtime(2, "idle13");
    let task = runtime.spawn(|cx| async move { cx.cancelled().await }).unwrap();
    block_on(runtime.spawn(|cx| async move { cx.sleep(Span::from_millis(20)).await }).unwrap().into_future())
        .unwrap()
        .unwrap();
    thread::sleep(Duration::from_millis(300));
    let before = threads_named("idle13");
    assert_eq!(before.len(), 2);
    thread::sleep(Duration::from_millis(1_000));
    assert_eq!(threads_named("idle13"), before);
    task.cancel().unwrap();
    block_on(task.into_future()).unwrap();
}

#[test]
fn r3_two_tasks_that_wake_each_other_leave_the_others_their_turns() {
    let runtime = runtime(1, "hints");
    let done = Arc::new(AtomicBool::new(false));
    let wakers: &'static [Mutex<Option<Waker>>; 2] = Box::leak(Box::new([const { Mutex::new(None) }; 2]));
    let pair: Vec<_> = (0..2usize)
        .map(|me| {
            let done = done.clone();
            let play = move |cx: &mut std::task::Context<'_>| {
                *wakers[me].lock().unwrap() = Some(cx.waker().clone());
                if let Some(other) = &*wakers[1 - me].lock().unwrap() {
                    other.wake_by_ref();
                }
                if done.load(SeqCst) { Poll::Ready(()) } else { Poll::Pending }
            };
            runtime.spawn(move |_| std::future::poll_fn(play)).unwrap()
        })
        .collect();
    let others: Vec<_> = (0..10)
        .map(|_| {
            runtime
                .spawn(|_| async {
                    for _ in 0..1_000 {
                        yield_now().await;
                    }
                })
                .unwrap()
        })
        .collect();
    block_on(async {
        for other in others {
            other.await.unwrap();
        }
    });
    done.store(true, SeqCst);
    drop(pair);
    wakers.iter().for_each(|waker| waker.lock().unwrap().as_ref().unwrap().wake_by_ref());
}

#[test]
fn e11_r10_no_wake_is_lost_however_workers_go_to_sleep() {
    let runtime = runtime(3, "wakes");
    let rounds = if cfg!(debug_assertions) { 5_000 } else { 50_000 };
    for number in 0..rounds {
        let task = runtime.spawn(move |cx| async move {
            if number % 3 == 0 {
                cx.sleep(Span::from_micros(number % 60)).await.unwrap();
            }
            number
        });
        assert_eq!(block_on(task.unwrap().into_future()), Ok(number));
        if number % 64 == 0 {
            thread::sleep(Duration::from_micros(100));
        }
    }
}

#[test]
fn a_task_of_one_worker_is_woken_by_tasks_of_another() {
    let runtime = runtime(2, "across");
    let rounds = if cfg!(debug_assertions) { 2_000u32 } else { 100_000 };
    // Each on its own worker, if both are at work.
    let start = Arc::new(Barrier::new(2));
    let turn: &'static AtomicU32 = Box::leak(Box::new(AtomicU32::new(0)));
    let wakers: &'static [Mutex<Option<Waker>>; 2] = Box::leak(Box::new([const { Mutex::new(None) }; 2]));
    let players: Vec<_> = (0..2usize)
        .map(|me| {
            let start = start.clone();
            let mut began = false;
            let play = move |cx: &mut std::task::Context<'_>| {
                if !std::mem::replace(&mut began, true) {
                    start.wait();
                }
                *wakers[me].lock().unwrap() = Some(cx.waker().clone());
                let now = turn.load(SeqCst);
                if now % 2 == me as u32 {
                    turn.store(now + 1, SeqCst);
                }
                if let Some(other) = &*wakers[1 - me].lock().unwrap() {
                    other.wake_by_ref();
                }
                if now >= rounds { Poll::Ready(()) } else { Poll::Pending }
            };
            runtime.spawn(move |_| std::future::poll_fn(play)).unwrap()
        })
        .collect();
    block_on(async {
        for player in players {
            player.await.unwrap();
        }
    });
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

// === what new users met ===

#[test]
fn a_sleep_is_on_time_when_all_workers_are_busy() {
    let runtime = runtime(2, "grain");
    let done = Arc::new(AtomicBool::new(false));
    for _ in 0..4 {
        let done = done.clone();
        drop(runtime.spawn(move |_| async move {
            while !done.load(SeqCst) {
                compute(Duration::from_millis(1));
                yield_now().await;
            }
        }));
    }
    let late = runtime.spawn(|cx| async move {
        let mut late = Vec::new();
        for _ in 0..40 {
            let due = cx.now() + Span::from_millis(5);
            cx.sleep_until(due).await.unwrap();
            late.push(cx.now() - due);
        }
        late.sort_unstable();
        late[late.len() / 2]
    });
    let late = block_on(late.unwrap()).unwrap();
    done.store(true, SeqCst);
    // Some polls, and the noise of a busy computer; it was the time of 250 polls.
    assert!(late < Span::from_millis(60), "{late}");
}

#[test]
fn a_runtime_that_ends_in_a_task_of_its_own_doesnt_wait_for_it() {
    for shuts_down in [false, true] {
        let runtime = Runtime::builder().workers(1).build().unwrap();
        let handle = runtime.handle();
        let (told, tell) = mpsc::channel();
        let task = handle.spawn(move |cx| async move {
            if shuts_down {
                let end = std::panic::AssertUnwindSafe(|| runtime.shut_down(Duration::from_secs(1)));
                assert!(std::panic::catch_unwind(end).is_err());
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
    // Both have memory from before: they have counted.
    assert!(one.counters()[0].spawns > 0 || two.counters()[0].spawns > 0);
}

#[test]
fn a_region_in_options_is_refused() {
    let runtime = runtime(2, "options");
    let region = runtime.open_region(RegionOptions::new()).unwrap();
    let error = runtime.spawn_with(TaskOptions::new().region(region.id()), |_| async {}).unwrap_err();
    assert_eq!(error.kind, SpawnErrorKind::RegionClosed);
}

#[test]
fn a_clean_up_ends_whoever_has_polled_the_task() {
    static SHORT: Attributes = Attributes::named("short").cleanup_time(Span::from_micros(300));
    let runtime = runtime(3, "clean-ups");
    for round in 0..2_000 {
        let stubborn = runtime
            .spawn_with(TaskOptions::new().attributes(&SHORT), |_| std::future::pending::<()>())
            .unwrap();
        if round % 2 == 0 {
            thread::sleep(Duration::from_micros(100));
        }
        stubborn.cancel().unwrap();
        let began = Instant::now();
        assert_eq!(block_on(stubborn), Err(JoinError::Cancelled(Reason::User)));
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    }
}
