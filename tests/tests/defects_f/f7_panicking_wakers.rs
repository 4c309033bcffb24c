//! F7: a foreign waker that panicked took other wakes with it: whoever waited for the set of the task that it
//! waited for was never woken.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Mutex;
use std::task::{Context, Poll};

use trilane::exec::{
    Attributes, Cx, Join, JoinError, JoinHandle, JoinSet, Manual, Region, RegionOptions, Runner, TaskOptions,
};
use trilane::time::Duration;
use trilane_tests::future::{Bell, poll_once};
use trilane_tests::watch::{Spring, Wakes, trap};
use trilane_tests::{leak, pool, settle, us, with_regions};

type Run = Runner<Manual, 1, 16>;

fn start() -> Run {
    with_regions::<4, 1, 16>()
}

fn cx_of(runner: &mut Run) -> Cx {
    let mut task = runner.executor().spawn(pool::<1>(), |cx| async move { cx }).unwrap();
    settle(runner, us(0));
    task.try_join().unwrap().unwrap()
}

/// Passes at `now`, those that unwind included, until nothing is runnable. Returns how many unwound.
fn settle_through(runner: &mut Run, now: u64) -> u32 {
    let mut unwound = 0;
    for _ in 0..100 {
        match catch_unwind(AssertUnwindSafe(|| runner.poll_pending(us(now)))) {
            Ok(pass) if !pass.more => return unwound,
            Ok(_) => {}
            Err(_) => unwound += 1,
        }
    }
    panic!("it never comes to rest");
}

/// Polls a wait with a waker that panics at `spring`.
fn poll_trapped<F: Future + ?Sized>(future: Pin<&mut F>, spring: Spring) -> Poll<F::Output> {
    // Its own drop would panic too.
    let trap = std::mem::ManuallyDrop::new(trap(spring));
    future.poll(&mut Context::from_waker(&trap))
}

/// A task of `region` that ends when the bell rings, awaited by a waker that panics.
fn trapped_member(
    runner: &mut Run,
    region: &Region,
    bell: &'static Bell,
) -> Pin<Box<Join<JoinHandle<()>, ()>>> {
    let member = region.spawn(pool::<1>(), move |_| bell.until(2)).unwrap();
    settle(runner, us(0));
    let mut join = Box::pin(member.into_future());
    assert!(poll_trapped(join.as_mut(), Spring::Wake).is_pending());
    join
}

/// A task that waits for a region or a set, and what it gets.
fn waiter<T, F>(runner: &mut Run, wait: F) -> JoinHandle<T>
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    let task = runner.executor().spawn(pool::<1>(), move |_| wait).unwrap_or_else(|error| panic!("{error}"));
    settle(runner, us(0));
    assert!(!task.is_finished());
    task
}

#[test]
fn a_set_hears_of_its_next_end_after_a_joiner_has_panicked() {
    let mut runner = start();
    let region = runner.executor().open_region(RegionOptions::new()).unwrap();
    let (first, last): (&Bell, &Bell) = (leak(Bell::new()), leak(Bell::new()));
    let mut set: JoinSet<u32, 2> = JoinSet::new(region);
    set.spawn(pool::<1>(), |_| async {
        last.until(2).await;
        7
    })
    .unwrap();
    let joined = trapped_member(&mut runner, set.region(), first);
    let mut task = waiter(&mut runner, async move { set.join_next().await });
    first.ring();
    assert_eq!(settle_through(&mut runner, 0), 1);
    last.ring();
    assert_eq!(settle_through(&mut runner, 0), 0);
    assert_eq!(task.try_join(), Some(Ok(Some(Ok(7)))));
    drop(joined);
}

#[test]
fn who_waits_for_all_of_a_region_is_woken_although_a_joiner_panics() {
    let mut runner = start();
    let mut region = runner.executor().open_region(RegionOptions::new()).unwrap();
    let bell: &Bell = leak(Bell::new());
    let mut joined = trapped_member(&mut runner, &region, bell);
    let mut task = waiter(&mut runner, async move { region.join_all().await });
    bell.ring();
    assert_eq!(settle_through(&mut runner, 0), 1);
    assert_eq!(task.try_join(), Some(Ok(Ok(()))));
    assert_eq!(poll_once(joined.as_mut()), Poll::Ready(Ok(())));
}

#[test]
fn who_closes_a_region_is_woken_although_a_joiner_panics() {
    let mut runner = start();
    let mut region = runner.executor().open_region(RegionOptions::new()).unwrap();
    let member = region.spawn(pool::<1>(), |cx: Cx| async move { cx.cancelled().await }).unwrap();
    settle(&mut runner, us(0));
    let mut joined = Box::pin(member.into_future());
    assert!(poll_trapped(joined.as_mut(), Spring::Wake).is_pending());
    let closing = runner.executor().spawn(pool::<1>(), |_| async move { region.close().await });
    assert_eq!(settle_through(&mut runner, 0), 1);
    assert_eq!(closing.unwrap().try_join(), Some(Ok(Ok(()))));
    assert!(matches!(poll_once(joined.as_mut()), Poll::Ready(Ok(_))));
}

/// It is ended by force: the runner ends it, outside a poll.
#[test]
fn who_closes_a_region_is_woken_although_a_forced_tasks_joiner_panics() {
    static NO_CLEAN_UP: Attributes = Attributes::new().cleanup_polls(0);
    let mut runner = start();
    let mut region = runner.executor().open_region(RegionOptions::new()).unwrap();
    let options = TaskOptions::new().attributes(&NO_CLEAN_UP);
    let member = region.spawn_with(options, pool::<1>(), |_| std::future::pending::<()>()).unwrap();
    settle(&mut runner, us(0));
    let mut joined = Box::pin(member.into_future());
    assert!(poll_trapped(joined.as_mut(), Spring::Wake).is_pending());
    let closing = runner.executor().spawn(pool::<1>(), |_| async move { region.close().await });
    assert_eq!(settle_through(&mut runner, 0), 1);
    assert_eq!(closing.unwrap().try_join(), Some(Ok(Ok(()))));
    assert!(matches!(poll_once(joined.as_mut()), Poll::Ready(Err(JoinError::Cancelled(_)))));
}

#[test]
fn other_regions_are_seen_to_although_the_waiter_of_one_panics() {
    let mut runner = start();
    let executor = runner.executor();
    let mut regions = [0; 3].map(|_| executor.open_region(RegionOptions::new()).unwrap());
    for region in &regions {
        drop(region.spawn(pool::<1>(), |cx: Cx| async move { cx.cancelled().await }).unwrap());
    }
    settle(&mut runner, us(0));
    let (counter, waker) = Wakes::waker();
    let [first, middle, last] = &mut regions;
    let (mut first, mut middle, mut last) =
        (Box::pin(first.close()), Box::pin(middle.close()), Box::pin(last.close()));
    assert!(first.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    assert!(poll_trapped(middle.as_mut(), Spring::Wake).is_pending());
    assert!(last.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    assert_eq!(settle_through(&mut runner, 0), 1);
    assert_eq!(counter.get(), 2);
    for mut close in [first, middle, last] {
        assert_eq!(poll_once(close.as_mut()), Poll::Ready(Ok(())));
    }
}

#[test]
fn sleeps_that_are_due_together_all_end_although_the_waker_of_one_panics() {
    const SLEEPS: usize = 5;
    for trapped in 0..SLEEPS {
        let mut runner = start();
        let cx = cx_of(&mut runner);
        let task = runner.executor().spawn(pool::<1>(), |cx| cx.sleep_until(us(10))).unwrap();
        settle(&mut runner, us(0));
        let (counter, waker) = Wakes::waker();
        let mut sleeps: Vec<_> = (0..SLEEPS).map(|_| Box::pin(cx.sleep_until(us(10)))).collect();
        for (number, sleep) in sleeps.iter_mut().enumerate() {
            let polled = if number == trapped {
                poll_trapped(sleep.as_mut(), Spring::Wake)
            } else {
                sleep.as_mut().poll(&mut Context::from_waker(&waker))
            };
            assert!(polled.is_pending());
        }
        assert_eq!(settle_through(&mut runner, 10), 1);
        assert_eq!(counter.get() as usize, SLEEPS - 1);
        assert!(task.is_finished());
        assert!(sleeps.iter_mut().all(|sleep| poll_once(sleep.as_mut()).is_ready()));
    }
}

#[test]
fn a_clean_up_ends_in_time_although_the_waker_of_a_sleep_panics() {
    static STUBBORN: Attributes = Attributes::new().cleanup_polls(9).cleanup_time(Duration::from_micros(10));
    let mut runner = start();
    let cx = cx_of(&mut runner);
    let options = TaskOptions::new().attributes(&STUBBORN);
    let task = runner.executor().spawn_with(options, pool::<1>(), |_| std::future::pending::<()>()).unwrap();
    task.cancel().unwrap();
    let mut sleep = pin!(cx.sleep_until(us(10)));
    assert!(poll_trapped(sleep.as_mut(), Spring::Wake).is_pending());
    settle(&mut runner, us(0));
    assert!(!task.is_finished());
    assert_eq!(settle_through(&mut runner, 10), 1);
    assert!(task.is_finished());
}

/// What `body` does with a waiting future of each kind, and what is to happen for it to become ready.
fn each_wait(body: impl Fn(Pin<&mut dyn Future<Output = ()>>, &mut dyn FnMut())) {
    let runner = Mutex::new(start());
    let cx = cx_of(&mut runner.lock().unwrap());
    let settle = |now| settle(&mut runner.lock().unwrap(), us(now));
    let mut sleep = Box::pin(cx.sleep_until(us(10)));
    let sleep = std::future::poll_fn(move |cx| sleep.as_mut().poll(cx).map(|over| assert_eq!(over, Ok(()))));
    body(pin!(sleep), &mut || assert!(settle(10) < 2));

    let region = || runner.lock().unwrap().executor().open_region(RegionOptions::new()).unwrap();
    // Where a task of it ends when the bell rings.
    let spawn = |region: &Region| {
        let bell: &Bell = leak(Bell::new());
        let task = region.spawn(pool::<1>(), move |_| bell.until(2)).unwrap();
        settle(10);
        (bell, task)
    };
    let end = |bell: &Bell| {
        bell.ring();
        settle(10);
    };

    let shared = region();
    let (bell, task) = spawn(&shared);
    let mut join = Box::pin(task.into_future());
    let join = std::future::poll_fn(move |cx| join.as_mut().poll(cx).map(|ended| assert_eq!(ended, Ok(()))));
    body(pin!(join), &mut || end(bell));

    let mut all = region();
    let (bell, _task) = spawn(&all);
    let mut join_all = Box::pin(all.join_all());
    let join_all =
        std::future::poll_fn(move |cx| join_all.as_mut().poll(cx).map(|all| assert_eq!(all, Ok(()))));
    body(pin!(join_all), &mut || end(bell));

    let mut set: JoinSet<(), 2> = JoinSet::new(region());
    let bell: &Bell = leak(Bell::new());
    set.spawn(pool::<1>(), |_| bell.until(2)).unwrap();
    settle(10);
    let mut next = Box::pin(set.join_next());
    let next =
        std::future::poll_fn(move |cx| next.as_mut().poll(cx).map(|next| assert_eq!(next, Some(Ok(())))));
    body(pin!(next), &mut || end(bell));

    let mut closing = region();
    let member = closing.spawn(pool::<1>(), |cx: Cx| async move { cx.cancelled().await });
    drop(member.unwrap());
    settle(10);
    let mut close = Box::pin(closing.close());
    let close = std::future::poll_fn(move |cx| close.as_mut().poll(cx).map(|end| assert_eq!(end, Ok(()))));
    body(pin!(close), &mut || assert!(settle(10) < 2));
}

#[test]
fn a_wait_whose_wakers_clone_panics_can_be_polled_again() {
    each_wait(|mut wait, end| {
        assert!(catch_unwind(AssertUnwindSafe(|| poll_trapped(wait.as_mut(), Spring::Clone))).is_err());
        let (counter, waker) = Wakes::waker();
        assert!(wait.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        end();
        assert_eq!(counter.get(), 1);
        assert!(poll_once(wait).is_ready());
    });
}

#[test]
fn a_wait_whose_old_wakers_drop_panics_wakes_the_new_one() {
    each_wait(|mut wait, end| {
        assert!(poll_trapped(wait.as_mut(), Spring::Drop).is_pending());
        let (counter, waker) = Wakes::waker();
        let poll = || wait.as_mut().poll(&mut Context::from_waker(&waker));
        assert!(catch_unwind(AssertUnwindSafe(poll)).is_err());
        end();
        assert_eq!(counter.get(), 1);
        assert!(poll_once(wait).is_ready());
    });
}

#[test]
fn a_sleep_whose_wakers_drop_panics_can_be_reset() {
    let mut runner = start();
    let mut sleep = Box::pin(cx_of(&mut runner).sleep_until(us(10)));
    assert!(poll_trapped(sleep.as_mut(), Spring::Drop).is_pending());
    // Whether a reset drops the waker is its own affair.
    let _ = catch_unwind(AssertUnwindSafe(|| sleep.as_mut().reset(us(20))));
    assert_eq!(sleep.due(), us(20));
    let (counter, waker) = Wakes::waker();
    let _ = catch_unwind(AssertUnwindSafe(|| sleep.as_mut().poll(&mut Context::from_waker(&waker))));
    assert_eq!(runner.next_alarm(), Some(us(20)));
    settle(&mut runner, us(20));
    assert_eq!(counter.get(), 1);
    assert!(poll_once(sleep.as_mut()).is_ready());
}
