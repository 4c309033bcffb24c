//! F8: the alarm went off a microsecond too soon, and was not set again: the executor slept for ever.

use std::future::pending;

use trilane::exec::{Attributes, Cx, Executor, JoinError, MissedTick, Platform, Reason, TaskOptions};
use trilane::time::Duration;
use trilane_tests::{leak, pool, us};

use crate::bench::{Bench, run_to_rest};

/// Runs what `body` makes on a platform whose alarm is too early, by idling and by driving; the time at the
/// end, and how often the interrupt ran.
fn run<F>(early: u64, times: u32, body: fn(Cx) -> F) -> (u64, u32)
where
    F: Future<Output = ()> + Send + 'static,
{
    let executor = leak(Executor::<_, 1, 8>::new(Bench::early(early, times)));
    let task = executor.spawn(pool::<1>(), body).unwrap_or_else(|error| panic!("{error}"));
    let mut runner = executor.start().unwrap();
    run_to_rest(&mut runner);
    assert!(task.is_finished(), "it sleeps for ever when it idles");
    let idled = executor.platform().now().as_micros();

    let executor = leak(Executor::<_, 1, 8>::new(Bench::early(early, times)));
    let task = executor.spawn(pool::<1>(), body).unwrap_or_else(|error| panic!("{error}"));
    let handler = executor.start_in_handler().unwrap();
    let runs = executor.platform().run_interrupts(&handler);
    assert!(task.is_finished(), "it sleeps for ever when an interrupt drives it");
    assert_eq!(executor.platform().now().as_micros(), idled);
    (idled, runs)
}

/// By how much too soon, how often.
const EARLY: [(u64, u32); 5] = [(1, 1), (1, 2), (1, 40), (7, 5), (10_000, 3)];

#[test]
fn a_sleep_ends_at_its_time() {
    for (early, times) in EARLY {
        let (end, runs) = run(early, times, |cx| async move {
            cx.sleep(Duration::from_millis(20)).await.unwrap();
            assert_eq!(cx.now(), us(20_000));
        });
        assert_eq!(end, 20_000);
        // Each time too soon costs a round; the expiry itself may cost one more than its own.
        assert!(runs <= 1 + times + 2, "{runs} runs for {times} early alarms");
    }
}

#[test]
fn each_of_many_sleeps_ends_at_its_time() {
    for times in [1, 10, 50, 1_000] {
        let (end, _) = run(1, times, |cx| async move {
            for round in 1..=50 {
                cx.sleep(Duration::from_micros(100)).await.unwrap();
                assert_eq!(cx.now(), us(100 * round));
            }
        });
        assert_eq!(end, 5_000);
    }
}

#[test]
fn several_sleeps_one_microsecond_apart_each_end_at_their_time() {
    for times in [1, 2, 5, 1_000] {
        let (end, _) = run(1, times, |cx| async move {
            let sleeps = (100..110).map(|at| async move {
                cx.sleep_until(us(at)).await.unwrap();
                assert_eq!(cx.now(), us(at));
            });
            futures::future::join_all(sleeps).await;
        });
        assert_eq!(end, 109);
    }
}

#[test]
fn timeouts_and_ticks_come_at_their_time() {
    for (early, times) in EARLY {
        let (end, _) = run(early, times, |cx| async move {
            cx.timeout(Duration::from_millis(20), pending::<()>()).await.unwrap_err();
            assert_eq!(cx.now(), us(20_000));
            let mut interval = cx.interval(Duration::from_millis(10), MissedTick::Skip).unwrap();
            for tick in 3..=5 {
                interval.tick().await.unwrap();
                assert_eq!(cx.now(), us(tick * 10_000));
            }
        });
        assert_eq!(end, 50_000);
    }
}

#[test]
fn a_clean_up_has_its_whole_time_and_no_more() {
    static STUBBORN: Attributes = Attributes::new().cleanup_polls(9).cleanup_time(Duration::from_millis(20));
    for (early, times) in EARLY {
        let (end, _) = run(early, times, |cx| async move {
            let options = TaskOptions::new().attributes(&STUBBORN);
            let mut task = cx.spawn_with(options, pool::<1>(), |_| pending::<()>()).unwrap();
            cx.yield_now().await;
            task.cancel().unwrap();
            assert_eq!(task.join().await, Err(JoinError::Cancelled(Reason::User)));
            assert_eq!(cx.now(), us(20_000));
        });
        assert_eq!(end, 20_000);
    }
}
