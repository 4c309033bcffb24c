//! What a runtime refuses.

use std::cell::Cell;
use std::error::Error;

use trilane::exec::{Cx, JoinError, RegionOptions, SpawnErrorKind, TaskOptions};
use trilane_std::runtime::{BuildError, Builder, Handle, Runtime, block_on};

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
fn errors_name_what_a_user_of_a_runtime_can_raise() {
    let runtime = Runtime::builder().workers(1).capacity(10).build().unwrap();
    let regions: Vec<_> = std::iter::from_fn(|| runtime.open_region(RegionOptions::new()).ok()).collect();
    assert_eq!(regions.len(), 64);
    let full = runtime.open_region(RegionOptions::new()).unwrap_err();
    assert!(full.to_string().contains("a runtime a larger Builder::capacity"), "{full}");
    let wait = |cx: Cx| async move { cx.cancelled().await.0 };
    let tasks: Vec<_> = (0..runtime.capacity()).map(|_| runtime.spawn(wait).unwrap()).collect();
    let full = runtime.spawn(wait).unwrap_err();
    assert!(full.to_string().contains("of a runtime its Builder::capacity"), "{full}");
    drop((tasks, regions));
    let handle = runtime.handle();
    drop(runtime);
    let closed = handle.spawn(|_| async {}).unwrap_err();
    assert!(closed.to_string().contains("executor or runtime"), "{closed}");
}

#[test]
fn a_refused_spawn_is_an_error_by_the_question_mark() {
    fn start(handle: Handle, name: &str) -> Result<(), Box<dyn Error + Send + Sync>> {
        let borrowed = Cell::new(name.len());
        handle.spawn(|_| std::future::ready(borrowed.get())).map_err(SpawnErrorKind::from)?;
        Ok(())
    }
    let runtime = runtime(1, "question-mark");
    start(runtime.handle(), "one").unwrap();
    let ended = Runtime::builder().workers(1).build().unwrap().handle();
    let error = start(ended, "two").unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&SpawnErrorKind::ShutDown));
    // One without a closure that borrows needs no detour.
    let error: Box<dyn Error + Send + Sync> = ended.spawn(|_| async {}).unwrap_err().into();
    assert!(error.to_string().contains("nothing new begins"), "{error}");
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
