//! F4: after the clock had gone back, waits were over at once: they counted from its reading, and ended
//! before the latest pass.
//!
//! A clock that goes back counts as one that stands still: what begins then counts from the later of the
//! reading and the latest pass.

use std::future::pending;
use std::sync::Mutex;
use std::task::{Context, Waker};

use embedded_hal_async::delay::DelayNs;
use trilane::exec::{
    Attributes, Cx, DeadlineError, Executor, MissedTick, OnMiss, Platform, RegionOptions, Regions, Runner,
    TaskOptions,
};
use trilane::time::{Duration, Instant};
use trilane_tests::future::poll_once;
use trilane_tests::{Log, leak, pool, settle, us};

use crate::bench::Bench;

type Run = Runner<Bench, 1, 8>;

/// The time of the latest pass, to which the clock had come before it went back to `READING`.
const LATEST: u64 = 2_000_000;
const READING: u64 = 1_000_000;
const SPAN: Duration = Duration::from_millis(20);
/// `SPAN` from the latest pass.
const DUE: Instant = us(LATEST + SPAN.as_micros());
/// A reading that is later than the latest pass, and `SPAN` from there.
const LATER: u64 = LATEST + 500;
const LATER_DUE: Instant = us(LATER + SPAN.as_micros());

/// An executor after a pass at `LATEST`, whose clock reads `reading`.
fn with_reading(reading: u64) -> Run {
    let executor = leak(Executor::<_, 1, 8>::new(Bench::new())).with_regions(leak(Regions::<4>::new()));
    let mut runner = executor.start().unwrap();
    executor.platform().set_clock(LATEST);
    settle(&mut runner, us(LATEST));
    executor.platform().set_clock(reading);
    runner
}

fn gone_back() -> Run {
    with_reading(READING)
}

/// When the wait is over that `body` begins in its first poll, which the executor makes in a pass of
/// `LATEST`.
fn ends_at<F>(reading: u64, body: impl FnOnce(Cx) -> F) -> Option<Instant>
where
    F: Future<Output: Send> + Send + 'static,
{
    let mut runner = with_reading(reading);
    let task = runner.executor().spawn(pool::<1>(), body).unwrap_or_else(|error| panic!("{error}"));
    // `LATEST` again, for what is later must not come from the pass.
    settle(&mut runner, us(LATEST.min(reading)));
    assert!(!task.is_finished(), "the wait was over at once");
    runner.next_alarm()
}

#[test]
fn a_sleep_lasts_as_long_as_asked() {
    assert_eq!(ends_at(READING, |cx| cx.sleep(SPAN)), Some(DUE));
    assert_eq!(ends_at(LATER, |cx| cx.sleep(SPAN)), Some(LATER_DUE));
}

#[test]
fn a_timeout_lasts_as_long_as_asked() {
    assert_eq!(ends_at(READING, |cx| cx.timeout(SPAN, pending::<()>())), Some(DUE));
    assert_eq!(ends_at(LATER, |cx| cx.timeout(SPAN, pending::<()>())), Some(LATER_DUE));
}

#[test]
fn the_first_tick_of_an_interval_comes_after_a_period() {
    for missed in [MissedTick::Burst, MissedTick::Delay, MissedTick::Skip] {
        let body = move |cx: Cx| async move { cx.interval(SPAN, missed).unwrap().tick().await };
        assert_eq!(ends_at(READING, body), Some(DUE), "{missed:?}");
        assert_eq!(ends_at(LATER, body), Some(LATER_DUE), "{missed:?}");
    }
}

#[test]
fn a_drivers_delay_lasts_as_long_as_asked() {
    assert_eq!(ends_at(READING, |cx| async move { cx.delay().delay_ms(20).await }), Some(DUE));
    assert_eq!(ends_at(READING, |cx| async move { cx.delay().delay_us(20_000).await }), Some(DUE));
    assert_eq!(ends_at(READING, |cx| async move { cx.delay().delay_ns(20_000_000).await }), Some(DUE));
    assert_eq!(ends_at(LATER, |cx| async move { cx.delay().delay_ms(20).await }), Some(LATER_DUE));
}

#[test]
fn a_join_with_a_limit_waits_that_long() {
    for (reading, due) in [(READING, DUE), (LATER, LATER_DUE)] {
        let body = |cx: Cx| async move {
            let mut task = cx.spawn(pool::<1>(), |_| pending::<()>()).unwrap();
            task.join_within(cx, SPAN).await
        };
        assert_eq!(ends_at(reading, body), Some(due));
    }
}

#[test]
fn no_task_reads_a_time_before_the_latest_pass() {
    for (reading, read) in [(READING, LATEST), (LATER, LATER)] {
        let mut runner = with_reading(reading);
        let mut task = runner.executor().spawn(pool::<1>(), |cx| async move { (cx, cx.now()) }).unwrap();
        settle(&mut runner, us(LATEST));
        let (cx, now) = task.try_join().unwrap().unwrap();
        assert_eq!(now, us(read));
        // Nor does anybody else.
        assert_eq!(cx.now(), us(read));
        assert_eq!(cx.sleep(SPAN).due(), us(read) + SPAN);
    }
}

#[test]
fn a_wait_that_begins_outside_a_pass_lasts_as_long_as_asked() {
    let mut runner = gone_back();
    let mut task = runner.executor().spawn(pool::<1>(), |cx| async move { cx }).unwrap();
    settle(&mut runner, us(LATEST));
    let cx = task.try_join().unwrap().unwrap();
    let mut sleep = Box::pin(cx.sleep(SPAN));
    assert!(poll_once(sleep.as_mut()).is_pending());
    assert_eq!(runner.next_alarm(), Some(DUE));
    let mut timeout = Box::pin(cx.timeout(SPAN, pending::<()>()));
    assert!(timeout.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(sleep);
    assert_eq!(runner.next_alarm(), Some(DUE));
}

/// Lets the clock go back while an interval's ticks are missed; which ticks come without delay, and when the
/// next one is due.
fn ticks_after_missing_some(missed: MissedTick) -> (Vec<u64>, Option<Instant>) {
    let executor = leak(Executor::<_, 1, 8>::new(Bench::new()));
    let mut runner = executor.start().unwrap();
    let ticks: &Log<u64> = leak(Log::new());
    let task = executor.spawn(pool::<1>(), move |cx| async move {
        let mut interval = cx.interval(Duration::from_millis(10), missed).unwrap();
        while let Ok(tick) = interval.tick().await {
            ticks.push(tick.as_millis());
        }
    });
    drop(task.unwrap());
    settle(&mut runner, us(0));
    // The pass is of 45 ms, and then the clock goes back to 12 ms.
    executor.platform().set_clock(12_000);
    while runner.next_alarm() <= Some(us(45_000)) {
        settle(&mut runner, us(45_000));
    }
    (ticks.take(), runner.next_alarm())
}

#[test]
fn missed_ticks_are_counted_from_the_latest_pass() {
    assert_eq!(ticks_after_missing_some(MissedTick::Burst), (vec![10, 20, 30, 40], Some(us(50_000))));
    assert_eq!(ticks_after_missing_some(MissedTick::Delay), (vec![10], Some(us(55_000))));
    assert_eq!(ticks_after_missing_some(MissedTick::Skip), (vec![10], Some(us(50_000))));
}

/// Waits for others, and never ends when it is asked to.
static STUBBORN: Attributes = Attributes::new().cleanup_polls(100).cleanup_time(SPAN);

/// When the time for the clean-up of a task is over that `ask` asks to stop.
fn cleans_up_until(
    reading: u64,
    options: TaskOptions,
    ask: impl FnOnce(&mut Run, trilane::exec::JoinHandle<()>),
) -> Option<Instant> {
    let mut runner = with_reading(reading);
    let options = options.attributes(&STUBBORN);
    let task = runner.executor().spawn_with(options, pool::<1>(), |_| pending::<()>()).unwrap();
    settle(&mut runner, us(READING));
    ask(&mut runner, task);
    settle(&mut runner, us(READING));
    runner.next_alarm()
}

#[test]
fn a_clean_up_has_its_whole_time() {
    for (reading, due) in [(READING, DUE), (LATER, LATER_DUE)] {
        let by_handle = cleans_up_until(reading, TaskOptions::new(), |_, task| task.cancel().unwrap());
        assert_eq!(by_handle, Some(due));
        let by_executor = cleans_up_until(reading, TaskOptions::new(), |runner, task| {
            runner.executor().cancel(task.id()).unwrap();
        });
        assert_eq!(by_executor, Some(due));
        let by_shutdown =
            cleans_up_until(reading, TaskOptions::new(), |runner, _| runner.executor().shut_down());
        assert_eq!(by_shutdown, Some(due));
        let by_another = cleans_up_until(reading, TaskOptions::new(), |runner, task| {
            let ask = runner.executor().spawn(pool::<1>(), move |cx| async move { cx.cancel(task.id()) });
            drop(ask.unwrap());
        });
        assert_eq!(by_another, Some(due));
    }
}

#[test]
fn a_clean_up_in_a_region_that_closes_has_its_whole_time() {
    for (reading, due) in [(READING, DUE), (LATER, LATER_DUE)] {
        let mut runner = with_reading(reading);
        let region = runner.executor().open_region(RegionOptions::new()).unwrap();
        let options = TaskOptions::new().attributes(&STUBBORN);
        drop(region.spawn_with(options, pool::<1>(), |_| pending::<()>()).unwrap());
        settle(&mut runner, us(READING));
        drop(region);
        settle(&mut runner, us(READING));
        assert_eq!(runner.next_alarm(), Some(due));
    }
}

#[test]
fn a_clean_up_after_a_missed_deadline_has_its_whole_time() {
    // The deadline lies between the latest pass and the next one, whose reading then goes back.
    let options = TaskOptions::new().deadline(us(LATEST + 1)).on_miss(OnMiss::Cancel);
    let waker: &Mutex<Option<Waker>> = leak(Mutex::new(None));
    let mut runner = gone_back();
    let task = runner.executor().spawn_with(options.attributes(&STUBBORN), pool::<1>(), |_| {
        std::future::poll_fn(|cx| {
            *waker.lock().unwrap() = Some(cx.waker().clone());
            std::task::Poll::<()>::Pending
        })
    });
    settle(&mut runner, us(READING));
    waker.lock().unwrap().take().unwrap().wake();
    settle(&mut runner, us(LATEST + 2));
    assert_eq!(runner.next_alarm(), Some(DUE + Duration::from_micros(2)));
    assert!(!task.unwrap().is_finished());
}

#[test]
fn a_deadline_before_the_latest_pass_has_passed_whatever_the_clock_reads() {
    let mut runner = gone_back();
    let executor = runner.executor();
    let task = executor.spawn(pool::<1>(), |_| pending::<()>()).unwrap();
    settle(&mut runner, us(READING));
    assert_eq!(executor.set_deadline(task.id(), Some(us(LATEST - 1))), Err(DeadlineError::Passed));
    assert_eq!(executor.set_deadline(task.id(), Some(us(LATEST))), Ok(()));
    let late = TaskOptions::new().deadline(us(READING + 1));
    assert!(executor.spawn_with(late, pool::<1>(), |_| async {}).is_err());
}

/// A clock that goes back again and again by more than it goes on: nothing waits less than it asked, by the
/// executor's time, and each sleep ends.
#[test]
fn sleeps_end_on_a_clock_that_goes_back_again_and_again() {
    let executor = leak(Executor::<_, 1, 8>::new(Bench::new()));
    let mut runner = executor.start().unwrap();
    let task = executor.spawn(pool::<1>(), |cx| async move {
        for _ in 0..10 {
            let began = cx.now();
            executor.platform().set_clock(began.as_micros().saturating_sub(15_000));
            let sleep = cx.sleep(SPAN);
            assert_eq!(sleep.due(), began + SPAN);
            sleep.await.unwrap();
            assert!(cx.now() >= began + SPAN);
        }
        assert_eq!(executor.platform().now(), us(200_000));
    });
    crate::bench::run_to_rest(&mut runner);
    assert!(task.unwrap().is_finished());
}
