//! Two workers that share an executor, and wakes, requests and clean-ups from elsewhere.
#![cfg(trilane_loom)]

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use loom::sync::atomic::{AtomicU32, Ordering};
use loom::thread;
use trilane::exec::{
    Attributes, Cursor, Executor, JoinError, JoinHandle, Platform, RegionOptions, Regions, Shard,
    TaskOptions, TaskPool,
};
use trilane::sched::Priority;
use trilane::time::{Duration, Instant};
use trilane_loom::{Plain, Sleeper, Told, check, check_with, showing};

type Home = Shard<Sleeper<true>, 2, 1>;

fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

fn shard() -> Home {
    let regions: &Regions<2> = leak(Regions::new());
    let executor: &Executor<Sleeper<true>, 2, 1> = leak(Executor::new(Sleeper::new())).with_regions(regions);
    executor.share(&mut []).unwrap()
}

fn pool() -> &'static TaskPool<256, 3> {
    leak(TaskPool::new())
}

/// Works once, and no longer than for `most` polls. At most one wake more is on its way then.
fn visit(shard: Home, most: u32) -> u32 {
    let polls = shard.work(&mut Cursor::default(), true, &|_, _| {}, &|polls| polls < most);
    shard.executor().platform().pend();
    polls
}

/// Works, and sleeps in between, until `done`.
fn work_until(shard: Home, done: impl Fn() -> bool) {
    let mut cursor = Cursor::default();
    while !done() {
        shard.work(&mut cursor, false, &|_, _| {}, &|_| true);
        shard.executor().platform().idle(&|| !shard.is_runnable_before_sleep() && !done());
        // Another worker may be about to do what there is to do.
        thread::yield_now();
    }
}

/// Spawns a task that waits already: its first poll, made here, shows its waker; the later ones call `poll`.
fn spawn_asleep<T: Send + 'static>(
    shard: Home,
    options: TaskOptions,
    poll: impl FnMut(&mut Context<'_>) -> Poll<T> + Send + 'static,
) -> (JoinHandle<T>, Waker) {
    let (poll, shown) = showing(poll);
    let handle = shard.executor().spawn_with(options, pool(), |_cx| poll_fn(poll)).unwrap();
    visit(shard, 1);
    (handle, shown())
}

/// A task that is woken `wakes` times from elsewhere, and is done when it has seen the last.
fn wakes_from_elsewhere(options: TaskOptions, wakes: u32) {
    let shard = shard();
    let (letter, polls) = (Plain::new(), Plain::new());
    let (read, counted) = (letter.clone(), polls.clone());
    let seen = Arc::new(AtomicU32::new(0));
    let told = seen.clone();
    let (mut handle, waker) = spawn_asleep(shard, options, move |_| {
        // Whichever worker polls it: this is ordered.
        counted.set(counted.get() + 1);
        if told.load(Ordering::Acquire) < wakes { Poll::Pending } else { Poll::Ready(read.get()) }
    });
    let writer = thread::spawn(move || {
        for wake in 1..=wakes {
            if wake == wakes {
                letter.set(7);
            }
            seen.store(wake, Ordering::Release);
            waker.wake_by_ref();
        }
    });
    let guest = thread::spawn(move || visit(shard, 1));
    work_until(shard, || handle.is_finished());
    writer.join().unwrap();
    guest.join().unwrap();
    assert_eq!(handle.try_join(), Some(Ok(7)));
}

#[test]
fn a_wake_from_elsewhere_is_never_lost() {
    check(|| wakes_from_elsewhere(TaskOptions::new(), 1));
}

#[test]
fn of_two_wakes_the_last_is_never_lost() {
    check_with(1, || wakes_from_elsewhere(TaskOptions::new(), 2));
}

/// One may find the task woken by the other, who hasn't told anybody of it.
#[test]
fn of_two_wakes_by_two_threads_none_is_lost() {
    check(|| {
        let shard = shard();
        let letters = [Plain::new(), Plain::new()];
        let read = letters.clone();
        let seen = Arc::new(AtomicU32::new(0));
        let told = seen.clone();
        let (mut handle, waker) = spawn_asleep(shard, TaskOptions::new(), move |_| {
            if told.load(Ordering::Acquire) < 2 {
                return Poll::Pending;
            }
            Poll::Ready(read.clone().map(|letter| letter.get()))
        });
        let writers = letters.map(|letter| {
            let (seen, waker) = (seen.clone(), waker.clone());
            thread::spawn(move || {
                letter.set(7);
                seen.fetch_add(1, Ordering::AcqRel);
                waker.wake();
            })
        });
        work_until(shard, || handle.is_finished());
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        assert_eq!(handle.try_join(), Some(Ok([7, 7])));
    });
}

/// The second wake finds the task woken, and leaves it at that: what came before it is seen nevertheless,
/// though nothing but the wake orders it.
#[test]
fn what_comes_before_one_more_wake_is_seen_by_the_poll() {
    check(|| {
        let shard = shard();
        let letter = Arc::new(AtomicU32::new(0));
        let read = letter.clone();
        let (mut handle, waker) = spawn_asleep(shard, TaskOptions::new(), move |_| {
            if read.load(Ordering::Relaxed) == 7 { Poll::Ready(()) } else { Poll::Pending }
        });
        waker.wake_by_ref();
        let writer = thread::spawn(move || {
            letter.store(7, Ordering::Relaxed);
            waker.wake();
        });
        work_until(shard, || handle.is_finished());
        writer.join().unwrap();
        assert_eq!(handle.try_join(), Some(Ok(())));
    });
}

#[test]
fn a_wake_of_a_special_task_is_never_lost() {
    check_with(1, || wakes_from_elsewhere(TaskOptions::new().priority(Priority::HIGHEST), 1));
}

/// A task that wakes itself, and whose polls several workers make.
fn yields(options: TaskOptions) {
    let shard = shard();
    let polls = Plain::new();
    let counted = polls.clone();
    let poll = move |cx: &mut Context<'_>| {
        counted.set(counted.get() + 1);
        if counted.get() == 3 {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    };
    let mut handle = shard.executor().spawn_with(options, pool(), |_cx| poll_fn(poll)).unwrap();
    let guest = thread::spawn(move || visit(shard, 1));
    work_until(shard, || handle.is_finished());
    guest.join().unwrap();
    assert_eq!(handle.try_join(), Some(Ok(())));
    assert_eq!(polls.get(), 3);
}

#[test]
fn a_task_that_wakes_itself_is_polled_once_a_wake() {
    check(|| yields(TaskOptions::new()));
}

#[test]
fn a_special_task_that_wakes_itself_is_polled_once_a_wake() {
    check_with(1, || yields(TaskOptions::new().priority(Priority::HIGHEST)));
}

#[test]
fn a_result_is_taken_while_another_worker_ends_the_task() {
    check(|| {
        let shard = shard();
        let drops = Plain::new();
        let told = drops.clone();
        let pool = pool();
        let mut handle = shard.executor().spawn(pool, move |_| async move { Told::new(7, told) }).unwrap();
        let guest = thread::spawn(move || visit(shard, 1));
        let result = loop {
            if let Some(result) = handle.try_join() {
                break result.unwrap();
            }
            shard.work(&mut Cursor::default(), false, &|_, _| {}, &|_| false);
            thread::yield_now();
        };
        assert_eq!(result.value(), 7);
        drop(result);
        // The slot is free: another task has it, while the other worker may not have given its claim up.
        let mut next = shard.executor().spawn(pool, |_| async { 8 }).unwrap();
        work_until(shard, || next.is_finished());
        assert_eq!(next.try_join().unwrap().unwrap(), 8);
        guest.join().unwrap();
        assert_eq!(drops.get(), 1);
    });
}

/// A task that is asked to stop while it is woken, queued or polled.
fn asked_to_stop(options: TaskOptions) {
    let shard = shard();
    let polls = Plain::new();
    let counted = polls.clone();
    let build = move |cx: trilane::exec::Cx| {
        poll_fn(move |_| {
            counted.set(counted.get() + 1);
            if cx.is_cancelled() { Poll::Ready(()) } else { Poll::Pending }
        })
    };
    let mut handle = shard.executor().spawn_with(options, pool(), build).unwrap();
    let abort = handle.abort_handle().unwrap();
    let guest = thread::spawn(move || visit(shard, 1));
    abort.cancel().unwrap();
    work_until(shard, || handle.is_finished());
    guest.join().unwrap();
    assert_eq!(handle.try_join(), Some(Ok(())));
    assert!(polls.get() <= 2);
}

#[test]
fn a_request_reaches_a_plain_task() {
    check_with(1, || asked_to_stop(TaskOptions::new()));
}

#[test]
fn a_request_reaches_a_queued_task() {
    check_with(1, || asked_to_stop(TaskOptions::new().priority(Priority::HIGHEST)));
}

#[test]
fn force_leaves_a_task_to_whoever_polls_it() {
    static SHORT: Attributes = Attributes::DEFAULT.cleanup_time(Duration::from_micros(1)).cleanup_polls(100);
    check_with(1, || {
        let shard = shard();
        let drops = Plain::new();
        let told = Told::new(0, drops.clone());
        let polls = Plain::new();
        let counted = polls.clone();
        let (mut handle, waker) =
            spawn_asleep(shard, TaskOptions::new().attributes(&SHORT), move |_| -> Poll<()> {
                let _ = &told;
                counted.set(counted.get() + 1);
                Poll::Pending
            });
        handle.cancel().unwrap();
        let waker = thread::spawn(move || waker.wake());
        let guest = thread::spawn(move || visit(shard, 1));
        // Its time is over.
        shard.serve(Instant::from_micros(1));
        work_until(shard, || handle.is_finished());
        waker.join().unwrap();
        guest.join().unwrap();
        assert!(matches!(handle.try_join(), Some(Err(JoinError::Cancelled(_)))));
        assert_eq!(drops.get(), 1);
    });
}

#[test]
fn a_region_is_served_by_one_worker() {
    check_with(1, || {
        let shard = shard();
        let region = shard.executor().open_region(RegionOptions::new()).unwrap();
        let drops = Plain::new();
        let told = Told::new(0, drops.clone());
        let member = region
            .spawn(pool(), |cx| {
                poll_fn(move |_| {
                    let _ = &told;
                    if cx.is_cancelled() { Poll::Ready(()) } else { Poll::Pending }
                })
            })
            .unwrap();
        visit(shard, 1);
        drop(region);
        let guest = thread::spawn(move || visit(shard, 1));
        work_until(shard, || member.is_finished());
        guest.join().unwrap();
        visit(shard, 1);
        assert_eq!(drops.get(), 1);
        assert_eq!(shard.executor().regions().count(), 0);
    });
}
