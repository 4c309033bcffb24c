//! What all streams have.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType, addr::SocketAddrArg, sockopt};

use super::source::Async;

/// A stream that is connected with `address`.
pub(super) async fn connect<T>(family: AddressFamily, address: &impl SocketAddrArg) -> io::Result<Async<T>>
where
    T: AsFd + From<OwnedFd>,
{
    let stream = Async::new(T::from(socket(family)?))?;
    match rustix::net::connect(&stream, address) {
        Ok(()) => return Ok(stream),
        // It goes on.
        Err(Errno::INPROGRESS | Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    stream.writable().await?;
    sockopt::socket_error(&stream)??;
    Ok(stream)
}

/// One that programs which this one starts don't get.
#[cfg(not(target_vendor = "apple"))]
fn socket(family: AddressFamily) -> rustix::io::Result<OwnedFd> {
    rustix::net::socket_with(family, SocketType::STREAM, rustix::net::SocketFlags::CLOEXEC, None)
}

/// The same in two steps.
#[cfg(target_vendor = "apple")]
fn socket(family: AddressFamily) -> rustix::io::Result<OwnedFd> {
    let socket = rustix::net::socket(family, SocketType::STREAM, None)?;
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
    Ok(socket)
}

/// A wrapper's ways from and to what it wraps.
macro_rules! wrapper {
    ($type:ident, $inner:ty) => {
        impl $type {
            /// What the system has of it.
            pub fn get_ref(&self) -> &$inner {
                self.0.get_ref()
            }

            /// Gives it back to a program that waits by other means; it is non-blocking still.
            pub fn into_inner(self) -> $inner {
                self.0.into_inner()
            }
        }

        impl TryFrom<$inner> for $type {
            type Error = std::io::Error;

            /// Makes it non-blocking, and a socket of this task's runtime.
            fn try_from(inner: $inner) -> std::io::Result<Self> {
                $crate::net::Async::new(inner).map(Self)
            }
        }

        impl std::os::fd::AsFd for $type {
            fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
                self.0.as_fd()
            }
        }
    };
}

/// What reads and writes.
macro_rules! stream {
    ($type:ident, $inner:ty) => {
        $crate::net::stream::wrapper!($type, $inner);

        impl $type {
            /// Reads what there is, for as many bytes as there is room for; waits if there is nothing.
            /// 0 bytes when the other side has closed.
            ///
            /// # Cancellation
            ///
            /// No byte is lost.
            ///
            /// # Errors
            ///
            /// The system's; [`NoReactor::RuntimeEnded`](crate::net::NoReactor::RuntimeEnded).
            pub async fn read(&self, bytes: &mut [u8]) -> std::io::Result<usize> {
                self.0.read_with(|mut stream| std::io::Read::read(&mut stream, bytes)).await
            }

            /// Writes as many of `bytes` as there is room for, and returns how many; waits if there is none.
            ///
            /// # Cancellation
            ///
            /// Nothing has been written.
            ///
            /// # Errors
            ///
            /// As for [`read`](Self::read).
            pub async fn write(&self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0.write_with(|mut stream| std::io::Write::write(&mut stream, bytes)).await
            }

            /// Writes them all.
            ///
            /// # Cancellation
            ///
            /// Some may have been written, and nobody knows how many: use [`write`](Self::write) where that
            /// matters.
            ///
            /// # Errors
            ///
            /// As for [`read`](Self::read).
            pub async fn write_all(&self, mut bytes: &[u8]) -> std::io::Result<()> {
                while !bytes.is_empty() {
                    match self.write(bytes).await? {
                        0 => return Err(std::io::ErrorKind::WriteZero.into()),
                        written => bytes = &bytes[written..],
                    }
                }
                Ok(())
            }

            /// One to read from and one to write to, for two parts of a task. Tasks share it in an
            /// [`Arc`](std::sync::Arc).
            pub fn split(&self) -> (&Self, &Self) {
                (self, self)
            }

            /// Says that no more is to be read, or written, or both; the other side sees the end of what was
            /// written.
            ///
            /// # Errors
            ///
            /// The system's: when it isn't connected, for instance.
            pub fn shutdown(&self, how: std::net::Shutdown) -> std::io::Result<()> {
                self.get_ref().shutdown(how)
            }
        }

        $crate::net::stream::traits!($type);
        $crate::net::stream::traits!(&$type);
    };
}

/// The traits by which other crates read and write.
macro_rules! traits {
    ($type:ty) => {
        impl futures_io::AsyncRead for $type {
            fn poll_read(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                bytes: &mut [u8],
            ) -> std::task::Poll<std::io::Result<usize>> {
                let read = |mut stream: &_| std::io::Read::read(&mut stream, bytes);
                self.0.poll_with(cx, $crate::runtime::reactor::Direction::Read, read)
            }
        }

        impl futures_io::AsyncWrite for $type {
            fn poll_write(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                bytes: &[u8],
            ) -> std::task::Poll<std::io::Result<usize>> {
                let write = |mut stream: &_| std::io::Write::write(&mut stream, bytes);
                self.0.poll_with(cx, $crate::runtime::reactor::Direction::Write, write)
            }

            fn poll_flush(
                self: std::pin::Pin<&mut Self>,
                _: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                // The system keeps nothing back.
                std::task::Poll::Ready(Ok(()))
            }

            fn poll_close(
                self: std::pin::Pin<&mut Self>,
                _: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                std::task::Poll::Ready(self.shutdown(std::net::Shutdown::Write))
            }
        }
    };
}

pub(super) use {stream, traits, wrapper};
