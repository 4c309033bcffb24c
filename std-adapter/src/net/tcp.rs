//! TCP.

use std::io;
use std::net::SocketAddr;

use rustix::net::AddressFamily;

use super::source::Async;
use super::stream::{connect, stream, wrapper};

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 1_024;

/// A TCP socket to which others connect; see the [module](super).
#[derive(Debug)]
pub struct TcpListener(Async<std::net::TcpListener>);

wrapper!(TcpListener, std::net::TcpListener);

impl TcpListener {
    /// Listens at `address`; at a port that the system chooses, if that is 0. Up to 1,024 connections may
    /// wait to be accepted, or fewer if the system has a lower limit; what comes beyond that tries again
    /// later.
    ///
    /// # Errors
    ///
    /// The system's, such as [`AddrInUse`](io::ErrorKind::AddrInUse); [`NoReactor`](super::NoReactor).
    pub fn bind(address: impl Into<SocketAddr>) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind(address.into())?;
        // Anew, since the standard library's 128 are too few for many clients that begin at once: the system
        // drops what the rest sends, and they try again a second later.
        rustix::net::listen(&listener, BACKLOG)?;
        listener.try_into()
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
    /// The system's, most of which are about that connection, or about too many open files: go on after a
    /// while. [`NoReactor`](super::NoReactor).
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
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

/// A TCP connection; see the [module](super).
///
/// Any part of the program reads and writes by a reference; so do the traits of [`futures_io`].
#[derive(Debug)]
pub struct TcpStream(Async<std::net::TcpStream>);

stream!(TcpStream, std::net::TcpStream);

impl TcpStream {
    /// Connects with `address`.
    ///
    /// # Cancellation
    ///
    /// The socket is closed; the other side may have seen a connection.
    ///
    /// # Errors
    ///
    /// The system's, such as [`ConnectionRefused`](io::ErrorKind::ConnectionRefused);
    /// [`NoReactor`](super::NoReactor).
    pub async fn connect(address: impl Into<SocketAddr>) -> io::Result<Self> {
        let address = address.into();
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        connect(family, &address).await.map(Self)
    }

    /// As [`read`](Self::read), but the bytes stay there to be read.
    ///
    /// # Cancellation
    ///
    /// No byte is lost.
    ///
    /// # Errors
    ///
    /// As for [`read`](Self::read).
    pub async fn peek(&self, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.read_with(|stream| stream.peek(bytes)).await
    }

    /// Who is at the other end.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.get_ref().peer_addr()
    }

    /// The address at this end.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.get_ref().local_addr()
    }

    /// Whether small writes are sent at once, instead of being gathered.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.get_ref().nodelay()
    }

    /// Has small writes sent at once.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.get_ref().set_nodelay(nodelay)
    }
}
