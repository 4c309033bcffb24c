//! The clean-up: its polls, its time, and the end by force.

use std::num::NonZeroU16;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::task::{Context, Waker};

use embedded_hal_async::delay::DelayNs;
use trilane::exec::{
    Attributes, Cancelled, Executor, JoinError, JoinHandle, Platform, Reason, Region, RegionOptions, Regions,
    TaskOptions, TaskState,
};
use trilane::time::{Duration, Instant};
use trilane_tests::future::Bell;
use trilane_tests::{Log, leak, manual, pool, run_out, settle, us};

use crate::{deaf, kind};

#[test]
fn a_task_that_has_used_up_its_polls_cleans_up_as_long_as_any_other() {
    static KIND: Attributes = Attributes::new().cleanup_time(Duration::from_micros(50));
    let mut runner = manual::<1, 4>();
    let executor = runner.executor();
    let pool = pool::<4>();
    settle(&mut runner, us(1_000));
    let options = TaskOptions::new().attributes(&KIND).poll_quota(NonZeroU16::new(3).unwrap());
    // Several, so that they take turns in the ready lane.
    let tasks = [0; 3].map(|_| {
        executor
            .spawn_with(options, pool, |cx| async move {
                while !cx.is_cancelled() {
                    cx.yield_now().await;
                }
                cx.shield(cx.sleep(Duration::from_micros(49))).await
            })
            .unwrap()
    });
    run_out(&mut runner);
    assert_eq!(runner.now(), us(1_049));
    for mut task in tasks {
        assert_eq!(task.try_join(), Some(Ok(Ok(()))));
    }
    assert_eq!(executor.counters().cancelled_by_quota, 3);
}

#[test]
fn a_foreign_future_is_dropped_when_the_clean_up_time_is_over_and_not_before() {
    static KIND: Attributes = Attributes::new().cleanup_time(Duration::from_micros(70));
    let mut runner = manual::<1, 4>();
    let executor = runner.executor();
    let bell: &Bell = leak(Bell::new());
    let mut task = executor.spawn_with(kind(&KIND), pool::<1>(), |_| deaf(bell)).unwrap();
    settle(&mut runner, us(30));
    assert_eq!(runner.next_alarm(), None);
    task.cancel().unwrap();
    settle(&mut runner, us(30));
    assert_eq!((bell.polls(), runner.next_alarm()), (2, Some(us(100))));
    settle(&mut runner, us(99));
    assert!(!task.is_finished());
    assert_eq!(settle(&mut runner, us(100)), 0);
    assert_eq!(task.try_join(), Some(Err(JoinError::Cancelled(Reason::User))));
    assert_eq!((bell.polls(), runner.next_alarm(), executor.counters().forced), (2, None, 1));
}

#[test]
fn a_task_is_polled_as_often_as_its_clean_up_may_and_dropped_right_after() {
    static KINDS: [Attributes; 4] = [kind_of(0), kind_of(1), kind_of(2), kind_of(u16::MAX)];
    const fn kind_of(polls: u16) -> Attributes {
        Attributes::new().cleanup_polls(polls)
    }
    for (attributes, polls) in KINDS.iter().zip([0, 1, 2, u32::from(u16::MAX)]) {
        let mut runner = manual::<1, 2>();
        let bell: &Bell = leak(Bell::new());
        let mut task = runner
            .executor()
            .spawn_with(kind(attributes), pool::<1>(), |cx| async move {
                // Once more at each poll, but for the first.
                cx.cancelled().await;
                loop {
                    bell.note(&mut Context::from_waker(Waker::noop()));
                    cx.yield_now().await;
                }
            })
            .unwrap();
        settle(&mut runner, us(0));
        task.cancel().unwrap();
        settle(&mut runner, us(0));
        assert_eq!(bell.polls(), polls);
        assert_eq!(task.try_join(), Some(Err::<(), _>(JoinError::Cancelled(Reason::User))));
    }
}

#[test]
fn a_task_whose_last_poll_of_its_clean_up_is_over_does_not_wait_for_its_time() {
    static KIND: Attributes = Attributes::new().cleanup_polls(1);
    let mut runner = manual::<1, 2>();
    let bell: &Bell = leak(Bell::new());
    let mut task = runner.executor().spawn_with(kind(&KIND), pool::<1>(), |_| deaf(bell)).unwrap();
    settle(&mut runner, us(0));
    task.cancel().unwrap();
    settle(&mut runner, us(0));
    assert_eq!((bell.polls(), runner.next_alarm()), (2, None));
    assert_eq!(task.try_join(), Some(Err(JoinError::Cancelled(Reason::User))));
}

#[test]
fn a_clean_up_without_end_is_never_cut_short_by_time() {
    static KIND: Attributes = Attributes::new().cleanup_time(Duration::MAX).cleanup_polls(3);
    let mut runner = manual::<1, 2>();
    let bell: &Bell = leak(Bell::new());
    let mut task = runner.executor().spawn_with(kind(&KIND), pool::<1>(), |_| deaf(bell)).unwrap();
    settle(&mut runner, us(5));
    task.cancel().unwrap();
    settle(&mut runner, us(5));
    settle(&mut runner, Instant::from_micros(u64::MAX - 1));
    bell.ring();
    settle(&mut runner, Instant::from_micros(u64::MAX - 1));
    assert!(!task.is_finished());
    bell.ring();
    settle(&mut runner, Instant::from_micros(u64::MAX - 1));
    assert_eq!(task.try_join(), Some(Err(JoinError::Cancelled(Reason::User))));
    assert_eq!(bell.polls(), 4);
}

#[test]
fn a_clock_that_jumps_ends_all_clean_ups_that_it_has_passed() {
    static KINDS: [Attributes; 3] = [kind_of(10), kind_of(20), kind_of(2_000)];
    const fn kind_of(time: u64) -> Attributes {
        Attributes::new().cleanup_time(Duration::from_micros(time))
    }
    let mut runner = manual::<1, 8>();
    let executor = runner.executor();
    let pool = pool::<8>();
    let ends: &Log<usize> = leak(Log::new());
    let tasks: Vec<_> = [2, 1, 0, 0]
        .map(|number| {
            let drops = OnDrop(ends, number);
            let task = executor.spawn_with(kind(&KINDS[number]), pool, |_| async move {
                let _drops = drops;
                std::future::pending::<()>().await;
            });
            task.unwrap()
        })
        .into_iter()
        .collect();
    settle(&mut runner, us(0));
    tasks.iter().for_each(|task| task.cancel().unwrap());
    settle(&mut runner, us(0));
    assert_eq!(runner.next_alarm(), Some(us(10)));
    settle(&mut runner, us(1_000));
    assert_eq!(ends.take(), [0, 0, 1]);
    assert_eq!(runner.next_alarm(), Some(us(2_000)));
    // A clean-up of which nothing was seen is over just the same.
    executor.spawn_with(kind(&KINDS[0]), pool, |_| std::future::pending::<()>()).unwrap().cancel().unwrap();
    settle(&mut runner, us(5_000));
    assert_eq!(executor.tasks().filter(|task| task.state != TaskState::Done).count(), 0);
}

/// Notes when it is dropped.
struct OnDrop(&'static Log<usize>, usize);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.push(self.1);
    }
}

#[test]
fn a_drivers_delay_is_waited_out_or_forced() {
    static KIND: Attributes = Attributes::new().cleanup_time(Duration::from_micros(30));
    for (span, result) in [(20, Ok(us(20))), (40, Err(JoinError::Cancelled(Reason::User)))] {
        let mut runner = manual::<1, 2>();
        let mut task = runner
            .executor()
            .spawn_with(kind(&KIND), pool::<1>(), move |cx| async move {
                cx.delay().delay_us(span).await;
                cx.now()
            })
            .unwrap();
        settle(&mut runner, us(0));
        task.cancel().unwrap();
        run_out(&mut runner);
        assert_eq!(task.try_join(), Some(result));
    }
}

#[test]
fn a_task_finaliser_comes_after_the_futures_drop_and_before_the_joiner() {
    static STEPS: Log<usize> = Log::new();
    static KIND: Attributes = Attributes::new().cleanup_polls(0).finaliser(|forced| {
        assert_eq!(forced.reason, Reason::User);
        STEPS.push(1);
    });
    let mut runner = manual::<1, 4>();
    let executor = runner.executor();
    let pool = pool::<4>();
    let drops = OnDrop(&STEPS, 0);
    let task = executor.spawn_with(kind(&KIND), pool, |_| async move {
        let _drops = drops;
        std::future::pending::<()>().await;
    });
    let (task, bell): (_, &Bell) = (task.unwrap(), leak(Bell::new()));
    let abort = task.abort_handle().unwrap();
    let joiner = executor.spawn(pool, |_| async move {
        bell.around(task.into_future()).await.unwrap_err();
        STEPS.push(2);
    });
    settle(&mut runner, us(0));
    abort.cancel().unwrap();
    settle(&mut runner, us(0));
    assert_eq!(STEPS.take(), [0, 1, 2]);
    assert!(joiner.unwrap().is_finished());
    // One that ends by itself has nothing to be finalised.
    let task = executor.spawn_with(kind(&KIND), pool, |_| async {}).unwrap();
    settle(&mut runner, us(0));
    assert!(task.is_finished() && STEPS.take().is_empty());
}

/// A machine whose clock says what it is told to.
struct Told(AtomicU64);

impl Platform for Told {
    fn now(&self) -> Instant {
        us(self.0.load(SeqCst))
    }

    fn set_alarm(&self, _at: Option<Instant>) {}

    fn pend(&self) {}

    fn idle(&self, _quiet: &dyn Fn() -> bool) {}
}

#[test]
fn a_request_whose_reading_of_the_clock_lies_before_the_latest_pass_leaves_the_whole_time_to_clean_up() {
    // The clock went back, or whoever asks was interrupted after it had read it.
    type Asks = fn(&'static Executor<Told, 1, 4>, &Region, &JoinHandle<Result<(), Cancelled>>);
    let asks: [Asks; 3] = [
        |_, _, task| task.cancel().unwrap(),
        |_, region, _| region.cancel().unwrap(),
        |executor, _, _| executor.shut_down(),
    ];
    for ask in asks {
        let regions: &Regions<1> = leak(Regions::new());
        let executor = leak(Executor::new(Told(AtomicU64::new(0)))).with_regions(regions);
        let mut runner = executor.start().unwrap();
        let region = executor.open_region(RegionOptions::new()).unwrap();
        let task = region
            .spawn(pool::<1>(), |cx| async move {
                cx.cancelled().await;
                cx.shield(cx.sleep_until(us(1_099_999))).await
            })
            .unwrap();
        settle(&mut runner, us(1_000_000));
        ask(executor, &region, &task);
        settle(&mut runner, us(1_000_000));
        settle(&mut runner, us(1_099_999));
        assert!(task.is_finished());
        assert_eq!(executor.counters().forced, 0);
    }
}
