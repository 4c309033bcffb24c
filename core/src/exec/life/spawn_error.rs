//! Why a task could not be spawned.

use core::fmt;

use crate::exec::memory::core::Refusal;

/// The task could not be spawned; nothing has changed. `rejected` is what was to make the future.
///
/// As an error it is `Send`, `Sync` and `'static` if `rejected` is. Errors of any kind, as `anyhow`'s, mostly
/// ask for that: then pass on the [`kind`](Self::kind), which always is.
///
/// ```
/// # use trilane::exec::{Executor, Manual, SpawnErrorKind, TaskPool};
/// # static EXECUTOR: Executor<Manual, 1, 8> = Executor::new(Manual::new());
/// # static POOL: TaskPool<64, 1> = TaskPool::new();
/// fn start(name: &str) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
///     let length = &name.len(); // what is borrowed is not `'static`
///     EXECUTOR.spawn(&POOL, |_| std::future::ready(*length)).map_err(SpawnErrorKind::from)?;
///     Ok(())
/// }
/// # assert!(start("once").is_ok());
/// # assert!(start("again").unwrap_err().to_string().starts_with("the task pool is full"));
/// ```
pub struct SpawnError<B> {
    /// Why.
    pub kind: SpawnErrorKind,
    /// What was passed to `spawn`, uncalled.
    pub rejected: B,
}

/// Why a task could not be spawned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SpawnErrorKind {
    /// Every slot of the pool is in use.
    PoolFull,
    /// Every slot of the executor is in use.
    ExecutorFull,
    /// The deadline of the options lies before the time of the executor's latest pass.
    DeadlinePassed,
    /// The region is closing or has closed, or is another executor's.
    RegionClosed,
    /// The region has as many tasks as its quota allows.
    QuotaExceeded,
    /// The task whose [`Cx`](crate::exec::Cx) spawns has ended; or, on hosts, is of another runtime.
    Stale,
    /// The join set holds as many tasks as it has room for.
    SetFull,
    /// The executor or runtime shuts down, or has ended.
    ShutDown,
}

impl fmt::Display for SpawnErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PoolFull => "the task pool is full: raise its SLOTS, or wait for a task to end",
            Self::ExecutorFull if cfg!(target_os = "none") => {
                "the executor is full: raise its BANKS or PER_BANK, or wait for a task to end"
            }
            Self::ExecutorFull => {
                "the executor is full: raise its BANKS or PER_BANK, of a runtime its Builder::capacity; in a region, \
                 whose tasks have one shard, open another; or wait for a task to end"
            }
            Self::DeadlinePassed => "the deadline has passed already: give one that is still to come",
            Self::RegionClosed if cfg!(target_os = "none") => "the region is closing: nothing new begins in it",
            Self::RegionClosed => {
                "the region is closing, or is one of another executor or runtime: nothing new begins in it"
            }
            Self::QuotaExceeded => "the region's quota is used up: raise it, or wait for a task to end",
            Self::Stale if cfg!(target_os = "none") => {
                "the task that spawns has ended: spawn through the executor, or by the Cx of a task that runs"
            }
            Self::Stale => {
                "the task that spawns has ended, or is of another runtime: spawn through the executor, or by the Cx \
                 of a task that runs there"
            }
            Self::SetFull => "the join set is full: raise its N, or take a result",
            Self::ShutDown if cfg!(target_os = "none") => "the executor shuts down: nothing new begins in it",
            Self::ShutDown => "the executor or runtime shuts down, or has ended: nothing new begins in it",
        })
    }
}

impl<B> fmt::Display for SpawnError<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

/// Says what to do, as [`Display`](fmt::Display) does: this is what `expect` shows.
impl<B> fmt::Debug for SpawnError<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.kind, f)
    }
}

impl core::error::Error for SpawnErrorKind {}

/// Drops what was rejected.
impl<B> From<SpawnError<B>> for SpawnErrorKind {
    fn from(error: SpawnError<B>) -> Self {
        error.kind
    }
}

impl<B> core::error::Error for SpawnError<B> {}

impl From<Refusal> for SpawnErrorKind {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Stale => Self::Stale,
            Refusal::Closed => Self::RegionClosed,
            Refusal::Quota => Self::QuotaExceeded,
        }
    }
}
