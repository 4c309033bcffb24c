//! Tasks that wake each other.

use std::future::{pending, poll_fn};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use trilane::exec::{JoinHandle, TaskOptions, yield_now};
use trilane::sched::Priority;
use trilane_std::runtime::{Runtime, block_on};

#[cfg(target_os = "linux")]
use crate::kernel::switches;
use crate::{compute, leak, runtime};

/// Two tasks that take turns until there were so many, and wake each other in each poll. `first` is what each
/// does first of all.
fn pair(
    runtime: &'static Runtime,
    turns: &'static AtomicU32,
    most: u32,
    first: impl FnOnce() + Clone + Send + 'static,
) -> [JoinHandle<()>; 2] {
    let wakers: &'static [Mutex<Option<Waker>>; 2] = leak([const { Mutex::new(None) }; 2]);
    [0, 1].map(|me: usize| {
        let mut first = Some(first.clone());
        let play = move |cx: &mut Context<'_>| {
            if let Some(first) = first.take() {
                first();
            }
            *wakers[me].lock().unwrap() = Some(cx.waker().clone());
            let now = turns.load(SeqCst);
            if now < most && now % 2 == me as u32 {
                turns.store(now + 1, SeqCst);
            }
            if let Some(other) = &*wakers[1 - me].lock().unwrap() {
                other.wake_by_ref();
            }
            if now >= most { Poll::Ready(()) } else { Poll::Pending }
        };
        runtime.spawn(move |_| poll_fn(play)).unwrap()
    })
}

async fn join(tasks: impl IntoIterator<Item = JoinHandle<()>>) {
    for task in tasks {
        task.await.unwrap();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn r2_a_ping_pong_on_one_worker_makes_no_system_call() {
    let runtime = runtime(1, "ping");
    let switched = runtime.spawn(move |_| async move {
        let before = switches();
        join(pair(runtime, leak(AtomicU32::new(0)), 20_000, || {})).await;
        switches() - before
    });
    assert_eq!(block_on(switched.unwrap()), Ok(0), "the worker slept");
}

#[test]
fn r3_two_tasks_that_wake_each_other_leave_the_others_their_turns() {
    let runtime = runtime(1, "hints");
    let turns = leak(AtomicU32::new(0));
    let pair = pair(runtime, turns, 1 << 30, || {});
    let others = [(); 10].map(|()| {
        let yields = |_| async {
            for _ in 0..1_000 {
                yield_now().await;
            }
        };
        runtime.spawn(yields).unwrap()
    });
    block_on(join(others));
    pair.iter().for_each(|task| task.cancel().unwrap());
    turns.store(1 << 30, SeqCst);
    block_on(join(pair));
}

#[test]
fn a_task_of_one_worker_is_woken_by_tasks_of_another() {
    let most = if cfg!(debug_assertions) { 2_000 } else { 100_000 };
    // Each on its own worker: both are in their first polls at once.
    let start = Arc::new(Barrier::new(2));
    let first = move || {
        start.wait();
    };
    block_on(join(pair(runtime(2, "across"), leak(AtomicU32::new(0)), most, first)));
}

#[test]
fn a_special_task_waits_for_no_tasks_of_other_shards() {
    const SHARDS: usize = 8;
    const WAKES: usize = 50;
    static POLLS: AtomicU32 = AtomicU32::new(0);
    /// How many there had been at the wake.
    static WOKEN: AtomicU32 = AtomicU32::new(0);
    static WAKER: OnceLock<Waker> = OnceLock::new();
    static ENDS: AtomicBool = AtomicBool::new(false);
    // A task that is always runnable in each shard, among others that never are.
    let runtime = leak(Runtime::builder().workers(1).capacity(SHARDS * 1024).build().unwrap());
    for shard in 0..SHARDS {
        let parked = if shard + 1 == SHARDS { 1_000 } else { 1_023 };
        for _ in 0..parked {
            drop(runtime.spawn(|_| pending::<()>()).unwrap());
        }
        let busy = move |_| async move {
            while !ENDS.load(SeqCst) {
                let polls = POLLS.fetch_add(1, SeqCst) + 1;
                if let Some(waker) = WAKER.get().filter(|_| shard == 0)
                    && WOKEN.compare_exchange(0, polls, SeqCst, SeqCst).is_ok()
                {
                    waker.wake_by_ref();
                }
                compute(Duration::from_micros(50));
                yield_now().await;
            }
        };
        drop(runtime.spawn(busy).unwrap());
    }
    let special = |_| {
        let mut waits = Vec::new();
        poll_fn(move |cx| {
            WAKER.get_or_init(|| cx.waker().clone());
            let woken = WOKEN.swap(0, SeqCst);
            if woken != 0 {
                waits.push(POLLS.load(SeqCst) - woken);
            }
            if waits.len() < WAKES { Poll::Pending } else { Poll::Ready(std::mem::take(&mut waits)) }
        })
    };
    let special = runtime.spawn_with(TaskOptions::new().priority(Priority::of::<1>()), special).unwrap();
    let waits = block_on(special).unwrap();
    ENDS.store(true, SeqCst);
    assert_eq!(waits, [0; WAKES]);
}
