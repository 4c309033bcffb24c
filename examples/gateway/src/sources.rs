//! Where readings come from.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use prometheus_client::metrics::gauge::Gauge;
use trilane::exec::{Attributes, Cx, RegionOptions, TaskOptions};
use trilane::time::Duration;
use trilane_std::net::{Stdin, TcpListener, TcpStream};

use crate::World;
use crate::lines::{BadLine, Lines, Reading};

/// The bytes that are read at a time.
const CHUNK: usize = 8 * 1024;
/// Connections at a time: they have a region, so they are all in one shard, and leave room for others.
pub const CONNECTIONS: u16 = 900;

/// The time to hand over what was read, once the task is asked to stop: those who handle it may be slow.
const HAND_OVER: Duration = Duration::from_secs(60);

/// A task that reads.
pub static SOURCE: Attributes = Attributes::named("source").cleanup_polls(u16::MAX).cleanup_time(HAND_OVER);

enum Input {
    Connection(TcpStream),
    Stdin(Stdin),
}

impl Input {
    /// Reads the next bytes; none at the end.
    async fn read(&self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Connection(stream) => stream.read(bytes).await,
            Self::Stdin(stdin) => stdin.read(bytes).await,
        }
    }
}

/// Takes readings from standard input, until that ends or the task is asked to stop.
pub async fn read_stdin(cx: Cx, world: Arc<World>) {
    match Stdin::new() {
        Ok(stdin) => take(cx, world, "standard input".into(), Input::Stdin(stdin)).await,
        Err(error) => world.complain(format_args!("standard input: {error}")),
    }
}

/// A listener, and what it says of itself.
pub fn listen(address: SocketAddr) -> Result<TcpListener, Box<dyn Error>> {
    let listener =
        TcpListener::bind(address).map_err(|error| format!("can't listen at {address}: {error}"))?;
    Ok(listener)
}

/// Takes readings from whoever connects, until the task is asked to stop.
pub async fn accept(cx: Cx, world: Arc<World>, listener: TcpListener) {
    let Ok(mut region) = cx.open_region(RegionOptions::new().quota(CONNECTIONS)) else { return };
    while let Ok(accepted) = cx.run_until_cancelled(listener.accept()).await {
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                world.complain(format_args!("can't accept a connection: {error}"));
                // Of one connection, or of too many files: others may end meanwhile.
                let _ = cx.sleep(Duration::from_millis(10)).await;
                continue;
            }
        };
        let its_world = world.clone();
        let connection = move |cx| async move {
            its_world.counts.connections.inc();
            its_world.counts.open.inc();
            let _open = Open(&its_world.counts.open);
            take(cx, its_world.clone(), peer.to_string(), Input::Connection(stream)).await;
        };
        let options = TaskOptions::new().attributes(&SOURCE);
        if let Err(error) = world.handle.spawn_in(&region, options, connection) {
            world.complain(format_args!("the connection from {peer} is one too many: {}", error.kind));
        }
    }
    drop(listener);
    let _ = cx.shield(region.close()).await;
}

/// A connection that is open.
struct Open<'a>(&'a Gauge);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Takes what comes, line by line. What was read is accepted, also when the task is asked to stop meanwhile.
async fn take(cx: Cx, world: Arc<World>, name: String, input: Input) {
    let mut lines = Lines::default();
    let mut bytes = vec![0; CHUNK];
    loop {
        let length = match cx.run_until_cancelled(input.read(&mut bytes)).await {
            Ok(Ok(length)) => length,
            Ok(Err(error)) => return world.complain(format_args!("{name}: {error}")),
            Err(_stopped) => return,
        };
        lines.push(&bytes[..length]);
        let all = async {
            while let Some((number, line)) = lines.next() {
                world.take_line(cx, &name, number, line).await;
            }
            if length == 0
                && let Some((number, line)) = lines.finish()
            {
                world.take_line(cx, &name, number, line).await;
            }
        };
        cx.shield(all).await;
        if length == 0 {
            return;
        }
    }
}

impl World {
    async fn take_line(&self, cx: Cx, name: &str, number: u64, line: Result<Reading, BadLine>) {
        match line {
            Ok(reading) => self.pool.accept(cx, reading).await,
            Err(bad) => {
                let count =
                    if bad == BadLine::Overlong { &self.counts.overlong } else { &self.counts.malformed };
                count.inc();
                self.complain(format_args!("{name}, line {number}: {bad}; skipped"));
            }
        }
    }
}
