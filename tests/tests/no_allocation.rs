//! Once an executor has started, nothing it does allocates.

use std::pin::pin;
use std::task::{Context, Waker};

use embedded_hal_async::delay::DelayNs;
use trilane::exec::{Attributes, Executor, Manual, MissedTick, OnMiss, TaskOptions, TaskPool};
use trilane::sched::Priority;
use trilane::time::Duration;
use trilane_std::net::unix::UnixStream;
use trilane_std::runtime::{Runtime, block_on};
use trilane_tests::counting::{Counting, allocations, allocations_so_far};
use trilane_tests::{settle, us};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static POOL: TaskPool<512, 16> = TaskPool::new();

#[test]
fn the_count_sees_an_allocation() {
    assert_eq!(allocations(|| drop(std::hint::black_box(Box::new(1)))), 2);
}

#[test]
fn a_started_executor_spawns_wakes_polls_sleeps_and_joins_without_allocating() {
    static EXECUTOR: Executor<Manual, 3, 5> = Executor::new(Manual::new());
    let mut runner = EXECUTOR.start().unwrap();
    // What the lock of the host allocates, it allocates once for each thread.
    settle(&mut runner, us(0));
    let mut now = 0;
    let allocated = allocations(|| {
        for _ in 0..100 {
            let mut parent = EXECUTOR
                .spawn(&POOL, |cx| async move {
                    let options = TaskOptions::new()
                        .attributes(const { &Attributes::named("child") })
                        .priority(Priority::HIGHEST);
                    let options =
                        options.deadline(cx.now() + Duration::from_millis(1)).on_miss(OnMiss::Cancel);
                    let mut child = cx.spawn_with(options, &POOL, |cx| async move {
                        cx.yield_now().await;
                        cx.sleep(Duration::from_micros(3)).await.unwrap();
                        cx.set_deadline(None).unwrap();
                        cx.set_priority(Priority::LOWEST).unwrap();
                        7
                    });
                    let detached = cx.spawn(&POOL, |cx| cx.sleep(Duration::from_micros(2)));
                    drop(detached);
                    let mut interval = cx.interval(Duration::from_micros(2), MissedTick::Skip).unwrap();
                    interval.tick().await.unwrap();
                    cx.delay().delay_us(1).await;
                    let in_time = cx.timeout(Duration::from_micros(50), child.as_mut().unwrap().join()).await;
                    let too_late = cx.timeout(Duration::from_micros(1), std::future::pending::<()>()).await;
                    (in_time, too_late.is_err())
                })
                .unwrap();
            settle(&mut runner, us(now));
            while let Some(at) = runner.next_alarm() {
                settle(&mut runner, at);
                now = at.as_micros();
            }
            assert_eq!(parent.try_join(), Some(Ok((Ok(Ok(7)), true))));
            assert_eq!(EXECUTOR.counters().misses, 0);
            assert_eq!(EXECUTOR.tasks().count(), 0);
        }
    });
    assert_eq!(allocated, 0);
}

#[test]
fn errors_and_foreign_wakers_do_not_allocate() {
    static EXECUTOR: Executor<Manual, 1, 1> = Executor::new(Manual::new());
    let mut runner = EXECUTOR.start().unwrap();
    settle(&mut runner, us(5));
    let allocated = allocations(|| {
        let task = EXECUTOR.spawn(&POOL, |cx| async move { cx }).unwrap();
        assert!(EXECUTOR.spawn(&POOL, |_| async {}).is_err());
        let late = TaskOptions::new().deadline(us(1));
        assert!(EXECUTOR.spawn_with(late, &POOL, |_| async {}).is_err());
        let stale = task.id();
        let mut context = Context::from_waker(Waker::noop());
        let mut join = pin!(task.into_future());
        assert!(join.as_mut().poll(&mut context).is_pending());
        settle(&mut runner, us(5));
        let std::task::Poll::Ready(Ok(cx)) = join.as_mut().poll(&mut context) else { panic!("not joined") };
        assert!(EXECUTOR.set_deadline(stale, None).is_err());
        let mut sleep = pin!(cx.sleep(Duration::from_micros(1)));
        assert!(sleep.as_mut().poll(&mut context).is_pending());
        settle(&mut runner, us(6));
        assert!(sleep.as_mut().poll(&mut context).is_ready());
    });
    assert_eq!(allocated, 0);
}

#[test]
fn a_worker_waits_for_sockets_without_allocating() {
    async fn echo(stream: &UnixStream, messages: u32, begins: bool) {
        let mut bytes = [0; 8];
        for _ in 0..messages {
            if begins {
                stream.write_all(b"message").await.unwrap();
            }
            assert_eq!(stream.read(&mut bytes).await.unwrap(), 7);
            if !begins {
                stream.write_all(&bytes[..7]).await.unwrap();
            }
        }
    }
    // So all of it is on one thread.
    let runtime = Runtime::builder().workers(1).build().unwrap();
    let handle = runtime.handle();
    let allocated = runtime.spawn(move |_| async move {
        let (near, far) = UnixStream::pair().unwrap();
        let other = handle.spawn(move |_| async move { echo(&far, 1_010, false).await }).unwrap();
        // What a source and a worker need of memory they need once.
        echo(&near, 10, true).await;
        let before = allocations_so_far();
        echo(&near, 1_000, true).await;
        let allocated = allocations_so_far() - before;
        other.await.unwrap();
        allocated
    });
    assert_eq!(block_on(allocated.unwrap()), Ok(0));
}
