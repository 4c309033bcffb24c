//! Anything that the system can wait for.

use std::cell::Cell;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};
use std::task::{Context, Poll, ready};

use rustix::event::{PollFd, PollFlags, Timespec};

use crate::runtime::Handle;
use crate::runtime::reactor::{Direction, NoReactor, POLL, Source};

/// So often a task may find its sockets ready before it lets others run.
const READY_IN_A_ROW: u32 = 128;

/// A socket, a pipe or the like, whose readiness is waited for; see the [module](super).
///
/// The functions of `T` itself are called in [`read_with`](Self::read_with) and
/// [`write_with`](Self::write_with). `T` always has the same descriptor.
///
/// # Examples
///
/// ```
/// use std::io::{Read, Write};
/// use std::os::unix::net::UnixStream;
/// use trilane_std::net::Async;
///
/// let runtime = trilane_std::runtime::Runtime::builder().workers(1).build()?;
/// runtime.block_on(async {
///     let (mut near, far) = UnixStream::pair()?;
///     let far = Async::new(far)?;
///     near.write_all(b"hello")?;
///     let mut bytes = [0; 8];
///     assert_eq!(far.read_with(|mut far| far.read(&mut bytes)).await?, 5);
///     std::io::Result::Ok(())
/// })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Async<T: AsFd> {
    /// Gone when it is dropped, or was taken back.
    registered: Option<(Source, T)>,
}

impl<T: AsFd> Async<T> {
    /// Makes `io` non-blocking and registers it with the runtime of this task.
    ///
    /// # Errors
    ///
    /// [`NoReactor`]; and the system's, which can't wait for a regular file, for instance.
    pub fn new(io: T) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&io, true)?;
        Self::new_nonblocking(io)
    }

    /// Registers what is non-blocking already, or has to be blocking: then call what blocks after
    /// [`readable`](Self::readable) alone.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new).
    pub fn new_nonblocking(io: T) -> io::Result<Self> {
        let handle = Handle::current().ok_or(NoReactor::OutsideRuntime)?;
        // SAFETY: it is open, since it is borrowed; it is deregistered when it is dropped or taken back, and
        // only then can be closed, since nobody gets a mutable reference to it.
        let source = unsafe { handle.register(&io) }?;
        Ok(Self { registered: Some((source, io)) })
    }

    fn parts(&self) -> &(Source, T) {
        match &self.registered {
            Some(parts) => parts,
            None => unreachable!("it is there until it is dropped"),
        }
    }

    /// What it was made of.
    pub fn get_ref(&self) -> &T {
        &self.parts().1
    }

    /// Deregisters it and gives back what it was made of, still non-blocking.
    pub fn into_inner(mut self) -> T {
        match self.registered.take() {
            Some(parts) => deregister(parts),
            None => unreachable!("it is there until it is dropped"),
        }
    }

    /// Waits until there is something to read, the other side has closed, or there is an error.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost.
    ///
    /// # Errors
    ///
    /// [`NoReactor::RuntimeEnded`].
    pub async fn readable(&self) -> io::Result<()> {
        self.read_with(|io| is_ready(io, PollFlags::IN)).await
    }

    /// Waits until there is room for something to be written, the other side has closed, or there is an
    /// error.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost.
    ///
    /// # Errors
    ///
    /// [`NoReactor::RuntimeEnded`].
    pub async fn writable(&self) -> io::Result<()> {
        self.write_with(|io| is_ready(io, PollFlags::OUT)).await
    }

    /// Calls `read` until it returns something else than [`WouldBlock`](ErrorKind::WouldBlock), each time
    /// when there may be something to read.
    ///
    /// # Cancellation
    ///
    /// `read` is not called any more; what it returned has not been lost, since that ends the wait.
    ///
    /// # Errors
    ///
    /// Those of `read`, but [`Interrupted`](ErrorKind::Interrupted); and [`NoReactor::RuntimeEnded`].
    pub async fn read_with<R>(&self, read: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        self.retry(Direction::Read, read).await
    }

    /// Calls `write` until it returns something else than [`WouldBlock`](ErrorKind::WouldBlock), each time
    /// when there may be room for something to be written.
    ///
    /// # Cancellation
    ///
    /// As for [`read_with`](Self::read_with).
    ///
    /// # Errors
    ///
    /// Those of `write`, but [`Interrupted`](ErrorKind::Interrupted); and [`NoReactor::RuntimeEnded`].
    pub async fn write_with<R>(&self, write: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        self.retry(Direction::Write, write).await
    }

    async fn retry<R>(
        &self,
        direction: Direction,
        mut attempt: impl FnMut(&T) -> io::Result<R>,
    ) -> io::Result<R> {
        poll_fn(may_go_on).await;
        let mut wait = self.parts().0.wait(direction);
        poll_fn(|cx| self.poll(direction, &mut attempt, |seen| wait.poll(cx, seen))).await
    }

    /// [`read_with`](Self::read_with) and [`write_with`](Self::write_with) for functions that poll; the waker
    /// of the latest poll in that direction is woken.
    pub(super) fn poll_with<R>(
        &self,
        cx: &mut Context<'_>,
        direction: Direction,
        attempt: impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        ready!(may_go_on(cx));
        self.poll(direction, attempt, |seen| self.parts().0.poll_event(cx, direction, seen, POLL))
    }

    fn poll<R>(
        &self,
        direction: Direction,
        mut attempt: impl FnMut(&T) -> io::Result<R>,
        mut wait: impl FnMut(u64) -> Poll<Result<(), NoReactor>>,
    ) -> Poll<io::Result<R>> {
        let (source, io) = self.parts();
        loop {
            let seen = source.seen(direction)?;
            match attempt(io) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => ready!(wait(seen))?,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => return Poll::Ready(result),
            }
        }
    }
}

impl<T: AsFd> Drop for Async<T> {
    fn drop(&mut self) {
        self.registered.take().map(deregister);
    }
}

impl<T: AsFd> AsFd for Async<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.get_ref().as_fd()
    }
}

fn deregister<T: AsFd>((source, io): (Source, T)) -> T {
    source.deregister(&io);
    io
}

/// As of now.
pub(super) fn is_ready(io: &impl AsFd, flags: PollFlags) -> io::Result<()> {
    let mut one = [PollFd::new(io, flags)];
    match rustix::event::poll(&mut one, Some(&Timespec::default()))? {
        0 => Err(ErrorKind::WouldBlock.into()),
        _ => Ok(()),
    }
}

thread_local! {
    static LEFT: Cell<u32> = const { Cell::new(READY_IN_A_ROW) };
}

/// Now and then, lets others run.
fn may_go_on(cx: &mut Context<'_>) -> Poll<()> {
    let left = LEFT.get();
    if left == 0 {
        LEFT.set(READY_IN_A_ROW);
        cx.waker().wake_by_ref();
        return Poll::Pending;
    }
    LEFT.set(left - 1);
    Poll::Ready(())
}
