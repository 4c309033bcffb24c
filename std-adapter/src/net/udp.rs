//! UDP.

use std::io;
use std::net::SocketAddr;

use super::source::Async;
use super::stream::wrapper;

/// A UDP socket; see the [module](super).
#[derive(Debug)]
pub struct UdpSocket(Async<std::net::UdpSocket>);

wrapper!(UdpSocket, std::net::UdpSocket);

impl UdpSocket {
    /// A socket at `address`; at a port that the system chooses, if that is 0.
    ///
    /// # Errors
    ///
    /// The system's, such as [`AddrInUse`](io::ErrorKind::AddrInUse); [`NoReactor`](super::NoReactor).
    pub fn bind(address: impl Into<SocketAddr>) -> io::Result<Self> {
        std::net::UdpSocket::bind(address.into())?.try_into()
    }

    /// Has [`send`](Self::send) and [`recv`](Self::recv) exchange datagrams with `address`, and no other.
    /// Nothing is sent.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn connect(&self, address: impl Into<SocketAddr>) -> io::Result<()> {
        self.get_ref().connect(address.into())
    }

    /// Sends a datagram; waits until there is room.
    ///
    /// # Cancellation
    ///
    /// It has not been sent.
    ///
    /// # Errors
    ///
    /// The system's; [`NoReactor::RuntimeEnded`](super::NoReactor::RuntimeEnded).
    pub async fn send_to(&self, bytes: &[u8], address: impl Into<SocketAddr>) -> io::Result<usize> {
        let address = address.into();
        self.0.write_with(|socket| socket.send_to(bytes, address)).await
    }

    /// Waits for a datagram; what there is no room for in `bytes` is dropped.
    ///
    /// # Cancellation
    ///
    /// No datagram is lost.
    ///
    /// # Errors
    ///
    /// As for [`send_to`](Self::send_to).
    pub async fn recv_from(&self, bytes: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.0.read_with(|socket| socket.recv_from(bytes)).await
    }

    /// As [`send_to`](Self::send_to), to the address of [`connect`](Self::connect).
    ///
    /// # Errors
    ///
    /// As for [`send_to`](Self::send_to).
    pub async fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write_with(|socket| socket.send(bytes)).await
    }

    /// As [`recv_from`](Self::recv_from), from the address of [`connect`](Self::connect).
    ///
    /// # Errors
    ///
    /// As for [`send_to`](Self::send_to).
    pub async fn recv(&self, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.read_with(|socket| socket.recv(bytes)).await
    }

    /// Its own address.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.get_ref().local_addr()
    }
}
