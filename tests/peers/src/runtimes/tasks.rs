//! What a task does again and again.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Poll, Waker};
use std::time::Duration;

use futures::future::join;
use futures::task::AtomicWaker;

use super::sides::Tasks;
use super::taken::{Taken, Window};
use super::{MANY, Op, YIELDING};

/// The timers that others wait for.
const PENDING: u64 = 10_000;

/// Does `operations` of `op` in a task, and says what they took.
pub async fn run<T: Tasks>(tasks: T, op: Op, operations: u64) -> Taken {
    match op {
        Op::SpawnAwait => spawn_and_await(tasks, operations).await,
        Op::SpawnMany => spawn_many(tasks, operations).await,
        Op::Yield => yields(tasks, operations).await,
        Op::PingPong => ping_pong(tasks, operations).await,
        Op::Timer => arm_and_cancel(tasks, operations).await,
        Op::TimerPending => arm_and_cancel_beside_others(tasks, operations).await,
        Op::WakeWoken => wake_woken(tasks, operations).await,
        _ => unreachable!("it begins outside of tasks"),
    }
}

async fn spawn_and_await(tasks: impl Tasks, operations: u64) -> Taken {
    let window = Window::open(tasks.threads());
    for number in 0..operations {
        assert_eq!(tasks.spawn(|_| async move { number }).await, number);
    }
    window.close(operations)
}

async fn spawn_many(tasks: impl Tasks, operations: u64) -> Taken {
    let mut many = Vec::with_capacity(MANY as usize);
    let window = Window::open(tasks.threads());
    for _ in 0..operations / MANY {
        many.extend((0..MANY).map(|number| tasks.spawn(move |_| async move { number })));
        for task in many.drain(..) {
            task.await;
        }
    }
    window.close(operations)
}

async fn yields(tasks: impl Tasks, operations: u64) -> Taken {
    let mut yielding = Vec::with_capacity(YIELDING as usize);
    let window = Window::open(tasks.threads());
    yielding.extend((0..YIELDING).map(|_| {
        tasks.spawn(move |tasks| async move {
            for _ in 0..operations / YIELDING {
                tasks.yield_now().await;
            }
        })
    }));
    for task in yielding.drain(..) {
        task.await;
    }
    window.close(operations)
}

async fn ping_pong(tasks: impl Tasks, operations: u64) -> Taken {
    static TURN: AtomicU64 = AtomicU64::new(0);
    static WAITING: [AtomicWaker; 2] = [const { AtomicWaker::new() }; 2];
    TURN.store(0, Ordering::SeqCst);
    let player = |me: usize| {
        tasks.spawn(move |_| {
            poll_fn(move |cx| {
                WAITING[me].register(cx.waker());
                let mut turn = TURN.load(Ordering::SeqCst);
                if turn % 2 == me as u64 {
                    turn += 1;
                    TURN.store(turn, Ordering::SeqCst);
                    WAITING[1 - me].wake();
                }
                if turn >= 2 * operations { Poll::Ready(()) } else { Poll::Pending }
            })
        })
    };
    let window = Window::open(tasks.threads());
    join(player(0), player(1)).await;
    window.close(operations)
}

async fn poll_once(timer: impl Future) {
    let mut timer = pin!(timer);
    poll_fn(|cx| {
        assert!(timer.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
}

async fn arm_and_cancel(tasks: impl Tasks, operations: u64) -> Taken {
    let window = Window::open(tasks.threads());
    for _ in 0..operations {
        poll_once(tasks.sleep(Duration::from_secs(6_000))).await;
    }
    window.close(operations)
}

/// The others end before and after it, in no order.
async fn arm_and_cancel_beside_others(tasks: impl Tasks, operations: u64) -> Taken {
    let spans = (0..PENDING).map(|number| 1_000 + number * 7_919 % 10_000);
    let mut others: Vec<_> = spans.map(|span| Box::pin(tasks.sleep(Duration::from_secs(span)))).collect();
    for other in &mut others {
        poll_once(other).await;
    }
    arm_and_cancel(tasks, operations).await
}

/// Another task that was woken, and that is not polled meanwhile, since there is one worker.
async fn wake_woken(tasks: impl Tasks, operations: u64) -> Taken {
    static ENDS: AtomicBool = AtomicBool::new(false);
    static WAITING: AtomicWaker = AtomicWaker::new();
    ENDS.store(false, Ordering::SeqCst);
    let other = tasks.spawn(|_| {
        poll_fn(|cx| {
            WAITING.register(cx.waker());
            if ENDS.load(Ordering::SeqCst) { Poll::Ready(()) } else { Poll::Pending }
        })
    });
    let waker: Waker = loop {
        match WAITING.take() {
            Some(waker) => break waker,
            None => tasks.yield_now().await,
        }
    };
    waker.wake_by_ref();
    let window = Window::open(tasks.threads());
    for _ in 0..operations {
        waker.wake_by_ref();
    }
    let taken = window.close(operations);
    ENDS.store(true, Ordering::SeqCst);
    waker.wake();
    other.await;
    taken
}
