//! tokio: its channels and locks in our tasks and between the two runtimes, and one runtime inside the other.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, Notify, Semaphore, broadcast, mpsc, oneshot, watch};
use trilane::exec::{JoinError, Reason, yield_now};
use trilane_std::runtime::Handle;

use crate::{join, runtime, spawn};

fn tokio_runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap()
}

/// Where a task runs.
#[derive(Clone, Copy)]
enum At<'a> {
    Ours(Handle),
    Theirs(&'a tokio::runtime::Handle),
}

impl At<'_> {
    /// Runs `future` there. What it is ready with comes by a channel of the standard library.
    fn run<F>(self, future: F) -> std::sync::mpsc::Receiver<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let (told, tell) = std::sync::mpsc::channel();
        let task = async move {
            // Whoever is told may have gone.
            let _ = told.send(future.await);
        };
        match self {
            Self::Ours(handle) => drop(spawn(&handle, task)),
            Self::Theirs(handle) => drop(handle.spawn(task)),
        }
        tell
    }
}

/// Calls `test` for two tasks of ours, and for one of each, both ways round.
fn between(test: impl Fn(At<'_>, At<'_>)) {
    for workers in [1, 2] {
        let (ours, theirs) = (runtime(workers), tokio_runtime());
        let (ours, theirs) = (At::Ours(ours.handle()), At::Theirs(theirs.handle()));
        test(ours, ours);
        test(ours, theirs);
        test(theirs, ours);
    }
}

#[test]
fn a_full_channel_holds_its_sender_up_and_loses_nothing() {
    between(|from, to| {
        let (sender, mut receiver) = mpsc::channel(4);
        let sent = from.run(async move {
            for number in 0..1_000u32 {
                sender.send(number).await.unwrap();
            }
        });
        let received = to.run(async move {
            let mut all = Vec::new();
            while let Some(number) = receiver.recv().await {
                all.push(number);
            }
            all
        });
        assert!(received.recv().unwrap().into_iter().eq(0..1_000));
        sent.recv().unwrap();
    });
}

#[test]
fn a_question_is_answered_or_its_asker_hears_that_nobody_will() {
    between(|asks, answers| {
        let (ask, asked) = oneshot::channel::<oneshot::Sender<u32>>();
        let served = answers.run(async move { asked.await.unwrap().send(7) });
        let answer = asks.run(async move {
            let (reply, answer) = oneshot::channel();
            ask.send(reply).unwrap();
            answer.await
        });
        assert_eq!(answer.recv().unwrap(), Ok(7));
        served.recv().unwrap().unwrap();
        let (gone, answer) = oneshot::channel::<u32>();
        let waits = asks.run(answer);
        drop(gone);
        assert!(waits.recv().unwrap().is_err());
    });
}

#[test]
fn a_lock_lets_in_one_and_a_semaphore_three() {
    between(|some, others| {
        let (sum, places) = (Arc::new(Mutex::new(0u32)), Arc::new(Semaphore::new(3)));
        let inside = Arc::new(AtomicUsize::new(0));
        let work = || {
            let (sum, places, inside) = (sum.clone(), places.clone(), inside.clone());
            async move {
                for _ in 0..100 {
                    let place = places.acquire().await.unwrap();
                    assert!(inside.fetch_add(1, SeqCst) < 3);
                    let mut sum = sum.lock().await;
                    let before = *sum;
                    tokio::task::yield_now().await;
                    *sum = before + 1;
                    inside.fetch_sub(1, SeqCst);
                    drop((sum, place));
                }
            }
        };
        let done: Vec<_> = (0..4).flat_map(|_| [some.run(work()), others.run(work())]).collect();
        done.into_iter().for_each(|done| done.recv().unwrap());
        assert_eq!(*sum.blocking_lock(), 800);
    });
}

#[test]
fn two_tasks_notify_each_other() {
    between(|one, other| {
        let bells = Arc::new([Notify::new(), Notify::new()]);
        let play = |me: usize| {
            let bells = bells.clone();
            async move {
                for _ in 0..500 {
                    bells[me].notified().await;
                    bells[1 - me].notify_one();
                }
            }
        };
        let done = [one.run(play(0)), other.run(play(1))];
        bells[0].notify_one();
        done.into_iter().for_each(|done| done.recv().unwrap());
    });
}

#[test]
fn all_hear_what_is_broadcast_and_the_last_of_what_is_watched() {
    between(|some, others| {
        let (speaker, _) = broadcast::channel(64);
        let (shown, seen) = watch::channel(0u32);
        let hear = || {
            let (mut hears, mut sees) = (speaker.subscribe(), seen.clone());
            async move {
                let mut all = 0;
                while let Ok(number) = hears.recv().await {
                    all += number;
                }
                (all, *sees.wait_for(|&number| number == 9).await.unwrap())
            }
        };
        let heard: Vec<_> = (0..3).flat_map(|_| [some.run(hear()), others.run(hear())]).collect();
        for number in 0..50u32 {
            speaker.send(number).unwrap();
        }
        drop(speaker);
        (1..10).for_each(|number| shown.send(number).unwrap());
        heard.into_iter().for_each(|heard| assert_eq!(heard.recv().unwrap(), ((0..50).sum(), 9)));
    });
}

#[test]
fn a_task_that_waits_for_a_channel_is_stopped_and_no_message_lost() {
    let runtime = runtime(2);
    let (sender, mut receiver) = mpsc::channel(1);
    let waits = runtime.spawn(move |cx| async move {
        let stopped = cx.run_until_cancelled(receiver.recv()).await.map_err(|cancelled| cancelled.0);
        (stopped, receiver)
    });
    let waits = waits.unwrap();
    thread::sleep(Duration::from_millis(5));
    waits.cancel().unwrap();
    let (stopped, mut receiver) = join(waits);
    assert_eq!(stopped, Err(Reason::User));
    sender.blocking_send(7).unwrap();
    assert_eq!(join(spawn(&runtime, async move { receiver.recv().await })), Some(7));
}

#[test]
fn a_task_of_ours_waits_for_a_timer_of_tokios() {
    let (runtime, tokio) = (runtime(1), tokio_runtime());
    let sleep = {
        let _inside = tokio.enter();
        tokio::time::sleep(Duration::from_millis(20))
    };
    let began = Instant::now();
    join(spawn(&runtime, sleep));
    assert!(began.elapsed() >= Duration::from_millis(15));
}

#[test]
fn handles_are_awaited_on_either_side() {
    let tokio = tokio_runtime();
    tokio.block_on(async {
        let ours = runtime(2);
        let handle = ours.handle();
        // Theirs awaits ours: a value, and a panic.
        let theirs = tokio::spawn(async move {
            let good = handle.spawn(|_| async { 7 }).unwrap().await;
            let bad = handle.spawn(|_| async { panic!("on purpose") }).unwrap().await;
            (good, bad)
        });
        assert_eq!(theirs.await.unwrap(), (Ok(7), Err::<(), _>(JoinError::Panicked)));
        // Ours awaits theirs, and that work of both which blocks.
        let there = tokio::runtime::Handle::current();
        let task = spawn(&handle, async move {
            let good = there.spawn(async { 1 }).await.unwrap();
            let is_panic = there.spawn(async { panic!("on purpose") }).await.unwrap_err().is_panic();
            assert!(is_panic);
            let blocked = there.spawn_blocking(|| 2).await.unwrap();
            good + blocked + handle.spawn_blocking(|| 4).await.unwrap()
        });
        assert_eq!(task.await, Ok(7));
        assert_eq!(ours.spawn_blocking(|| 8).await, Ok(8));
        // A task of ours is awaited, and stopped, from a task of theirs.
        let mut stubborn = ours.spawn(|_| std::future::pending::<()>()).unwrap();
        let waited = tokio::time::timeout(Duration::from_millis(5), stubborn.join()).await;
        assert!(waited.is_err());
        stubborn.cancel().unwrap();
        assert_eq!(stubborn.await, Err(JoinError::Cancelled(Reason::User)));
    });
}

#[test]
fn a_runtime_is_made_used_and_dropped_inside_tasks_of_tokios() {
    let tokio = tokio_runtime();
    let all: Vec<_> = (0..8u32)
        .map(|number| {
            tokio.spawn(async move {
                let ours = runtime(1);
                // A task is left to be ended by the drop.
                drop(ours.spawn(|cx| async move { cx.cancelled().await }));
                let value = ours.spawn(move |_| async move {
                    yield_now().await;
                    number
                });
                value.unwrap().await.unwrap()
            })
        })
        .collect();
    let sum = tokio.block_on(async {
        let mut sum = 0;
        for task in all {
            sum += task.await.unwrap();
        }
        sum
    });
    assert_eq!(sum, 28);
}
