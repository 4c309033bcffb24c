//! Futures that the tests spawn.

use std::pin::Pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::task::{Context, Poll, Waker};

/// Ready at its second poll, whatever causes that; wakes nobody.
pub async fn parked() {
    let mut polled = false;
    std::future::poll_fn(
        |_| {
            if std::mem::replace(&mut polled, true) { Poll::Ready(()) } else { Poll::Pending }
        },
    )
    .await;
}

/// Never ready; counts its polls and shows the waker that it was last polled with.
#[derive(Debug, Default)]
pub struct Bell {
    polls: AtomicU32,
    waker: Mutex<Option<Waker>>,
}

impl Bell {
    /// A bell that nobody has polled.
    pub const fn new() -> Self {
        Self { polls: AtomicU32::new(0), waker: Mutex::new(None) }
    }

    /// How often it was polled.
    pub fn polls(&self) -> u32 {
        self.polls.load(SeqCst)
    }

    /// The waker of the last poll.
    pub fn waker(&self) -> Waker {
        self.waker.lock().unwrap().clone().expect("nobody has polled the bell")
    }

    /// Wakes whoever polled last.
    pub fn ring(&self) {
        self.waker().wake();
    }

    /// Notes a poll.
    pub fn note(&self, cx: &mut Context<'_>) {
        self.polls.fetch_add(1, SeqCst);
        *self.waker.lock().unwrap() = Some(cx.waker().clone());
    }

    /// Waits for ever.
    pub async fn forever(&self) {
        std::future::poll_fn(|cx| {
            self.note(cx);
            Poll::Pending
        })
        .await
    }

    /// Waits for the poll number `last`, counted over all who ever waited here.
    pub async fn until(&self, last: u32) {
        std::future::poll_fn(|cx| {
            self.note(cx);
            if self.polls() >= last { Poll::Ready(()) } else { Poll::Pending }
        })
        .await
    }

    /// Polls `future`, noting each poll here first.
    pub async fn around<F: Future>(&self, future: F) -> F::Output {
        let mut future = std::pin::pin!(future);
        std::future::poll_fn(|cx| {
            self.note(cx);
            future.as_mut().poll(cx)
        })
        .await
    }
}

/// Polls a pinned future once with a waker that does nothing.
pub fn poll_once<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}
