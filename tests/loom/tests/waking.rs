//! Wakes against the drain and the poll.
#![cfg(trilane_loom)]

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;
use trilane::exec::{Executor, TaskPool};
use trilane::time::Instant;
use trilane_loom::{Sleeper, check, leak};

/// What a waking thread writes.
struct Letter(UnsafeCell<u32>);

// SAFETY: the checker finds unordered accesses.
unsafe impl Sync for Letter {}

/// Shows its waker at the first poll, reads the letter at the second.
struct Reader {
    letter: Arc<Letter>,
    waker: Arc<std::sync::Mutex<Option<Waker>>>,
}

impl Future for Reader {
    type Output = u32;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<u32> {
        let mut waker = self.waker.lock().unwrap();
        if waker.is_none() {
            *waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        // SAFETY: the checker finds unordered accesses.
        Poll::Ready(self.letter.0.with(|letter| unsafe { *letter }))
    }
}

#[test]
fn what_was_written_before_a_wake_is_seen_in_its_poll() {
    check(|| {
        let executor: &Executor<Sleeper, 1, 1> = leak(Executor::new(Sleeper::default()));
        let pool: &TaskPool<64, 1> = leak(TaskPool::new());
        let mut runner = executor.start().unwrap();
        let letter = Arc::new(Letter(UnsafeCell::new(0)));
        let waker = Arc::new(std::sync::Mutex::new(None));
        let task = Reader { letter: letter.clone(), waker: waker.clone() };
        let mut handle = executor.spawn(pool, |_cx| task).unwrap();
        runner.poll_pending(Instant::ZERO);
        let waker: Waker = waker.lock().unwrap().clone().unwrap();

        let writer = thread::spawn(move || {
            // SAFETY: the checker finds unordered accesses.
            letter.0.with_mut(|letter| unsafe { *letter = 1 });
            waker.wake();
        });
        runner.run_until(|| handle.is_finished());
        assert_eq!(handle.try_join(), Some(Ok(1)));
        writer.join().unwrap();
        assert_eq!(executor.counters().polls, 2);
    });
}
