//! An HTTP server: hyper over the runtime's sockets.
//!
//! ```console
//! cargo run -p trilane-std --example http
//! curl localhost:7080
//! curl --data hello localhost:7080/echo
//! ```
//!
//! Another address is its argument. What a connection does is a task; when that is asked to stop, it answers
//! the request that it has begun, and closes.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use futures_io::{AsyncRead, AsyncWrite};
use http_body_util::{Either, Full};
use hyper::body::{Bytes, Incoming};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use trilane::exec::{Attributes, Cx, TaskOptions};
use trilane::time::Duration;
use trilane_std::net::{TcpListener, TcpStream};
use trilane_std::runtime::{Handle, Runtime};

static CONNECTION: Attributes = Attributes::named("connection").cleanup_time(Duration::from_secs(10));

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7080".to_owned());
    let address: SocketAddr = address.parse()?;
    // A connection's future fits in a slot, so that it takes no allocation of its own.
    let runtime = Runtime::builder().capacity(10_000).slot_bytes(2_048).build()?;
    let handle = runtime.handle();
    runtime.block_on(async {
        let listener = TcpListener::bind(address)?;
        println!("listening at http://{}", listener.local_addr()?);
        handle.spawn(move |cx| serve(cx, handle, listener)).map_err(|error| error.kind)?.await?;
        Ok(())
    })
}

/// Accepts, until it is asked to stop.
pub async fn serve(cx: Cx, handle: Handle, listener: TcpListener) {
    while let Ok(accepted) = cx.run_until_cancelled(listener.accept()).await {
        let spawned = accepted.map(|(stream, peer)| {
            let options = TaskOptions::new().attributes(&CONNECTION);
            handle.spawn_with(options, move |cx| async move {
                if let Err(error) = connection(cx, stream).await {
                    println!("{peer}: {error}");
                }
            })
        });
        match spawned {
            Ok(Ok(_goes_on)) => {}
            Ok(Err(error)) => println!("a connection is turned away: {}", error.kind),
            Err(error) => {
                // Too many files are open, for instance: some may be closed soon.
                println!("no connection: {error}");
                if cx.sleep(Duration::from_millis(100)).await.is_err() {
                    return;
                }
            }
        }
    }
}

async fn connection(cx: Cx, stream: TcpStream) -> hyper::Result<()> {
    let mut connection = pin!(http1::Builder::new().serve_connection(Io(stream), service_fn(answer)));
    match cx.run_until_cancelled(connection.as_mut()).await {
        Ok(ended) => ended,
        Err(_asked_to_stop) => {
            connection.as_mut().graceful_shutdown();
            cx.shield(connection).await
        }
    }
}

type Body = Either<Full<Bytes>, Incoming>;

async fn answer(request: Request<Incoming>) -> hyper::Result<Response<Body>> {
    let text = |text: &'static str| Response::new(Either::Left(Full::from(text)));
    Ok(match (request.method(), request.uri().path()) {
        (&Method::GET, "/") => text("hello\n"),
        (&Method::POST, "/echo") => Response::new(Either::Right(request.into_body())),
        _ => {
            let mut response = text("there is GET / and POST /echo\n");
            *response.status_mut() = StatusCode::NOT_FOUND;
            response
        }
    })
}

/// A stream as hyper reads from it and writes to it.
pub struct Io(pub TcpStream);

impl Read for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut bytes = [0; 16 * 1_024];
        let room = bytes.len().min(buffer.remaining());
        let read = ready!(Pin::new(&mut self.0).poll_read(cx, &mut bytes[..room]))?;
        buffer.put_slice(&bytes[..read]);
        Poll::Ready(Ok(()))
    }
}

impl Write for Io {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_close(cx)
    }
}
