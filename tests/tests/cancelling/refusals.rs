//! Loops that go on waiting after they were told to stop.

use std::future::{pending, poll_fn};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::task::Poll;

use trilane::exec::{Attributes, Cx, JoinError, JoinSet, MissedTick, Reason, RegionOptions};
use trilane::time::Duration;
use trilane_tests::{leak, manual, pool, settle, us, with_regions};

use crate::kind;

/// The clean-up polls of a task that loops.
const POLLS: u16 = 3;
static LOOPING: Attributes = Attributes::new().cleanup_polls(POLLS);

/// Waits that are refused in one poll; the next is pending.
const REFUSED: u32 = 7;

/// Runs a task that goes on with a wait for ever, whatever it says, and asks it to stop: it ends, and others
/// run meanwhile.
macro_rules! is_ended {
    ($cx:ident, $wait:expr $(, with $before:stmt)?) => {
        let mut runner = with_regions::<4, 1, 8>();
        let executor = runner.executor();
        let pool = pool::<8>();
        let rounds: &AtomicU32 = leak(AtomicU32::new(0));
        let mut task = executor
            .spawn_with(kind(&LOOPING), pool, move |$cx: Cx| async move {
                $($before)?
                loop {
                    let _ = $wait.await;
                    rounds.fetch_add(1, Relaxed);
                }
            })
            .unwrap();
        settle(&mut runner, us(0));
        let before = rounds.load(Relaxed);
        task.cancel().unwrap();
        settle(&mut runner, us(0));
        assert_eq!(task.try_join(), Some(Err::<(), _>(JoinError::Cancelled(Reason::User))));
        let refused = rounds.load(Relaxed) - before;
        assert!((1..=u32::from(POLLS) * REFUSED).contains(&refused), "{refused} rounds in its clean-up");
    };
}

const SPAN: Duration = Duration::from_secs(1);

async fn forever(_: Cx) {
    pending().await
}

#[test]
fn a_loop_that_ignores_its_refused_sleeps_is_ended() {
    is_ended!(cx, cx.sleep(SPAN));
}

#[test]
fn a_loop_that_ignores_its_refused_timeouts_is_ended() {
    is_ended!(cx, cx.timeout(SPAN, pending::<()>()));
}

#[test]
fn a_loop_that_ignores_its_refused_ticks_is_ended() {
    is_ended!(cx, ticks.tick(), with let mut ticks = cx.interval(SPAN, MissedTick::Burst).unwrap());
}

#[test]
fn a_loop_that_ignores_its_refused_joins_is_ended() {
    is_ended!(cx, task.join(), with let mut task = cx.spawn(pool::<1>(), forever).unwrap());
}

#[test]
fn a_loop_that_ignores_its_refused_waits_for_a_region_is_ended() {
    is_ended!(cx, region.join_all(), with let mut region = {
        let region = cx.open_region(RegionOptions::new()).unwrap();
        region.spawn(pool::<1>(), forever).unwrap();
        region
    });
}

#[test]
fn a_loop_that_ignores_its_refused_waits_for_a_set_is_ended() {
    is_ended!(cx, set.join_next(), with let mut set = {
        let mut set = JoinSet::<(), 1>::new(cx.open_region(RegionOptions::new()).unwrap());
        set.spawn(pool::<1>(), forever).unwrap();
        set
    });
}

#[test]
fn a_loop_that_waits_for_its_request_again_and_again_is_ended() {
    is_ended!(cx, cx.cancelled());
}

#[test]
fn a_loop_whose_futures_are_given_up_is_ended() {
    is_ended!(cx, cx.run_until_cancelled(pending::<()>()));
}

#[test]
fn a_task_may_be_refused_seven_waits_in_a_poll_and_any_number_in_several() {
    for waits in [7, 8, 14, 15, 100] {
        let mut runner = manual::<1, 1>();
        let polls: &AtomicU32 = leak(AtomicU32::new(0));
        let mut task = runner
            .executor()
            .spawn(pool::<1>(), move |cx| async move {
                let mut body = std::pin::pin!(async move {
                    for _ in 0..waits {
                        assert!(cx.sleep(SPAN).await.is_err());
                    }
                });
                poll_fn(|context| {
                    polls.fetch_add(1, Relaxed);
                    body.as_mut().poll(context)
                })
                .await
            })
            .unwrap();
        settle(&mut runner, us(0));
        polls.store(0, Relaxed);
        task.cancel().unwrap();
        settle(&mut runner, us(0));
        assert_eq!(task.try_join(), Some(Ok(())));
        assert_eq!(polls.load(Relaxed), (waits as u32).div_ceil(REFUSED), "{waits} waits");
    }
}

#[test]
fn a_shield_is_not_refused_anything() {
    let mut runner = manual::<1, 1>();
    let mut task = runner
        .executor()
        .spawn(pool::<1>(), |cx| async move {
            let polled = poll_fn(|context| {
                let mut sleep = std::pin::pin!(cx.sleep(SPAN));
                Poll::Ready(sleep.as_mut().poll(context).is_pending())
            });
            cx.cancelled().await;
            cx.shield(polled).await
        })
        .unwrap();
    task.cancel().unwrap();
    settle(&mut runner, us(0));
    assert_eq!(task.try_join(), Some(Ok(true)));
}
