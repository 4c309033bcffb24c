//! What a runtime refuses.

use trilane::exec::{JoinError, RegionOptions, SpawnErrorKind, TaskOptions};
use trilane_std::runtime::{BuildError, Builder, Runtime, block_on};

use crate::runtime;

#[test]
fn numbers_out_of_range_are_refused() {
    let build = |builder: Builder| builder.build().map(drop).unwrap_err();
    assert!(matches!(build(Runtime::builder().workers(0)), BuildError::Workers(0)));
    assert!(matches!(build(Runtime::builder().workers(65)), BuildError::Workers(65)));
    assert!(matches!(build(Runtime::builder().capacity(0)), BuildError::Capacity(0)));
    assert!(matches!(build(Runtime::builder().capacity((1 << 20) + 1)), BuildError::Capacity(_)));
    assert!(matches!(build(Runtime::builder().slot_bytes(70_000)), BuildError::SlotBytes(70_000)));
    assert_eq!(build(Runtime::builder().workers(0)).to_string(), "a runtime has 1 to 64 workers, not 0");
}

#[test]
fn a_full_runtime_gives_the_build_function_back() {
    let runtime = Runtime::builder().workers(2).capacity(10).build().unwrap();
    let mut tasks = Vec::new();
    for _ in 0..runtime.capacity() {
        tasks.push(runtime.spawn(|cx| async move { cx.cancelled().await.0 }).unwrap());
    }
    let error = runtime.spawn(|_| async { 7 }).unwrap_err();
    assert_eq!(error.kind, SpawnErrorKind::ExecutorFull);
    let last = tasks.pop().unwrap();
    last.cancel().unwrap();
    block_on(last.into_future()).unwrap();
    assert_eq!(block_on(runtime.spawn(error.rejected).unwrap().into_future()), Ok(7));
}

#[test]
fn block_on_inside_a_task_is_refused() {
    let runtime = runtime(1, "nested");
    let task = runtime.spawn(|_| async { block_on(async {}) }).unwrap();
    assert_eq!(block_on(task.into_future()), Err(JoinError::Panicked));
}

#[test]
fn a_region_in_options_is_refused() {
    let runtime = runtime(2, "options");
    let region = runtime.open_region(RegionOptions::new()).unwrap();
    let error = runtime.spawn_with(TaskOptions::new().region(region.id()), |_| async {}).unwrap_err();
    assert_eq!(error.kind, SpawnErrorKind::RegionClosed);
}
