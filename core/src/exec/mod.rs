//! How tasks run: an executor over static memory.
//!
//! A firmware has a [`Platform`] (its clock, alarm and sleep), one or more [`TaskPool`]s (memory for futures) and an
//! [`Executor`] (headers, lanes and timers for `BANKS * PER_BANK` tasks), all statics. [`Executor::start`] gives the one
//! [`Runner`], which polls; tasks get a [`Cx`], by which they sleep, spawn and re-key; whoever spawned holds a
//! [`JoinHandle`]. A [`Region`] owns tasks and ends them: a request to stop, time to clean up, then force ([`Cancelled`],
//! [`Attributes`]). A chip may have several executors: in thread mode, in interrupts ([`Handler`]), on other cores.
//!
//! # Executor Invariant
//!
//! Stated once, cited by the `SAFETY:` comments of this module:
//!
//! 1. An executor is `'static`: a pointer to its core, one of its banks or headers is valid for ever, and shared access to
//!    their atomic fields always sound. Pointers to them are made from a pointer to the whole executor.
//! 2. A header whose phase is *claimed* belongs to whoever claimed it: a spawner, until it publishes the phase *live*, or
//!    whoever takes the result of a task that is over, until the slot is free.
//! 3. While the phase is *live*, only the runner polls or drops the future and reads or writes the header's plain fields,
//!    except the queue node, which belongs to the holder of the critical section.
//! 4. When the phase is *done*, storage holds the output (or nothing, if the task was ended by force), and it belongs to who
//!    finds that phase under the critical section and sets it to *claimed*: the join handle, or the runner when the
//!    task's region has closed. Without a handle the runner has it from the start.
//! 5. There is one runner, it never leaves the context that started it, and it isn't entered twice: its methods take it by
//!    `&mut`.
//! 6. No reference to lanes, timers, regions or join nodes is held across user code: polling or dropping a future or an
//!    output, waking, cloning or dropping a waker, calling a hook or a finaliser.

mod bank;
mod cancel;
mod closing;
mod counters;
mod cx;
mod dispatch;
mod ending;
mod executor;
mod handler;
mod header;
mod join;
mod join_set;
mod limits;
mod manual;
mod members;
mod options;
mod platform;
mod pool;
mod region;
mod regions;
mod runner;
mod shared;
mod sleep;
mod spawn;
mod stall;
mod task;
mod trace;
mod tree;
mod waker;

pub use cancel::{AbortHandle, CancelError, Cancelled, Reason, Shield, UntilCancelled, WhenCancelled};
pub use counters::Counters;
pub use cx::{Cx, DeadlineError};
pub use executor::{AlreadyStarted, Executor};
pub use handler::Handler;
pub use header::{TaskId, TaskInfo, TaskState};
pub use join::{Join, JoinError, JoinHandle};
pub use join_set::{JoinNext, JoinSet};
pub use manual::Manual;
pub use options::{Attributes, Forced, Miss, OnMiss, TaskOptions};
pub use platform::Platform;
pub use pool::TaskPool;
pub use region::{Close, CloseError, JoinAll, OpenError, Region, RegionId, RegionInfo, RegionOptions};
pub use regions::Regions;
pub use runner::{Pass, Runner};
pub use sleep::{Delay, Interval, MissedTick, Sleep, Timeout, TimeoutError, ZeroPeriod};
pub use spawn::{LocalSpawner, SpawnError, SpawnErrorKind};
pub use stall::{Stall, StallWatch};
pub use task::{AsyncTask, YieldNow, future_size, yield_now};
pub use trace::TraceEvent;
