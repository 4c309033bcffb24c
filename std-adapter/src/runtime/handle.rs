//! By which a program, and its tasks, spawn on a runtime.

use std::cell::Cell;
use std::future::{Future, IntoFuture};
use std::io;
use std::panic::{RefUnwindSafe, UnwindSafe};

use trilane::exec::{
    Counters, Cx, JoinHandle, OpenError, Region, RegionId, RegionOptions, SpawnError, SpawnErrorKind,
    TaskInfo, TaskOptions,
};

use super::block_on::block_on;
use super::crew::{Crew, Home, SHARD};
use super::dump::{Dump, Placed};
use super::heap::{self, Heap};
use super::poller::AsSource;
use super::reactor::{NoReactor, Source};
use crate::sync::thread_local;

thread_local! {
    /// That by which this thread blocks.
    static BLOCKS: Cell<Option<Handle>> = const { Cell::new(None) };
}

/// Spawns on a runtime; free to copy, also into tasks.
///
/// It doesn't keep the runtime alive: when that has shut down, spawning is an error.
#[derive(Clone, Copy, Debug)]
pub struct Handle {
    crew: &'static Crew,
    /// Of the crew's runtimes, which.
    life: u64,
}

// What a panic leaves behind is a task's: nothing of the runtime is seen half done.
impl UnwindSafe for Handle {}
impl RefUnwindSafe for Handle {}

impl Handle {
    pub(super) fn new(crew: &'static Crew) -> Self {
        Self { crew, life: crew.life() }
    }

    /// That of the runtime whose worker this thread is: of the task that is polled; or that by which this
    /// thread [blocks](Self::block_on). Else `None`.
    pub fn current() -> Option<Self> {
        Crew::here().map(Self::new).or(BLOCKS.with(Cell::get))
    }

    /// Spawns a task that is in no region, whoever spawns ([`spawn_beside`](Self::spawn_beside) stays in the
    /// caller's): `build` is called with the task's [`Cx`] once
    /// there is room, and makes the future in the caller's context; an `async fn(Cx)` is such a function. Any
    /// thread. O(1); O(shards) when some are full.
    ///
    /// No allocation for a future and an output that fit a [slot](super::Builder::slot_bytes).
    ///
    /// # Errors
    ///
    /// [`SpawnError`] when the runtime is full or shuts down; `build` comes back uncalled.
    #[cfg_attr(feature = "tracing", track_caller)]
    pub fn spawn<B, F>(&self, build: B) -> Result<JoinHandle<F::Output>, SpawnError<B>>
    where
        B: FnOnce(Cx) -> F,
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.start(build, |shard, build| shard.spawn::<Heap, B, F>(None, build))
    }

    /// Spawns a task with options; see [`spawn`](Self::spawn).
    ///
    /// # Errors
    ///
    /// As for [`spawn`](Self::spawn); and when the deadline has passed, or the options name a region: ids are
    /// of a shard, so [spawn in](Self::spawn_in) the [`Region`] itself.
    #[cfg_attr(feature = "tracing", track_caller)]
    pub fn spawn_with<B, F>(
        &self,
        options: TaskOptions,
        build: B,
    ) -> Result<JoinHandle<F::Output>, SpawnError<B>>
    where
        B: FnOnce(Cx) -> F,
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.start_with(options, build, |shard, options, build| {
            shard.spawn::<Heap, B, F>(Some(options), build)
        })
    }

    /// Has `spawn` try the shards that a new task may go to.
    #[cfg_attr(feature = "tracing", track_caller)]
    pub(super) fn start<B, T>(
        &self,
        build: B,
        spawn: impl Fn(&Home, B) -> Result<JoinHandle<T>, SpawnError<B>>,
    ) -> Result<JoinHandle<T>, SpawnError<B>> {
        if self.is_over() {
            return Err(SpawnError { kind: SpawnErrorKind::ShutDown, rejected: build });
        }
        let mut kind = SpawnErrorKind::ExecutorFull;
        let spawned = traced(None, || {
            self.crew.spawn(build, |shard, build| {
                spawn(shard, build).map_err(|error| {
                    kind = error.kind;
                    (kind == SpawnErrorKind::ExecutorFull, error.rejected)
                })
            })
        });
        spawned.map_err(|rejected| SpawnError { kind, rejected })
    }

    /// [`start`](Self::start) with options.
    #[cfg_attr(feature = "tracing", track_caller)]
    pub(super) fn start_with<B, T>(
        &self,
        options: TaskOptions,
        build: B,
        spawn: impl Fn(&Home, TaskOptions, B) -> Result<JoinHandle<T>, SpawnError<B>>,
    ) -> Result<JoinHandle<T>, SpawnError<B>> {
        if options.names_region() {
            return Err(SpawnError { kind: SpawnErrorKind::RegionClosed, rejected: build });
        }
        self.start(build, |shard, build| spawn(shard, options, build))
    }

    /// Has `spawn` spawn in the shard of a region.
    #[cfg_attr(feature = "tracing", track_caller)]
    pub(super) fn start_in<B, T>(
        &self,
        region: &Region,
        options: TaskOptions,
        build: B,
        spawn: impl FnOnce(&Home, TaskOptions, B) -> Result<JoinHandle<T>, SpawnError<B>>,
    ) -> Result<JoinHandle<T>, SpawnError<B>> {
        if self.is_over() {
            return Err(SpawnError { kind: SpawnErrorKind::ShutDown, rejected: build });
        }
        match self.crew.shards().iter().find(|shard| shard.has_region(region)) {
            Some(shard) => traced(Some(region.id()), || spawn(shard, options.region(region.id()), build)),
            None => Err(SpawnError { kind: SpawnErrorKind::RegionClosed, rejected: build }),
        }
    }

    /// Has `spawn` spawn in the region of the task of `cx`, or in none if that is in none.
    #[cfg_attr(feature = "tracing", track_caller)]
    pub(super) fn start_beside<B, T>(
        &self,
        cx: Cx,
        options: TaskOptions,
        build: B,
        spawn: impl Fn(&Home, TaskOptions, B) -> Result<JoinHandle<T>, SpawnError<B>>,
    ) -> Result<JoinHandle<T>, SpawnError<B>> {
        // A task that is there still was so when it was asked for its region, which never changes.
        let region = cx.region();
        match (self.shards().iter().find(|shard| shard.has_task(cx)), region) {
            (Some(shard), Some(region)) if !options.names_region() => {
                traced(Some(region), || spawn(shard, options.region(region), build))
            }
            (None, _) if !self.is_over() => Err(SpawnError { kind: SpawnErrorKind::Stale, rejected: build }),
            _ => self.start_with(options, build, spawn),
        }
    }

    /// Spawns a task in a region of this runtime, whatever region the options name: one that was opened by a
    /// handle, or by a task's [`Cx`]. Its tasks are in the region's shard. See [`spawn`](Self::spawn).
    ///
    /// When the region has closed, a result that nobody waits for is gone, though the [`JoinHandle`] is held
    /// ([`Reclaimed`](trilane::exec::JoinError::Reclaimed)): await it before, or
    /// [push](super::JoinSet::push) it to a [`JoinSet`](super::JoinSet), which keeps results.
    ///
    /// # Errors
    ///
    /// As for [`spawn_with`](Self::spawn_with); also when the region's shard is full, which has 1,024 tasks
    /// whatever the runtime's capacity ([`ExecutorFull`](SpawnErrorKind::ExecutorFull)), when the region is
    /// closing or closed or its quota is used up, and when it is not of this runtime
    /// ([`RegionClosed`](SpawnErrorKind::RegionClosed)).
    #[cfg_attr(feature = "tracing", track_caller)]
    pub fn spawn_in<B, F>(
        &self,
        region: &Region,
        options: TaskOptions,
        build: B,
    ) -> Result<JoinHandle<F::Output>, SpawnError<B>>
    where
        B: FnOnce(Cx) -> F,
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.start_in(region, options, build, |shard, options, build| {
            shard.spawn::<Heap, B, F>(Some(options), build)
        })
    }

    /// Spawns a task beside that of `cx`, which is mostly the caller's: in the same region, if that is in
    /// one, and so in the region's shard, as what a task spawns by its [`Cx`] into a pool; else in none. See
    /// [`spawn`](Self::spawn) and [`spawn_in`](Self::spawn_in).
    ///
    /// # Errors
    ///
    /// As for [`spawn_in`](Self::spawn_in); when the options name a region; and when the task of `cx` has
    /// ended, or is not of this runtime ([`Stale`](SpawnErrorKind::Stale)).
    #[cfg_attr(feature = "tracing", track_caller)]
    pub fn spawn_beside<B, F>(
        &self,
        cx: Cx,
        options: TaskOptions,
        build: B,
    ) -> Result<JoinHandle<F::Output>, SpawnError<B>>
    where
        B: FnOnce(Cx) -> F,
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.start_beside(cx, options, build, |shard, options, build| {
            shard.spawn::<Heap, B, F>(Some(options), build)
        })
    }

    /// Opens a region that is inside no other, in a shard that is at most half full if there is one. Its
    /// tasks are spawned by [`spawn_in`](Self::spawn_in), or into [pools](trilane::exec::TaskPool).
    /// O(shards).
    ///
    /// A region's tasks share its shard with others: 1,024 in all, and 64 regions. Half of it is theirs for
    /// as long as others find room in other shards. For more, open several.
    ///
    /// # Errors
    ///
    /// [`OpenError`] when there is no room, or the runtime shuts down.
    pub fn open_region(&self, options: RegionOptions) -> Result<Region, OpenError> {
        if self.is_over() { Err(OpenError::ShutDown) } else { self.crew.open_region(options) }
    }

    /// Polls `future` on this thread until it is ready; see [`block_on`](super::block_on()). What it makes of
    /// [`net`](crate::net) belongs to this runtime.
    ///
    /// # Panics
    ///
    /// In a worker of a runtime. Await the future instead. In a [`Simulation`](super::Simulation) and a
    /// [`Local`](super::Local), which run by their own `block_on` only.
    #[track_caller]
    pub fn block_on<F: IntoFuture>(&self, future: F) -> F::Output {
        assert!(!self.crew.size.is_simulated, "a simulation runs by its own `block_on`");
        assert!(!self.crew.size.is_local, "a `Local` runs by its own `block_on`");
        /// On unwinding, too.
        struct Back(Option<Handle>);
        impl Drop for Back {
            fn drop(&mut self) {
                BLOCKS.with(|blocks| blocks.set(self.0));
            }
        }
        let _back = Back(BLOCKS.with(|blocks| blocks.replace(Some(*self))));
        block_on(future)
    }

    /// Registers a source, so that its events are waited for by the workers.
    ///
    /// # Safety
    ///
    /// It is [deregistered](Source::deregister) before it is closed.
    pub(crate) unsafe fn register(&self, io: impl AsSource) -> io::Result<Source> {
        if self.crew.size.is_simulated {
            return Err(NoReactor::Simulated.into());
        }
        let sleepers = &self.crew.sleepers;
        // SAFETY: the caller's promise.
        let (source, is_first) = unsafe { sleepers.driver.register(io, || self.is_over()) }?;
        if is_first {
            sleepers.driver_is_used();
        }
        Ok(source)
    }

    /// The time of the runtime's clock, as [`Cx::now`].
    pub fn now(&self) -> trilane::time::Instant {
        self.crew.now()
    }

    /// The tasks for which there is room.
    pub fn capacity(&self) -> usize {
        self.crew.shards().len() * SHARD
    }

    /// How many futures of the program were too large for a slot.
    pub fn boxed() -> u64 {
        heap::boxed()
    }

    /// Every task there is, also those whose results are still to be taken: a dump. Each line is true at some
    /// instant during the call. O(capacity). Ids are of a shard: two tasks may have equal ones.
    pub fn tasks(&self) -> impl Iterator<Item = TaskInfo> {
        self.shards().iter().flat_map(|shard| shard.executor().tasks())
    }

    /// Every task and region there is, to be shown. Each line is true at some instant during the call.
    /// O(capacity).
    pub fn dump(&self) -> Dump {
        let shards = || self.shards().iter().map(|shard| shard.executor()).enumerate();
        Dump {
            at: self.now(),
            tasks: shards()
                .flat_map(|(shard, executor)| executor.tasks().map(move |info| Placed { shard, info }))
                .collect(),
            regions: shards()
                .flat_map(|(shard, executor)| executor.regions().map(move |info| Placed { shard, info }))
                .collect(),
        }
    }

    /// What each shard has counted since the runtime's start.
    pub fn counters(&self) -> Vec<Counters> {
        self.shards().iter().map(|shard| shard.executor().counters()).collect()
    }

    pub(super) fn crew(&self) -> &'static Crew {
        self.crew
    }

    /// None if the runtime has ended.
    pub(super) fn shards(&self) -> &'static [Home] {
        if self.is_over() { &[] } else { self.crew.shards() }
    }

    fn is_over(&self) -> bool {
        self.crew.life() != self.life
    }
}

/// Calls `spawn`, which makes at most one task. Its span tells where, and in which region.
#[cfg_attr(feature = "tracing", track_caller)]
fn traced<T>(region: Option<RegionId>, spawn: impl FnOnce() -> T) -> T {
    #[cfg(feature = "tracing")]
    return super::spans::Site { at: std::panic::Location::caller(), region }.during(spawn);
    #[cfg(not(feature = "tracing"))]
    {
        let _ = region;
        spawn()
    }
}
