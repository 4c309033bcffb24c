//! Sockets for tasks of a [`Runtime`](crate::runtime::Runtime), on Unix.
//!
//! A socket belongs to the runtime in which it is made: in one of its tasks, or inside of
//! [`Runtime::block_on`](crate::runtime::Handle::block_on). There is no thread for it: of the workers that
//! have nothing to do, one waits for events. Any task, of whatever executor, may use the socket then.
//!
//! ```
//! use trilane_std::net::{TcpListener, TcpStream};
//! use trilane_std::runtime::Runtime;
//!
//! let runtime = Runtime::builder().workers(1).build()?;
//! let answer = runtime.block_on(async {
//!     let listener = TcpListener::bind(([127, 0, 0, 1], 0))?;
//!     let address = listener.local_addr()?;
//!     let server = runtime.spawn(|_cx| async move {
//!         let (stream, _) = listener.accept().await?;
//!         stream.write_all(b"hello").await
//!     });
//!     let stream = TcpStream::connect(address).await?;
//!     let mut answer = [0; 5];
//!     let bytes = stream.read(&mut answer).await?;
//!     server.expect("room for a task").await.expect("nobody cancels it")?;
//!     std::io::Result::Ok(answer[..bytes].to_vec())
//! })?;
//! assert_eq!(answer, b"hello");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | type | is like |
//! | --- | --- |
//! | [`TcpListener`], [`TcpStream`], [`UdpSocket`] | those of [`std::net`] |
//! | [`unix::UnixListener`], [`unix::UnixStream`] | those of [`std::os::unix::net`] |
//! | [`Stdin`] | that of [`std::io`] |
//! | [`Async`] | any of these, a pipe, or whatever else the system can wait for |
//!
//! Streams have the traits of [`futures_io`], for which others have adapters: `embedded-io-adapters` gives
//! those of `embedded-io-async`, and the example `http` those of hyper.
//!
//! Names of hosts are not resolved here, since the system's function for that blocks its thread: addresses
//! are numbers.
//!
//! # Cancellation
//!
//! Each function that waits, but [`TcpStream::write_all`], does what it does in one step, at its very end:
//! one that is dropped has lost nothing and accepted nothing. A task that is asked to stop isn't told so by
//! these waits; put `cx.run_until_cancelled(..)` around them. Otherwise it is ended by force, once its time
//! to clean up is over.
//!
//! # Errors
//!
//! Those of the system; and [`NoReactor`], as an [`io::Error`](std::io::Error) of kind `Other`, when a socket
//! is made outside of a runtime or in a simulation, or is used when its runtime has ended. Whoever waits for
//! it then is woken, and gets that error.
//!
//! # Costs
//!
//! Whatever need not wait is one system call. A wait adds none: the socket is registered once, when it is
//! made, and then takes some 100 bytes that its runtime keeps. There is room for a million sockets; the
//! system's limit for open files comes first, as its own error. Several tasks may wait for one socket: an
//! event wakes them all, O(waiting tasks). But the functions of [`futures_io`] have one waker for each
//! direction, where the later one replaces the earlier. A task that finds its sockets ready over and over
//! lets others run after each 128th time.
//!
//! When all workers are busy, one of them looks for events each tenth of a millisecond, or after the poll
//! under way. While a worker sleeps, events wait for about two milliseconds at most, whatever others compute.

mod source;
mod stdin;
mod stream;
mod tcp;
mod udp;
pub mod unix;

pub use crate::runtime::reactor::NoReactor;
pub use source::Async;
pub use stdin::Stdin;
pub use tcp::{TcpListener, TcpStream};
pub use udp::UdpSocket;
