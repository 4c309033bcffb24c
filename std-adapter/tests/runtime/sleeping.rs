//! Which workers sleep, and who wakes them.

use std::thread;
use std::time::{Duration, Instant};

use trilane::exec::{Attributes, JoinError, MissedTick, Reason, TaskOptions};
use trilane::time::Duration as Span;
use trilane_std::runtime::block_on;

#[cfg(target_os = "linux")]
use crate::kernel::assert_still;
use crate::runtime;

#[test]
fn r13_nothing_wakes_up_when_all_sleep() {
    let runtime = runtime(2, "idle13");
    let task = runtime.spawn(|cx| async move { cx.cancelled().await }).unwrap();
    block_on(runtime.spawn(|cx| async move { cx.sleep(Span::from_millis(20)).await }).unwrap().into_future())
        .unwrap()
        .unwrap();
    assert_still("idle13", 2);
    task.cancel().unwrap();
    block_on(task.into_future()).unwrap();
}

#[test]
fn e11_r10_no_wake_is_lost_however_workers_go_to_sleep() {
    let runtime = runtime(3, "wakes");
    let rounds = if cfg!(debug_assertions) { 5_000 } else { 50_000 };
    for number in 0..rounds {
        let task = runtime.spawn(move |cx| async move {
            if number % 3 == 0 {
                cx.sleep(Span::from_micros(number % 60)).await.unwrap();
            }
            number
        });
        assert_eq!(block_on(task.unwrap().into_future()), Ok(number));
        if number % 64 == 0 {
            thread::sleep(Duration::from_micros(100));
        }
    }
}

#[test]
fn a_clean_up_ends_whoever_has_polled_the_task() {
    static SHORT: Attributes = Attributes::named("short").cleanup_time(Span::from_micros(300));
    let runtime = runtime(3, "clean-ups");
    for round in 0..2_000 {
        let stubborn = runtime
            .spawn_with(TaskOptions::new().attributes(&SHORT), |_| std::future::pending::<()>())
            .unwrap();
        if round % 2 == 0 {
            thread::sleep(Duration::from_micros(100));
        }
        stubborn.cancel().unwrap();
        let began = Instant::now();
        assert_eq!(block_on(stubborn), Err(JoinError::Cancelled(Reason::User)));
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    }
}

#[test]
fn spans_of_either_kind_are_waited_for() {
    let runtime = runtime(1, "spans");
    let task = runtime.spawn(|cx| async move {
        let (real, span) = (Duration::from_millis(2), Span::from_millis(2));
        let began = cx.now();
        cx.sleep(real).await.unwrap();
        cx.sleep(span).await.unwrap();
        cx.timeout(real, std::future::pending::<()>()).await.unwrap_err();
        cx.interval(real, MissedTick::Skip).unwrap().tick().await.unwrap();
        Duration::from(cx.now() - began)
    });
    assert!(block_on(task.unwrap()).unwrap() >= Duration::from_millis(8));
}
