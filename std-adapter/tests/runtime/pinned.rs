//! Workers that stay on one processor.

use std::fs;
use std::sync::Barrier;
use std::thread;

use trilane_std::runtime::{BuildError, Runtime, block_on, processors};

use crate::leak;

/// On which processors this thread may run, as the kernel lists them.
fn allowed() -> String {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap();
    status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap().trim().to_owned()
}

#[test]
fn each_worker_stays_on_its_processor() {
    let mut all = processors().unwrap();
    all.reverse();
    let runtime = Runtime::builder().workers(3).pin(all.clone()).name("pinned").build().unwrap();
    // One task each, as none is done before all have begun.
    let begin = leak(Barrier::new(3));
    let tasks = [(); 3].map(|()| {
        let look = async {
            begin.wait();
            (thread::current().name().map(str::to_owned), processors().unwrap(), allowed())
        };
        runtime.spawn(|_| look).unwrap()
    });
    let mut found = tasks.map(|task| block_on(task).unwrap());
    found.sort();
    for (number, (name, may_run_on, listed)) in found.into_iter().enumerate() {
        let processor = all[number % all.len()];
        assert_eq!(name, Some(format!("pinned-{number}")));
        assert_eq!((may_run_on, listed), (vec![processor], processor.to_string()));
    }
    // Whoever builds it stays as it was, and work that blocks is free.
    assert_eq!(processors().unwrap().len(), all.len());
    let handle = runtime.handle();
    let blocking = runtime.spawn(move |_| async move { handle.spawn_blocking(processors).await });
    assert_eq!(block_on(blocking.unwrap()).unwrap().unwrap().unwrap().len(), all.len());
}

#[test]
fn a_processor_that_isnt_there_is_an_error() {
    for wrong in [1_000, 1_000_000] {
        let error = Runtime::builder().workers(2).pin([processors().unwrap()[0], wrong]).build().unwrap_err();
        assert!(matches!(error, BuildError::Pin(processor, _) if processor == wrong), "{error}");
    }
    assert!(Runtime::builder().workers(1).pin([]).build().is_ok());
}
