//! Sockets whose events the workers of a runtime wait for.
#![cfg(unix)]

mod ends;
mod errors;
#[cfg(target_os = "linux")]
#[path = "../runtime/kernel.rs"]
#[expect(dead_code, reason = "what a thread counts of itself")]
mod kernel;
mod others;
mod sharing;
mod tcp;

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use trilane::exec::JoinHandle;
use trilane_std::net::{TcpListener, TcpStream};
use trilane_std::runtime::{Handle, Runtime};

fn runtime(workers: usize, name: &str) -> Runtime {
    Runtime::builder().workers(workers).name(name).build().unwrap()
}

fn local() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

/// Computes, as a poll that takes this long does.
fn compute(span: Duration) {
    let began = Instant::now();
    while began.elapsed() < span {
        std::hint::spin_loop();
    }
}

/// Sends all back, until the other side closes.
async fn echo(stream: TcpStream) -> io::Result<()> {
    let mut bytes = [0; 1024];
    loop {
        match stream.read(&mut bytes).await? {
            0 => return Ok(()),
            read => stream.write_all(&bytes[..read]).await?,
        }
    }
}

/// A server that lasts as long as its runtime.
fn serve(handle: Handle) -> io::Result<(SocketAddr, JoinHandle<io::Result<()>>)> {
    let listener = TcpListener::bind(local())?;
    let address = listener.local_addr()?;
    let server = handle.spawn(move |_| async move {
        loop {
            let (stream, _) = listener.accept().await?;
            drop(handle.spawn(|_| echo(stream)).unwrap());
        }
    });
    Ok((address, server.unwrap()))
}

/// Sends so many messages of `bytes`, and waits for each to come back.
async fn client(address: SocketAddr, messages: usize, bytes: usize) -> io::Result<()> {
    let stream = TcpStream::connect(address).await?;
    let mut back = vec![0; bytes];
    for message in 0..messages {
        let sent = vec![message as u8; bytes];
        stream.write_all(&sent).await?;
        let mut read = 0;
        while read < bytes {
            read += stream.read(&mut back[read..]).await?;
        }
        assert_eq!(back, sent);
    }
    Ok(())
}
