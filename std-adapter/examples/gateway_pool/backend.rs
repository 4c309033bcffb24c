//! A backend: a socket and a thread.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread::{self, JoinHandle};
use std::time::Duration as Real;

/// Answers `n` with `ok n`, after a while. It can be killed, and started again at the same address.
pub struct Backend {
    pub name: &'static str,
    pub address: SocketAddr,
    /// In milliseconds.
    pub delay: Arc<AtomicU64>,
    running: Option<(Arc<AtomicBool>, JoinHandle<()>)>,
}

pub const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
pub const USUAL_MILLIS: u64 = 2;

impl Backend {
    pub fn start(name: &'static str) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let (address, delay) = (listener.local_addr()?, Arc::new(AtomicU64::new(USUAL_MILLIS)));
        let running = Some(serve(listener, delay.clone())?);
        Ok(Self { name, address, delay, running })
    }

    /// Closes its socket and all connections, in the middle of whatever it is at.
    pub fn kill(&mut self) {
        if let Some((alive, thread)) = self.running.take() {
            alive.store(false, SeqCst);
            thread.join().expect("a backend doesn't panic");
        }
    }

    pub fn restart(&mut self) -> io::Result<()> {
        self.running = Some(serve(TcpListener::bind(self.address)?, self.delay.clone())?);
        Ok(())
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.kill();
    }
}

fn serve(listener: TcpListener, delay: Arc<AtomicU64>) -> io::Result<(Arc<AtomicBool>, JoinHandle<()>)> {
    listener.set_nonblocking(true)?;
    let alive = Arc::new(AtomicBool::new(true));
    let stays = alive.clone();
    let thread = thread::spawn(move || {
        thread::scope(|scope| {
            while stays.load(SeqCst) {
                let Ok((stream, _)) = listener.accept() else {
                    thread::sleep(Real::from_millis(1));
                    continue;
                };
                let (alive, delay) = (&stays, &delay);
                // Its end is the client's business.
                scope.spawn(move || answer(stream, alive, delay));
            }
        });
    });
    Ok((alive, thread))
}

fn answer(mut stream: TcpStream, alive: &AtomicBool, delay: &AtomicU64) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    // So that it looks whether it has been killed.
    stream.set_read_timeout(Some(Real::from_millis(10)))?;
    let (mut line, mut byte) = (Vec::new(), [0]);
    while alive.load(SeqCst) {
        match stream.read(&mut byte) {
            Ok(0) => return Ok(()),
            Ok(_) if byte[0] == b'\n' => {
                // A check is answered at once.
                if line != b"check" {
                    thread::sleep(Real::from_millis(delay.load(SeqCst)));
                }
                if !alive.load(SeqCst) {
                    return Ok(());
                }
                stream.write_all(&[b"ok ", &line[..], b"\n"].concat())?;
                line.clear();
            }
            Ok(_) => line.push(byte[0]),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
