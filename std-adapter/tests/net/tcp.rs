//! Streams that carry what they should.

use std::future::poll_fn;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use futures_io::{AsyncRead, AsyncWrite};
use trilane_std::net::{TcpListener, TcpStream};
use trilane_std::runtime::{Handle, block_on};

use crate::{client, local, runtime, serve};

fn hundred_connections(workers: usize) {
    let runtime = runtime(workers, "echo");
    let handle = runtime.handle();
    let clients = runtime.spawn(move |_| async move {
        let (address, _server) = serve(handle).unwrap();
        let clients: Vec<_> =
            (0..100).map(|_| handle.spawn(move |_| client(address, 30, 100)).unwrap()).collect();
        for client in clients {
            client.await.unwrap().unwrap();
        }
    });
    block_on(clients.unwrap()).unwrap();
}

#[test]
fn one_worker_serves_a_hundred_connections() {
    hundred_connections(1);
}

#[test]
fn two_workers_serve_a_hundred_connections() {
    hundred_connections(2);
}

#[test]
fn a_thread_that_blocks_uses_sockets_of_its_runtime() {
    let runtime = runtime(1, "blocks");
    assert!(Handle::current().is_none());
    runtime.block_on(async {
        let (address, _server) = serve(Handle::current().unwrap()).unwrap();
        client(address, 100, 10).await.unwrap();
    });
    assert!(Handle::current().is_none());
}

#[test]
fn more_is_sent_than_there_is_room_for() {
    let runtime = runtime(2, "large");
    runtime.block_on(async {
        let (address, _server) = serve(runtime.handle()).unwrap();
        let stream = Arc::new(TcpStream::connect(address).await.unwrap());
        let sender = stream.clone();
        let sent = runtime.spawn(move |_| async move {
            sender.write_all(&vec![7; 20_000_000]).await.unwrap();
            sender.shutdown(Shutdown::Write).unwrap();
        });
        let (mut back, mut bytes) = (0, vec![0; 70_000]);
        loop {
            match stream.read(&mut bytes).await.unwrap() {
                0 => break,
                read => back += read,
            }
        }
        sent.unwrap().await.unwrap();
        assert_eq!(back, 20_000_000);
    });
}

#[test]
fn a_read_that_is_dropped_loses_no_byte() {
    let runtime = runtime(2, "dropped");
    runtime.block_on(async {
        let listener = TcpListener::bind(local()).unwrap();
        let mut peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let mut got = Vec::new();
        for number in 0..200 {
            let mut bytes = [0; 3];
            let read = pin!(stream.read(&mut bytes)).poll(&mut Context::from_waker(Waker::noop()));
            if let Poll::Ready(read) = read {
                let read = read.unwrap();
                got.extend_from_slice(&bytes[..read]);
            }
            peer.write_all(&[number]).unwrap();
        }
        peer.shutdown(Shutdown::Write).unwrap();
        let mut bytes = [0; 3];
        loop {
            match stream.read(&mut bytes).await.unwrap() {
                0 => break,
                read => got.extend_from_slice(&bytes[..read]),
            }
        }
        assert_eq!(got, (0..200).collect::<Vec<u8>>());
    });
}

#[test]
fn other_crates_read_and_write_by_their_traits() {
    let runtime = runtime(1, "traits");
    runtime.block_on(async {
        let (address, _server) = serve(runtime.handle()).unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        let (mut reader, mut writer) = stream.split();
        let sent = poll_fn(|cx| Pin::new(&mut writer).poll_write(cx, b"hello")).await.unwrap();
        poll_fn(|cx| Pin::new(&mut writer).poll_close(cx)).await.unwrap();
        let (mut bytes, mut read) = ([0; 8], 0);
        loop {
            match poll_fn(|cx| Pin::new(&mut reader).poll_read(cx, &mut bytes[read..])).await.unwrap() {
                0 => break,
                more => read += more,
            }
        }
        assert_eq!((sent, &bytes[..read]), (5, &b"hello"[..]));
    });
}

#[test]
fn several_tasks_accept_at_one_listener() {
    let runtime = runtime(2, "acceptors");
    runtime.block_on(async {
        let listener = Arc::new(TcpListener::bind(local()).unwrap());
        let address = listener.local_addr().unwrap();
        let acceptors: Vec<_> = (0..10)
            .map(|_| {
                let listener = listener.clone();
                runtime.spawn(move |_| async move { listener.accept().await.map(drop) }).unwrap()
            })
            .collect();
        let clients = thread::spawn(move || {
            for _ in 0..10 {
                let mut stream = std::net::TcpStream::connect(address).unwrap();
                assert_eq!(stream.read(&mut [0; 8]).unwrap(), 0);
            }
        });
        for acceptor in acceptors {
            acceptor.await.unwrap().unwrap();
        }
        clients.join().unwrap();
    });
}

#[test]
fn bytes_that_are_peeked_at_stay() {
    let runtime = runtime(1, "peek");
    runtime.block_on(async {
        let (address, _server) = serve(runtime.handle()).unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        assert!(stream.nodelay().unwrap());
        assert_eq!(stream.peer_addr().unwrap(), address);
        stream.write_all(b"a").await.unwrap();
        let (mut one, mut other) = ([0; 4], [0; 4]);
        assert_eq!(stream.peek(&mut one).await.unwrap(), 1);
        assert_eq!(stream.read(&mut other).await.unwrap(), 1);
        assert_eq!(one, other);
    });
}

#[test]
fn many_may_wait_to_be_accepted() {
    let runtime = runtime(1, "backlog");
    let listener = runtime.block_on(async { TcpListener::bind(local()) }).unwrap();
    let address = listener.local_addr().unwrap();
    let limit = Duration::from_millis(500);
    let waiting: Vec<_> =
        (0..500).map(|_| std::net::TcpStream::connect_timeout(&address, limit).unwrap()).collect();
    runtime.block_on(async {
        for _ in &waiting {
            listener.accept().await.unwrap();
        }
    });
}
