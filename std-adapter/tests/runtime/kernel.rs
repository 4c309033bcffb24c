//! What the kernel counts: how often a thread gave its processor up of its own accord, to sleep.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

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

/// The threads whose names begin so, and how often each has slept.
pub fn threads_named(name: &str) -> BTreeMap<String, u64> {
    let tasks = fs::read_dir("/proc/self/task").expect("the kernel lists threads");
    let threads = tasks.filter_map(|task| read(&task.ok()?.path()));
    threads.filter(|(thread, _)| thread.starts_with(name)).collect()
}
