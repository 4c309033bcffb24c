//! A server that sends back what it gets, to any number of connections.
//!
//! ```console
//! cargo run -p trilane-std --example echo
//! nc 127.0.0.1 7007
//! ```
//!
//! Another address is its argument. What a connection does is a task; one that says nothing for a minute is
//! closed.

use std::error::Error;
use std::io;
use std::net::SocketAddr;

use trilane::exec::Cx;
use trilane::time::Duration;
use trilane_std::net::{TcpListener, TcpStream};
use trilane_std::runtime::{Handle, Runtime};

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7007".to_owned());
    let address: SocketAddr = address.parse()?;
    let runtime = Runtime::builder().capacity(10_000).build()?;
    let handle = runtime.handle();
    runtime.block_on(async {
        let listener = TcpListener::bind(address)?;
        println!("listening at {}", listener.local_addr()?);
        let server = handle.spawn(move |cx| serve(cx, handle, listener)).map_err(|error| error.kind)?;
        server.await?;
        Ok(())
    })
}

/// Accepts, until it is asked to stop.
pub async fn serve(cx: Cx, handle: Handle, listener: TcpListener) {
    while let Ok(accepted) = cx.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, peer)) => {
                let connection = handle.spawn(move |cx| async move {
                    match echo(cx, stream).await {
                        Ok(bytes) => println!("{peer} has sent {bytes} bytes"),
                        Err(error) => println!("{peer}: {error}"),
                    }
                });
                if let Err(error) = connection {
                    println!("{peer} is turned away: {}", error.kind);
                }
            }
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

/// Sends all back, until the other side closes. Returns how many bytes that were.
async fn echo(cx: Cx, stream: TcpStream) -> io::Result<u64> {
    let (mut bytes, mut all) = ([0; 4_096], 0);
    loop {
        let read = cx.timeout(Duration::from_secs(60), stream.read(&mut bytes)).await;
        let read = read.map_err(io::Error::other)??;
        if read == 0 {
            return Ok(all);
        }
        stream.write_all(&bytes[..read]).await?;
        all += read as u64;
    }
}
