//! hyper: the example's server, and clients over our sockets.

#[path = "../../examples/http.rs"]
#[allow(dead_code, reason = "`main` is the example's")]
mod http;

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Method, Request, Response, StatusCode};
use trilane::exec::JoinHandle;
use trilane_std::net::{TcpListener, TcpStream};
use trilane_std::runtime::{Handle, Runtime};

use crate::{join, spawn};

fn runtime() -> Runtime {
    Runtime::builder().workers(2).slot_bytes(2_048).build().unwrap()
}

fn serve(runtime: &Runtime) -> (SocketAddr, JoinHandle<()>) {
    let listener = runtime.block_on(async { TcpListener::bind(([127, 0, 0, 1], 0)) }).unwrap();
    let (address, handle) = (listener.local_addr().unwrap(), runtime.handle());
    (address, runtime.spawn(move |cx| http::serve(cx, handle, listener)).unwrap())
}

async fn connect<B>(handle: Handle, address: SocketAddr) -> SendRequest<B>
where
    B: Body<Data = Bytes, Error = std::convert::Infallible> + Send + 'static,
{
    let stream = TcpStream::connect(address).await.unwrap();
    let (sender, connection) = http1::handshake(http::Io(stream)).await.unwrap();
    drop(spawn(&handle, connection));
    sender
}

fn request<B>(method: Method, path: &str, body: B) -> Request<B> {
    Request::builder().method(method).uri(path).header("host", "here").body(body).unwrap()
}

/// Sends a request when the connection has room for it, and waits for the answer.
async fn send<B: Body + 'static>(client: &mut SendRequest<B>, request: Request<B>) -> Response<Incoming> {
    client.ready().await.unwrap();
    client.send_request(request).await.unwrap()
}

async fn text(response: Response<Incoming>) -> Bytes {
    response.into_body().collect().await.unwrap().to_bytes()
}

#[test]
fn a_connection_serves_one_request_after_the_other() {
    let runtime = runtime();
    let (address, _server) = serve(&runtime);
    let handle = runtime.handle();
    join(spawn(&handle, async move {
        let mut client = connect(handle, address).await;
        for number in 0..20 {
            let said = format!("number {number}");
            let echo = request(Method::POST, "/echo", Full::from(said.clone()));
            assert_eq!(text(send(&mut client, echo).await).await, said);
            let response = send(&mut client, request(Method::GET, "/", Full::default())).await;
            assert_eq!(text(response).await, "hello\n");
        }
        let response = send(&mut client, request(Method::GET, "/nothing", Full::default())).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
    }));
}

/// A body of so many frames of 64 KiB.
struct Large(u8);

impl Body for Large {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let left = self.0;
        self.0 = left.saturating_sub(1);
        Poll::Ready((left != 0).then(|| Ok(Frame::data(Bytes::from(vec![left; 1 << 16])))))
    }
}

#[test]
fn a_large_body_goes_both_ways_at_once() {
    let runtime = runtime();
    let (address, _server) = serve(&runtime);
    let handle = runtime.handle();
    join(spawn(&handle, async move {
        let mut client = connect(handle, address).await;
        // 16 MiB: more than sockets hold, so both sides wait for each other.
        let response = send(&mut client, request(Method::POST, "/echo", Large(255))).await;
        let body = text(response).await;
        assert_eq!(body.len(), 255 << 16);
        for (chunk, left) in body.chunks(1 << 16).zip((1..=255).rev()) {
            assert!(chunk.iter().all(|&byte| byte == left));
        }
    }));
}

#[test]
fn a_client_that_hangs_up_leaves_no_task_behind() {
    let runtime = runtime();
    let (address, _server) = serve(&runtime);
    for said in ["", "GET / HT", "POST /echo HTTP/1.1\r\nhost: here\r\ncontent-length: 100\r\n\r\nsome"] {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.write_all(said.as_bytes()).unwrap();
        std::thread::sleep(Duration::from_millis(5));
        drop(stream);
    }
    // What is no HTTP is answered, and closed.
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.write_all(b"hello\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    let began = std::time::Instant::now();
    while runtime.tasks().count() != 1 {
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", runtime.tasks().collect::<Vec<_>>());
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn two_hundred_connections_are_served_at_once() {
    let runtime = runtime();
    let (address, _server) = serve(&runtime);
    let handle = runtime.handle();
    let all = std::sync::Arc::new(tokio::sync::Barrier::new(200));
    let clients: Vec<_> = (0..200)
        .map(|_| {
            let all = all.clone();
            spawn(&handle, async move {
                let mut client = connect(handle, address).await;
                all.wait().await;
                for _ in 0..5 {
                    let response = send(&mut client, request(Method::GET, "/", Full::default())).await;
                    assert_eq!(text(response).await, "hello\n");
                }
                all.wait().await;
            })
        })
        .collect();
    clients.into_iter().for_each(join);
}

#[test]
fn a_shutdown_lets_the_request_that_was_begun_be_answered() {
    let runtime = runtime();
    let (address, _server) = serve(&runtime);
    let idle = std::net::TcpStream::connect(address).unwrap();
    let mut begun = std::net::TcpStream::connect(address).unwrap();
    begun.write_all(b"POST /echo HTTP/1.1\r\nhost: here\r\ncontent-length: 10\r\n\r\nhello").unwrap();
    // Both are known to the server when its answer begins.
    let mut answer = [0; 4_096];
    let mut read = begun.read(&mut answer).unwrap();
    let shut_down = std::thread::spawn(move || runtime.shut_down(Duration::from_secs(20)));
    let began = std::time::Instant::now();
    assert_eq!((&idle).read(&mut [0]).unwrap(), 0, "an idle connection is closed");
    begun.write_all(b"world").unwrap();
    loop {
        match begun.read(&mut answer[read..]).unwrap() {
            0 => break,
            more => read += more,
        }
    }
    let answer = String::from_utf8_lossy(&answer[..read]);
    assert!(answer.contains("hello") && answer.contains("world"), "{answer}");
    shut_down.join().unwrap().unwrap();
    assert!(began.elapsed() < Duration::from_secs(9), "it was not ended by force");
}
