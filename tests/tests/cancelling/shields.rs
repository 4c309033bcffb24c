//! What a shield covers.

use std::sync::OnceLock;

use trilane::exec::{Attributes, Cancelled, Cx, JoinError, Reason};
use trilane::time::Duration;
use trilane_tests::{leak, manual, pool, run_out, settle, us};

use crate::kind;

#[test]
fn an_inner_shield_leaves_the_outer_one_up() {
    let mut runner = manual::<1, 2>();
    let mut task = runner
        .executor()
        .spawn(pool::<1>(), |cx| async move {
            let span = Duration::from_micros(10);
            let inside = cx.shield(async {
                cx.shield(cx.sleep(span)).await.unwrap();
                let between = cx.is_cancelled();
                cx.shield(async {}).await;
                (between, cx.is_cancelled(), cx.sleep(span).await)
            });
            (inside.await, cx.sleep(span).await)
        })
        .unwrap();
    settle(&mut runner, us(0));
    task.cancel().unwrap();
    run_out(&mut runner);
    assert_eq!(runner.now(), us(20));
    assert_eq!(task.try_join(), Some(Ok(((false, false, Ok(())), Err(Cancelled(Reason::User))))));
}

#[test]
fn a_shield_delays_the_request_and_not_the_force() {
    static KIND: Attributes = Attributes::new().cleanup_time(Duration::from_micros(30));
    for (span, result) in
        [(29, Ok(Err(Cancelled(Reason::User)))), (31, Err(JoinError::Cancelled(Reason::User)))]
    {
        let mut runner = manual::<1, 2>();
        let mut task = runner
            .executor()
            .spawn_with(kind(&KIND), pool::<1>(), move |cx| async move {
                cx.shield(cx.sleep_until(us(span))).await.unwrap();
                cx.sleep(Duration::from_micros(1)).await
            })
            .unwrap();
        settle(&mut runner, us(0));
        task.cancel().unwrap();
        run_out(&mut runner);
        assert_eq!(runner.now(), us(span.min(30)));
        assert_eq!(task.try_join(), Some(result));
    }
}

#[test]
fn a_shield_covers_one_arm_of_a_join() {
    let mut runner = manual::<1, 2>();
    let mut task = runner
        .executor()
        .spawn(pool::<1>(), |cx| async move {
            let span = Duration::from_micros(10);
            let bare = async { (cx.sleep(span).await, cx.now()) };
            let shielded = async { (cx.shield(cx.sleep(span)).await, cx.now()) };
            let ((bare, bare_at), (shielded, shielded_at)) = futures::join!(bare, shielded);
            (bare, bare_at, shielded, shielded_at)
        })
        .unwrap();
    settle(&mut runner, us(0));
    task.cancel().unwrap();
    run_out(&mut runner);
    assert_eq!(task.try_join(), Some(Ok((Err(Cancelled(Reason::User)), us(0), Ok(()), us(10)))));
}

#[test]
fn a_shield_of_another_task_covers_nothing() {
    let mut runner = manual::<1, 4>();
    let executor = runner.executor();
    let pool = pool::<2>();
    let other: &OnceLock<Cx> = leak(OnceLock::new());
    let kept = executor
        .spawn(pool, |cx| async move {
            other.set(cx).unwrap();
            cx.cancelled().await
        })
        .unwrap();
    settle(&mut runner, us(0));
    let mut task = executor
        .spawn(pool, |cx| async move { other.get().unwrap().shield(cx.sleep(Duration::MAX)).await })
        .unwrap();
    settle(&mut runner, us(0));
    task.cancel().unwrap();
    settle(&mut runner, us(0));
    assert_eq!(task.try_join(), Some(Ok(Err(Cancelled(Reason::User)))));
    assert!(!kept.is_finished());
}
