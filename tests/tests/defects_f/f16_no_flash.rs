//! F16: a task of capacity took 48 bytes of flash, since the memory of executors had an initial value; and
//! it did so again for each executor with regions, bounds of its own or a hook. What those are is set when
//! the program runs, so an executor is all zeros whatever it is used for. What a whole image takes is in the
//! table of `cargo board size`.

use std::hint::black_box;
use std::panic::{AssertUnwindSafe, catch_unwind};

use trilane::exec::{Executor, Manual, Miss, OnMiss, Regions, TaskOptions, TaskPool};
use trilane::sched::Fairness;
use trilane::time::Instant;
use trilane_tests::statics::assert_statics;
use trilane_tests::{Log, leak, settle, us, with_regions};

static ZERO_FEW: Executor<Manual, 1, 8> = Executor::new(Manual::new());
static ZERO_MANY: Executor<Manual, 32> = Executor::new(Manual::new());
static ZERO_REGIONS: Regions<64> = Regions::new();
static ZERO_POOL: TaskPool<256, 8> = TaskPool::new();
static MISSES: Log<Miss> = Log::new();

#[test]
fn f16_capacity_is_all_zeros_with_regions_bounds_and_a_hook() {
    let runners = (
        ZERO_FEW.with_regions(&ZERO_REGIONS).with_fairness(Fairness::default()).start(),
        ZERO_MANY.with_regions(&ZERO_REGIONS).with_miss_hook(|miss| MISSES.push(*miss)).start(),
    );
    let (Ok(_), Ok(mut runner)) = runners else { panic!("they are new") };
    // The second has what it was given.
    let region = ZERO_MANY.open_region(Default::default()).unwrap();
    let late = TaskOptions::new().deadline(us(1)).on_miss(OnMiss::Call);
    let task = region.spawn_with(late, &ZERO_POOL, |_| async {}).unwrap();
    settle(&mut runner, us(3));
    assert_eq!(MISSES.take(), [Miss { task: task.id(), deadline: us(1), now: us(3) }]);
    black_box(&ZERO_POOL);
    assert_statics("f16_no_flash", "ZERO_", true, 4);
}

#[test]
fn f16_a_table_may_come_when_tasks_are_there_and_only_one_does() {
    let executor: &Executor<Manual, 1, 4> = leak(Executor::new(Manual::new()));
    let mut runner = executor.start().unwrap();
    let pool: &TaskPool<256, 4> = leak(TaskPool::new());
    let before = executor.spawn(pool, |cx| async move { cx.sleep_until(us(5)).await }).unwrap();
    settle(&mut runner, us(0));
    assert!(executor.open_region(Default::default()).is_err());

    let regions: &Regions<1> = leak(Regions::new());
    executor.with_regions(regions).with_regions(regions);
    let region = executor.open_region(Default::default()).unwrap();
    let member = region.spawn(pool, |cx| async move { cx.sleep_until(us(9)).await }).unwrap();
    settle(&mut runner, us(5));
    assert!(before.is_finished() && !member.is_finished());
    region.cancel().unwrap();
    settle(&mut runner, us(5));
    assert!(member.is_finished());
    drop((region, before, member));
    settle(&mut runner, us(5));

    let another: &Regions<2> = leak(Regions::new());
    let refused = catch_unwind(AssertUnwindSafe(|| executor.with_regions(another)));
    let message = *refused.err().and_then(|panic| panic.downcast::<&str>().ok()).unwrap();
    assert_eq!(message, "the executor has another table of regions: give it one");
    assert!(executor.open_region(Default::default()).is_ok());
}

#[test]
fn f16_a_hook_and_bounds_may_be_exchanged() {
    static LATER: Log<Miss> = Log::new();
    let mut runner = with_regions::<1, 1, 2>();
    let executor = runner.executor();
    let pool: &TaskPool<256, 2> = leak(TaskPool::new());
    let late = |at: Instant| TaskOptions::new().deadline(at).on_miss(OnMiss::Call);
    drop(executor.spawn_with(late(us(1)), pool, |_| async {}).unwrap());
    settle(&mut runner, us(2));
    executor.with_miss_hook(|miss| LATER.push(*miss)).with_fairness(Fairness::default());
    let task = executor.spawn_with(late(us(3)), pool, |_| async {}).unwrap();
    settle(&mut runner, us(4));
    assert_eq!(LATER.take(), [Miss { task: task.id(), deadline: us(3), now: us(4) }]);
}
