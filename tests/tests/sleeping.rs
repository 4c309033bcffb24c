//! Sleeps inside other people's futures, on other threads, and given up half-way.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::task::{Context, Poll, Waker};
use std::thread;

use embedded_hal_async::delay::DelayNs;
use futures::future::{Either, join, join_all, select};
use futures::stream::{FuturesUnordered, StreamExt};
use trilane::exec::{Cx, Manual, Runner, Sleep};
use trilane::time::{Duration, Instant};
use trilane_tests::future::poll_once;
use trilane_tests::watch::Wakes;
use trilane_tests::{Log, leak, manual, pool, run_out, settle, us};

type Run = Runner<Manual, 1, 8>;

/// A runner and a `Cx` of it.
fn start() -> (Run, Cx) {
    let mut runner = manual::<1, 8>();
    let mut task = runner.executor().spawn(pool::<1>(), |cx| async move { cx }).unwrap();
    settle(&mut runner, us(0));
    (runner, task.try_join().unwrap().unwrap())
}

/// What `body` returns when it is run as a task until no timer is left.
fn run<F>(body: impl FnOnce(Cx) -> F) -> F::Output
where
    F: Future<Output: Send> + Send + 'static,
{
    let mut runner = manual::<1, 8>();
    let mut task = runner.executor().spawn(pool::<2>(), body).unwrap_or_else(|error| panic!("{error}"));
    run_out(&mut runner);
    assert_eq!(runner.next_alarm(), None);
    task.try_join().expect("the task waits for ever").unwrap()
}

const fn micros(span: u64) -> Duration {
    Duration::from_micros(span)
}

#[test]
fn sleeps_end_in_the_order_of_their_times() {
    let log: &Log<(u64, Instant)> = leak(Log::new());
    run(|cx| async move {
        let naps = [30, 10, 20, 10, 0].map(|span| async move {
            cx.sleep(micros(span)).await.unwrap();
            log.push((span, cx.now()));
        });
        join_all(naps).await;
    });
    let mut ended = log.take();
    ended.sort_by_key(|&(_, at)| at);
    assert_eq!(ended, [(0, us(0)), (10, us(10)), (10, us(10)), (20, us(20)), (30, us(30))]);
}

#[test]
fn the_shorter_sleep_wins_a_select_and_the_loser_is_disarmed() {
    let (mut runner, _) = start();
    let mut task = runner
        .executor()
        .spawn(pool::<1>(), |cx| async move {
            matches!(select(pin!(cx.sleep(micros(50))), pin!(cx.sleep(micros(5)))).await, Either::Right(_))
        })
        .unwrap();
    settle(&mut runner, us(0));
    assert_eq!(runner.next_alarm(), Some(us(5)));
    settle(&mut runner, us(5));
    assert_eq!(task.try_join(), Some(Ok(true)));
    assert_eq!(runner.next_alarm(), None);
}

#[test]
fn a_join_waits_for_the_longer_sleep() {
    assert_eq!(
        run(|cx| async move {
            let _ = join(cx.sleep(micros(7)), cx.sleep(micros(3))).await;
            cx.now()
        }),
        us(7)
    );
}

#[test]
fn a_set_of_sleeps_yields_each_when_it_is_due() {
    let ended = run(|cx| async move {
        let nap = |span| async move {
            cx.sleep(micros(span)).await.unwrap();
            (span, cx.now().as_micros())
        };
        let mut naps: FuturesUnordered<_> = [40, 10, 30, 20].map(nap).into_iter().collect();
        let mut ended = Vec::new();
        while let Some(end) = naps.next().await {
            ended.push(end);
            if ended.len() == 2 {
                naps.push(nap(5));
            }
        }
        ended
    });
    assert_eq!(ended, [(10, 10), (20, 20), (5, 25), (30, 30), (40, 40)]);
}

#[test]
fn thousands_of_sleeps_in_one_task_all_end() {
    const SLEEPS: u64 = 3_000;
    let last = run(|cx| async move {
        // Spread out of order over 1,000 instants.
        join_all((0..SLEEPS).map(|number| cx.sleep(micros(number * 7_919 % 1_000)))).await;
        cx.now()
    });
    assert_eq!(last, us(999));
}

#[test]
fn only_whoever_sleeps_is_polled_when_a_sleep_ends() {
    let (mut runner, _) = start();
    let pool = pool::<3>();
    let tasks = [10, 20, 30].map(|span| runner.executor().spawn(pool, |cx| cx.sleep(micros(span))).unwrap());
    assert_eq!(settle(&mut runner, us(0)), 3);
    assert_eq!(settle(&mut runner, us(9)), 0);
    assert_eq!(settle(&mut runner, us(10)), 1);
    assert_eq!(settle(&mut runner, us(30)), 2);
    drop(tasks);
}

#[test]
fn a_dropped_sleep_leaves_no_timer() {
    let (runner, cx) = start();
    let mut sleeps: Vec<Pin<Box<Sleep>>> = (1..=50).map(|span| Box::pin(cx.sleep(micros(span)))).collect();
    for sleep in &mut sleeps {
        assert!(poll_once(sleep.as_mut()).is_pending());
    }
    for earliest in 1..=50 {
        assert_eq!(runner.next_alarm(), Some(us(earliest)));
        drop(sleeps.remove(0));
    }
    assert_eq!(runner.next_alarm(), None);
}

#[test]
fn a_sleep_that_was_never_polled_arms_nothing() {
    let (runner, cx) = start();
    let sleep = cx.sleep(micros(9));
    assert_eq!(sleep.due(), us(9));
    assert_eq!(runner.next_alarm(), None);
}

#[test]
fn a_sleep_until_the_past_ends_in_the_next_pass() {
    let (mut runner, _) = start();
    settle(&mut runner, us(100));
    let mut task = runner.executor().spawn(pool::<1>(), |cx| cx.sleep_until(us(1))).unwrap();
    settle(&mut runner, us(100));
    assert_eq!(runner.next_alarm(), Some(us(1)));
    settle(&mut runner, us(100));
    assert_eq!(task.try_join(), Some(Ok(Ok(()))));
}

#[test]
fn the_waker_of_the_last_poll_is_woken_and_no_other() {
    let (mut runner, cx) = start();
    let mut sleep = Box::pin(cx.sleep(micros(5)));
    let counters: [Arc<Wakes>; 3] = Default::default();
    for counter in &counters {
        let waker: Waker = counter.clone().into();
        assert!(sleep.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }
    assert!(counters[..2].iter().all(|counter| Arc::strong_count(counter) == 1), "a replaced waker was kept");
    settle(&mut runner, us(4));
    settle(&mut runner, us(5));
    settle(&mut runner, us(6));
    assert_eq!(counters.each_ref().map(|counter| counter.get()), [0, 0, 1]);
    assert_eq!(Arc::strong_count(&counters[2]), 1, "a woken waker was kept");
    assert!(poll_once(sleep.as_mut()).is_ready());
    assert!(poll_once(sleep.as_mut()).is_ready());
}

#[test]
fn a_sleep_may_pass_from_task_to_task_while_armed() {
    let (mut runner, _) = start();
    let pool = pool::<2>();
    let mut first = runner
        .executor()
        .spawn(pool, |cx| async move {
            let mut sleep = Box::pin(cx.sleep(micros(10)));
            poll_fn(|context| {
                assert!(sleep.as_mut().poll(context).is_pending());
                Poll::Ready(())
            })
            .await;
            // Not awaited here: the next task does that.
            Some(sleep)
        })
        .unwrap();
    settle(&mut runner, us(0));
    let sleep = first.try_join().unwrap().unwrap().unwrap();
    let mut second = runner.executor().spawn(pool, |_| sleep).unwrap();
    settle(&mut runner, us(9));
    assert!(!second.is_finished());
    settle(&mut runner, us(10));
    assert_eq!(second.try_join(), Some(Ok(Ok(()))));
    assert_eq!(runner.executor().counters().stale_wakes, 0);
}

#[test]
fn a_sleep_moved_to_another_thread_while_armed_is_disarmed_there() {
    let (mut runner, cx) = start();
    for round in 0..50 {
        let mut sleep = Box::pin(cx.sleep(micros(1_000_000)));
        assert!(poll_once(sleep.as_mut()).is_pending());
        let dropped = thread::spawn(move || drop(sleep));
        settle(&mut runner, us(round));
        dropped.join().unwrap();
        assert_eq!(runner.next_alarm(), None);
    }
}

#[test]
fn a_sleep_polled_on_another_thread_ends_by_the_executors_clock() {
    let (mut runner, cx) = start();
    let waiter = thread::spawn(move || futures::executor::block_on(cx.sleep(micros(77))));
    while runner.next_alarm().is_none() {
        thread::yield_now();
    }
    assert_eq!(runner.next_alarm(), Some(us(77)));
    settle(&mut runner, us(76));
    assert!(!waiter.is_finished());
    settle(&mut runner, us(77));
    waiter.join().unwrap().unwrap();
}

#[test]
fn sleeps_of_many_threads_come_and_go_while_passes_are_made() {
    let (mut runner, cx) = start();
    let over = AtomicU32::new(0);
    thread::scope(|scope| {
        for seed in 0..3u64 {
            let over = &over;
            scope.spawn(move || {
                for round in 0..300 {
                    let wait = cx.sleep(micros((round * 7 + seed) % 20));
                    match round % 3 {
                        0 => drop(poll_once(pin!(wait))),
                        _ => futures::executor::block_on(wait).unwrap(),
                    }
                }
                over.fetch_add(1, SeqCst);
            });
        }
        let mut now = 0;
        while over.load(SeqCst) < 3 {
            now += 1;
            settle(&mut runner, us(now));
            thread::yield_now();
        }
    });
    assert_eq!(runner.next_alarm(), None);
}

#[test]
fn a_reset_sleep_starts_again_whatever_it_was() {
    let (mut runner, cx) = start();
    let (counter, waker) = Wakes::waker();
    let mut context = Context::from_waker(&waker);
    let mut sleep = Box::pin(cx.sleep(micros(10)));

    sleep.as_mut().reset(us(20));
    assert_eq!((sleep.due(), runner.next_alarm()), (us(20), None));
    assert!(sleep.as_mut().poll(&mut context).is_pending());
    sleep.as_mut().reset(us(30));
    assert_eq!(runner.next_alarm(), Some(us(30)), "it stays armed");
    assert!(sleep.as_mut().poll(&mut context).is_pending());
    assert_eq!(runner.next_alarm(), Some(us(30)));

    settle(&mut runner, us(30));
    sleep.as_mut().reset(us(40));
    assert!(sleep.as_mut().poll(&mut context).is_pending());
    settle(&mut runner, us(40));
    assert!(sleep.as_mut().poll(&mut context).is_ready());
    sleep.as_mut().reset(us(50));
    assert!(sleep.as_mut().poll(&mut context).is_pending());
    settle(&mut runner, us(50));
    assert!(sleep.as_mut().poll(&mut context).is_ready());
    assert_eq!(counter.get(), 3);
}

#[test]
fn a_driver_delay_is_never_shorter_than_asked() {
    let ended = run(|cx| async move {
        let mut delay = cx.delay();
        let mut ended = Vec::new();
        delay.delay_ns(1).await;
        ended.push(cx.now().as_micros());
        delay.delay_ns(1_000).await;
        ended.push(cx.now().as_micros());
        delay.delay_ns(1_001).await;
        ended.push(cx.now().as_micros());
        delay.delay_us(10).await;
        ended.push(cx.now().as_micros());
        delay.delay_ms(2).await;
        ended.push(cx.now().as_micros());
        ended
    });
    assert_eq!(ended, [1, 2, 4, 14, 2_014]);
}
