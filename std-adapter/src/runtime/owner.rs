//! A runtime, from its start to its end.

use std::fmt;
use std::io;
use std::ops::Deref;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::{PoisonError, mpsc};
use std::time::{Duration, Instant};

use trilane::exec::TaskState;
use trilane::time::Duration as Span;

use super::builder::{BuildError, Builder};
use super::crew::{Crew, Size};
use super::handle::Handle;
use super::{processors, work};
use crate::sync::Mutex;
use crate::sync::thread::{self, JoinHandle as Thread};

/// Crews whose runtimes were dropped, for the next of the same size.
#[cfg(not(trilane_shuttle))]
static FREE: Mutex<Vec<&'static Crew>> = Mutex::new(Vec::new());
#[cfg(trilane_shuttle)]
shuttle::lazy_static! {
    static ref FREE: Mutex<Vec<&'static Crew>> = Mutex::new(Vec::new());
}

/// Threads that poll tasks; see the [module](super).
///
/// It spawns by its [`Handle`], which tasks and other threads may have copies of. Dropping it [shuts it
/// down](Self::shut_down) and waits for as long as that takes; in a task of its own it doesn't wait.
#[derive(Debug)]
pub struct Runtime {
    handle: Handle,
    threads: Vec<Thread<()>>,
}

// As of a handle; of a thread only its end is waited for.
impl UnwindSafe for Runtime {}
impl RefUnwindSafe for Runtime {}

/// Not all tasks have ended in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unfinished {
    /// How many are left.
    pub tasks: usize,
}

impl fmt::Display for Unfinished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "tasks that have not ended in time: {}; each is in a poll, or has time to clean up still",
            self.tasks
        )
    }
}

impl std::error::Error for Unfinished {}

/// A crew without tasks.
pub(super) fn take_crew(size: Size) -> &'static Crew {
    let free = {
        let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        let is_free = |crew: &&'static Crew| crew.size == size && crew.reopen();
        free.iter().position(is_free).map(|index| free.swap_remove(index))
    };
    free.unwrap_or_else(|| Crew::new(size))
}

/// Its tasks have ended; its handles are of no use from now on.
pub(super) fn give_crew_back(crew: &'static Crew) {
    crew.end_life();
    FREE.lock().unwrap_or_else(PoisonError::into_inner).push(crew);
}

/// A thread that does its work on one processor.
fn pinned(
    builder: thread::Builder,
    processor: usize,
    work: impl FnOnce() + Send + 'static,
) -> Result<Thread<()>, BuildError> {
    let cannot = |error| BuildError::Pin(processor, error);
    processors::note_all().map_err(cannot)?;
    let (tell, told) = mpsc::sync_channel(1);
    let thread = builder.spawn(move || {
        let pinned = processors::pin(processor);
        let works = pinned.is_ok();
        let _ = tell.send(pinned);
        if works {
            work();
        }
    });
    let thread = thread.map_err(BuildError::Thread)?;
    let pinned = told.recv().unwrap_or_else(|_| Err(io::ErrorKind::Other.into()));
    pinned.map(|()| thread).map_err(cannot)
}

impl Runtime {
    /// A runtime of usual size is `Runtime::builder().build()`.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// What spawns on it from anywhere.
    pub fn handle(&self) -> Handle {
        self.handle
    }

    /// One that fails drops the runtime, which ends the threads before it.
    pub(super) fn start(size: Size, name: &str, processors: &[usize]) -> Result<Self, BuildError> {
        let crew = take_crew(size);
        let mut runtime = Self { handle: Handle::new(crew), threads: Vec::with_capacity(size.workers) };
        let mut processors = processors.iter().copied().cycle();
        for number in 0..size.workers {
            let builder = thread::Builder::new().name(format!("{name}-{number}"));
            let thread = match processors.next() {
                None => builder.spawn(move || work::run(crew, number)).map_err(BuildError::Thread)?,
                Some(processor) => pinned(builder, processor, move || work::run(crew, number))?,
            };
            runtime.threads.push(thread);
        }
        Ok(runtime)
    }

    /// Asks every task to stop, for [`Reason::Shutdown`](trilane::exec::Reason::Shutdown), takes no new ones,
    /// and waits for `limit` at most until all have ended. Each task has the time for its clean-up that its
    /// attributes allow.
    ///
    /// # Errors
    ///
    /// [`Unfinished`] when the time is over and tasks are left; their threads go on.
    ///
    /// # Panics
    ///
    /// In a worker of this runtime.
    #[track_caller]
    pub fn shut_down(mut self, limit: impl Into<Span>) -> Result<(), Unfinished> {
        // Then it is dropped, which asks all tasks to stop.
        assert!(
            self.handle.crew().worker_here().is_none(),
            "a task can't wait for the end of its own runtime: shut it down from another thread"
        );
        self.end(Some(limit.into().into()))
    }

    fn end(&mut self, limit: Option<Duration>) -> Result<(), Unfinished> {
        let crew = self.handle.crew();
        for shard in crew.shards() {
            shard.executor().shut_down();
        }
        let tasks = self.wait_for_tasks(limit);
        crew.stop();
        let threads = std::mem::take(&mut self.threads);
        if tasks != 0 {
            // Some threads can't be waited for, nor the memory be used again.
            crew.end_life();
            return Err(Unfinished { tasks });
        }
        for thread in threads {
            // A worker catches its tasks' panics.
            let _ = thread.join();
        }
        give_crew_back(crew);
        Ok(())
    }

    /// Waits for `limit` at most until all tasks have ended. Returns how many are left.
    fn wait_for_tasks(&self, limit: Option<Duration>) -> usize {
        let began = Instant::now();
        let mut nap = Duration::from_micros(20);
        loop {
            let left = self.handle.tasks().filter(|task| task.state != TaskState::Done).count();
            if left == 0 || limit.is_some_and(|limit| began.elapsed() >= limit) {
                return left;
            }
            thread::sleep(nap);
            nap = (nap * 2).min(Duration::from_millis(5));
        }
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        if self.threads.is_empty() {
            return;
        }
        if self.handle.crew().worker_here().is_none() {
            let _ = self.end(None);
            return;
        }
        // This task would wait for itself.
        let rest = Self { handle: self.handle, threads: std::mem::take(&mut self.threads) };
        thread::spawn(move || drop(rest));
    }
}

impl Deref for Runtime {
    type Target = Handle;

    fn deref(&self) -> &Handle {
        &self.handle
    }
}
