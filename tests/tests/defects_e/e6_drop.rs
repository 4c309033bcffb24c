//! E6: dropping a spawn token panicked.

use std::pin::pin;

use trilane::exec::{Executor, Manual, MissedTick, StallWatch, TaskOptions};
use trilane::time::Duration;
use trilane_tests::future::{parked, poll_once};
use trilane_tests::{leak, manual, pool, settle, us};

#[test]
fn a_handle_can_be_dropped_at_any_time() {
    let mut runner = manual::<1, 8>();
    let executor = runner.executor();
    let pool = pool::<8>();
    let spawn = || executor.spawn(pool, |_| async { "output".to_owned() }).unwrap();

    drop(spawn());
    let (finished, mut joined, mut given_up) = (spawn(), spawn(), spawn());
    assert!(poll_once(pin!(given_up.join())).is_pending());
    settle(&mut runner, us(0));
    drop(finished);
    assert_eq!(joined.try_join(), Some(Ok("output".to_owned())));
    drop(joined);
    drop(given_up);
    assert_eq!(executor.tasks().count(), 0);
}

#[test]
fn a_join_can_be_dropped_at_any_time() {
    let mut runner = manual::<1, 8>();
    let executor = runner.executor();
    let pool = pool::<8>();
    let spawn = || executor.spawn(pool, |_| parked()).unwrap();
    let (unpolled, mut polled, mut ready) = (spawn().into_future(), Box::pin(spawn().into_future()), spawn());
    assert!(poll_once(polled.as_mut()).is_pending());
    drop(unpolled);
    drop(polled);
    settle(&mut runner, us(0));
    let join = ready.join();
    drop(join);
    drop(ready);
    assert_eq!(executor.tasks().count(), 3);
}

#[test]
fn a_sleep_can_be_dropped_at_any_time() {
    let mut runner = manual::<1, 8>();
    let executor = runner.executor();
    let (sender, receiver) = std::sync::mpsc::channel();
    drop(executor.spawn(pool::<1>(), |cx| async move { sender.send(cx).unwrap() }));
    settle(&mut runner, us(0));
    let cx = receiver.recv().unwrap();

    drop(cx.sleep(Duration::from_millis(1)));
    let mut armed = Box::pin(cx.sleep(Duration::from_millis(1)));
    let mut fired = Box::pin(cx.sleep(Duration::from_micros(1)));
    let mut seen = Box::pin(cx.sleep(Duration::from_micros(1)));
    for sleep in [&mut armed, &mut fired, &mut seen] {
        assert!(poll_once(sleep.as_mut()).is_pending());
    }
    settle(&mut runner, us(1));
    assert!(poll_once(seen.as_mut()).is_ready());
    drop(armed);
    drop(fired);
    drop(seen);

    let mut timeout = Box::pin(cx.timeout(Duration::from_millis(1), parked()));
    assert!(poll_once(timeout.as_mut()).is_pending());
    drop(timeout);
    drop(cx.timeout(Duration::MAX, parked()));
    {
        let mut interval = cx.interval(Duration::from_micros(1), MissedTick::Burst).unwrap();
        let mut tick = Box::pin(interval.tick());
        assert!(poll_once(tick.as_mut()).is_pending());
    }
    assert_eq!(runner.next_alarm(), None);
}

#[test]
fn a_spawn_error_can_be_dropped() {
    let runner = manual::<1, 1>();
    let executor = runner.executor();
    let pool = pool::<2>();
    let kept = executor.spawn(pool, |_| parked()).unwrap();
    let moved_in = "rejected".to_owned();
    let refused = executor.spawn(pool, |_| async { moved_in }).unwrap_err();
    drop(refused);
    drop(kept);
}

#[test]
fn a_runner_can_be_dropped_with_tasks_in_every_state() {
    let executor = leak(Executor::<_, 1, 8>::new(Manual::new()));
    let pool = pool::<8>();
    let spawner;
    let (waiting, sleeping, finished, queued);
    {
        let mut runner = executor.start().unwrap();
        waiting = executor.spawn(pool, |_| parked()).unwrap();
        sleeping = executor.spawn(pool, |cx| cx.sleep(Duration::MAX)).unwrap();
        finished = executor.spawn(pool, |_| async {}).unwrap();
        settle(&mut runner, us(0));
        queued = executor.spawn_with(TaskOptions::new().deadline(us(9)), pool, |_| parked()).unwrap();
        spawner = runner.spawner();
    }
    // The executor is there for ever: handles and spawns go on, only nobody polls.
    drop(finished);
    drop(spawner.spawn_local(pool, |_| parked()).unwrap());
    assert_eq!(executor.tasks().count(), 4);
    drop((waiting, sleeping, queued, StallWatch::new(executor, Duration::ZERO)));
}
