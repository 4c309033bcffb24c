//! How tasks run: an executor over static memory.
//!
//! A firmware has a [`Platform`] (its clock, alarm and sleep), one or more [`TaskPool`]s (memory for futures)
//! and an [`Executor`] (headers, lanes and timers for `BANKS * PER_BANK` tasks), all statics.
//! [`Executor::start`] gives the one [`Runner`], which polls; tasks get a [`Cx`], by which they sleep, spawn
//! and re-key; whoever spawned holds a [`JoinHandle`]. A [`Region`] owns tasks and ends them: a request to
//! stop, time to clean up, then force ([`Cancelled`], [`Attributes`]). A chip may have several executors: in
//! thread mode, in interrupts ([`Handler`]), on other cores.
//!
//! # Scheduling tasks
//!
//! Priority, deadline, interval, timeout, joins, spawning from elsewhere, futures that aren't `Send`:
//!
//! ```
//! use std::rc::Rc;
//!
//! use trilane::exec::{
//!     Attributes, Cancelled, Cx, DeadlineError, Executor, Manual, MissedTick, OnMiss, Reason, TaskOptions,
//!     TaskPool, TimeoutError,
//! };
//! use trilane::sched::Priority;
//! use trilane::time::{Duration, Instant};
//!
//! static EXECUTOR: Executor<Manual, 1, 8> = Executor::new(Manual::new());
//! static POOL: TaskPool<512, 4> = TaskPool::new();
//!
//! const PERIOD: Duration = Duration::from_millis(10);
//! const SLACK: Duration = Duration::from_millis(2);
//!
//! async fn sample(cx: Cx) -> Result<Instant, Cancelled> {
//!     let mut ticks = cx.interval(PERIOD, MissedTick::Skip).unwrap();
//!     let mut due = ticks.tick().await?;
//!     for _ in 0..2 {
//!         // For the wake that ends the next wait; a period whose deadline has passed is skipped.
//!         due += PERIOD;
//!         while cx.set_deadline(Some(due + SLACK)) == Err(DeadlineError::Passed) {
//!             due += PERIOD;
//!         }
//!         ticks.tick().await?;
//!     }
//!     Ok(cx.now())
//! }
//!
//! async fn tour(cx: Cx) {
//!     let options = TaskOptions::new()
//!         .attributes(const { &Attributes::named("sampler") })
//!         .priority(Priority::of::<7>())
//!         .deadline(cx.now() + PERIOD + SLACK) // an instant
//!         .on_miss(OnMiss::Cancel);
//!     let sampler = cx.spawn_with(options, &POOL, sample).unwrap();
//!     assert_eq!(sampler.await, Ok(Ok(Instant::from_millis(30))));
//!
//!     // Give a future up; or ask a task to stop, and wait until it has.
//!     let slow = cx.sleep(Duration::from_secs(1));
//!     assert_eq!(cx.timeout(PERIOD, slow).await, Err(TimeoutError::Elapsed));
//!     let mut slow = cx.spawn(&POOL, |cx| cx.sleep(Duration::from_secs(1))).unwrap();
//!     assert_eq!(slow.join_within(cx, PERIOD).await, Ok(Err(Cancelled(Reason::Deadline))));
//! }
//!
//! let mut runner = EXECUTOR.start().unwrap();
//! // From any thread or interrupt.
//! let mut task = std::thread::spawn(|| EXECUTOR.spawn(&POOL, tour).unwrap()).join().unwrap();
//! // In the runner's context the future need not be `Send`.
//! let shared = Rc::new(7);
//! let mut local = runner.spawner().spawn_local(&POOL, |_| async move { *shared }).unwrap();
//! while runner.poll_pending(Instant::ZERO).more {}
//! while let Some(at) = runner.next_alarm() {
//!     while runner.poll_pending(at).more {}
//! }
//! assert_eq!(task.try_join(), Some(Ok(())));
//! assert_eq!(local.try_join(), Some(Ok(7)));
//! ```
//!
//! # Stopping tasks
//!
//! Asking, finishing something first, owning tasks, taking results as they come, limits:
//!
//! ```
//! use trilane::exec::{
//!     Attributes, Cancelled, Cx, Executor, Forced, JoinSet, Manual, Reason, RegionOptions, Regions,
//!     TaskOptions, TaskPool,
//! };
//! use trilane::time::{Duration, Instant};
//!
//! static REGIONS: Regions<2> = Regions::new();
//! static EXECUTOR: Executor<Manual, 1, 8> = Executor::new(Manual::new());
//! static POOL: TaskPool<768, 4> = TaskPool::new();
//!
//! // Attributes: what the task may take to clean up, and what is called if that wasn't enough.
//! static RADIO: Attributes =
//!     Attributes::named("radio").cleanup_polls(8).cleanup_time(Duration::from_millis(20))
//!         .finaliser(power_off);
//!
//! fn power_off(_: &Forced) {}
//!
//! async fn radio(cx: Cx) -> u32 {
//!     let mut frames = 0;
//!     while !cx.is_cancelled() {
//!         // Shield: a frame that was begun is sent to its end.
//!         cx.shield(cx.sleep(Duration::from_millis(4))).await.expect("no request gets through");
//!         frames += 1;
//!     }
//!     frames
//! }
//!
//! async fn measure(cx: Cx, millis: u64) -> Result<u64, Cancelled> {
//!     cx.sleep(Duration::from_millis(millis)).await?; // an error from the request on
//!     Ok(millis)
//! }
//!
//! async fn tour(cx: Cx) -> Result<(), Cancelled> {
//!     // Request: from here by the handle, from elsewhere by its `abort_handle()`.
//!     let radio = cx.spawn_with(TaskOptions::new().attributes(&RADIO), &POOL, radio).unwrap();
//!     cx.sleep(Duration::from_millis(10)).await?;
//!     radio.cancel().unwrap();
//!     assert_eq!(radio.await, Ok(3));
//!
//!     // Region: has closed once no task of it is left.
//!     let mut region = cx.open_region(RegionOptions::new()).unwrap();
//!     region.spawn(&POOL, |cx| measure(cx, 1_000)).unwrap();
//!     region.close().await.unwrap();
//!     assert_eq!(cx.now(), Instant::from_millis(12)); // not 1,012
//!
//!     // Join set: the first result, then the others are stopped.
//!     let mut set: JoinSet<_, 2> = JoinSet::new(cx.open_region(RegionOptions::new()).unwrap());
//!     for millis in [30, 20] {
//!         set.spawn(&POOL, move |cx| measure(cx, millis)).unwrap();
//!     }
//!     assert_eq!(set.join_next().await, Some(Ok(Ok(20))));
//!     set.close().await.unwrap();
//!     assert_eq!(set.join_next().await, Some(Ok(Err(Cancelled(Reason::ParentClosed)))));
//!     Ok(())
//! }
//!
//! let mut runner = EXECUTOR.with_regions(&REGIONS).start().unwrap();
//! let mut task = EXECUTOR.spawn(&POOL, tour).unwrap();
//! runner.poll_pending(Instant::ZERO);
//! while let Some(at) = runner.next_alarm() {
//!     while runner.poll_pending(at).more {}
//! }
//! assert_eq!(task.try_join(), Some(Ok(Ok(()))));
//! ```
//!
//! # Executor Invariant
//!
//! Stated once, cited by the `SAFETY:` comments of this module:
//!
//! 1. An executor is `'static`: a pointer to its core, one of its banks or headers is valid for ever, and
//!    shared access to their atomic fields always sound. Pointers to them are made from a pointer to the
//!    whole executor.
//! 2. A header whose phase is *claimed* belongs to whoever claimed it: a spawner, until it publishes the
//!    phase *live*, or whoever takes the result of a task that is over, until the slot is free.
//! 3. While the phase is *live*, only the runner (of an executor that is shared, the worker that has claimed
//!    the task) polls or drops the future and reads or writes the header's plain fields, except the queue
//!    node, the joiner and the family, which belong to the holder of the critical section.
//! 4. When the phase is *done*, storage holds the output (or nothing, if the task was ended by force). It
//!    belongs to the join handle if the task has ended in no region; otherwise to who finds that phase under
//!    the critical section and sets it to *claimed*: the handle, or the runner when the region has closed.
//!    Without a handle the runner has it from the start.
//! 5. There is one runner, unless workers [share](Executor::share) the executor; it never leaves the context
//!    that started it, and it isn't entered twice: its methods take it by `&mut`.
//! 6. No reference to lanes, timers, regions or join nodes is held across user code: polling or dropping a
//!    future or an output, waking, cloning or dropping a waker, calling a hook or a finaliser.
//!
//! What "the lock" or "the critical section" is, and that no two are held at once, says
//! [`Domain`](crate::sync::Domain): each executor and each pool has its own.

// Bottom to top. No files use each other in a circle, inside a folder neither (`tests/tests/house`).
mod task;

mod memory;

mod life;

mod run;

mod cancel;

mod region;

#[cfg(not(target_os = "none"))]
mod workers;

mod sleep;

mod delay;
mod interval;
mod timeout;

mod executor;

mod control;
mod manual;
mod report;
mod spawner;

mod runner;

mod handler;
#[cfg(not(target_os = "none"))]
mod shard;

pub use cancel::ask::{AbortHandle, CancelError};
pub use cancel::rekey::DeadlineError;
pub use cancel::waits::{Shield, UntilCancelled, WhenCancelled, poll_cancelled};
pub use delay::Delay;
pub use executor::Executor;
pub use handler::Handler;
pub use interval::{Interval, MissedTick, ZeroPeriod};
pub use life::future::{AsyncTask, YieldNow, future_size, yield_now};
#[cfg(not(target_os = "none"))]
pub use life::in_slot::{Allocator, Line};
pub use life::join::{Join, JoinError, JoinHandle};
pub use life::spawn_error::{SpawnError, SpawnErrorKind};
pub use manual::Manual;
pub use memory::cx::Cx;
pub use memory::look::AlarmDue;
pub use memory::tally::Counters;
pub use memory::trace::TraceEvent;
pub use region::handle::Region;
pub use region::join_set::{JoinNext, JoinSet};
pub use region::table::Regions;
pub use region::tree::{OpenError, RegionOptions};
pub use region::wait::{Close, CloseError, JoinAll};
pub use report::dump::{RegionInfo, TaskInfo, TaskState};
pub use report::stall::{Stall, StallWatch};
pub use run::pass::Pass;
pub use run::platform::Platform;
pub use runner::{AlreadyStarted, Runner};
#[cfg(not(target_os = "none"))]
pub use shard::{Cursor, Shard};
pub use sleep::Sleep;
pub use spawner::LocalSpawner;
pub use task::id::{RegionId, TaskId};
pub use task::options::{Attributes, Forced, Miss, OnMiss, TaskOptions};
pub use task::pool::TaskPool;
pub use task::reason::{Cancelled, Reason};
pub use timeout::{Timeout, TimeoutError};
