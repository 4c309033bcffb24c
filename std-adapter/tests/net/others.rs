//! What isn't TCP.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use trilane_std::net::unix::{UnixListener, UnixStream};
use trilane_std::net::{Async, UdpSocket};

use crate::{local, runtime};

#[test]
fn datagrams_go_both_ways() {
    let runtime = runtime(2, "udp");
    runtime.block_on(async {
        let (a, b) = (UdpSocket::bind(local()).unwrap(), UdpSocket::bind(local()).unwrap());
        let (at_a, at_b) = (a.local_addr().unwrap(), b.local_addr().unwrap());
        let answers = runtime.spawn(move |_| async move {
            let mut bytes = [0; 16];
            let (read, from) = b.recv_from(&mut bytes).await.unwrap();
            assert_eq!(from, at_a);
            b.send_to(&bytes[..read], from).await.unwrap();
            b.connect(at_a).unwrap();
            let read = b.recv(&mut bytes).await.unwrap();
            b.send(&bytes[..read]).await.unwrap();
        });
        for message in [&b"one"[..], b"three"] {
            let mut bytes = [0; 16];
            a.send_to(message, at_b).await.unwrap();
            let (read, from) = a.recv_from(&mut bytes).await.unwrap();
            assert_eq!((&bytes[..read], from), (message, at_b));
        }
        answers.unwrap().await.unwrap();
    });
}

#[test]
fn a_pair_of_unix_sockets_talks() {
    let runtime = runtime(1, "pair");
    runtime.block_on(async {
        let (a, b) = UnixStream::pair().unwrap();
        let answers = runtime.spawn(|_| async move {
            let mut bytes = [0; 16];
            let read = b.read(&mut bytes).await.unwrap();
            b.write_all(&bytes[..read]).await.unwrap();
        });
        a.write_all(b"hello").await.unwrap();
        let mut bytes = [0; 16];
        let read = a.read(&mut bytes).await.unwrap();
        assert_eq!(&bytes[..read], b"hello");
        answers.unwrap().await.unwrap();
        assert_eq!(a.read(&mut bytes).await.unwrap(), 0);
    });
}

#[test]
fn a_unix_socket_is_found_by_its_path() {
    let path = std::env::temp_dir().join(format!("trilane-net-{}", std::process::id()));
    let runtime = runtime(1, "path");
    runtime.block_on(async {
        let listener = UnixListener::bind(&path).unwrap();
        assert_eq!(listener.local_addr().unwrap().as_pathname(), Some(path.as_path()));
        let greets = runtime.spawn(|_| async move {
            let (stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"hello").await.unwrap();
        });
        let stream = UnixStream::connect(&path).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap().as_pathname(), Some(path.as_path()));
        let mut bytes = [0; 16];
        assert_eq!(stream.read(&mut bytes).await.unwrap(), 5);
        greets.unwrap().await.unwrap();
    });
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_program_that_was_started_is_read_from() {
    let runtime = runtime(1, "pipe");
    let mut cat = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut input, output) = (cat.stdin.take().unwrap(), OwnedFd::from(cat.stdout.take().unwrap()));
    runtime.block_on(async {
        let output = Async::new(std::fs::File::from(output)).unwrap();
        input.write_all(b"hello").unwrap();
        output.readable().await.unwrap();
        let mut bytes = [0; 16];
        let read = output.read_with(|mut output| std::io::Read::read(&mut output, &mut bytes)).await.unwrap();
        assert_eq!(&bytes[..read], b"hello");
        drop(input);
        output.readable().await.unwrap();
    });
    cat.wait().unwrap();
}

#[test]
fn what_is_ready_stays_so_until_it_is_taken() {
    let runtime = runtime(1, "ready");
    runtime.block_on(async {
        let (a, b) = std::os::unix::net::UnixStream::pair().unwrap();
        let a = Async::new(a).unwrap();
        a.writable().await.unwrap();
        (&b).write_all(b"hello").unwrap();
        for _ in 0..3 {
            a.readable().await.unwrap();
        }
        let a = a.into_inner();
        assert_eq!(std::io::Read::read(&mut &a, &mut [0; 16]).unwrap(), 5);
        // It is registered again as something new.
        let a = Async::new(a).unwrap();
        drop(b);
        a.readable().await.unwrap();
    });
}
