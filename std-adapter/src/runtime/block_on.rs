//! Waiting for a future on a thread that is no worker.

use std::cell::RefCell;
use std::future::{Future, IntoFuture};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use super::bed::Bed;
use super::crew::Crew;
use crate::sync::thread_local;

impl Wake for Bed {
    fn wake(self: Arc<Self>) {
        self.nudge();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.nudge();
    }
}

thread_local! {
    /// Made once a thread; taken while it is in use.
    static MINE: RefCell<Option<(Arc<Bed>, Waker)>> = const { RefCell::new(None) };
}

/// Polls `future` on this thread until it is ready; the thread sleeps in between.
///
/// # Panics
///
/// In a worker of a runtime: its tasks would wait for it. Await the future instead.
///
/// # Examples
///
/// ```
/// assert_eq!(trilane_std::runtime::block_on(async { 7 }), 7);
/// ```
#[track_caller]
pub fn block_on<F: IntoFuture>(future: F) -> F::Output {
    assert!(
        Crew::here().is_none(),
        "block_on inside a task of a runtime would keep the worker from its other tasks: await the future"
    );
    let mine = MINE.with(RefCell::take).unwrap_or_else(|| {
        let bed = Arc::new(Bed::default());
        (bed.clone(), bed.into())
    });
    let (bed, waker) = &mine;
    let mut future = pin!(future.into_future());
    let output = loop {
        bed.forget_nudge();
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(waker)) {
            break output;
        }
        bed.sleep(None);
    };
    MINE.with(|empty| empty.replace(Some(mine)));
    output
}
