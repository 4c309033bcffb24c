//! What threads do that are none of the runtime's.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier, Mutex, OnceLock};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use futures::executor::block_on;
use futures::task::AtomicWaker;

use super::MANY;
use super::sides::Tasks;
use super::taken::{Taken, Window};
use crate::allocator::bytes_of;

/// Spawns many tasks, and waits for them.
pub fn spawn_many(tasks: impl Tasks, operations: u64) -> Taken {
    let mut many = Vec::with_capacity(MANY as usize);
    let window = Window::open(tasks.threads());
    for _ in 0..operations / MANY {
        many.extend((0..MANY).map(|number| tasks.spawn(move |_| async move { number })));
        for task in many.drain(..) {
            block_on(task);
        }
    }
    window.close(operations)
}

/// Hands its turn to a task, and waits until it comes back.
pub fn ping_pong(tasks: impl Tasks, operations: u64) -> Taken {
    static TURN: AtomicU64 = AtomicU64::new(0);
    static WAITING: AtomicWaker = AtomicWaker::new();
    TURN.store(0, Ordering::SeqCst);
    let thread = thread::current();
    let task = tasks.spawn(|_| {
        poll_fn(move |cx| {
            WAITING.register(cx.waker());
            let mut turn = TURN.load(Ordering::SeqCst);
            if turn % 2 == 1 {
                turn += 1;
                TURN.store(turn, Ordering::SeqCst);
                thread.unpark();
            }
            if turn >= 2 * operations { Poll::Ready(()) } else { Poll::Pending }
        })
    });
    let window = Window::open(tasks.threads());
    for turn in 0..operations {
        TURN.store(2 * turn + 1, Ordering::SeqCst);
        WAITING.wake();
        while TURN.load(Ordering::SeqCst) == 2 * turn + 1 {
            thread::park();
        }
    }
    let taken = window.close(operations);
    block_on(task);
    taken
}

/// A task that is only woken. What its polls write is not beside what the threads read, or whoever polls more
/// often were the slower for it.
#[derive(Default)]
struct Woken {
    waker: Line<OnceLock<Waker>>,
    polls: Line<AtomicU64>,
}

/// Alone on its cache lines.
#[derive(Default)]
#[repr(align(128))]
struct Line<T>(T);

/// Some threads wake tasks, each all of them in turn.
pub fn wakes(tasks: impl Tasks, threads: u64, targets: u64, operations: u64) -> Taken {
    let ends = Arc::new(AtomicBool::new(false));
    let all: Arc<[Woken]> = (0..targets).map(|_| Woken::default()).collect();
    let woken: Vec<_> = (0..targets as usize)
        .map(|me| {
            let (all, ends) = (all.clone(), ends.clone());
            tasks.spawn(move |_| {
                poll_fn(move |cx| {
                    all[me].polls.0.fetch_add(1, Ordering::Relaxed);
                    all[me].waker.0.get_or_init(|| cx.waker().clone());
                    if ends.load(Ordering::SeqCst) { Poll::Ready(()) } else { Poll::Pending }
                })
            })
        })
        .collect();
    while all.iter().any(|one| one.waker.0.get().is_none()) {
        thread::sleep(Duration::from_micros(50));
    }
    let wakers: Vec<&Waker> = all.iter().filter_map(|one| one.waker.0.get()).collect();
    let polls = || all.iter().map(|one| one.polls.0.load(Ordering::Relaxed)).sum::<u64>();
    let [begin, end] = [(); 2].map(|()| Barrier::new(threads as usize + 1));
    let taken = thread::scope(|scope| {
        for thread in 0..threads {
            let (begin, end, wakers) = (&begin, &end, &wakers);
            scope.spawn(move || {
                let first = (thread * targets / threads) as usize;
                begin.wait();
                for waker in wakers.iter().cycle().skip(first).take((operations / threads) as usize) {
                    waker.wake_by_ref();
                }
                end.wait();
            });
        }
        // So that they are at the barrier already.
        thread::sleep(Duration::from_millis(1));
        let before = polls();
        let window = Window::open(tasks.threads());
        begin.wait();
        end.wait();
        let mut taken = window.close(operations);
        taken.counts.push(("polls", (polls() - before) as f64));
        taken
    });
    ends.store(true, Ordering::SeqCst);
    wakers.iter().for_each(|waker| waker.wake_by_ref());
    for task in woken {
        block_on(task);
    }
    taken
}

/// Nothing, for so many tenths of a second.
pub fn idle(tasks: impl Tasks, tenths: u64) -> Taken {
    // What came before is over then.
    thread::sleep(Duration::from_millis(50));
    let window = Window::open(tasks.threads());
    thread::sleep(Duration::from_millis(tenths * 100));
    window.close(tenths)
}

/// A future of 128 bytes, which ends when it is polled for the second time.
struct Parked {
    _bytes: [u8; 119],
    parks: bool,
    wakers: &'static Mutex<Vec<Waker>>,
}

impl Future for Parked {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.parks {
            self.wakers.lock().expect("nobody panics").push(cx.waker().clone());
        }
        if std::mem::take(&mut self.parks) { Poll::Pending } else { Poll::Ready(()) }
    }
}

const _: () = assert!(size_of::<Parked>() == 128);

/// Spawns tasks of futures of 128 bytes, and counts the memory that they have.
pub fn bytes(tasks: impl Tasks, operations: u64) -> Taken {
    static WAKERS: Mutex<Vec<Waker>> = Mutex::new(Vec::new());
    let count = operations as usize;
    let parked = || WAKERS.lock().expect("nobody panics");
    parked().reserve(count);
    let mut all = Vec::with_capacity(count);
    let (mut taken, bytes) = bytes_of(|| {
        let window = Window::open(tasks.threads());
        all.extend(
            (0..count).map(|_| tasks.spawn(|_| Parked { _bytes: [0; 119], parks: true, wakers: &WAKERS })),
        );
        let taken = window.close(operations);
        while parked().len() < count {
            thread::sleep(Duration::from_millis(1));
        }
        taken
    });
    taken.counts.push(("bytes", bytes as f64 + tasks.bytes_before() * operations as f64));
    parked().drain(..).for_each(Waker::wake);
    for task in all {
        block_on(task);
    }
    taken
}
