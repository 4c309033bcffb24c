//! The driver of health checks as a task: slow probes, dropped probes, cancellation, and the polls it takes.

use std::future::pending;
use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::task::Poll;

use trilane::exec::{Cancelled, Cx, JoinHandle, Manual, Reason, Runner};
use trilane::route::{Change, CheckOptions, HealthChecker};
use trilane::time::{Duration, Instant};
use trilane_tests::future::poll_once;
use trilane_tests::{Log, leak, manual, pool, settle, us};

const fn ms(span: u64) -> Duration {
    Duration::from_millis(span)
}

/// 100 ms between checks, 30 ms while unhealthy, 20 ms to answer, no outcome twice.
const OPTIONS: CheckOptions = CheckOptions::new()
    .interval(ms(100))
    .unhealthy_interval(ms(30))
    .timeout(ms(20))
    .jitter(Duration::ZERO)
    .rise(1)
    .fall(1);

fn checker(endpoints: &[u8]) -> HealthChecker<u8, 8> {
    let mut checker = HealthChecker::new(OPTIONS, 1).unwrap();
    for &endpoint in endpoints {
        checker.watch(endpoint, us(0)).unwrap();
    }
    checker
}

/// When, who, and what became of it.
type Changes = Log<(u64, u8, bool)>;

/// A task that checks `endpoints` by `probe` and logs what changes.
fn spawn<P>(
    runner: &Runner<Manual, 1, 2>,
    endpoints: &'static [u8],
    changes: &'static Changes,
    mut probe: impl FnMut(Cx, u8) -> P + Send + 'static,
) -> JoinHandle<Cancelled>
where
    P: Future<Output = bool> + Send + 'static,
{
    let task = runner.executor().spawn(pool::<1>(), |cx| async move {
        let apply = |change: Change<u8>| {
            changes.push((cx.now().as_millis(), change.endpoint, change.healthy));
        };
        let probe = |endpoint| probe(cx, endpoint);
        checker(endpoints).run(probe, |at| cx.sleep_until(at), || cx.now(), apply).await
    });
    task.unwrap_or_else(|error| panic!("{error}"))
}

fn run_until(runner: &mut Runner<Manual, 1, 2>, end: u64) {
    let now = runner.now();
    settle(runner, now);
    while let Some(at) = runner.next_alarm().filter(|&at| at <= Instant::from_millis(end)) {
        settle(runner, at);
    }
}

#[test]
fn changes_are_applied_when_they_happen() {
    let mut runner = manual::<1, 2>();
    let changes: &Changes = leak(Log::new());
    // Endpoint 1 always answers after 5 ms; 2 answers from 200 ms on.
    let task = spawn(&runner, &[1, 2], changes, |cx, endpoint| async move {
        cx.sleep(ms(5)).await.is_ok() && (endpoint == 1 || cx.now() >= Instant::from_millis(200))
    });
    run_until(&mut runner, 400);
    let log = changes.take();
    assert_eq!(log[..2], [(5, 1, true), (10, 2, false)]);
    assert_eq!(log.len(), 3, "{log:?}");
    assert!((200..240).contains(&log[2].0) && log[2].1 == 2 && log[2].2, "{log:?}");
    drop(task);
}

#[test]
fn a_probe_that_takes_longer_than_the_timeout_is_given_up_and_bad() {
    static DROPPED: AtomicU32 = AtomicU32::new(0);
    struct Connection;
    impl Drop for Connection {
        fn drop(&mut self) {
            DROPPED.fetch_add(1, Relaxed);
        }
    }
    let mut runner = manual::<1, 2>();
    let changes: &Changes = leak(Log::new());
    let task = spawn(&runner, &[1, 2], changes, |_, endpoint| async move {
        let _connection = Connection;
        if endpoint == 1 {
            pending::<()>().await;
        }
        true
    });
    run_until(&mut runner, 19);
    assert_eq!((changes.take(), DROPPED.load(Relaxed)), (vec![], 0));
    run_until(&mut runner, 20);
    assert_eq!(changes.take(), [(20, 1, false), (20, 2, true)]);
    assert_eq!(DROPPED.load(Relaxed), 2);
    drop(task);
}

#[test]
fn a_probe_that_is_done_when_the_time_is_up_is_done() {
    let mut runner = manual::<1, 2>();
    let changes: &Changes = leak(Log::new());
    let task = spawn(&runner, &[1], changes, |cx, _| async move { cx.sleep(ms(20)).await.is_ok() });
    run_until(&mut runner, 50);
    assert_eq!(changes.take(), [(20, 1, true)]);
    drop(task);
}

#[test]
fn a_poll_begins_one_probe_however_many_are_due() {
    let mut checker = checker(&[1, 2, 3, 4]);
    let probes = Log::new();
    // Neither the probe nor the sleep ever waits.
    let probe = |endpoint| {
        probes.push(endpoint);
        async { true }
    };
    let mut run = pin!(checker.run(probe, |_| async { Ok::<(), ()>(()) }, || us(0), |_| {}));
    let mut probed = Vec::new();
    for _ in 0..4 {
        assert_eq!(poll_once(run.as_mut()), Poll::Pending);
        let begun = probes.take();
        assert_eq!(begun.len(), 1);
        probed.extend(begun);
    }
    probed.sort();
    assert_eq!(probed, [1, 2, 3, 4]);
    assert_eq!(poll_once(run.as_mut()), Poll::Pending);
    assert_eq!(probes.take(), []);
}

#[test]
fn the_driver_of_nobody_waits_until_it_is_cancelled() {
    let mut runner = manual::<1, 2>();
    let task = spawn(&runner, &[], leak(Log::new()), |_, _| pending());
    run_until(&mut runner, 1_000);
    runner.executor().cancel(task.id()).unwrap();
    let now = runner.now();
    settle(&mut runner, now);
    assert!(task.is_finished());
}

#[test]
fn a_cancelled_driver_ends_whether_it_sleeps_or_probes() {
    for (at, hangs) in [(50, false), (10, true)] {
        let mut runner = manual::<1, 2>();
        let mut task = spawn(&runner, &[1], leak(Log::new()), move |_, _| async move {
            if hangs {
                pending::<()>().await;
            }
            true
        });
        run_until(&mut runner, at);
        settle(&mut runner, Instant::from_millis(at));
        runner.executor().cancel(task.id()).unwrap();
        let now = runner.now();
        settle(&mut runner, now);
        assert_eq!(task.try_join(), Some(Ok(Cancelled(Reason::User))), "at {at}");
    }
}

#[test]
fn a_dropped_driver_says_nothing_of_the_probe_that_was_out() {
    let mut checker = checker(&[1]);
    let stay = |_| pending::<Result<(), ()>>();
    let wake_at_once = |at: Instant| {
        let due = at <= us(5);
        async move { if due { Ok(()) } else { stay(at).await } }
    };
    {
        let mut run = pin!(checker.run(|_| pending(), wake_at_once, || us(5), |change| panic!("{change:?}")));
        assert_eq!(poll_once(run.as_mut()), Poll::Pending);
    }
    assert_eq!(checker.next_due(), Some(us(5)), "the check is due again");
    assert_eq!(checker.iter().next(), Some((1, None)));

    // Who is watched may change now; the driver goes on.
    checker.watch(2, us(5)).unwrap();
    let changes: Changes = Log::new();
    {
        let apply = |change: Change<u8>| changes.push((0, change.endpoint, change.healthy));
        let mut run = pin!(checker.run(|_| async { true }, wake_at_once, || us(5), apply));
        for _ in 0..5 {
            assert_eq!(poll_once(run.as_mut()), Poll::Pending);
        }
    }
    assert_eq!(changes.take().len(), 2);
}
