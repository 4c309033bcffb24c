//! Who waits for events, and who is woken.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use trilane::exec::yield_now;
use trilane::time::Duration as Span;
use trilane_std::net::unix::UnixStream;
use trilane_std::net::{TcpListener, TcpStream, UdpSocket};
use trilane_std::runtime::{Runtime, block_on};

use crate::{client, compute, runtime, serve};

#[test]
fn r7_a_worker_in_a_long_poll_keeps_no_events_from_the_other() {
    let runtime = runtime(2, "r7");
    let handle = runtime.handle();
    let (address, _server) = runtime.block_on(async { serve(handle).unwrap() });
    let mut took: Vec<Duration> = (0..9)
        .map(|_| {
            let (mut near, far) = std::os::unix::net::UnixStream::pair().unwrap();
            // Whoever has its event computes.
            let long = runtime.spawn(move |_| async move {
                let far = UnixStream::try_from(far).unwrap();
                far.read(&mut [0; 8]).await.unwrap();
                compute(Duration::from_millis(200));
            });
            let mut stream = std::net::TcpStream::connect(address).unwrap();
            thread::sleep(Duration::from_millis(10));
            near.write_all(b"x").unwrap();
            thread::sleep(Duration::from_millis(10));
            let began = Instant::now();
            stream.write_all(b"x").unwrap();
            assert_eq!(stream.read(&mut [0; 8]).unwrap(), 1);
            let took = began.elapsed();
            block_on(long.unwrap()).unwrap();
            took
        })
        .collect();
    took.sort_unstable();
    // Two milliseconds until somebody looks; beside it stands what a busy computer takes.
    assert!(took[took.len() / 2] < Duration::from_millis(50), "{took:?}");
}

/// What is known of polls so far says that one worker has done with all soon.
#[test]
fn r1_no_task_that_an_event_has_woken_waits_for_a_poll_that_turns_out_long() {
    let runtime = runtime(2, "r1");
    let began: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let (mut near, far): (Vec<_>, Vec<_>) =
        (0..4).map(|_| std::os::unix::net::UnixStream::pair().unwrap()).unzip();
    let tasks: Vec<_> = far
        .into_iter()
        .map(|far| {
            let began = began.clone();
            let serve = move |_| async move {
                let far = UnixStream::try_from(far).unwrap();
                let mut byte = [0];
                while far.read(&mut byte).await.unwrap() != 0 {
                    began.lock().unwrap().push(Instant::now());
                    if byte == *b"l" {
                        compute(Duration::from_millis(50));
                    }
                    far.write_all(&byte).await.unwrap();
                }
            };
            runtime.spawn(serve).unwrap()
        })
        .collect();
    let mut waited = Vec::new();
    for _ in 0..9 {
        for byte in [[b"s"; 100].as_slice(), &[b"l"]].concat() {
            began.lock().unwrap().clear();
            let sent = Instant::now();
            near.iter_mut().for_each(|near| near.write_all(byte).unwrap());
            near.iter_mut().for_each(|near| near.read_exact(&mut [0]).unwrap());
            if byte == b"l" {
                waited.push(began.lock().unwrap()[1] - sent);
            }
        }
    }
    drop(near);
    tasks.into_iter().for_each(|task| block_on(task).unwrap());
    waited.sort_unstable();
    // Two milliseconds until somebody looks; beside it stands what a busy computer takes.
    assert!(waited[waited.len() / 2] < Duration::from_millis(10), "{waited:?}");
}

#[test]
fn tasks_that_yield_for_ever_leave_events_and_timers_their_turn() {
    for workers in [1, 2] {
        let runtime = runtime(workers, "yields");
        let handle = runtime.handle();
        let (address, _server) = runtime.block_on(async { serve(handle).unwrap() });
        let done = Arc::new(AtomicBool::new(false));
        for _ in 0..4 {
            let done = done.clone();
            drop(runtime.spawn(move |_| async move {
                while !done.load(SeqCst) {
                    yield_now().await;
                }
            }));
        }
        let timer = runtime.spawn(|cx| async move { cx.sleep(Span::from_millis(20)).await }).unwrap();
        let began = Instant::now();
        block_on(runtime.spawn(move |_| client(address, 100, 10)).unwrap()).unwrap().unwrap();
        block_on(timer).unwrap().unwrap();
        let took = began.elapsed();
        done.store(true, SeqCst);
        assert!(took < Duration::from_secs(5), "{took:?}");
    }
}

#[test]
fn a_task_whose_socket_is_always_ready_lets_others_run() {
    let runtime = runtime(1, "always");
    let done = Arc::new(AtomicBool::new(false));
    let stop = done.clone();
    let sender = runtime.spawn(move |_| async move {
        let socket = UdpSocket::bind(([127, 0, 0, 1], 0)).unwrap();
        let address = socket.local_addr().unwrap();
        while !stop.load(SeqCst) {
            socket.send_to(b"x", address).await.unwrap();
        }
    });
    block_on(runtime.spawn(|cx| async move { cx.sleep(Span::from_millis(5)).await }).unwrap())
        .unwrap()
        .unwrap();
    done.store(true, SeqCst);
    block_on(sender.unwrap()).unwrap();
}

#[test]
fn a_sleep_ends_in_time_where_sockets_are_waited_for() {
    let runtime = runtime(1, "timed");
    let late = runtime.spawn(|cx| async move {
        let listener = TcpListener::bind(([127, 0, 0, 1], 0)).unwrap();
        let mut late = Vec::new();
        for _ in 0..20 {
            let due = cx.now() + Span::from_millis(3);
            cx.sleep_until(due).await.unwrap();
            late.push(cx.now() - due);
        }
        drop(listener);
        late.sort_unstable();
        late[late.len() / 2]
    });
    let late = block_on(late.unwrap()).unwrap();
    assert!(late < Span::from_millis(20), "{late}");
}

/// Sockets are registered while all workers sleep on their own.
#[test]
fn the_first_socket_has_somebody_wait_for_it() {
    for workers in [1, 3] {
        let runtime = runtime(workers, "first");
        for _ in 0..200 {
            thread::sleep(Duration::from_micros(200));
            runtime.block_on(async {
                let (a, b) = UnixStream::pair().unwrap();
                let answers = thread::spawn(move || block_on(async move { b.write_all(b"x").await }));
                assert_eq!(a.read(&mut [0; 8]).await.unwrap(), 1);
                answers.join().unwrap().unwrap();
            });
        }
    }
}

#[cfg(target_os = "linux")]
fn is_still(name: &str, workers: usize, runtime: &Runtime) {
    let address = runtime.block_on(async {
        let (address, server) = serve(runtime.handle()).unwrap();
        drop(server);
        client(address, 100, 10).await.unwrap();
        address
    });
    let stream = runtime.block_on(async { TcpStream::connect(address).await.unwrap() });
    crate::kernel::assert_still(name, workers);
    drop(stream);
}

#[cfg(target_os = "linux")]
#[test]
fn r13_nothing_wakes_up_where_sockets_are_waited_for() {
    for (workers, name) in [(1, "still1"), (3, "still3")] {
        is_still(name, workers, &runtime(workers, name));
    }
}
