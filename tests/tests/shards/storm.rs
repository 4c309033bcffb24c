//! Two and three workers, and all that a task may have: sleeps, deadlines, quotas, requests from other
//! threads while it is polled elsewhere, force, regions, panics, dropped handles.

use std::cell::UnsafeCell;
use std::future::Future;
use std::num::NonZeroU16;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use trilane::exec::{Attributes, Cx, JoinError, OnMiss, RegionOptions, TaskOptions, yield_now};
use trilane::time::Duration as Span;

use crate::workers::{Home, POOL, spawn, spawn_with, with_workers};

static BORN: AtomicU64 = AtomicU64::new(0);
static GONE: AtomicU64 = AtomicU64::new(0);

/// Counts itself in and out, and holds what only one thread at a time may touch.
struct Token(UnsafeCell<u64>, AtomicBool);

// SAFETY: it is touched by whoever polls or drops its future, which is one thread at a time; that is what the
// test is about.
unsafe impl Send for Token {}

impl Token {
    fn new() -> Self {
        BORN.fetch_add(1, Relaxed);
        Self(UnsafeCell::new(0), AtomicBool::new(false))
    }

    fn touch(&mut self) {
        assert!(!self.1.swap(true, Relaxed), "two have it at once");
        *self.0.get_mut() += 1;
        self.1.store(false, Relaxed);
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.touch();
        GONE.fetch_add(1, Relaxed);
    }
}

/// Touches its token at every poll.
struct Touching<F>(Pin<Box<F>>, Token);

impl<F: Future> Future for Touching<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.1.touch();
        self.0.as_mut().poll(cx)
    }
}

fn touching<F: Future>(future: F) -> Touching<F> {
    Touching(Box::pin(future), Token::new())
}

static STUBBORN: Attributes =
    Attributes::named("stubborn").cleanup_polls(3).cleanup_time(Span::from_millis(2));
static SLOW: Attributes = Attributes::named("slow").cleanup_polls(1000).cleanup_time(Span::from_micros(300));

const KINDS: u32 = 8;
/// These ignore requests.
const YIELDS_FOR_EVER: u32 = 2;
const WAITS_FOR_EVER: u32 = 3;

async fn task(shards: &'static [Home], cx: Cx, kind: u32, seed: u32) -> u32 {
    match kind {
        0 => {
            for _ in 0..seed % 40 {
                yield_now().await;
            }
        }
        1 => {
            while cx.sleep(Span::from_micros(u64::from(seed % 90))).await.is_ok() && !seed.is_multiple_of(3) {
            }
        }
        YIELDS_FOR_EVER => loop {
            yield_now().await;
        },
        WAITS_FOR_EVER => {
            cx.shield(cx.sleep(Span::from_micros(500))).await.ok();
            std::future::pending::<()>().await;
        }
        4 => {
            // In whichever shard, and joined from here.
            let other = &shards[seed as usize % shards.len()];
            if let Ok(handle) = spawn(*other, move |cx| touching(leaf(cx, seed))) {
                handle.await.ok();
            }
        }
        5 => {
            let pool = POOL.get_or_init(|| trilane_tests::leak(trilane::exec::TaskPool::new()));
            if let Ok(mut region) = cx.open_region(RegionOptions::new()) {
                for number in 0..seed % 5 {
                    drop(region.spawn(pool, move |cx| touching(leaf(cx, number * 7 + seed))));
                }
                yield_now().await;
                region.close().await.ok();
            }
        }
        6 => {
            yield_now().await;
            if seed.is_multiple_of(4) {
                std::panic::resume_unwind(Box::new(()));
            }
        }
        _ => {
            for _ in 0..10 {
                if cx.is_cancelled() {
                    break;
                }
                cx.set_deadline(Some(cx.now() + Span::from_micros(u64::from(seed % 200)))).ok();
                yield_now().await;
            }
        }
    }
    seed
}

async fn leaf(cx: Cx, seed: u32) -> u32 {
    for _ in 0..seed % 4 {
        yield_now().await;
    }
    if seed.is_multiple_of(5) {
        cx.sleep(Span::from_micros(200)).await.ok();
    }
    seed
}

/// What came of the tasks of a wave.
async fn wave(shards: &'static [Home], cx: Cx, random: &mut impl FnMut() -> u32) {
    let mut handles = Vec::new();
    for _ in 0..40 {
        let (kind, seed) = (random() % KINDS, random());
        let mut options = TaskOptions::new();
        match seed >> 10 & 7 {
            0 => options = options.attributes(&STUBBORN),
            1 => options = options.attributes(&SLOW),
            2 => options = options.poll_quota(NonZeroU16::new((seed >> 20) as u16 % 20 + 1).unwrap()),
            3 => options = options.deadline(cx.now() + Span::from_micros(300)).on_miss(OnMiss::Cancel),
            _ => {}
        }
        let shard = &shards[(seed >> 9) as usize % shards.len()];
        let Ok(handle) = spawn_with(*shard, options, |cx| touching(task(shards, cx, kind, seed))) else {
            continue;
        };
        let never_ends = kind == YIELDS_FOR_EVER || kind == WAITS_FOR_EVER || kind == 1;
        if never_ends || seed >> 13 & 7 == 0 {
            let abort = handle.abort_handle().unwrap();
            if seed >> 16 & 1 == 0 {
                yield_now().await;
            }
            abort.cancel().ok();
            if seed >> 17 & 3 == 0 {
                continue; // detached
            }
        }
        handles.push((handle, seed));
    }
    for (handle, seed) in handles {
        match handle.await {
            Ok(result) => assert_eq!(result, seed),
            Err(JoinError::Panicked | JoinError::Cancelled(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn the_books_balance() {
    // What looks on closely makes this slow.
    let waves = match () {
        () if cfg!(miri) => 1,
        () if cfg!(debug_assertions) => 30,
        () => 400,
    };
    for workers in [2, 3] {
        with_workers(workers, Duration::from_secs(120), |shards| async move {
            let mut state = 1u32;
            let mut random = move || {
                state ^= state << 13;
                state ^= state >> 17;
                state ^= state << 5;
                state
            };
            let cx = spawn(shards[0], |cx| async move { cx }).unwrap().await.unwrap();
            for _ in 0..waves {
                wave(shards, cx, &mut random).await;
            }
        });
        assert_eq!(BORN.load(Relaxed), GONE.load(Relaxed));
    }
    assert!(BORN.load(Relaxed) > 0);
}
