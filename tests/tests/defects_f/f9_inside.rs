//! F9, the waits for a task's result: joining oneself, and the next of a set from inside it.

use std::future::poll_fn;
use std::sync::Mutex;
use std::task::Poll;

use trilane::exec::{JoinError, JoinHandle, JoinSet};
use trilane::time::Duration;
use trilane_tests::future::Bell;
use trilane_tests::{leak, pool, settle, us};

use crate::f9_waits_for_oneself::{Shelf, WHO, region, start, take, wait_inside};

#[test]
fn the_next_of_a_set_from_inside_is_an_error() {
    for who in WHO {
        let mut runner = start();
        let mut set: JoinSet<(), 3> = JoinSet::new(region(&runner));
        let bell: &Bell = leak(Bell::new());
        set.spawn(pool::<1>(), |_| bell.until(2)).unwrap();
        let join = |mut set: JoinSet<(), 3>| async { (set.join_next().await, set) };
        let (next, mut set) = wait_inside(&mut runner, who, set, JoinSet::region, join);
        assert_eq!(next, Some(Err(JoinError::Inside)), "{who}");
        // Nothing has changed: the result is there for who takes it from outside.
        assert_eq!((set.len(), set.try_join_next()), (1, None), "{who}");
        bell.ring();
        settle(&mut runner, us(0));
        assert_eq!(set.try_join_next(), Some(Ok(())), "{who}");
    }
}

/// The only task of the set waits for the set's next result: its own.
#[test]
fn a_member_that_waits_for_its_own_set_gets_an_error_and_its_result_is_kept() {
    let mut runner = start();
    let shelf: &Shelf<JoinSet<bool, 1>> = leak(Mutex::new(None));
    let mut set: JoinSet<bool, 1> = JoinSet::new(region(&runner));
    set.spawn(pool::<1>(), |_| async {
        let mut set = take(shelf);
        let inside = set.join_next().await == Some(Err(JoinError::Inside));
        *shelf.lock().unwrap() = Some(set);
        inside
    })
    .unwrap();
    *shelf.lock().unwrap() = Some(set);
    settle(&mut runner, us(0));
    assert_eq!(take(shelf).try_join_next(), Some(Ok(true)));
}

/// Spawns a task that gets its own handle and waits for it by `wait`, which gives the handle back; what it
/// returned.
fn joins_itself<F>(
    wait: impl FnOnce(trilane::exec::Cx, JoinHandle<Result<(), JoinError>>) -> F + Send + 'static,
) -> Result<(), JoinError>
where
    F: Future<Output = (Result<Result<(), JoinError>, JoinError>, Option<JoinHandle<Result<(), JoinError>>>)>
        + Send
        + 'static,
{
    let mut runner = start();
    let shelf: &Shelf<JoinHandle<Result<(), JoinError>>> = leak(Mutex::new(None));
    let seen: &Shelf<Result<(), JoinError>> = leak(Mutex::new(None));
    let task = runner.executor().spawn(pool::<1>(), |cx| async move {
        let (result, handle) = wait(cx, take(shelf)).await;
        let result = result.and_then(|inner| inner);
        *seen.lock().unwrap() = Some(result);
        *shelf.lock().unwrap() = handle;
        Ok(())
    });
    *shelf.lock().unwrap() = Some(task.unwrap());
    // Long enough for any time limit.
    for now in [0, 10, 20, 30] {
        settle(&mut runner, us(now));
    }
    if let Some(mut handle) = shelf.lock().unwrap().take() {
        assert_eq!(handle.try_join(), Some(Ok(Ok(()))), "the handle is worth as much as before");
    }
    seen.lock().unwrap().take().expect("it waits for itself, for ever")
}

#[test]
fn a_task_that_awaits_its_own_handle_gets_an_error() {
    assert_eq!(joins_itself(|_, handle| async { (handle.await, None) }), Err(JoinError::Inside));
}

#[test]
fn a_task_that_joins_its_own_handle_gets_an_error_and_keeps_it() {
    let result = joins_itself(|_, mut handle| async {
        let result = handle.join().await;
        (result, Some(handle))
    });
    assert_eq!(result, Err(JoinError::Inside));
}

/// At once, and without being asked to stop when the time is up.
#[test]
fn a_task_that_joins_itself_with_a_limit_gets_an_error_at_once() {
    let result = joins_itself(|cx, mut handle| async move {
        let result = handle.join_within(cx, Duration::from_micros(10)).await;
        assert_eq!((cx.now(), cx.is_cancelled()), (us(0), false));
        (result, Some(handle))
    });
    assert_eq!(result, Err(JoinError::Inside));
}

#[test]
fn a_task_that_joins_itself_in_a_shield_gets_an_error() {
    let result = joins_itself(|cx, mut handle| async move {
        let result = cx.shield(handle.join()).await;
        (result, Some(handle))
    });
    assert_eq!(result, Err(JoinError::Inside));
}

/// Two that wait for each other are no case of this: each waits for another one. Who is asked to stop gets
/// out.
#[test]
fn two_tasks_that_join_each_other_can_be_cancelled() {
    let mut runner = start();
    let shelves: &[Shelf<JoinHandle<()>>; 2] = leak([const { Mutex::new(None) }; 2]);
    let [first, second] = [0, 1].map(|number| {
        let other: &'static Shelf<JoinHandle<()>> = &shelves[1 - number];
        let task = runner.executor().spawn(pool::<1>(), move |_| async move {
            let mut handle = take(other);
            let joined = handle.join().await;
            assert!(matches!(joined, Ok(()) | Err(JoinError::Interrupted(_))), "{joined:?}");
        });
        task.unwrap()
    });
    let abort = first.abort_handle().unwrap();
    *shelves[0].lock().unwrap() = Some(first);
    *shelves[1].lock().unwrap() = Some(second);
    settle(&mut runner, us(0));
    abort.cancel().unwrap();
    settle(&mut runner, us(0));
    assert_eq!(runner.executor().tasks().count(), 0);
}

/// A handle that is polled once by its own task is not spoilt for others.
#[test]
fn who_joins_a_task_that_tried_to_join_itself_gets_its_result() {
    let mut runner = start();
    let shelf: &Shelf<JoinHandle<u32>> = leak(Mutex::new(None));
    let task = runner.executor().spawn(pool::<1>(), |cx| async move {
        let mut handle = take(shelf);
        assert_eq!(handle.join().await, Err(JoinError::Inside));
        *shelf.lock().unwrap() = Some(handle);
        cx.yield_now().await;
        cx.yield_now().await;
        9
    });
    *shelf.lock().unwrap() = Some(task.unwrap());
    let mut joiner = runner
        .executor()
        .spawn(pool::<1>(), |_| async {
            let mut handle =
                poll_fn(|_| shelf.lock().unwrap().take().map_or(Poll::Pending, Poll::Ready)).await;
            handle.join().await
        })
        .unwrap();
    settle(&mut runner, us(0));
    assert_eq!(joiner.try_join(), Some(Ok(Ok(9))));
}
