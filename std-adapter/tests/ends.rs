//! What is left when a runner's thread ends, or nobody ever starts one.

use std::future::{pending, poll_fn};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::task::Poll;
use std::thread;

use trilane::exec::{
    AlreadyStarted, Executor, Manual, Platform, RegionOptions, Regions, TaskPool, TaskState,
};
use trilane::time::Instant;
use trilane_std::thread::Thread;

fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

/// Counts its drops.
struct Counted(Arc<AtomicU32>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
    }
}

#[test]
fn what_comes_after_the_runners_thread_has_ended_is_harmless() {
    static POOL: TaskPool<256, 4> = TaskPool::new();
    static REGIONS: Regions<2> = Regions::new();
    static EXECUTOR: Executor<Thread, 1, 4> = Executor::new(Thread::new());
    let polls: &AtomicU32 = leak(AtomicU32::new(0));
    let drops = Arc::new(AtomicU32::new(0));
    let kept = Counted(drops.clone());
    let (sender, wakers) = mpsc::channel();
    let mut left = EXECUTOR
        .with_regions(&REGIONS)
        .spawn(&POOL, |_| {
            poll_fn(move |cx| {
                let _kept = &kept;
                polls.fetch_add(1, SeqCst);
                sender.send(cx.waker().clone()).unwrap();
                Poll::<()>::Pending
            })
        })
        .unwrap();
    thread::spawn(|| EXECUTOR.start().unwrap().run_until(|| polls.load(SeqCst) > 0)).join().unwrap();

    // The platform unparks a thread that is no more.
    wakers.recv().unwrap().wake();
    assert_eq!(EXECUTOR.task(left.id()).unwrap().state, TaskState::Woken);
    EXECUTOR.set_deadline(left.id(), Some(Instant::MAX)).unwrap();
    left.cancel().unwrap();
    let late = EXECUTOR.spawn(&POOL, |_| async {}).unwrap();
    let region = EXECUTOR.open_region(RegionOptions::new()).unwrap();
    drop(region.spawn(&POOL, |_| async {}).unwrap());
    drop(region);
    assert_eq!(left.try_join(), None);
    assert_eq!(EXECUTOR.start().err(), Some(AlreadyStarted));
    drop((left, late));

    // Nobody polls or drops what was left: it is the runner's (Executor Invariant 3), which is no more.
    assert_eq!((polls.load(SeqCst), drops.load(SeqCst)), (1, 0));
    assert_eq!(EXECUTOR.tasks().count(), 3);
}

#[test]
fn who_shuts_down_before_the_thread_ends_leaves_nothing() {
    static POOL: TaskPool<256, 4> = TaskPool::new();
    static EXECUTOR: Executor<Thread, 1, 4> = Executor::new(Thread::new());
    let drops = Arc::new(AtomicU32::new(0));
    for _ in 0..4 {
        let kept = Counted(drops.clone());
        let task = EXECUTOR.spawn(&POOL, |cx| async move {
            let _kept = kept;
            cx.run_until_cancelled(pending::<()>()).await.unwrap_err();
        });
        drop(task.unwrap());
    }
    let down = AtomicBool::new(false);
    thread::scope(|scope| {
        let runner = scope.spawn(|| {
            let mut runner = EXECUTOR.start().unwrap();
            runner.run_until(|| down.load(SeqCst) && EXECUTOR.tasks().next().is_none());
        });
        EXECUTOR.shut_down();
        down.store(true, SeqCst);
        EXECUTOR.platform().pend();
        runner.join().unwrap();
    });
    assert_eq!(drops.load(SeqCst), 4);
    assert!(EXECUTOR.spawn(&POOL, |_| async {}).is_err());
}

#[test]
fn an_executor_that_was_never_lent_is_dropped_with_its_platform() {
    struct Dropping(Counted);

    impl Platform for Dropping {
        fn now(&self) -> Instant {
            Instant::ZERO
        }
        fn set_alarm(&self, _at: Option<Instant>) {}
        fn pend(&self) {}
        fn idle(&self, _quiet: &dyn Fn() -> bool) {}
    }

    let drops = Arc::new(AtomicU32::new(0));
    let executor: Box<Executor<_, 2, 4>> = Box::new(Executor::new(Dropping(Counted(drops.clone()))));
    assert_eq!(executor.platform().0.0.load(SeqCst), 0);
    drop(executor);
    assert_eq!(drops.load(SeqCst), 1);
}

#[test]
fn a_waker_may_outlive_the_thread_that_made_it_and_be_dropped_anywhere() {
    static POOL: TaskPool<256, 1> = TaskPool::new();
    static EXECUTOR: Executor<Manual, 1, 1> = Executor::new(Manual::new());
    static KEPT: Mutex<Option<std::task::Waker>> = Mutex::new(None);

    struct WakeAtExit(std::task::Waker);

    impl Drop for WakeAtExit {
        fn drop(&mut self) {
            self.0.wake_by_ref();
        }
    }

    thread_local! {
        static AT_EXIT: std::cell::RefCell<Option<WakeAtExit>> = const { std::cell::RefCell::new(None) };
    }

    let task = EXECUTOR.spawn(&POOL, |_| {
        poll_fn(|cx| {
            *KEPT.lock().unwrap() = Some(cx.waker().clone());
            Poll::<()>::Pending
        })
    });
    let runner_thread = thread::spawn(|| EXECUTOR.start().unwrap().poll_pending(Instant::ZERO).polls);
    assert_eq!(runner_thread.join().unwrap(), 1);
    let waker = KEPT.lock().unwrap().take().unwrap();
    thread::spawn(|| AT_EXIT.set(Some(WakeAtExit(waker)))).join().unwrap();
    assert_eq!(EXECUTOR.task(task.unwrap().id()).unwrap().state, TaskState::Woken);
}
