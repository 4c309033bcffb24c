//! `timeout`: ready just in time is ready. `interval`: what becomes of ticks that nobody awaited in time.

use std::future::{pending, ready};
use std::num::NonZeroU16;

use futures::FutureExt;
use trilane::exec::{Cx, JoinError, MissedTick, TaskOptions, TimeoutError};
use trilane::time::Duration;
use trilane_tests::future::Bell;
use trilane_tests::{Log, leak, manual, pool, run_out, settle, us};

const fn micros(span: u64) -> Duration {
    Duration::from_micros(span)
}

/// What `body` returns when it is run as a task until no timer is left.
fn run<F>(body: impl FnOnce(Cx) -> F) -> F::Output
where
    F: Future<Output: Send> + Send + 'static,
{
    let mut runner = manual::<1, 1>();
    let mut task = runner.executor().spawn(pool::<1>(), body).unwrap_or_else(|error| panic!("{error}"));
    run_out(&mut runner);
    task.try_join().expect("the task waits for ever").unwrap()
}

#[test]
fn a_future_that_is_ready_in_time_gives_its_output() {
    let (output, at) = run(|cx| async move {
        let output = cx.timeout(micros(10), cx.sleep(micros(9)).map(|_| 'x')).await;
        (output, cx.now())
    });
    assert_eq!((output, at), (Ok('x'), us(9)));
}

#[test]
fn a_future_that_is_not_ready_in_time_has_elapsed() {
    let (output, at) = run(|cx| async move { (cx.timeout(micros(10), pending::<()>()).await, cx.now()) });
    assert_eq!((output, at), (Err(TimeoutError::Elapsed), us(10)));
}

#[test]
fn a_future_that_is_ready_at_the_last_instant_is_ready() {
    assert_eq!(run(|cx| async move { cx.timeout(micros(10), cx.sleep(micros(10))).await }), Ok(Ok(())));
    assert_eq!(run(|cx| async move { cx.timeout(Duration::ZERO, ready(1)).await }), Ok(1));
}

#[test]
fn a_timeout_that_is_over_leaves_no_timer() {
    let mut runner = manual::<1, 1>();
    let task = runner.executor().spawn(pool::<1>(), |cx| async move {
        let soon = cx.timeout(Duration::from_secs(1), cx.sleep(micros(1))).await.unwrap();
        assert_eq!(soon, Ok(()));
        pending::<()>().await;
    });
    settle(&mut runner, us(0));
    settle(&mut runner, us(1));
    assert_eq!(runner.next_alarm(), None);
    drop(task);
}

#[test]
fn a_dropped_timeout_drops_its_future_and_disarms_both() {
    let mut runner = manual::<1, 1>();
    let bell: &Bell = leak(Bell::new());
    let once = TaskOptions::new().poll_quota(NonZeroU16::MIN);
    let task = runner.executor().spawn_with(once, pool::<1>(), |cx| async move {
        cx.timeout(Duration::from_secs(2), bell.around(cx.sleep(Duration::from_secs(1)))).await
    });
    settle(&mut runner, us(0));
    assert!(runner.next_alarm().is_some());
    bell.ring();
    settle(&mut runner, us(0));
    assert!(task.unwrap().is_finished());
    assert_eq!(runner.next_alarm(), None);
}

#[test]
fn timeouts_nest() {
    let inner_first =
        run(|cx| async move { cx.timeout(micros(9), cx.timeout(micros(5), pending::<()>())).await });
    assert_eq!(inner_first, Ok(Err(TimeoutError::Elapsed)));
    let outer_first =
        run(|cx| async move { cx.timeout(micros(5), cx.timeout(micros(9), pending::<()>())).await });
    assert_eq!(outer_first, Err(TimeoutError::Elapsed));
}

/// When each tick was scheduled and when it came, in microseconds; before the tick number n, the task works
/// for `work[n]`.
fn ticks(missed: MissedTick, work: &'static [u64]) -> Vec<(u64, u64)> {
    run(move |cx| async move {
        let mut interval = cx.interval(micros(10), missed).unwrap();
        let mut ticks = Vec::new();
        for &span in work {
            if span > 0 {
                cx.sleep(micros(span)).await.unwrap();
            }
            let scheduled = interval.tick().await.unwrap();
            ticks.push((scheduled.as_micros(), cx.now().as_micros()));
        }
        ticks
    })
}

#[test]
fn an_interval_ticks_at_its_period() {
    for missed in [MissedTick::Burst, MissedTick::Delay, MissedTick::Skip] {
        assert_eq!(ticks(missed, &[0, 0, 3, 9]), [(10, 10), (20, 20), (30, 30), (40, 40)], "{missed:?}");
    }
}

#[test]
fn burst_makes_up_for_missed_ticks() {
    let expected = [(10, 10), (20, 45), (30, 45), (40, 45), (50, 50), (60, 60)];
    assert_eq!(ticks(MissedTick::Burst, &[0, 35, 0, 0, 0, 0]), expected);
}

#[test]
fn delay_begins_anew_after_a_missed_tick() {
    let expected = [(10, 10), (20, 45), (55, 55), (65, 65)];
    assert_eq!(ticks(MissedTick::Delay, &[0, 35, 0, 0]), expected);
}

#[test]
fn delay_keeps_the_schedule_when_no_tick_was_missed() {
    let expected = [(10, 10), (20, 24), (30, 30), (40, 40)];
    assert_eq!(ticks(MissedTick::Delay, &[0, 14, 0, 0]), expected);
}

#[test]
fn skip_keeps_the_schedule_and_drops_what_was_missed() {
    let expected = [(10, 10), (20, 45), (50, 50), (60, 60)];
    assert_eq!(ticks(MissedTick::Skip, &[0, 35, 0, 0]), expected);
}

#[test]
fn skip_that_is_late_by_whole_periods_goes_on_after_now() {
    let expected = [(10, 10), (20, 40), (50, 50)];
    assert_eq!(ticks(MissedTick::Skip, &[0, 30, 0]), expected);
}

#[test]
fn a_tick_that_was_given_up_is_awaited_again() {
    let log: &Log<u64> = leak(Log::new());
    run(|cx| async move {
        let mut interval = cx.interval(micros(10), MissedTick::Burst).unwrap();
        assert_eq!(cx.timeout(micros(4), interval.tick()).await, Err(TimeoutError::Elapsed));
        for _ in 0..3 {
            log.push(interval.tick().await.unwrap().as_micros());
        }
    });
    assert_eq!(log.take(), [10, 20, 30]);
}

#[test]
fn an_interval_longer_than_time_never_ticks() {
    let mut runner = manual::<1, 1>();
    let task = runner.executor().spawn(pool::<1>(), |cx| async move {
        cx.interval(Duration::MAX, MissedTick::Skip).unwrap().tick().await.unwrap();
    });
    settle(&mut runner, us(5));
    assert_eq!(runner.next_alarm(), None);
    drop(task);
}

#[test]
fn what_can_be_awaited_has_limited_time_too_and_a_handle_stays() {
    let mut runner = manual::<1, 2>();
    let pool = pool::<2>();
    let task = runner.executor().spawn(pool, |cx| async move {
        let mut handle =
            cx.spawn(pool, |cx| async move { cx.sleep(micros(10)).await.map(|()| 'x') }).unwrap();
        assert_eq!(cx.timeout(micros(4), &mut handle).await, Err(TimeoutError::Elapsed));
        assert_eq!(cx.shield(&mut handle).await, Ok(Ok('x')));
        assert_eq!((&mut handle).await, Err(JoinError::Taken));
        let handle = cx.spawn(pool, |_| async { 'y' }).unwrap();
        assert_eq!(cx.run_until_cancelled(handle).await, Ok(Ok('y')));
    });
    let mut task = task.unwrap_or_else(|error| panic!("{error}"));
    run_out(&mut runner);
    assert_eq!(task.try_join(), Some(Ok(())));
}
