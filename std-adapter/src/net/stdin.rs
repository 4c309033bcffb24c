//! What is typed, or piped in.

use std::io;
use std::os::fd::BorrowedFd;
use std::pin::Pin;
use std::task::{Context, Poll};

use rustix::event::PollFlags;
use rustix::io::Errno;

use super::source::{Async, is_ready};
use crate::runtime::reactor::Direction;

/// The program's standard input; see the [module](super).
///
/// It reads what the system has: what [`std::io::stdin`] holds in its buffer isn't there any more. The input
/// stays blocking, since other programs may share it; so if another one reads what was there, the worker
/// waits for more. A file is always ready, and read by the worker.
#[derive(Debug)]
pub struct Stdin {
    /// None for a file, for which the system doesn't wait.
    input: Option<Async<BorrowedFd<'static>>>,
}

impl Stdin {
    /// Registers the standard input. There is one at a time.
    ///
    /// # Errors
    ///
    /// [`AlreadyExists`](io::ErrorKind::AlreadyExists) when there is one; [`NoReactor`](super::NoReactor);
    /// the system's.
    pub fn new() -> io::Result<Self> {
        match Async::new_nonblocking(rustix::stdio::stdin()) {
            Ok(input) => Ok(Self { input: Some(input) }),
            Err(error) if error.raw_os_error() == Some(Errno::PERM.raw_os_error()) => {
                Ok(Self { input: None })
            }
            Err(error) => Err(error),
        }
    }

    /// Reads what there is, for as many bytes as there is room for; waits if there is nothing. 0 bytes at the
    /// end.
    ///
    /// # Cancellation
    ///
    /// No byte is lost.
    ///
    /// # Errors
    ///
    /// The system's; [`NoReactor::RuntimeEnded`](super::NoReactor::RuntimeEnded).
    pub async fn read(&self, bytes: &mut [u8]) -> io::Result<usize> {
        match &self.input {
            Some(input) => input.read_with(|input| read(input, bytes)).await,
            None => Ok(rustix::io::read(rustix::stdio::stdin(), bytes)?),
        }
    }
}

impl futures_io::AsyncRead for Stdin {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &mut [u8]) -> Poll<io::Result<usize>> {
        match &self.input {
            Some(input) => input.poll_with(cx, Direction::Read, |input| read(input, bytes)),
            None => Poll::Ready(Ok(rustix::io::read(rustix::stdio::stdin(), bytes)?)),
        }
    }
}

/// Reads what blocks, but only when there is something.
fn read(input: &BorrowedFd<'_>, bytes: &mut [u8]) -> io::Result<usize> {
    is_ready(input, PollFlags::IN)?;
    Ok(rustix::io::read(input, bytes)?)
}
