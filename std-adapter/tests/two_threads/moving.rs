//! One executor whose runner moves between two threads, as a worker would hand it over.

use std::collections::HashSet;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Poll, Waker};
use std::thread;
use std::time::Instant as RealInstant;

use trilane::exec::{Platform, Regions, Runner, TaskPool};
use trilane::time::{Duration, Instant};
use trilane_std::clock::Clock;

use super::play::{PATIENCE, play, wait_for};
use super::scenes::{Dice, Exec, Pool};
use super::{ROUNDS, Table, leak};

/// The platform of an executor without a thread of its own: whoever has the runner waits here until it is
/// needed.
struct Roaming {
    clock: Clock,
    call: Mutex<Call>,
    changed: Condvar,
}

struct Call {
    pended: bool,
    alarm: Option<Instant>,
}

impl Roaming {
    fn new() -> Self {
        let call = Mutex::new(Call { pended: false, alarm: None });
        Self { clock: Clock::new(), call, changed: Condvar::new() }
    }

    /// Waits for a pend or the alarm, and forgets what has come.
    fn wait(&self) {
        let mut call = self.call.lock().unwrap();
        loop {
            let left = call.alarm.map(|alarm| alarm - self.clock.now());
            if left == Some(Duration::ZERO) {
                call.alarm = None;
                return;
            }
            if call.pended {
                call.pended = false;
                return;
            }
            call = match left {
                None => self.changed.wait(call).unwrap(),
                Some(left) => {
                    let left = std::time::Duration::from(left);
                    self.changed.wait_timeout(call, left).unwrap().0
                }
            };
        }
    }
}

impl Platform for Roaming {
    fn now(&self) -> Instant {
        self.clock.now()
    }

    fn set_alarm(&self, at: Option<Instant>) {
        self.call.lock().unwrap().alarm = at;
    }

    fn pend(&self) {
        self.call.lock().unwrap().pended = true;
        self.changed.notify_one();
    }

    /// Never called: the runner is driven.
    fn idle(&self, _quiet: &dyn Fn() -> bool) {}
}

/// A runner that may leave the thread that started it.
///
/// # Moving Runner Invariant
///
/// 1. All tasks of its executor, and their outputs, are `Send`: nobody gets the runner's `LocalSpawner`.
/// 2. It is in no pass when it moves, and whoever gets it sees all that was done by whoever gave it.
struct MovingRunner(Runner<Roaming, 3, 6>);

// SAFETY: Moving Runner Invariant. 1: the field is private to this module, which calls `drive` and `executor`
// alone, and `Executor` and `Cx` spawn what is `Send` only. 2: `drive` borrows it for the whole pass, and
// what moves a value to another thread in safe code also synchronises the two. The core keeps nothing by
// thread: what the runner alone touches lies in the executor's static memory, in plain cells and in counters
// that are loaded and stored, and is handed on with the rest.
unsafe impl Send for MovingRunner {}

impl MovingRunner {
    fn start(executor: &'static Exec<Roaming>) -> Self {
        Self(executor.start().unwrap())
    }

    /// A pass. If a task panics in it, the executor is pended for the rest.
    fn drive(&mut self) {
        if catch_unwind(AssertUnwindSafe(|| self.0.drive())).is_err() {
            self.0.executor().platform().pend();
        }
    }
}

/// Two threads that hand the runner to each other after a few passes.
struct Workers {
    executor: &'static Exec<Roaming>,
    stop: Arc<AtomicBool>,
    moves: Arc<AtomicU32>,
    threads: [thread::JoinHandle<()>; 2],
}

impl Workers {
    fn start() -> Self {
        let regions: &Table = leak(Regions::new());
        let executor = leak(Exec::new(Roaming::new())).with_regions(regions);
        let (stop, moves) = (Arc::default(), Arc::default());
        let (to_first, first) = sync_channel(1);
        let (to_second, second) = sync_channel(1);
        to_first.send(MovingRunner::start(executor)).unwrap();
        let work = |seed, inbox, outbox| {
            let (stop, moves) = (Arc::clone(&stop), Arc::clone(&moves));
            thread::spawn(move || Self::work(executor, Dice(seed), inbox, outbox, &stop, &moves))
        };
        let threads = [work(0xF125, first, to_second), work(0x5EC0, second, to_first)];
        Self { executor, stop, moves, threads }
    }

    fn work(
        executor: &'static Exec<Roaming>,
        mut dice: Dice,
        inbox: Receiver<MovingRunner>,
        outbox: SyncSender<MovingRunner>,
        stop: &AtomicBool,
        moves: &AtomicU32,
    ) {
        for mut runner in inbox {
            for _ in 0..=dice.below(3) {
                executor.platform().wait();
                runner.drive();
                if stop.load(SeqCst) {
                    // Without the way to it, the other one ends as well.
                    return;
                }
            }
            moves.fetch_add(1, SeqCst);
            outbox.send(runner).expect("the other one waits for it");
        }
    }

    /// Ends the threads; how often the runner has moved.
    fn end(self) -> u32 {
        self.stop.store(true, SeqCst);
        self.executor.platform().pend();
        for thread in self.threads {
            thread.join().unwrap();
        }
        self.moves.load(SeqCst)
    }
}

#[test]
fn a_runner_moves_between_two_threads() {
    let workers = Workers::start();
    let pool: &Pool = leak(TaskPool::new());
    play([workers.executor; 2], pool, ROUNDS, 0x1DEA_F00D);
    assert!(workers.end() > ROUNDS);
}

#[test]
fn a_task_is_polled_by_two_threads() {
    let workers = Workers::start();
    let pool: &Pool = leak(TaskPool::new());
    let seen = workers.executor.spawn(pool, |cx| async move {
        let mut threads = HashSet::new();
        while threads.len() < 2 {
            threads.insert(thread::current().id());
            cx.sleep(Duration::from_micros(100)).await.unwrap();
        }
        threads
    });
    let seen = wait_for(seen.unwrap().into_future()).expect("both have it now and then").unwrap();
    let workers_ids = HashSet::from(workers.threads.each_ref().map(|thread| thread.thread().id()));
    assert_eq!(seen, workers_ids);
    workers.end();
}

#[test]
fn no_wake_of_a_third_thread_is_lost_while_the_runner_moves() {
    const TASKS: usize = 6;
    const RINGS: u32 = 5_000;

    /// Rung by the third thread, answered by a task.
    #[derive(Default)]
    struct Bell {
        rung: AtomicU32,
        answered: AtomicU32,
        waker: Mutex<Option<Waker>>,
    }

    let workers = Workers::start();
    let pool: &Pool = leak(TaskPool::new());
    let bells: &[Bell; TASKS] = leak(Default::default());
    let tasks = bells.each_ref().map(|bell| {
        workers.executor.spawn(pool, |_| {
            poll_fn(|cx| {
                // First the waker, so that a ring after the look wakes.
                *bell.waker.lock().unwrap() = Some(cx.waker().clone());
                let rung = bell.rung.load(SeqCst);
                bell.answered.store(rung, SeqCst);
                if rung == RINGS { Poll::Ready(()) } else { Poll::Pending }
            })
        })
    });
    let third = thread::spawn(move || {
        let mut dice = Dice(0xBE11);
        for ring in 1..=RINGS {
            for bell in bells {
                bell.rung.store(ring, SeqCst);
                let waker = bell.waker.lock().unwrap().clone();
                if let Some(waker) = waker {
                    waker.wake();
                }
                (0..dice.below(200)).for_each(|_| std::hint::spin_loop());
            }
            // Now and then all come to rest, and the runner's holder sleeps.
            let until = RealInstant::now() + PATIENCE;
            let rest = dice.below(8) == 0;
            while rest && bells.iter().any(|bell| bell.answered.load(SeqCst) < ring) {
                assert!(RealInstant::now() < until, "ring {ring} was not heard");
                thread::yield_now();
            }
        }
    });
    third.join().unwrap();
    for task in tasks {
        wait_for(task.unwrap().into_future()).expect("the last ring was not heard").unwrap();
    }
    assert!(workers.end() > 10);
}
