//! Sockets that are files.

use std::io;
use std::os::unix::net::SocketAddr;
use std::path::Path;

use rustix::net::{AddressFamily, SocketAddrUnix};

use super::source::Async;
use super::stream::{connect, stream, wrapper};

/// A Unix socket to which others connect; see the [module](super).
#[derive(Debug)]
pub struct UnixListener(Async<std::os::unix::net::UnixListener>);

wrapper!(UnixListener, std::os::unix::net::UnixListener);

impl UnixListener {
    /// Listens at `path`, where there is nothing yet. Nobody removes the file.
    ///
    /// # Errors
    ///
    /// The system's; [`NoReactor`](super::NoReactor).
    pub fn bind(path: impl AsRef<Path>) -> io::Result<Self> {
        std::os::unix::net::UnixListener::bind(path)?.try_into()
    }

    /// Waits for the next connection. Several tasks may; an event wakes them all, and one of them has the
    /// connection.
    ///
    /// # Cancellation
    ///
    /// No connection is lost.
    ///
    /// # Errors
    ///
    /// As for [`TcpListener::accept`](super::TcpListener::accept).
    pub async fn accept(&self) -> io::Result<(UnixStream, SocketAddr)> {
        let (stream, address) = self.0.read_with(|listener| listener.accept()).await?;
        Ok((stream.try_into()?, address))
    }

    /// Where it listens.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.get_ref().local_addr()
    }
}

/// A connection of two Unix sockets; see the [module](super).
#[derive(Debug)]
pub struct UnixStream(Async<std::os::unix::net::UnixStream>);

stream!(UnixStream, std::os::unix::net::UnixStream);

impl UnixStream {
    /// Connects with whoever listens at `path`.
    ///
    /// # Cancellation
    ///
    /// The socket is closed; the other side may have seen a connection.
    ///
    /// # Errors
    ///
    /// The system's: `WouldBlock` says that too many connections wait to be accepted there.
    /// [`NoReactor`](super::NoReactor).
    pub async fn connect(path: impl AsRef<Path>) -> io::Result<Self> {
        connect(AddressFamily::UNIX, &SocketAddrUnix::new(path.as_ref())?).await.map(Self)
    }

    /// Two that are connected with each other.
    ///
    /// # Errors
    ///
    /// The system's; [`NoReactor`](super::NoReactor).
    pub fn pair() -> io::Result<(Self, Self)> {
        let (a, b) = std::os::unix::net::UnixStream::pair()?;
        Ok((a.try_into()?, b.try_into()?))
    }

    /// Who is at the other end.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.get_ref().peer_addr()
    }
}
