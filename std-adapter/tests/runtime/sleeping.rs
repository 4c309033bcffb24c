//! Which workers sleep, and who wakes them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use trilane::exec::{Attributes, Cx, JoinError, JoinHandle, MissedTick, Reason, TaskOptions, yield_now};
use trilane::time::Duration as Span;
use trilane_std::runtime::{Runtime, block_on};

#[cfg(target_os = "linux")]
use crate::kernel::threads_named;
use crate::{compute, leak, runtime};

#[test]
fn r1_no_runnable_task_waits_while_a_worker_sleeps() {
    rescue(runtime(2, "rescue"));
}

#[test]
fn r1_no_runnable_task_waits_for_a_long_poll_while_others_have_short_ones() {
    let runtime = runtime(2, "rescue-busy");
    let busy = yields_at_worker_1(runtime);
    rescue(runtime);
    busy.cancel().unwrap();
}

/// The second task from outside, which always wakes itself.
fn yields_at_worker_1(runtime: &'static Runtime) -> JoinHandle<()> {
    block_on(runtime.spawn(|_| async {}).unwrap()).unwrap();
    let busy = |cx: Cx| async move {
        while !cx.is_cancelled() {
            cx.yield_now().await;
        }
    };
    runtime.spawn(busy).unwrap()
}

fn rescue(runtime: &'static Runtime) {
    // One worker is in a poll of 50 ms, in which it wakes others of its home.
    let mut waited: Vec<u64> = (0..15)
        .map(|_| {
            let waited: &'static AtomicU64 = leak(AtomicU64::new(u64::MAX));
            let long = runtime.spawn(move |_| async move {
                let woken = Instant::now();
                for _ in 0..8 {
                    let other = runtime.spawn(move |_| async move {
                        waited.fetch_min(woken.elapsed().as_micros() as u64, SeqCst);
                    });
                    drop(other.unwrap());
                }
                compute(Duration::from_millis(50));
            });
            block_on(long.unwrap()).unwrap();
            waited.load(SeqCst)
        })
        .collect();
    waited.sort_unstable();
    println!("a task waited {waited:?} us");
    // A millisecond until somebody looks; beside it stands what a busy computer takes.
    assert!(waited[waited.len() / 2] < 10_000, "{waited:?} us");
}

#[test]
fn r6_a_timer_of_a_busy_worker_is_fired_by_another() {
    fire(runtime(2, "timers"));
}

#[test]
fn r6_a_timer_of_a_busy_worker_is_fired_by_another_that_has_something_to_do() {
    let runtime = runtime(2, "timers-busy");
    let busy = yields_at_worker_1(runtime);
    fire(runtime);
    busy.cancel().unwrap();
}

#[test]
fn r6_a_sleep_waits_for_few_polls_of_a_task_that_has_become_slow() {
    let runtime = runtime(1, "slow");
    let busy = yields_at_worker_1(runtime);
    let polls = Arc::new(Mutex::new(Vec::new()));
    let slow = runtime.spawn({
        let polls = polls.clone();
        move |cx: Cx| async move {
            // Meanwhile it is like any other.
            for _ in 0..10_000 {
                cx.yield_now().await;
            }
            while !cx.is_cancelled() {
                polls.lock().unwrap().push(Instant::now());
                compute(Duration::from_millis(2));
                cx.yield_now().await;
            }
        }
    });
    let sleeper = runtime.spawn(move |cx| async move {
        let mut waited = Vec::new();
        while waited.len() < 40 {
            let due = Instant::now() + Duration::from_millis(5);
            cx.sleep(Span::from_millis(5)).await.unwrap();
            waited.push(polls.lock().unwrap().iter().filter(|&&begun| begun > due).count());
        }
        waited
    });
    let mut waited = block_on(sleeper.unwrap()).unwrap();
    slow.unwrap().cancel().unwrap();
    busy.cancel().unwrap();
    waited.sort_unstable();
    println!("a sleep waited for {waited:?} polls");
    // Nobody knew of the first. The clock may be a poll behind.
    assert!(waited[38] <= 2 && waited[39] <= 64, "{waited:?}");
}

fn fire(runtime: &'static Runtime) {
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

#[test]
fn spans_of_either_kind_are_waited_for() {
    let runtime = runtime(1, "spans");
    let task = runtime.spawn(|cx| async move {
        let (real, span) = (Duration::from_millis(2), Span::from_millis(2));
        let began = cx.now();
        cx.sleep(real).await.unwrap();
        cx.sleep(span).await.unwrap();
        cx.timeout(real, std::future::pending::<()>()).await.unwrap_err();
        cx.interval(real, MissedTick::Skip).unwrap().tick().await.unwrap();
        Duration::from(cx.now() - began)
    });
    assert!(block_on(task.unwrap()).unwrap() >= Duration::from_millis(8));
}
