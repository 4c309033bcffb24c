//! The driver of health checks: a future for any executor.

use core::future::poll_fn;
use core::pin::pin;
use core::task::Poll;

use crate::route::health::checker::{Change, Check, Due, HealthChecker};
use crate::time::Instant;

/// Why the wait for a probe is over.
enum Waited<C> {
    Answered(bool),
    TimeIsUp,
    Stopped(C),
}

/// A check that is out. Unless it is ended, dropping it takes the check back: a probe that was given up from
/// outside says nothing of its endpoint.
struct Probing<'a, H: Copy + PartialEq, const N: usize> {
    checker: &'a mut HealthChecker<H, N>,
    check: Check<H>,
    began: Instant,
}

impl<H: Copy + PartialEq, const N: usize> Probing<'_, H, N> {
    fn end(self, good: bool, now: Instant) -> Option<Change<H>> {
        // After the report the check isn't out, and the drop finds nothing to take back.
        self.checker.report(self.check, good, now).unwrap_or(None)
    }
}

impl<H: Copy + PartialEq, const N: usize> Drop for Probing<'_, H, N> {
    fn drop(&mut self) {
        let _already_reported = self.checker.abandon(self.check, self.began);
    }
}

impl<H: Copy + PartialEq, const N: usize> HealthChecker<H, N> {
    /// Checks for ever, one probe after the other, and calls `apply` with each change; returns what
    /// `sleep_until` fails with.
    ///
    /// `probe` is given up when it isn't done in time, which is a bad outcome; one that is done when the time
    /// is up, but wasn't polled before, is done. `now` reads the clock that `sleep_until` waits for. Each
    /// poll of this future begins at most one probe, however many are due.
    ///
    /// With many endpoints and long timeouts, one probe at a time may fall behind: use several checkers with
    /// a part of the endpoints each, or drive [`due`](Self::due) and [`report`](Self::report) yourself.
    ///
    /// # Cancellation
    ///
    /// It may be dropped at any time and called again: all that it knows is in the checker, and a probe that
    /// is dropped with it is due again at once. So this is how to change who is watched: drop it (`select` it
    /// with whatever announces the change), [`watch`](Self::watch) or [`unwatch`](Self::unwatch), call it
    /// again. When the task is asked to stop, `sleep_until` says so, whether a probe is out or not, and it
    /// returns.
    ///
    /// # Examples
    ///
    /// A task that checks two endpoints, of which `b` is down:
    ///
    /// ```
    /// use trilane::exec::{Cancelled, Cx, Executor, Manual, TaskPool};
    /// use trilane::route::{Change, CheckOptions, HealthChecker};
    /// use trilane::sync::{AtomicU32, Ordering};
    /// use trilane::time::{Duration, Instant};
    ///
    /// static UNHEALTHY: AtomicU32 = AtomicU32::new(0);
    ///
    /// async fn check(cx: Cx) -> Cancelled {
    ///     let options = CheckOptions::new().jitter(Duration::ZERO);
    ///     let mut checker: HealthChecker<char, 4> = HealthChecker::new(options, 1).unwrap();
    ///     for endpoint in ['a', 'b'] {
    ///         checker.watch(endpoint, cx.now()).unwrap();
    ///     }
    ///     let probe = |endpoint| async move {
    ///         cx.sleep(Duration::from_millis(2)).await.is_ok() && endpoint == 'a'
    ///     };
    ///     let sleep_until = |at| cx.sleep_until(at);
    ///     let apply = |change: Change<char>| {
    ///         if !change.healthy {
    ///             UNHEALTHY.store(change.endpoint.into(), Ordering::Relaxed);
    ///         }
    ///     };
    ///     checker.run(probe, sleep_until, || cx.now(), apply).await
    /// }
    ///
    /// static POOL: TaskPool<1024, 1> = TaskPool::new();
    /// static EXECUTOR: Executor<Manual, 1, 8> = Executor::new(Manual::new());
    ///
    /// let mut runner = EXECUTOR.start().unwrap();
    /// let task = EXECUTOR.spawn(&POOL, check).unwrap();
    /// while runner.now() < Instant::from_millis(10) {
    ///     runner.poll_pending(runner.next_alarm().unwrap_or(runner.now()));
    /// }
    /// assert_eq!(UNHEALTHY.load(Ordering::Relaxed), u32::from('b'));
    /// # drop(task);
    /// ```
    pub async fn run<C, P, S>(
        &mut self,
        mut probe: impl FnMut(H) -> P,
        mut sleep_until: impl FnMut(Instant) -> S,
        now: impl Fn() -> Instant,
        mut apply: impl FnMut(Change<H>),
    ) -> C
    where
        P: Future<Output = bool>,
        S: Future<Output = Result<(), C>>,
    {
        loop {
            if let Err(stopped) = sleep_until(self.next_due().unwrap_or(Instant::MAX)).await {
                return stopped;
            }
            let began = now();
            let change = match self.due(began) {
                None => None,
                Some(Due::TimedOut(_, change)) => change,
                Some(Due::Probe(check)) => {
                    let probing = Probing { checker: self, check, began };
                    match answer(probe(check.endpoint), sleep_until(check.until)).await {
                        Waited::Answered(good) => probing.end(good, now()),
                        Waited::TimeIsUp => probing.end(false, now()),
                        Waited::Stopped(stopped) => return stopped,
                    }
                }
            };
            if let Some(change) = change {
                apply(change);
            }
            let_others_run().await;
        }
    }
}

/// Waits for the first of both; drops both.
async fn answer<C>(
    probe: impl Future<Output = bool>,
    time_is_up: impl Future<Output = Result<(), C>>,
) -> Waited<C> {
    let (mut probe, mut time_is_up) = (pin!(probe), pin!(time_is_up));
    poll_fn(|cx| {
        if let Poll::Ready(good) = probe.as_mut().poll(cx) {
            return Poll::Ready(Waited::Answered(good));
        }
        time_is_up.as_mut().poll(cx).map(|up| up.map_or_else(Waited::Stopped, |()| Waited::TimeIsUp))
    })
    .await
}

/// Is ready at its second poll, which it asks for.
async fn let_others_run() {
    let mut polled = false;
    poll_fn(|cx| {
        if polled {
            return Poll::Ready(());
        }
        polled = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
