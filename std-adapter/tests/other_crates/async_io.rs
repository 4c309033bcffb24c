//! async-io: its timers and sockets, whose events a thread of its own waits for.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use async_io::{Async, Timer};
use trilane_std::net::TcpStream as OurStream;

use crate::{join, runtime, spawn};

#[test]
fn its_timers_end_in_our_tasks() {
    let runtime = runtime(2);
    let began = Instant::now();
    let tasks: Vec<_> = (0..50u64)
        .map(|number| {
            spawn(&runtime, async move {
                Timer::after(Duration::from_millis(number % 10)).await;
            })
        })
        .collect();
    tasks.into_iter().for_each(join);
    assert!(began.elapsed() >= Duration::from_millis(9));
}

#[test]
fn its_socket_talks_with_one_of_ours() {
    let runtime = runtime(1);
    let listener = Async::<TcpListener>::bind(([127, 0, 0, 1], 0)).unwrap();
    let address = listener.get_ref().local_addr().unwrap();
    let server = spawn(&runtime, async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut bytes = [0; 16];
        loop {
            let read = stream.read_with(|mut stream: &TcpStream| stream.read(&mut bytes)).await.unwrap();
            if read == 0 {
                return;
            }
            stream.write_with(|mut stream: &TcpStream| stream.write(&bytes[..read])).await.unwrap();
        }
    });
    let client = spawn(&runtime, async move {
        let stream = OurStream::connect(address).await.unwrap();
        let mut bytes = [0; 16];
        for _ in 0..100 {
            stream.write_all(b"hello").await.unwrap();
            assert_eq!(stream.read(&mut bytes).await.unwrap(), 5);
        }
    });
    join(client);
    join(server);
}
