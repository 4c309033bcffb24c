//! How a runtime is made.

use std::fmt;
use std::io;
use std::thread;

use trilane::sched::Fairness;

use super::crew::{SHARD, Size};
use super::local::Local;
use super::owner::Runtime;
use super::simulation::Simulation;
use super::sleepers;

/// What a runtime is to be; made by [`Runtime::builder`].
#[derive(Clone, Debug)]
pub struct Builder {
    workers: Option<usize>,
    capacity: usize,
    slot_bytes: usize,
    fairness: Fairness,
    name: String,
    processors: Vec<usize>,
}

/// Why there is no runtime.
#[derive(Debug)]
#[non_exhaustive]
pub enum BuildError {
    /// The number of workers is 0 or above [`Builder::MOST_WORKERS`].
    Workers(usize),
    /// The capacity is 0 or above [`Builder::MOST_TASKS`].
    Capacity(usize),
    /// The size of a slot is above [`Builder::MOST_BYTES`].
    SlotBytes(usize),
    /// The system gives no thread.
    Thread(io::Error),
    /// A worker can't be [pinned](Builder::pin) to this processor.
    Pin(usize, io::Error),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Workers(given) => {
                write!(f, "a runtime has 1 to {} workers, not {given}", Builder::MOST_WORKERS)
            }
            Self::Capacity(given) => {
                write!(f, "a runtime has room for 1 to {} tasks, not {given}", Builder::MOST_TASKS)
            }
            Self::SlotBytes(given) => write!(
                f,
                "a slot has up to {} bytes, not {given}: larger futures are boxed anyway",
                Builder::MOST_BYTES
            ),
            Self::Thread(error) => write!(f, "the system gives no thread for a worker: {error}"),
            Self::Pin(processor, error) => write!(
                f,
                "a worker can't be pinned to processor {processor}: {error}; `processors()` lists those that \
                 can be had"
            ),
        }
    }
}

impl std::error::Error for BuildError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        if let Self::Thread(error) | Self::Pin(_, error) = self { Some(error) } else { None }
    }
}

impl Builder {
    /// The most workers.
    pub const MOST_WORKERS: usize = sleepers::MOST;
    /// The most tasks at a time.
    pub const MOST_TASKS: usize = 1 << 20;
    /// The workers of a simulation that is told no other number: the same on each computer.
    pub const SIMULATED_WORKERS: usize = 2;
    /// The most bytes of a slot.
    pub const MOST_BYTES: usize = 1 << 16;

    pub(super) fn new() -> Self {
        Self {
            workers: None,
            capacity: SHARD,
            slot_bytes: 128,
            fairness: Fairness::default(),
            name: "trilane".to_owned(),
            processors: Vec::new(),
        }
    }

    /// The threads that poll tasks; as many as the computer has processors if this isn't called, but at most
    /// [`MOST_WORKERS`](Self::MOST_WORKERS).
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = Some(workers);
        self
    }

    /// The tasks for which there is room at a time, rounded up to 1,024 for each worker; 1,024 if this isn't
    /// called. A task takes some 100 bytes beside its slot. A region has room for 1,024 at most.
    pub fn capacity(mut self, tasks: usize) -> Self {
        self.capacity = tasks;
        self
    }

    /// The bytes of a slot, rounded up to 64; 128 if this isn't called. A future, or its output, that is
    /// larger is boxed: [`Handle::boxed`](super::Handle::boxed) counts that.
    pub fn slot_bytes(mut self, bytes: usize) -> Self {
        self.slot_bytes = bytes;
        self
    }

    /// The bounds within which a lane may pass over lower ones.
    pub fn fairness(mut self, fairness: Fairness) -> Self {
        self.fairness = fairness;
        self
    }

    /// What the threads are called, each with its number behind it.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Pins each worker to one processor: the first to the first of these, and so on; when there are more
    /// workers than that, it begins anew. The system moves them as it likes if this isn't called, or with no
    /// processors.
    ///
    /// The numbers are the system's; [`processors`](super::processors()) lists those on which the program may
    /// run. Only Linux can: elsewhere [`build`](Self::build) returns an error. A simulation has no threads to
    /// be pinned.
    ///
    /// Threads that a task starts stay on its worker's processor, as the system has it; but those of
    /// `Handle::spawn_blocking` don't.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(target_os = "linux")] {
    /// use trilane_std::runtime::{Runtime, processors};
    ///
    /// let processors = processors()?;
    /// let runtime = Runtime::builder().workers(processors.len().min(64)).pin(processors).build()?;
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn pin(mut self, processors: impl IntoIterator<Item = usize>) -> Self {
        self.processors = processors.into_iter().collect();
        self
    }

    /// Makes the runtime: allocates all memory and starts the threads.
    ///
    /// # Errors
    ///
    /// [`BuildError`] when a number is out of range, the system gives no thread, or a worker can't be pinned.
    pub fn build(self) -> Result<Runtime, BuildError> {
        Runtime::start(self.size(false)?, &self.name, &self.processors)
    }

    /// Makes a [`Local`] instead: no threads, its tasks are polled by whoever calls its `block_on`, which is
    /// its one worker. It takes neither a name nor processors.
    ///
    /// # Errors
    ///
    /// [`BuildError`] when a number is out of range.
    pub fn build_local(self) -> Result<Local, BuildError> {
        let size = Self { workers: Some(1), ..self }.size(false)?;
        Ok(Local::new(Size { is_local: true, ..size }))
    }

    /// Makes a [`Simulation`] of the runtime instead: no threads, virtual time, an order drawn from `seed`.
    ///
    /// # Errors
    ///
    /// [`BuildError`] when a number is out of range.
    pub fn simulate(self, seed: u64) -> Result<Simulation, BuildError> {
        Ok(Simulation::new(self.size(true)?, seed))
    }

    fn size(&self, is_simulated: bool) -> Result<Size, BuildError> {
        let workers = self.workers.unwrap_or_else(|| match is_simulated {
            true => Self::SIMULATED_WORKERS,
            false => thread::available_parallelism().map_or(1, |all| all.get().min(Self::MOST_WORKERS)),
        });
        if !(1..=Self::MOST_WORKERS).contains(&workers) {
            return Err(BuildError::Workers(workers));
        }
        if !(1..=Self::MOST_TASKS).contains(&self.capacity) {
            return Err(BuildError::Capacity(self.capacity));
        }
        if self.slot_bytes > Self::MOST_BYTES {
            return Err(BuildError::SlotBytes(self.slot_bytes));
        }
        Ok(Size {
            workers,
            shards: self.capacity.div_ceil(workers * SHARD),
            lines: self.slot_bytes.div_ceil(64),
            fairness: self.fairness,
            is_simulated,
            is_local: false,
        })
    }
}
