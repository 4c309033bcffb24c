//! Everything that other threads may do while a runner runs on its own.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::sync::{Barrier, Mutex, mpsc};
use std::task::{Poll, Waker};
use std::thread;

use futures::executor::block_on;
use trilane::exec::{
    Attributes, Executor, JoinHandle, Manual, Runner, SpawnErrorKind, TaskOptions, TaskPool,
};
use trilane::sched::Priority;
use trilane::time::Duration;
use trilane_std::thread::Thread;
use trilane_tests::future::Bell;
use trilane_tests::watch::{Dropped, counter};
use trilane_tests::{leak, manual, pool, settle, us};

/// How long a lost wake may keep a test waiting before it fails.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

/// Makes passes until all `threads` have ended, and one more.
fn run_beside<const BANKS: usize, const PER_BANK: usize>(
    runner: &mut Runner<Manual, BANKS, PER_BANK>,
    threads: &[thread::ScopedJoinHandle<'_, ()>],
) {
    let mut now = 0;
    while threads.iter().any(|thread| !thread.is_finished()) {
        settle(runner, us(now));
        now += 1;
        thread::yield_now();
    }
    settle(runner, us(now));
}

#[test]
fn tasks_spawned_from_other_threads_all_run() {
    const THREADS: u32 = 3;
    const SPAWNS: u32 = 2_000;
    let mut runner = manual::<3, 5>();
    let executor = runner.executor();
    let shared: &TaskPool<64, 8> = leak(TaskPool::new());
    let sum: &AtomicU32 = leak(AtomicU32::new(0));
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(move || {
                    for number in 0..SPAWNS {
                        let mut build = move |cx: trilane::exec::Cx| async move {
                            cx.yield_now().await;
                            sum.fetch_add(number, SeqCst);
                        };
                        while let Err(error) = executor.spawn(shared, build) {
                            assert_eq!(error.kind, SpawnErrorKind::PoolFull);
                            build = error.rejected;
                            thread::yield_now();
                        }
                    }
                })
            })
            .collect();
        run_beside(&mut runner, &threads);
    });
    let counters = executor.counters();
    assert_eq!((counters.spawns, counters.completions), (THREADS * SPAWNS, THREADS * SPAWNS));
    assert_eq!(sum.load(SeqCst), THREADS * (0..SPAWNS).sum::<u32>());
    assert_eq!(executor.tasks().count(), 0);
}

#[test]
fn a_result_is_joined_from_another_thread() {
    let mut runner = manual::<1, 8>();
    let executor = runner.executor();
    let pool = pool::<8>();
    thread::scope(|scope| {
        let threads: Vec<_> = (0..3u64)
            .map(|thread| {
                scope.spawn(move || {
                    for number in 0..500u64 {
                        let sent = Box::new(thread << 32 | number);
                        let task = executor.spawn(pool, |cx| async move {
                            if number % 2 == 0 {
                                cx.sleep(Duration::from_micros(number % 5)).await.unwrap();
                            }
                            sent
                        });
                        assert_eq!(*block_on(task.unwrap().into_future()).unwrap(), thread << 32 | number);
                    }
                })
            })
            .collect();
        run_beside(&mut runner, &threads);
    });
    assert_eq!(executor.tasks().count(), 0);
}

#[test]
fn a_handle_dropped_while_its_task_ends_drops_the_output_once() {
    const ROUNDS: u32 = 20_000;
    // One handle is on its way, one is being dropped, one waits to be sent: there is always a slot left.
    const SLOTS: usize = 4;
    let mut runner = manual::<1, SLOTS>();
    let executor = runner.executor();
    let small: &TaskPool<64, SLOTS> = leak(TaskPool::new());
    let drops = counter();
    let (sender, receiver) = mpsc::sync_channel::<JoinHandle<Dropped>>(1);
    thread::scope(|scope| {
        scope.spawn(move || receiver.into_iter().for_each(drop));
        for _ in 0..ROUNDS {
            let output = Dropped::counted(&drops);
            sender.send(executor.spawn(small, |_| async move { output }).unwrap()).unwrap();
            settle(&mut runner, us(0));
        }
        drop(sender);
    });
    settle(&mut runner, us(0));
    assert_eq!(drops.load(SeqCst), ROUNDS);
    assert_eq!(executor.counters().completions, ROUNDS);
    assert_eq!(executor.tasks().count(), 0);
    let again = [0; SLOTS].map(|_| executor.spawn(small, |_| async {}).unwrap());
    drop(again);
}

/// Where threads leave payloads for one task.
#[derive(Default)]
struct Mailbox {
    letters: Mutex<Vec<u32>>,
    reader: Mutex<Option<Waker>>,
}

impl Mailbox {
    fn post(&self, letter: u32) {
        self.letters.lock().unwrap().push(letter);
        let reader = self.reader.lock().unwrap().clone();
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// Waits for letters; registers before it looks, so that a letter posted in between wakes.
    async fn collect(&self) -> Vec<u32> {
        std::future::poll_fn(|cx| {
            *self.reader.lock().unwrap() = Some(cx.waker().clone());
            let letters = std::mem::take(&mut *self.letters.lock().unwrap());
            if letters.is_empty() { Poll::Pending } else { Poll::Ready(letters) }
        })
        .await
    }
}

/// The executor's thread sleeps when there is nothing to do, so a lost wake shows as a test that ends by its
/// patience.
fn no_wake_is_lost<const BANKS: usize, const PER_BANK: usize>(tasks: usize) {
    const LETTERS: u32 = 5_000;
    let executor = leak(Executor::<Thread, BANKS, PER_BANK>::new(Thread::new()));
    let pool = pool::<16>();
    let mailboxes: &[Mailbox] = leak(Vec::from_iter((0..tasks).map(|_| Mailbox::default())));
    let (sender, receiver) = mpsc::channel();
    for mailbox in mailboxes {
        let sender = sender.clone();
        let reader = executor.spawn(pool, |_| async move {
            let mut sum = 0;
            let mut count = 0;
            while count < 2 * LETTERS {
                let letters = mailbox.collect().await;
                count += letters.len() as u32;
                sum += letters.iter().sum::<u32>();
            }
            sender.send(sum).unwrap();
        });
        drop(reader.unwrap());
    }
    thread::spawn(|| executor.start().unwrap().run());
    for _ in 0..2 {
        thread::spawn(|| {
            for letter in 0..LETTERS {
                mailboxes.iter().for_each(|mailbox| mailbox.post(letter));
                if letter % 64 == 0 {
                    // Lets the executor fall asleep now and then.
                    thread::sleep(std::time::Duration::from_micros(50));
                }
            }
        });
    }
    for _ in mailboxes {
        let sum = receiver.recv_timeout(PATIENCE).expect("a wake was lost");
        assert_eq!(sum, 2 * (0..LETTERS).sum::<u32>());
    }
}

#[test]
fn no_wake_from_two_threads_is_lost_on_a_lone_task() {
    no_wake_is_lost::<1, 8>(1);
}

#[test]
fn no_wake_from_two_threads_is_lost_among_several_tasks() {
    no_wake_is_lost::<1, 8>(4);
}

#[test]
fn no_wake_from_two_threads_is_lost_over_several_banks() {
    no_wake_is_lost::<3, 2>(5);
}

#[test]
fn what_was_written_before_a_wake_is_read_after_it() {
    // Relaxed stores: only the wake orders them.
    use std::sync::atomic::Ordering::Relaxed;
    const ROUNDS: u32 = 20_000;
    let mut runner = manual::<1, 2>();
    let executor = runner.executor();
    let (data, flag): (&AtomicU32, &AtomicU32) = (leak(AtomicU32::new(0)), leak(AtomicU32::new(0)));
    let bell: &Bell = leak(Bell::new());
    let seen: &AtomicU32 = leak(AtomicU32::new(0));
    let task = executor.spawn(pool::<1>(), |_| {
        std::future::poll_fn(|cx| {
            bell.note(cx);
            let round = flag.load(Relaxed);
            assert!(data.load(Relaxed) >= round, "the wake came before what it tells of");
            seen.store(round, Relaxed);
            if round == ROUNDS { Poll::Ready(()) } else { Poll::Pending }
        })
    });
    settle(&mut runner, us(0));
    let waker = bell.waker();
    thread::scope(|scope| {
        let threads = [scope.spawn(move || {
            for round in 1..=ROUNDS {
                data.store(round, Relaxed);
                flag.store(round, Relaxed);
                waker.wake_by_ref();
            }
        })];
        run_beside(&mut runner, &threads);
    });
    assert_eq!(seen.load(SeqCst), ROUNDS);
    assert!(task.unwrap().is_finished());
}

#[test]
fn what_was_written_before_a_request_is_read_in_a_poll_that_another_wake_brings_about() {
    // Relaxed stores: only the request orders them. ThreadSanitizer and Miri see whether it does.
    use std::sync::atomic::{AtomicPtr, Ordering::Relaxed};
    let mut runner = manual::<1, 1>();
    let pool = pool::<1>();
    for round in 0..if cfg!(miri) { 20 } else { 2_000 } {
        let letter: &AtomicPtr<u32> = leak(AtomicPtr::default());
        let task = runner.executor().spawn(pool, |cx| async move {
            while !cx.is_cancelled() {
                cx.yield_now().await;
            }
            // SAFETY: it was written before the request.
            unsafe { *letter.load(Relaxed) }
        });
        let mut task = task.unwrap();
        let stop = task.abort_handle().unwrap();
        thread::scope(|scope| {
            scope.spawn(move || {
                letter.store(std::ptr::from_ref(leak(round)).cast_mut(), Relaxed);
                stop.cancel().unwrap();
            });
            while !task.is_finished() {
                runner.poll_pending(us(0));
            }
        });
        assert_eq!(task.try_join(), Some(Ok(round)));
    }
}

#[test]
fn keys_changed_from_other_threads_never_lose_a_task() {
    let mut runner = manual::<1, 8>();
    let executor = runner.executor();
    let pool = pool::<8>();
    let bells: &[Bell; 8] = leak([const { Bell::new() }; 8]);
    let tasks = bells.each_ref().map(|bell| executor.spawn(pool, |_| bell.forever()).unwrap());
    settle(&mut runner, us(0));
    let over = AtomicBool::new(false);
    let changes = [const { AtomicU32::new(0) }; 2];
    thread::scope(|scope| {
        let threads = [0, 1].map(|thread: u64| {
            let (tasks, over, changes) = (&tasks, &over, &changes[thread as usize]);
            scope.spawn(move || {
                for step in thread.. {
                    let id = tasks[step as usize % 8].id();
                    let deadline = (step % 3 != 0).then(|| us(1_000 + step * 7 % 50));
                    executor.set_deadline(id, deadline).unwrap();
                    executor.set_priority(id, Priority::new((step % 5) as u8).unwrap()).unwrap();
                    changes.fetch_add(1, SeqCst);
                    if over.load(SeqCst) {
                        return;
                    }
                }
            })
        });
        // The others may begin late, and run seldom.
        let enough = || changes.iter().all(|changes| changes.load(SeqCst) > 200);
        let ended = || threads.iter().any(|thread| thread.is_finished());
        let mut round = 1;
        while round < 2_000 || !enough() && !ended() {
            round += 1;
            bells.iter().for_each(Bell::ring);
            assert_eq!(settle(&mut runner, us(0)), 8);
            assert!(bells.iter().all(|bell| bell.polls() == round));
        }
        over.store(true, SeqCst);
    });
    assert_eq!(executor.counters().misses, 0);
}

#[test]
fn a_dump_from_another_thread_never_mixes_two_tasks() {
    // One slot, whose tasks take turns: the name belongs to the generation.
    let mut runner = manual::<1, 1>();
    let executor = runner.executor();
    let small: &TaskPool<64, 1> = leak(TaskPool::new());
    let over = AtomicBool::new(false);
    let seen = AtomicU32::new(0);
    thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            while !over.load(SeqCst) {
                for task in executor.tasks() {
                    seen.fetch_add(1, SeqCst);
                    let name = if task.id.generation() % 2 == 0 { "even" } else { "odd" };
                    assert_eq!(task.name, name, "{:?}", task.id);
                }
            }
        });
        // The other thread may begin late, and run seldom.
        let mut rounds = 0;
        while rounds < 60_000 || seen.load(SeqCst) < 100 && !watcher.is_finished() {
            rounds += 1;
            let even = executor
                .spawn_with(
                    TaskOptions::new().attributes(const { &Attributes::named("even") }),
                    small,
                    |_| async {},
                )
                .unwrap();
            assert_eq!(even.id().generation() % 2, 0);
            settle(&mut runner, us(0));
            drop(even);
            let odd = executor
                .spawn_with(
                    TaskOptions::new().attributes(const { &Attributes::named("odd") }),
                    small,
                    |_| async {},
                )
                .unwrap();
            drop(odd);
            settle(&mut runner, us(0));
        }
        over.store(true, SeqCst);
    });
}

#[test]
fn two_executors_share_a_pool() {
    let shared: &TaskPool<128, 3> = leak(TaskPool::new());
    let both = Barrier::new(2);
    let run = |offset: u32| {
        both.wait();
        let mut runner = manual::<1, 4>();
        let mut sum = 0;
        for number in 0..3_000 {
            let mut task = loop {
                match runner.executor().spawn(shared, move |_| async move { number + offset }) {
                    Ok(task) => break task,
                    Err(_) => thread::yield_now(),
                }
            };
            settle(&mut runner, us(0));
            sum += task.try_join().unwrap().unwrap() - offset;
        }
        assert_eq!(sum, (0..3_000).sum());
    };
    thread::scope(|scope| {
        scope.spawn(|| run(0));
        scope.spawn(|| run(1_000_000));
    });
}
