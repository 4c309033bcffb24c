//! A task that ends in the middle of a join's poll.
//!
//! No second thread is needed for that: a poll clones its waker between two looks at the task, and a waker's
//! clone may be anything, also a pass of the executor.

use std::cell::{Cell, RefCell};
use std::ptr;
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

use trilane::exec::{Manual, Runner};
use trilane_tests::{leak, manual, pool, settle, us};

/// A waker that counts, and whose clone makes a pass of the executor.
struct Meddler {
    runner: RefCell<Runner<Manual, 1, 1>>,
    wakes: Cell<u32>,
}

impl Meddler {
    const TABLE: RawWakerVTable = RawWakerVTable::new(Self::clone, Self::wake, Self::wake, |_| {});

    fn waker(&'static self) -> Waker {
        // SAFETY: the functions of the table are given a leaked `Meddler`; the tests use its wakers in one
        // thread only.
        unsafe { Waker::from_raw(RawWaker::new(ptr::from_ref(self).cast(), &Self::TABLE)) }
    }

    unsafe fn of(meddler: *const ()) -> &'static Self {
        // SAFETY: the table's functions are called with what `waker` has stored.
        unsafe { &*meddler.cast() }
    }

    unsafe fn clone(meddler: *const ()) -> RawWaker {
        // SAFETY: as for `of`.
        settle(&mut unsafe { Self::of(meddler) }.runner.borrow_mut(), us(0));
        RawWaker::new(meddler, &Self::TABLE)
    }

    unsafe fn wake(meddler: *const ()) {
        // SAFETY: as for `of`.
        let wakes = &unsafe { Self::of(meddler) }.wakes;
        wakes.set(wakes.get() + 1);
    }
}

#[test]
fn a_task_that_ends_during_the_poll_of_its_join_is_joined_at_once() {
    let meddler: &Meddler = leak(Meddler { runner: RefCell::new(manual()), wakes: Cell::new(0) });
    let executor = meddler.runner.borrow().executor();
    let task = executor.spawn(pool::<1>(), |_| async { 5 }).unwrap();
    let waker = meddler.waker();
    let mut join = Box::pin(task.into_future());
    assert_eq!(join.as_mut().poll(&mut Context::from_waker(&waker)), Poll::Ready(Ok(5)));
    assert_eq!(executor.tasks().count(), 0);
}

#[test]
fn a_join_that_is_over_is_not_woken_for_the_slots_next_task() {
    let meddler: &Meddler = leak(Meddler { runner: RefCell::new(manual()), wakes: Cell::new(0) });
    let executor = meddler.runner.borrow().executor();
    let pool = pool::<1>();
    let task = executor.spawn(pool, |_| async { 5 }).unwrap();
    let waker = meddler.waker();
    // Kept until the end: if it were registered still, a wake would find it in place and not in freed memory.
    let mut join = Box::pin(task.into_future());
    assert_eq!(join.as_mut().poll(&mut Context::from_waker(&waker)), Poll::Ready(Ok(5)));
    let next = executor.spawn(pool, |_| async {}).unwrap();
    settle(&mut meddler.runner.borrow_mut(), us(0));
    assert!(next.is_finished());
    assert_eq!(meddler.wakes.get(), 0);
    drop(join);
}

#[test]
fn a_sleep_that_ends_during_its_own_poll_is_over_at_the_next() {
    let meddler: &Meddler = leak(Meddler { runner: RefCell::new(manual()), wakes: Cell::new(0) });
    let executor = meddler.runner.borrow().executor();
    let mut shown = executor.spawn(pool::<1>(), |cx| async move { cx }).unwrap();
    settle(&mut meddler.runner.borrow_mut(), us(0));
    let cx = shown.try_join().unwrap().unwrap();
    let waker = meddler.waker();
    let mut context = Context::from_waker(&waker);
    let mut sleep = Box::pin(cx.sleep_until(us(0)));
    assert!(sleep.as_mut().poll(&mut context).is_pending());
    // Armed now: the pass that the clone makes ends the sleep before the poll looks.
    assert!(sleep.as_mut().poll(&mut context).is_ready());
    assert_eq!(meddler.wakes.get(), 1);
    assert_eq!(meddler.runner.borrow().next_alarm(), None);
}
