//! What the kernel counts: how often a thread gave its processor up of its own accord, to sleep.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

fn field(status: &str, name: &str) -> String {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("the kernel says nothing of {name}")).trim().to_owned()
}

fn read(task: &Path) -> Option<(String, u64)> {
    // A thread may have ended meanwhile.
    let status = fs::read_to_string(task.join("status")).ok()?;
    Some((field(&status, "Name:"), field(&status, "voluntary_ctxt_switches:").parse().ok()?))
}

/// How often this thread has slept.
pub fn switches() -> u64 {
    read(Path::new("/proc/thread-self")).expect("this thread is there").1
}

/// Waits until so many threads whose names begin so all sleep, for ten seconds at most; none of them wakes up
/// in the second after that.
pub fn assert_still(name: &str, threads: usize) {
    let mut before = threads_named(name);
    for _ in 0..33 {
        thread::sleep(Duration::from_millis(300));
        let now = threads_named(name);
        if now == before && now.len() == threads {
            break;
        }
        before = now;
    }
    thread::sleep(Duration::from_secs(1));
    assert_eq!(before.len(), threads);
    assert_eq!(threads_named(name), before);
}

/// The threads whose names begin so, and how often each has slept.
fn threads_named(name: &str) -> BTreeMap<String, u64> {
    let tasks = fs::read_dir("/proc/self/task").expect("the kernel lists threads");
    let threads = tasks.filter_map(|task| read(&task.ok()?.path()));
    threads.filter(|(thread, _)| thread.starts_with(name)).collect()
}
