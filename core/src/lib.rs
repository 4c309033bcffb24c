//! trilane: a heap-free runtime core.
//!
//! An executor whose capacity is fixed when it is compiled: tasks wait in three lanes (cancel, timed, ready),
//! wake through one bit, sleep in place and hand their result to whoever joins them. Nothing in this crate
//! allocates, reads a clock or panics on bad input.
//!
//! # Where to start reading
//!
//! Bottom to top, each layer usable without the ones above it:
//!
//! | module | what it is |
//! | --- | --- |
//! | [`sync`] | the one door to atomics and the critical section |
//! | [`id`] | slots and generations, which notice reuse |
//! | [`time`] | microseconds, handed in from outside |
//! | [`sched`] | what runs next, as pure data: FIFO, EDF, lanes, timers |
//! | [`exec`] | how it runs: platform, executor, pool, task, waker, context, join, regions, cancellation |
//! | [`causal`] | events that prove their place in their emitter's chain; knows neither tasks nor routes |
//! | [`daemon`] | state machines that take events and answer with outputs |
//! | [`group`] | several copies of a daemon, so that the death of any loses nothing; knows no tasks and no routes |
//! | [`route`] | who serves an event: balancer, selectors, strategies, breakers; knows no tasks |
//!
//! # The critical section
//!
//! A program needs an implementation of `critical-section`, and only one: a board crate or `trilane-std`
//! brings it. Without them, enable that crate's feature `std` on a host, or your HAL's on a chip; if none is
//! there, the linker says that `_critical_section_1_0_acquire` is undefined.
//!
//! # Examples
//!
//! Driven by hand, with time passed in (on a board, [`exec::Runner::run`] does this for ever):
//!
//! ```
//! use trilane::exec::{Cancelled, Cx, Executor, Manual, TaskPool};
//! use trilane::time::{Duration, Instant};
//!
//! async fn blink(cx: Cx, times: u32) -> Result<u32, Cancelled> {
//!     for _ in 0..times {
//!         cx.sleep(Duration::from_millis(10)).await?;
//!     }
//!     Ok(times)
//! }
//!
//! static POOL: TaskPool<256, 1> = TaskPool::new();
//! static EXECUTOR: Executor<Manual, 1, 8> = Executor::new(Manual::new());
//!
//! let mut runner = EXECUTOR.start().unwrap();
//! let mut task = EXECUTOR.spawn(&POOL, |cx| blink(cx, 2)).unwrap();
//!
//! runner.poll_pending(Instant::ZERO);
//! while let Some(at) = runner.next_alarm() {
//!     runner.poll_pending(at);
//! }
//! assert_eq!(runner.now(), Instant::from_millis(20));
//! assert_eq!(task.try_join(), Some(Ok(Ok(2))));
//! ```

#![no_std]

mod bitmap;
pub mod causal;
pub mod daemon;
pub mod exec;
pub mod group;
pub mod id;
pub mod route;
pub mod sched;
pub mod sync;
pub mod time;
