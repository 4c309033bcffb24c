//! How long it takes from a wake to the poll, while other tasks are runnable all the time.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use futures::executor::block_on;
use futures::task::AtomicWaker;

use super::sides::Tasks;
use super::taken::{Taken, Window};

/// A run goes on for so long, and no further.
const PATIENCE: Duration = Duration::from_millis(1_500);

/// What the woken task tells.
#[derive(Default)]
struct Probe {
    waker: AtomicWaker,
    ends: AtomicBool,
    polls: AtomicU64,
    /// Of the last poll, in nanoseconds since the beginning.
    polled: AtomicU64,
}

/// So many tasks yield again and again; one more is woken by a thread.
pub fn run(tasks: impl Tasks, ready: u64, wakes: u64) -> Taken {
    let begin = Instant::now();
    let now = move || begin.elapsed().as_nanos() as u64;
    let probe = Arc::new(Probe::default());
    let mut all = Vec::with_capacity(ready as usize);
    all.extend((0..ready).map(|_| {
        let probe = probe.clone();
        tasks.spawn(move |tasks| async move {
            while !probe.ends.load(Ordering::Relaxed) {
                tasks.yield_now().await;
            }
        })
    }));
    let urgent = tasks.spawn_urgent({
        let probe = probe.clone();
        poll_fn(move |cx| {
            probe.polled.store(now(), Ordering::Relaxed);
            probe.waker.register(cx.waker());
            probe.polls.fetch_add(1, Ordering::Release);
            if probe.ends.load(Ordering::Relaxed) { Poll::Ready(()) } else { Poll::Pending }
        })
    });
    let wait_for_poll = |number| {
        while probe.polls.load(Ordering::Acquire) < number {
            thread::sleep(Duration::from_micros(50));
        }
    };
    wait_for_poll(1);
    let mut latencies = Vec::with_capacity(wakes as usize);
    let window = Window::open(tasks.threads());
    let start = Instant::now();
    for number in 2..wakes + 2 {
        thread::sleep(Duration::from_micros(200));
        let woken = now();
        probe.waker.wake();
        wait_for_poll(number);
        latencies.push((probe.polled.load(Ordering::Relaxed) - woken) as f64);
        if start.elapsed() > PATIENCE {
            break;
        }
    }
    let mut taken = window.close(latencies.len() as u64);
    taken.latencies = latencies;
    probe.ends.store(true, Ordering::Relaxed);
    probe.waker.wake();
    block_on(urgent);
    for task in all {
        block_on(task);
    }
    taken
}
