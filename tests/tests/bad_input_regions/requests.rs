//! Requests to stop, and what a task that was asked may do no more.

use std::fmt::Display;
use std::sync::OnceLock;

use trilane::exec::{
    AbortHandle, CancelError, Cancelled, CloseError, DeadlineError, JoinError, OpenError, Reason, Region,
    RegionOptions, SpawnErrorKind, TaskOptions, TimeoutError,
};
use trilane::time::Duration;
use trilane_tests::future::parked;
use trilane_tests::{leak, pool, settle, us};

use crate::{forever, open, unchanged, unit};

#[test]
fn a_task_that_has_ended_is_not_asked_to_stop() {
    let mut runner = unit();
    let executor = runner.executor();
    let pool = pool::<2>();
    let mut task = executor.spawn(pool, |_| async { 3 }).unwrap();
    let (id, abort) = (task.id(), task.abort_handle().unwrap());
    assert_eq!(abort.id(), id);
    settle(&mut runner, us(0));
    for taken in [false, true] {
        unchanged(executor, || {
            assert_eq!(task.cancel(), Err(CancelError::Stale));
            assert_eq!(abort.cancel(), Err(CancelError::Stale));
            assert_eq!(executor.cancel(id), Err(CancelError::Stale));
        });
        if !taken {
            assert_eq!(task.try_join(), Some(Ok(3)));
            assert!(task.abort_handle().is_none());
        }
    }
    let next = executor.spawn(pool, |_| forever()).unwrap();
    assert_eq!(next.id().slot(), id.slot());
    assert_eq!(abort.cancel(), Err(CancelError::Stale));
    assert_eq!(executor.cancel(id), Err(CancelError::Stale));
    assert_eq!(executor.task(next.id()).unwrap().cancelled, None);
}

#[test]
fn a_task_cancels_another_by_its_id_but_not_itself() {
    let mut runner = unit();
    let executor = runner.executor();
    let pool = pool::<2>();
    let mut other = executor.spawn(pool, |cx| cx.cancelled()).unwrap();
    let other_id = other.id();
    let mut task = executor
        .spawn(pool, move |cx| async move {
            let oneself = unchanged(executor, || cx.cancel(cx.id()));
            (oneself, cx.is_cancelled(), cx.cancel(other_id))
        })
        .unwrap();
    settle(&mut runner, us(0));
    assert_eq!(task.try_join(), Some(Ok((Err(CancelError::Oneself), false, Ok(())))));
    assert_eq!(other.try_join(), Some(Ok(Cancelled(Reason::User))));
}

#[test]
fn a_task_may_ask_itself_to_stop_by_its_abort_handle() {
    let mut runner = unit();
    let own: &OnceLock<AbortHandle> = leak(OnceLock::new());
    let mut task = runner
        .executor()
        .spawn(pool::<1>(), |cx| async move {
            own.get().unwrap().cancel().unwrap();
            assert!(cx.is_cancelled());
            own.get().unwrap().cancel().unwrap();
            cx.sleep(Duration::from_millis(1)).await
        })
        .unwrap();
    own.set(task.abort_handle().unwrap()).unwrap();
    assert_eq!(settle(&mut runner, us(0)), 1);
    assert_eq!(task.try_join(), Some(Ok(Err(Cancelled(Reason::User)))));
    assert_eq!(runner.executor().counters().cancelled_by_user, 1);
}

#[test]
fn a_draining_task_has_no_deadline_to_change() {
    let mut runner = unit();
    let executor = runner.executor();
    let task = executor.spawn_with(TaskOptions::new().deadline(us(50)), pool::<1>(), |_| forever()).unwrap();
    settle(&mut runner, us(0));
    task.cancel().unwrap();
    for _ in 0..2 {
        unchanged(executor, || {
            for deadline in [None, Some(us(10)), Some(us(1_000_000))] {
                assert_eq!(executor.set_deadline(task.id(), deadline), Err(DeadlineError::Cancelled));
            }
            assert_eq!(executor.task(task.id()).unwrap().deadline, None);
        });
        settle(&mut runner, us(0));
    }
    assert_eq!(runner.next_alarm(), Some(us(100_000)));
}

#[test]
fn an_executor_that_shuts_down_takes_nothing_from_that_instant_on() {
    let mut runner = unit();
    let executor = runner.executor();
    let pool = pool::<3>();
    let region = open(executor);
    let mut member = region
        .spawn(pool, move |cx| async move {
            let reason = cx.cancelled().await;
            (reason, cx.spawn(pool, |_| forever()).unwrap_err().kind)
        })
        .unwrap();
    let mut outside = executor
        .spawn(pool, move |cx| async move {
            let reason = cx.cancelled().await;
            (reason, cx.spawn(pool, |_| forever()).unwrap_err().kind)
        })
        .unwrap();
    settle(&mut runner, us(0));
    executor.shut_down();
    let spawner = runner.spawner();
    let refused = |region: &Region| {
        unchanged(executor, || {
            let ended = SpawnErrorKind::ShutDown;
            assert_eq!(executor.spawn(pool, |_| forever()).unwrap_err().kind, ended);
            assert_eq!(spawner.spawn_local(pool, |_| forever()).unwrap_err().kind, ended);
            assert_eq!(region.spawn(pool, |_| forever()).unwrap_err().kind, ended);
            assert_eq!(executor.open_region(RegionOptions::new()).unwrap_err(), OpenError::ShutDown);
            assert_eq!(region.open_region(RegionOptions::new()).unwrap_err(), OpenError::ShutDown);
        });
    };
    refused(&region);
    settle(&mut runner, us(0));
    refused(&region);
    let told = (Cancelled(Reason::Shutdown), SpawnErrorKind::ShutDown);
    assert_eq!(outside.try_join(), Some(Ok(told)));
    assert_eq!(member.try_join(), Some(Err(JoinError::Reclaimed)));
    assert_eq!(executor.tasks().count(), 0);
    executor.shut_down();
    settle(&mut runner, us(0));
    assert_eq!(executor.counters().cancelled_by_shutdown, 2);
}

#[test]
fn an_error_says_what_to_do() {
    let says = |error: &dyn Display, advice: &[&str]| {
        let text = error.to_string();
        assert!(advice.iter().all(|advice| text.contains(advice)), "{text:?} lacks one of {advice:?}");
        assert!(!text.ends_with('.') && text.starts_with(char::is_lowercase), "{text:?} is not a clause");
    };
    says(&SpawnErrorKind::RegionClosed, &["region is closing"]);
    says(&SpawnErrorKind::ShutDown, &["shuts down"]);
    says(&OpenError::ShutDown, &["shuts down"]);
    says(&SpawnErrorKind::QuotaExceeded, &["quota is used up", "raise it", "wait"]);
    says(&SpawnErrorKind::SetFull, &["join set is full", "raise its N", "take a result"]);
    says(&SpawnErrorKind::Stale, &["has ended", "executor"]);
    says(&OpenError::Full, &["no room", "with_regions", "close one"]);
    says(&OpenError::Closed, &["closing"]);
    says(&OpenError::Stale, &["ended"]);
    says(&CloseError::Closed, &["closed before", "close once"]);
    says(&CloseError::Inside, &["in the region", "outside"]);
    says(&CloseError::Cancelled(Reason::Shutdown), &["asked to stop", "shuts down"]);
    says(&CancelError::Stale, &["stale"]);
    says(&CancelError::Oneself, &["itself", "return"]);
    says(&DeadlineError::Cancelled, &["asked to stop", "no deadline"]);
    says(&Cancelled(Reason::SiblingFailed), &["asked to stop", "failed"]);
    says(&JoinError::Reclaimed, &["region was closed", "join before you close"]);
    says(&JoinError::Interrupted(Reason::User), &["waits", "asked to stop"]);
    says(&JoinError::Cancelled(Reason::ParentClosed), &["by force", "region was closed"]);
    says(&TimeoutError::Cancelled(Reason::User), &["asked to stop"]);
}

#[test]
fn a_draining_task_is_asked_again_without_harm() {
    let mut runner = unit();
    let executor = runner.executor();
    let task = executor.spawn(pool::<1>(), |_| parked()).unwrap();
    task.cancel().unwrap();
    unchanged(executor, || {
        for _ in 0..5 {
            assert_eq!(task.cancel(), Ok(()));
        }
    });
    settle(&mut runner, us(0));
    assert_eq!(executor.counters().cancelled_by_user, 1);
}
