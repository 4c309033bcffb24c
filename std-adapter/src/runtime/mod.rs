//! Executors on several threads: tasks in static memory, shared by workers that steal from each other.
//!
//! A [`Runtime`] is a set of shards, each the core's executor: tasks, lanes, regions, deadlines, cancellation
//! and [`Cx`](trilane::exec::Cx) are those of a chip. Each worker has shards of its own, its home; one that
//! finds nothing there claims a task in another's. All memory is allocated when the runtime is built.
//!
//! ```
//! use trilane_std::runtime::Runtime;
//!
//! let runtime = Runtime::builder().workers(2).build()?;
//! let sum = runtime.block_on(async {
//!     let tasks: Vec<_> = (0..10u64)
//!         .map(|number| runtime.spawn(move |_cx| async move { number * number }).unwrap())
//!         .collect();
//!     let mut sum = 0;
//!     for task in tasks {
//!         sum += task.await.unwrap();
//!     }
//!     sum
//! });
//! assert_eq!(sum, 285);
//! # Ok::<(), trilane_std::runtime::BuildError>(())
//! ```
//!
//! # What waits for what
//!
//! A task that is runnable waits for about a millisecond at most while a worker sleeps, also if the worker
//! that has woken it goes on computing. Within a shard special tasks go first, as on a chip; across shards
//! there is no order, but a special task waits for no poll in another shard of its worker than the one under
//! way. If that one is long, each worker that has something to do looks after one of the others a round, in
//! turn; a round is 64 polls in each of its shards. When nothing is to be done, nothing wakes up.
//!
//! When all workers are busy, each looks every tenth of a millisecond, between two polls, whether a sleep of
//! its shards is over or a socket is ready, and every millisecond after the shards of the others, of which
//! one may be in a long poll. It tells by the polls before how many take a tenth of a millisecond, 64 in a
//! shard at most: so many times a task that was quick until then may poll for long before its worker looks.
//! From then on it looks after each poll of that task, until 32 of them in a row were short. What blocks for
//! long belongs into `Handle::spawn_blocking` (feature `blocking`).
//!
//! # A server, its connections in a region
//!
//! The server asks its connections to stop before it ends, and waits until they have, whatever they had
//! spawned beside themselves:
//!
//! ```
//! use std::io;
//! use std::sync::Arc;
//!
//! use trilane::exec::{Attributes, Cx, RegionOptions, TaskOptions};
//! use trilane::time::Duration;
//! use trilane_std::net::{TcpListener, TcpStream};
//! use trilane_std::runtime::{Handle, Runtime};
//!
//! // More time to clean up than its connections have.
//! static SERVER: Attributes = Attributes::named("server").cleanup_time(Duration::from_secs(1));
//!
//! async fn serve(cx: Cx, handle: Handle, listener: TcpListener) {
//!     let mut region = cx.open_region(RegionOptions::new().quota(100)).expect("room for a region");
//!     while let Ok(accepted) = cx.run_until_cancelled(listener.accept()).await {
//!         let Ok((stream, peer)) = accepted else { continue };
//!         let connection = move |cx| echo(cx, handle, stream);
//!         if let Err(error) = handle.spawn_in(&region, TaskOptions::new(), connection) {
//!             println!("{peer} is turned away: {error}");
//!         }
//!     }
//!     cx.shield(region.close()).await.expect("it is closed once, from outside");
//! }
//!
//! async fn echo(cx: Cx, handle: Handle, stream: TcpStream) -> io::Result<()> {
//!     let stream = Arc::new(stream);
//!     let own = stream.clone();
//!     // In the region as this task is; what `handle.spawn` makes is in none.
//!     let beat = handle.spawn_beside(cx, TaskOptions::new(), move |cx| async move {
//!         while cx.sleep(Duration::from_secs(1)).await.is_ok() && own.write_all(b"\n").await.is_ok() {}
//!     });
//!     let beat = beat.map_err(|error| io::Error::other(error.kind))?;
//!     let mut bytes = [0; 512];
//!     while let Ok(read @ 1..) = cx.run_until_cancelled(stream.read(&mut bytes)).await.unwrap_or(Ok(0)) {
//!         stream.write_all(&bytes[..read]).await?;
//!     }
//!     let _ = beat.cancel(); // It may have ended.
//!     Ok(())
//! }
//!
//! let runtime = Runtime::builder().workers(2).build()?;
//! let handle = runtime.handle();
//! runtime.block_on(async {
//!     let listener = TcpListener::bind(([127, 0, 0, 1], 0))?;
//!     let address = listener.local_addr()?;
//!     let options = TaskOptions::new().attributes(&SERVER);
//!     let server = handle.spawn_with(options, move |cx| serve(cx, handle, listener)).unwrap();
//!     let client = TcpStream::connect(address).await?;
//!     client.write_all(b"hello").await?;
//!     let mut bytes = [0; 5];
//!     let read = client.read(&mut bytes).await?;
//!     assert_eq!(&bytes[..read], b"hello");
//!     server.cancel().unwrap();
//!     server.await.unwrap();
//!     assert_eq!(handle.tasks().count(), 0);
//!     Ok::<_, io::Error>(())
//! })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Other ways to run it
//!
//! [`Builder::build_local`] makes a [`Local`]: no threads, the tasks are polled by the thread that blocks on
//! it, and their futures need not be `Send`.
//!
//! For tests [`Builder::simulate`] makes a [`Simulation`]: no threads, virtual time, and an order that is
//! drawn from a seed.
//!
//! # Spans
//!
//! With the feature `tracing` each task has a span `runtime.spawn`, of the target `trilane::task` and the
//! level `TRACE`, in whatever the spawning thread's subscriber is. It is entered for each poll, and closed
//! when the task has ended, in whatever way, before its result is taken; what is dropped by force is dropped
//! outside of it. Its fields are `task.name`, `task.id` (a number), `shard` and `slot`; of what a [`Handle`]
//! spawns also where (`loc.file`, `loc.line`, `loc.col`), and the `region` if it is spawned in one. It has no
//! parent: if a task's work is to be in another span, too, give its future one by `tracing::Instrument`.
//! Where nobody subscribes, a poll costs a call and a load more than without the feature.
//!
//! `tokio-console` shows these tasks, by `console-subscriber` 0.5 in a program that is built with
//! `--cfg console_without_tokio_unstable`: names, fields, places, polls, how long they took in all and each,
//! and which tasks have ended. A wake counts there when its poll begins, so as many are shown as there are
//! polls, and no time between a wake and its poll; of wakers there seems to be one a task. Sleeps, sockets
//! and other resources are not shown, nor is what [`block_on`] polls.
//!
//! # Ids and regions
//!
//! Ids of tasks and regions are unique in a shard, not in a runtime: ask a task to stop by its handle or its
//! [`AbortHandle`](trilane::exec::AbortHandle), and spawn [in](Handle::spawn_in) a
//! [`Region`](trilane::exec::Region) itself. What is spawned by [`Handle::spawn`] is in no region, also
//! by a member of one; what is spawned by a [`Cx`](trilane::exec::Cx), or [beside](Handle::spawn_beside) it,
//! is in that of its task.
//!
//! A shard has 1,024 tasks and 64 regions. A region's tasks are in one shard, where they share the room with
//! whatever else was spawned there, and all workers poll them. Where a [`Handle`] has opened a region, what
//! is spawned in none leaves half of the shard, for as long as there is room in others. A task's own regions
//! ([`Cx::open_region`](trilane::exec::Cx::open_region)) are in the shard of the task.

#![cfg_attr(not(unix), allow(dead_code, reason = "without `net` there are no sockets to wait for"))]

mod bed;
mod block_on;
#[cfg(feature = "blocking")]
mod blocking;
mod builder;
mod crew;
mod dump;
mod handle;
mod heap;
mod join_set;
mod local;
#[cfg(feature = "prometheus")]
mod metrics;
mod owner;
mod pace;
#[cfg_attr(any(target_os = "linux", target_os = "android"), path = "epoll.rs")]
mod poller;
mod processors;
pub(crate) mod reactor;
mod simulation;
mod sleepers;
#[cfg(feature = "tracing")]
mod spans;
mod time;
mod work;

pub use block_on::block_on;
#[cfg(feature = "blocking")]
pub use blocking::Blocking;
pub use builder::{BuildError, Builder};
pub use dump::{Dump, Placed};
pub use handle::Handle;
pub use join_set::JoinSet;
pub use local::{Local, LocalHandle};
#[cfg(feature = "prometheus")]
pub use metrics::RuntimeMetrics;
pub use owner::{Runtime, Unfinished};
pub use processors::processors;
pub use simulation::{Decision, Next, Panicked, Simulation, Standstill};
