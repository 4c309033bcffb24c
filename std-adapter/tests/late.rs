//! How long what is due waits. These tests measure, so they run one after the other, in a process of their
//! own.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use trilane::exec::{Cx, JoinHandle, TaskOptions, yield_now};
use trilane::time::Duration as Span;
use trilane_std::runtime::{Runtime, block_on};

fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

fn runtime(workers: usize) -> &'static Runtime {
    leak(Runtime::builder().workers(workers).build().unwrap())
}

/// Computes, as a poll that takes this long does.
fn compute(span: Duration) {
    let began = Instant::now();
    while began.elapsed() < span {
        std::hint::spin_loop();
    }
}

#[test]
fn r1_no_runnable_task_waits_while_a_worker_sleeps() {
    let _alone = alone();
    let waited = rescue(runtime(2), Duration::from_millis(50), 15);
    // A millisecond until somebody looks; beside it stands what a busy computer takes.
    assert!(waited[7] < 10_000, "{waited:?} us");
}

#[test]
fn r1_no_runnable_task_waits_for_a_long_poll_while_others_have_short_ones() {
    let _alone = alone();
    let runtime = runtime(2);
    let busy = yields_at_worker_1(runtime);
    let waited = rescue(runtime, Duration::from_millis(200), 7);
    busy.cancel().unwrap();
    assert!(waited[3] < 150_000, "{waited:?} us");
}

#[test]
fn r1_no_special_task_waits_for_more_than_a_round_of_a_worker_that_has_others() {
    let _alone = alone();
    let runtime = runtime(2);
    let polls: &AtomicU64 = leak(AtomicU64::new(0));
    let busy = counted_yields_at_worker_1(runtime, polls);
    let mut waited: Vec<u64> = (0..15)
        .map(|_| {
            let waited: &AtomicU64 = leak(AtomicU64::new(u64::MAX));
            let long = runtime.spawn(move |cx: Cx| async move {
                let woken = polls.load(SeqCst);
                let soon = TaskOptions::new().deadline(cx.now() + Span::from_secs(1));
                let urgent = runtime.spawn_with(soon, move |_| async move {
                    waited.store(polls.load(SeqCst) - woken, SeqCst);
                });
                drop(urgent.unwrap());
                compute(Duration::from_millis(20));
            });
            block_on(long.unwrap()).unwrap();
            waited.load(SeqCst)
        })
        .collect();
    busy.cancel().unwrap();
    waited.sort_unstable();
    // A round is 64 polls. Before the worker has looked once, it may be in one already.
    assert!(waited[12] <= 200, "{waited:?} polls");
}

/// The second task from outside, which always wakes itself.
fn yields_at_worker_1(runtime: &'static Runtime) -> JoinHandle<()> {
    counted_yields_at_worker_1(runtime, leak(AtomicU64::new(0)))
}

/// [`yields_at_worker_1`], and how often it was polled.
fn counted_yields_at_worker_1(runtime: &'static Runtime, polls: &'static AtomicU64) -> JoinHandle<()> {
    block_on(runtime.spawn(|_| async {}).unwrap()).unwrap();
    let busy = move |cx: Cx| async move {
        while !cx.is_cancelled() {
            polls.fetch_add(1, SeqCst);
            cx.yield_now().await;
        }
    };
    runtime.spawn(busy).unwrap()
}

/// One worker is in a long poll, in which it wakes others of its home. How long the first of them waited, in
/// us.
fn rescue(runtime: &'static Runtime, poll: Duration, rounds: usize) -> Vec<u64> {
    let mut waited: Vec<u64> = (0..rounds)
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
                compute(poll);
            });
            block_on(long.unwrap()).unwrap();
            waited.load(SeqCst)
        })
        .collect();
    waited.sort_unstable();
    println!("a task waited {waited:?} us");
    waited
}

#[test]
fn r1_a_worker_visits_all_whose_workers_are_in_long_polls() {
    let _alone = alone();
    let runtime = runtime(3);
    // Two workers are in long polls. At the home of one of them a task always wakes itself; one at the home
    // of the other waits for the third worker.
    let mut waited: Vec<u64> = (0..9)
        .map(|_| {
            let both = Arc::new(Barrier::new(2));
            let (done, waited) = (Arc::new(AtomicBool::new(false)), leak(AtomicU64::new(u64::MAX)));
            let long = [both.clone(), both].map(|both| {
                let done = done.clone();
                let long = move |_| async move {
                    let is_first = both.wait().is_leader();
                    let woken = Instant::now();
                    let other = runtime.spawn(move |cx: Cx| async move {
                        if !is_first {
                            waited.store(woken.elapsed().as_micros() as u64, SeqCst);
                        }
                        while is_first && !done.load(SeqCst) {
                            cx.yield_now().await;
                        }
                    });
                    drop(other.unwrap());
                    compute(Duration::from_millis(200));
                };
                runtime.spawn(long).unwrap()
            });
            long.into_iter().for_each(|long| block_on(long).unwrap());
            done.store(true, SeqCst);
            waited.load(SeqCst)
        })
        .collect();
    waited.sort_unstable();
    assert!(waited[7] < 150_000, "{waited:?} us");
}

#[test]
fn r6_a_timer_of_a_busy_worker_is_fired_by_another() {
    let _alone = alone();
    let fired = fire(runtime(2));
    assert!((5_000..100_000).contains(&fired), "{fired} us");
}

#[test]
fn r6_a_timer_of_a_busy_worker_is_fired_by_another_that_has_something_to_do() {
    let _alone = alone();
    let runtime = runtime(2);
    let busy = yields_at_worker_1(runtime);
    let mut fired: Vec<u64> = (0..7).map(|_| fire(runtime)).collect();
    fired.sort_unstable();
    busy.cancel().unwrap();
    assert!(fired[0] >= 5_000 && fired[3] < 150_000, "{fired:?} us");
}

#[test]
fn r6_a_sleep_waits_for_few_polls_of_a_task_that_has_become_slow() {
    let _alone = alone();
    let runtime = runtime(1);
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

/// When the timer of a task that was armed for 5 ms fires, in us, while a worker is in a poll of 200 ms.
fn fire(runtime: &'static Runtime) -> u64 {
    let fired: &'static AtomicU64 = leak(AtomicU64::new(0));
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
    fired.load(SeqCst)
}

#[test]
fn a_sleep_is_on_time_when_all_workers_are_busy() {
    let _alone = alone();
    let runtime = runtime(2);
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
