//! Sockets and runtimes that go while somebody waits.

use std::io::{ErrorKind, Write};
use std::os::unix::net::UnixStream as StdStream;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};
use std::thread;
use std::time::Duration;

use futures_io::AsyncRead;
use trilane::exec::{Attributes, TaskOptions};
use trilane::time::Duration as Span;
use trilane_std::net::unix::UnixStream;
use trilane_std::net::{Async, NoReactor, TcpListener, TcpStream};
use trilane_std::runtime::{Handle, block_on};

use crate::{client, local, runtime, serve};

#[test]
fn a_task_that_waits_for_a_connection_is_ended() {
    static SHORT: Attributes = Attributes::named("short").cleanup_time(Span::from_millis(1));
    let runtime = runtime(2, "shutdown");
    let (told, tell) = mpsc::channel();
    let accept = move |_| async move {
        let listener = TcpListener::bind(local()).unwrap();
        told.send(()).unwrap();
        drop(listener.accept().await);
    };
    drop(runtime.spawn_with(TaskOptions::new().attributes(&SHORT), accept).unwrap());
    tell.recv().unwrap();
    thread::sleep(Duration::from_millis(10));
    runtime.shut_down(Duration::from_secs(10)).unwrap();
}

#[test]
fn a_socket_that_outlives_its_runtime_says_so() {
    let runtime = runtime(2, "outlives");
    let ended = |error: std::io::Error| {
        assert_eq!(error.kind(), ErrorKind::Other);
        assert_eq!(error.get_ref().unwrap().downcast_ref(), Some(&NoReactor::RuntimeEnded));
    };
    let (a, b) = runtime.block_on(async { UnixStream::pair().unwrap() });
    let waits = Arc::new(a);
    let waiting = waits.clone();
    // This one waits while the runtime ends, on a thread of its own.
    let waiter = thread::spawn(move || block_on(waiting.read(&mut [0; 8])).unwrap_err());
    thread::sleep(Duration::from_millis(20));
    drop(runtime);
    ended(waiter.join().unwrap());
    ended(block_on(waits.read(&mut [0; 8])).unwrap_err());
    ended(block_on(b.write(b"hello")).unwrap_err());
    // Its memory, and its poller, are the next one's.
    let next = crate::runtime(2, "next");
    ended(block_on(b.write(b"hello")).unwrap_err());
    next.block_on(async {
        let (address, _server) = serve(next.handle()).unwrap();
        client(address, 10, 10).await.unwrap();
        drop((waits, b));
        client(address, 10, 10).await.unwrap();
    });
}

#[test]
fn a_socket_goes_from_one_runtime_to_another() {
    let (one, other) = (runtime(1, "one"), runtime(1, "other"));
    let (a, b) = one.block_on(async { UnixStream::pair().unwrap() });
    let a = a.into_inner();
    let moved = other.block_on(async { UnixStream::try_from(a).unwrap() });
    drop(one);
    drop(b);
    other.block_on(async { assert_eq!(moved.read(&mut [0; 8]).await.unwrap(), 0) });
}

#[test]
fn a_socket_that_is_dropped_wakes_whoever_waits() {
    struct Told(mpsc::Sender<()>);
    impl std::task::Wake for Told {
        fn wake(self: Arc<Self>) {
            self.0.send(()).unwrap();
        }
    }
    let runtime = runtime(1, "goes");
    let (told, tell) = mpsc::channel();
    let (mut a, _b) = runtime.block_on(async { UnixStream::pair().unwrap() });
    let waker = Waker::from(Arc::new(Told(told)));
    let read = Pin::new(&mut a).poll_read(&mut Context::from_waker(&waker), &mut [0; 8]);
    assert!(matches!(read, Poll::Pending));
    drop(a);
    assert_eq!(tell.recv_timeout(Duration::from_secs(10)), Ok(()));
}

#[test]
fn an_event_wakes_nobody_who_has_the_slot_next() {
    let runtime = runtime(2, "slots");
    runtime.block_on(async {
        for _ in 0..2_000 {
            let (mut near, far) = StdStream::pair().unwrap();
            let (_quiet, other) = StdStream::pair().unwrap();
            let far = Async::new(far).unwrap();
            near.write_all(b"x").unwrap();
            drop(far);
            // Most likely in the slot of the one before.
            let other = Async::new(other).unwrap();
            other.writable().await.unwrap();
            let mut read = pin!(other.readable());
            let mut cx = Context::from_waker(Waker::noop());
            assert!(read.as_mut().poll(&mut cx).is_pending());
        }
    });
}

/// What a meddling waker waits for.
static MEDDLED: Mutex<Option<Arc<Async<StdStream>>>> = Mutex::new(None);

/// A waker that uses the reactor, and the very source that it waits for, in all that it does.
fn meddling() -> Waker {
    fn meddle(_: *const ()) {
        let source = MEDDLED.lock().unwrap().clone();
        if let Some(source) = source {
            let _ = pin!(source.readable()).poll(&mut Context::from_waker(Waker::noop()));
        }
        if Handle::current().is_some() {
            drop(UnixStream::pair().unwrap());
        }
    }
    fn clone(data: *const ()) -> RawWaker {
        meddle(data);
        RawWaker::new(data, &TABLE)
    }
    static TABLE: RawWakerVTable = RawWakerVTable::new(clone, meddle, meddle, meddle);
    // SAFETY: there is no data.
    unsafe { Waker::from_raw(RawWaker::new(std::ptr::null(), &TABLE)) }
}

#[test]
fn r8_a_waker_may_use_the_reactor_in_all_that_it_does() {
    let (done, ends) = mpsc::channel();
    thread::spawn(move || {
        let runtime = runtime(2, "meddles");
        let waker = meddling();
        let mut cx = Context::from_waker(&waker);
        runtime.block_on(async {
            for _ in 0..50 {
                let (a, mut b) = StdStream::pair().unwrap();
                let a = Arc::new(Async::new(a).unwrap());
                *MEDDLED.lock().unwrap() = Some(a.clone());
                // Replaced, and taken back; then woken by an event.
                {
                    let mut taken_back = pin!(a.readable());
                    assert!(taken_back.as_mut().poll(&mut cx).is_pending());
                    assert!(taken_back.as_mut().poll(&mut cx).is_pending());
                }
                let mut woken = pin!(a.readable());
                assert!(woken.as_mut().poll(&mut cx).is_pending());
                b.write_all(b"x").unwrap();
                a.readable().await.unwrap();
            }
        });
        // Woken by the end.
        let (a, _b) = runtime.block_on(async { UnixStream::pair().unwrap() });
        assert!(pin!(a.read(&mut [0; 8])).poll(&mut cx).is_pending());
        let (mut a, mut bytes) = (a, [0; 8]);
        assert!(Pin::new(&mut a).poll_read(&mut cx, &mut bytes).is_pending());
        drop(runtime);
        done.send(()).unwrap();
    });
    assert_eq!(ends.recv_timeout(Duration::from_secs(20)), Ok(()), "it stands still");
}

#[test]
fn tasks_that_were_woken_find_their_bytes_after_a_panicking_waker() {
    struct Bomb;
    impl std::task::Wake for Bomb {
        fn wake(self: Arc<Self>) {
            panic!("on purpose");
        }
    }
    let runtime = runtime(1, "bomb");
    runtime.block_on(async {
        let (address, _server) = serve(runtime.handle()).unwrap();
        let mut stream = TcpStream::connect(address).await.unwrap();
        let waker = Waker::from(Arc::new(Bomb));
        let mut bytes = [0; 8];
        let read = Pin::new(&mut stream).poll_read(&mut Context::from_waker(&waker), &mut bytes);
        assert!(read.is_pending());
        stream.write_all(b"x").await.unwrap();
        assert_eq!(stream.read(&mut bytes).await.unwrap(), 1);
        client(address, 100, 10).await.unwrap();
    });
}
