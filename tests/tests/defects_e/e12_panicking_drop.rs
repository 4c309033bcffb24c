//! E12: a panicking `Drop` inside a container was unsound.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::task::{Context, Poll};

use trilane::exec::{Cx, Executor, JoinError, Manual, Reason, Runner, TaskOptions, TaskPool};
use trilane::id::Stale;
use trilane::route::{Balancer, DetachedLeases, Endpoint, Lease, Options, Request, RoundRobin, Selector};
use trilane::time::Duration;
use trilane_tests::future::{Bell, poll_once};
use trilane_tests::watch::{Dropped, Spring, counter, trap};
use trilane_tests::{leak, pool, settle, us};

const SLOTS: usize = 2;
type Pool = TaskPool<1024, SLOTS>;
type Run = Runner<Manual, 1, SLOTS>;

fn start() -> (Run, &'static Pool) {
    (leak(Executor::new(Manual::new())).start().unwrap(), pool())
}

/// A pass that unwinds.
fn unwinds(runner: &mut Run, now: u64) {
    catch_unwind(AssertUnwindSafe(|| runner.poll_pending(us(now)))).expect_err("nothing has panicked");
}

/// Everything is as if nothing had happened: all slots are there, and tasks run to their end.
fn is_intact(runner: &mut Run, pool: &'static Pool) {
    let executor = runner.executor();
    assert_eq!(executor.tasks().count(), 0, "a slot was lost");
    // Wakes that came too late are forgotten.
    let now = runner.now();
    assert_eq!(settle(runner, now), 0);
    assert!(!runner.is_runnable());
    let mut tasks =
        [0; SLOTS].map(|_| executor.spawn(pool, |cx| cx.sleep(Duration::from_micros(1))).unwrap());
    assert!(
        executor.tasks().all(|task| task.state != trilane::exec::TaskState::Running),
        "nobody is running"
    );
    settle(runner, now);
    settle(runner, now + Duration::from_micros(1));
    assert!(tasks.iter_mut().all(|task| task.try_join() == Some(Ok(Ok(())))));
    assert_eq!(runner.next_alarm(), None);
}

type Router = Balancer<RoundRobin, 1, 1>;
type Leases<const BANKS: usize, const PER_BANK: usize> = DetachedLeases<Owner, BANKS, PER_BANK>;

/// A reference to a balancer; each clone drops the next value of a list.
struct Owner {
    balancer: &'static Router,
    next: Rc<RefCell<VecDeque<Dropped>>>,
    _dropped: Option<Dropped>,
}

impl Deref for Owner {
    type Target = Router;

    fn deref(&self) -> &Router {
        self.balancer
    }
}

impl Clone for Owner {
    fn clone(&self) -> Self {
        let dropped = self.next.borrow_mut().pop_front();
        Self { balancer: self.balancer, next: self.next.clone(), _dropped: dropped }
    }
}

/// A balancer, and a lease of it for each counter; the drop of one panics.
fn leases(drops: &[Arc<AtomicU32>], panicking: usize) -> (impl Fn() -> u32, Vec<Lease<Owner>>) {
    let balancer: &Router = leak(Balancer::new(RoundRobin, Options::new()));
    let id = balancer.add(&Endpoint::new(1), us(0)).unwrap();
    let in_flight = move || balancer.stats(id).unwrap().in_flight;
    let dropped = drops.iter().enumerate().map(|(number, drops)| {
        if number == panicking { Dropped::panicking(drops) } else { Dropped::counted(drops) }
    });
    let owner = Owner { balancer, next: Rc::new(RefCell::new(dropped.collect())), _dropped: None };
    let mut selector: Selector<_, _, 1, 1, 1, 1> = Selector::new(owner, 1).unwrap();
    (in_flight, drops.iter().map(|_| selector.select(&Request::ANY, us(0)).unwrap()).collect())
}

#[test]
fn detached_leases_expire_once_each_whichever_panics() {
    for panicking in 0..5 {
        let drops = [(); 5].map(|()| counter());
        let (in_flight, leases) = leases(&drops, panicking);
        let table: Leases<2, 3> = DetachedLeases::new();
        let ids: Vec<_> = leases.into_iter().map(|lease| lease.detach(&table, us(1)).unwrap()).collect();
        catch_unwind(AssertUnwindSafe(|| table.expire(us(1)))).unwrap_err();
        assert_eq!(table.len(), 4 - panicking);
        assert_eq!(table.expire(us(1)), 4 - panicking);
        assert!(ids.iter().all(|&id| table.release(id) == Err(Stale)));
        assert!(drops.iter().all(|drops| drops.load(SeqCst) == 1));
        assert_eq!(in_flight(), 0);
    }
}

#[test]
fn a_table_whose_released_lease_panics_is_intact() {
    let drops = [(); 2].map(|()| counter());
    let (in_flight, leases) = leases(&drops, 0);
    let table: Leases<1, 1> = DetachedLeases::new();
    let [first, second] = <[_; 2]>::try_from(leases).unwrap();
    let id = first.detach(&table, us(1)).unwrap();
    catch_unwind(AssertUnwindSafe(|| table.release(id))).unwrap_err();
    assert!(table.is_empty());
    assert_eq!(table.release(id), Err(Stale));
    assert_eq!(in_flight(), 1);
    let id = second.detach(&table, us(1)).unwrap();
    assert_eq!(table.release(id), Ok(()));
    assert!(drops.iter().all(|drops| drops.load(SeqCst) == 1));
}

#[test]
fn dropping_a_table_whose_lease_panics_drops_each_once() {
    let drops = [(); 4].map(|()| counter());
    let (in_flight, leases) = leases(&drops, 1);
    let table: Leases<1, 4> = DetachedLeases::new();
    for lease in leases {
        lease.detach(&table, us(1)).unwrap();
    }
    catch_unwind(AssertUnwindSafe(|| drop(table))).unwrap_err();
    assert!(drops.iter().all(|drops| drops.load(SeqCst) == 1));
    assert_eq!(in_flight(), 0);
}

#[test]
fn a_poll_that_panics_ends_the_task_and_drops_its_future_once() {
    let (mut runner, pool) = start();
    let drops = counter();
    let held = Dropped::counted(&drops);
    let mut task = runner
        .executor()
        .spawn(pool, |cx| async move {
            let _held = held;
            let _armed = pin!(cx.sleep(Duration::MAX));
            cx.yield_now().await;
            panic!("as planned");
        })
        .unwrap();
    unwinds(&mut runner, 0);
    assert_eq!(drops.load(SeqCst), 1);
    assert_eq!(task.try_join(), Some(Err(JoinError::Panicked)));
    is_intact(&mut runner, pool);
}

#[test]
fn a_detached_task_that_panics_gives_its_slot_back() {
    let (mut runner, pool) = start();
    drop(runner.executor().spawn(pool, |_| async { panic!("as planned") }));
    unwinds(&mut runner, 0);
    is_intact(&mut runner, pool);
}

#[test]
fn a_task_that_panics_does_not_take_others_with_it() {
    let (mut runner, pool) = start();
    let panicking = runner.executor().spawn(pool, |_| async { panic!("as planned") }).unwrap();
    let mut other = runner.executor().spawn(pool, |_| async { 5 }).unwrap();
    unwinds(&mut runner, 0);
    assert!(runner.is_runnable());
    settle(&mut runner, us(0));
    assert_eq!(other.try_join(), Some(Ok(5)));
    drop((panicking, other));
    is_intact(&mut runner, pool);
}

#[test]
fn a_future_that_panics_when_dropped_after_its_end_ends_the_task() {
    let (mut runner, pool) = start();
    let (future_drops, output_drops) = (counter(), counter());
    let held = Dropped::panicking(&future_drops);
    let output = Dropped::counted(&output_drops);
    let mut output = Some(output);
    let mut task = runner
        .executor()
        .spawn(pool, |_| {
            std::future::poll_fn(move |_| {
                let _ = &held;
                Poll::Ready(output.take())
            })
        })
        .unwrap();
    unwinds(&mut runner, 0);
    assert_eq!((future_drops.load(SeqCst), output_drops.load(SeqCst)), (1, 1));
    assert_eq!(task.try_join().unwrap().unwrap_err(), JoinError::Panicked);
    is_intact(&mut runner, pool);
}

#[test]
fn a_future_that_panics_when_it_is_cancelled_ends_the_task_for_that_reason() {
    let (mut runner, pool) = start();
    let drops = counter();
    let held = Dropped::panicking(&drops);
    let quota = TaskOptions::new().poll_quota(std::num::NonZeroU16::MIN);
    let mut task = runner
        .executor()
        .spawn_with(quota, pool, |cx| async move {
            let _held = held;
            loop {
                cx.yield_now().await;
            }
        })
        .unwrap();
    unwinds(&mut runner, 0);
    assert_eq!(drops.load(SeqCst), 1);
    assert_eq!(
        task.try_join().map(|result| result.unwrap_err()),
        Some(JoinError::Cancelled(Reason::PollQuota))
    );
    is_intact(&mut runner, pool);
}

#[test]
fn an_output_that_panics_when_a_detached_task_ends_is_dropped_once() {
    let (mut runner, pool) = start();
    let drops = counter();
    let output = Dropped::panicking(&drops);
    drop(runner.executor().spawn(pool, |_| async { output }));
    unwinds(&mut runner, 0);
    assert_eq!(drops.load(SeqCst), 1);
    is_intact(&mut runner, pool);
}

#[test]
fn an_output_that_panics_when_its_handle_is_dropped_is_dropped_once() {
    let (mut runner, pool) = start();
    let drops = counter();
    let output = Dropped::panicking(&drops);
    let task = runner.executor().spawn(pool, |_| async { output }).unwrap();
    settle(&mut runner, us(0));
    catch_unwind(AssertUnwindSafe(|| drop(task))).unwrap_err();
    assert_eq!(drops.load(SeqCst), 1);
    is_intact(&mut runner, pool);
}

#[test]
fn a_build_that_panics_gives_slot_and_storage_back() {
    let (mut runner, pool) = start();
    let executor = runner.executor();
    for _ in 0..2 * SLOTS {
        let spawn = || executor.spawn(pool, |_: Cx| -> std::future::Ready<()> { panic!("as planned") });
        assert!(catch_unwind(AssertUnwindSafe(spawn)).is_err());
    }
    is_intact(&mut runner, pool);
}

/// A waiting future of each kind that keeps a waker, given one that panics.
fn waiting(runner: &mut Run, pool: &'static Pool) -> Vec<std::pin::Pin<Box<dyn Future<Output = ()>>>> {
    let mut shown = runner.executor().spawn(pool, |cx| async move { cx }).unwrap();
    settle(runner, us(0));
    let cx = shown.try_join().unwrap().unwrap();
    let task = runner.executor().spawn(pool, |cx| cx.sleep_until(us(10))).unwrap();
    settle(runner, us(0));
    // An async block could not be polled again after a panic.
    let mut join = Box::pin(task.into_future());
    let join =
        std::future::poll_fn(move |cx| join.as_mut().poll(cx).map(|ended| assert_eq!(ended, Ok(Ok(())))));
    let mut sleep = Box::pin(cx.sleep_until(us(10)));
    let sleep = std::future::poll_fn(move |cx| sleep.as_mut().poll(cx).map(|over| assert_eq!(over, Ok(()))));
    vec![Box::pin(sleep), Box::pin(join)]
}

#[test]
fn a_waker_whose_clone_panics_changes_nothing() {
    let (mut runner, pool) = start();
    for future in &mut waiting(&mut runner, pool) {
        let trap = trap(Spring::Clone);
        let mut context = Context::from_waker(&trap);
        assert!(catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut context))).is_err());
        assert!(poll_once(future.as_mut()).is_pending());
    }
    settle(&mut runner, us(10));
    is_intact(&mut runner, pool);
}

#[test]
fn a_waker_whose_drop_panics_leaves_the_wait_intact() {
    let (mut runner, pool) = start();
    let mut futures = waiting(&mut runner, pool);
    for future in &mut futures {
        let trap = std::mem::ManuallyDrop::new(trap(Spring::Drop));
        let mut context = Context::from_waker(&trap);
        assert!(future.as_mut().poll(&mut context).is_pending());
        // The next poll's waker replaces it.
        assert!(catch_unwind(AssertUnwindSafe(|| poll_once(future.as_mut()))).is_err());
        assert!(poll_once(future.as_mut()).is_pending());
    }
    settle(&mut runner, us(10));
    assert!(futures.iter_mut().all(|future| poll_once(future.as_mut()).is_ready()));
    drop(futures);
    is_intact(&mut runner, pool);
}

#[test]
fn dropping_a_wait_whose_waker_panics_disarms_it() {
    let (mut runner, pool) = start();
    for mut future in waiting(&mut runner, pool) {
        let trap = std::mem::ManuallyDrop::new(trap(Spring::Drop));
        assert!(future.as_mut().poll(&mut Context::from_waker(&trap)).is_pending());
        assert!(catch_unwind(AssertUnwindSafe(|| drop(future))).is_err());
    }
    settle(&mut runner, us(10));
    is_intact(&mut runner, pool);
}

#[test]
fn a_waker_that_panics_when_woken_loses_no_other_wake() {
    let (mut runner, pool) = start();
    let mut futures = waiting(&mut runner, pool);
    for future in &mut futures {
        let trap = trap(Spring::Wake);
        assert!(future.as_mut().poll(&mut Context::from_waker(&trap)).is_pending());
    }
    // The sleep and the joined task's sleep are due together; the wake of one must not cost the other's.
    unwinds(&mut runner, 10);
    unwinds(&mut runner, 10);
    settle(&mut runner, us(10));
    assert!(futures.iter_mut().all(|future| poll_once(future.as_mut()).is_ready()));
    drop(futures);
    is_intact(&mut runner, pool);
}

#[test]
fn a_miss_hook_that_panics_does_not_cost_the_task_its_wake() {
    static EXECUTOR: Executor<Manual, 1, SLOTS> = Executor::new(Manual::new());
    let pool: &Pool = pool();
    let mut runner = EXECUTOR.with_miss_hook(|miss| panic!("{miss:?}")).start().unwrap();
    let late = TaskOptions::new().deadline(us(1)).on_miss(trilane::exec::OnMiss::Call);
    let mut task = EXECUTOR.spawn_with(late, pool, |_| async { 3 }).unwrap();
    unwinds(&mut runner, 2);
    settle(&mut runner, us(2));
    assert_eq!(task.try_join(), Some(Ok(3)));
    is_intact(&mut runner, pool);
}

#[test]
fn a_bell_rung_by_a_panicking_task_still_rings() {
    let (mut runner, pool) = start();
    let bell: &Bell = leak(Bell::new());
    let mut listener = runner.executor().spawn(pool, |_| bell.until(2)).unwrap();
    settle(&mut runner, us(0));
    let panicking = runner.executor().spawn(pool, |_| async {
        bell.ring();
        panic!("as planned");
    });
    unwinds(&mut runner, 0);
    settle(&mut runner, us(0));
    assert_eq!(listener.try_join(), Some(Ok(())));
    drop(panicking);
    is_intact(&mut runner, pool);
}
