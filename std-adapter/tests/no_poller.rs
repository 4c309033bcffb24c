//! A runtime without sockets has no poller. Alone in its process, since other tests have pollers.
#![cfg(target_os = "linux")]

use trilane::time::Duration;
use trilane_std::net::unix::UnixStream;
use trilane_std::runtime::{Runtime, block_on};

#[test]
fn there_is_no_poller_before_the_first_socket() {
    let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let before = open();
    let runtime = Runtime::builder().workers(2).build().unwrap();
    let sleeper = runtime.spawn(|cx| async move { cx.sleep(Duration::from_millis(5)).await });
    block_on(sleeper.unwrap()).unwrap().unwrap();
    assert_eq!(open(), before);
    runtime.block_on(async { drop(UnixStream::pair().unwrap()) });
    assert!(open() > before);
}
