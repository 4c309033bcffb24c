//! Regions: scopes that own tasks and further regions.

use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll};

use super::cancel::{Cancelled, Reason, heard};
use super::cx::Cx;
use super::join::{JoinHandle, JoinNode};
use super::options::TaskOptions;
use super::pool::TaskPool;
use super::shared::Core;
use super::spawn::{Owner, SpawnError, spawn};
use super::tree::{Place, Progress};
use super::waker::polled;
use crate::arena::{Key, Stale};
use crate::sync::with_lock;

/// A region's id: the place in its executor's table, and a generation that notices reuse.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegionId(pub(super) Key);

impl fmt::Debug for RegionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r{:?}", self.0)
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for RegionId {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "r{}", self.0);
    }
}

/// A scope that owns tasks and further regions: nothing in it outlives it.
///
/// Opened by [`Cx::open_region`] (inside the task's own region), [`Executor::open_region`](super::Executor::open_region) or
/// [`open_region`](Self::open_region) of another; kept in the executor's [`Regions`](super::Regions) table. What a member
/// spawns by its [`Cx`] is a member too.
///
/// [`close`](Self::close) asks all of it to stop and waits until it has; [`join_all`](Self::join_all) waits without asking.
/// Dropping an open region asks too, and doesn't wait: the region around it does, when it is closed.
///
/// When a region has closed, results of its tasks that nobody is waiting for are dropped, so a forgotten
/// [`JoinHandle`] keeps no slot: take what you want before.
///
/// # Examples
///
/// ```
/// use trilane::exec::{Cancelled, Cx, Executor, Manual, RegionOptions, Regions, TaskPool};
/// use trilane::time::{Duration, Instant};
///
/// static POOL: TaskPool<512, 3> = TaskPool::new();
/// static REGIONS: Regions<2> = Regions::new();
/// static EXECUTOR: Executor<Manual, 1, 8> = Executor::new(Manual::new()).with_regions(&REGIONS);
///
/// async fn blink(cx: Cx) -> Result<(), Cancelled> {
///     loop {
///         cx.sleep(Duration::from_millis(10)).await?;
///     }
/// }
///
/// async fn main_task(cx: Cx) {
///     let mut region = cx.open_region(RegionOptions::new()).unwrap();
///     region.spawn(&POOL, blink).unwrap();
///     region.spawn(&POOL, blink).unwrap();
///     region.close().await.unwrap(); // both have returned
/// }
///
/// let mut runner = EXECUTOR.start().unwrap();
/// let task = EXECUTOR.spawn(&POOL, main_task).unwrap();
/// while runner.poll_pending(Instant::ZERO).more {}
/// assert!(task.is_finished());
/// ```
#[must_use = "dropping a region cancels what is in it"]
pub struct Region {
    place: Place,
}

// SAFETY: a region leads to a static executor's table, which is under the critical section; its operations are allowed from
// any context.
unsafe impl Send for Region {}
// SAFETY: the same.
unsafe impl Sync for Region {}

/// How a region is to be kept.
#[derive(Clone, Copy, Debug)]
pub struct RegionOptions {
    pub(super) name: Option<&'static &'static str>,
    pub(super) quota: u16,
    pub(super) fail_fast: bool,
    pub(super) finaliser: Option<fn(RegionId)>,
}

impl RegionOptions {
    /// No name, no quota, no finaliser; a member's failure is its own affair.
    pub const fn new() -> Self {
        Self { name: None, quota: u16::MAX, fail_fast: false, finaliser: None }
    }

    /// The name in dumps.
    pub const fn name(mut self, name: &'static &'static str) -> Self {
        self.name = Some(name);
        self
    }

    /// The most tasks alive in the region at a time, those of regions below it not counted; a spawn beyond is
    /// [`QuotaExceeded`](super::SpawnErrorKind::QuotaExceeded).
    pub const fn quota(mut self, tasks: u16) -> Self {
        self.quota = tasks;
        self
    }

    /// Closes the region for [`Reason::SiblingFailed`] as soon as a member fails: panics, or has to be stopped for
    /// a missed deadline or a used-up quota and is ended by force.
    pub const fn fail_fast(mut self) -> Self {
        self.fail_fast = true;
        self
    }

    /// Called by the runner once all in the region is over, before whoever waits for it is woken.
    pub const fn finaliser(mut self, finaliser: fn(RegionId)) -> Self {
        self.finaliser = Some(finaliser);
        self
    }
}

impl Default for RegionOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// One line of a dump.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct RegionInfo {
    /// The region's id.
    pub id: RegionId,
    /// The name from its options.
    pub name: Option<&'static str>,
    /// The region around it.
    pub parent: Option<RegionId>,
    /// Its tasks that have not ended.
    pub tasks: u16,
    /// Its child regions that have not ended.
    pub children: u16,
    /// Why it closes, if it does.
    pub closing: Option<Reason>,
}

/// Why a region was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum OpenError {
    /// Every entry of the executor's table is in use, or it has none.
    Full,
    /// The region around it is closing or has closed, or the executor shuts down.
    Closed,
    /// The task that asks, through its [`Cx`], has ended.
    Stale,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => {
                "the executor has no room for another region: give it a larger table by with_regions, or close one"
            }
            Self::Closed => "the region around it is closing: nothing new begins in it",
            Self::Stale => "the task that asks for it has ended",
        })
    }
}

impl core::error::Error for OpenError {}

/// Why a wait for a region failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum CloseError {
    /// It was closed before.
    Closed,
    /// The task that waits is in the region itself, so the wait would never end. Nothing has changed.
    Inside,
    /// The task that waits was asked to stop. A close that was begun goes on, unattended.
    Cancelled(Reason),
}

impl fmt::Display for CloseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the region was closed before: close once"),
            Self::Inside => f.write_str("a task in the region waits for its end: let one outside do that"),
            Self::Cancelled(reason) => Cancelled(*reason).fmt(f),
        }
    }
}

impl core::error::Error for CloseError {}

impl Region {
    /// # Safety
    ///
    /// `core` points into a whole, static executor, whose region `id` has no other handle.
    pub(super) unsafe fn new(core: *const Core, id: RegionId) -> Self {
        Self { place: Place { core, id } }
    }

    /// The region's id, for [`TaskOptions::region`].
    pub fn id(&self) -> RegionId {
        self.place.id
    }

    /// Spawns a task in the region; see [`Executor::spawn`](super::Executor::spawn).
    ///
    /// # Errors
    ///
    /// As there; and when the region is closing or closed, or its quota is used up.
    pub fn spawn<B, F, const BYTES: usize, const SLOTS: usize>(
        &self,
        pool: &'static TaskPool<BYTES, SLOTS>,
        build: B,
    ) -> Result<JoinHandle<F::Output>, SpawnError<B>>
    where
        B: FnOnce(Cx) -> F,
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.spawn_with(TaskOptions::new(), pool, build)
    }

    /// Spawns a task in the region, whatever region the options name; see
    /// [`Executor::spawn_with`](super::Executor::spawn_with).
    ///
    /// # Errors
    ///
    /// As for [`spawn`](Self::spawn).
    pub fn spawn_with<B, F, const BYTES: usize, const SLOTS: usize>(
        &self,
        options: TaskOptions,
        pool: &'static TaskPool<BYTES, SLOTS>,
        build: B,
    ) -> Result<JoinHandle<F::Output>, SpawnError<B>>
    where
        B: FnOnce(Cx) -> F,
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        // SAFETY: the core is that of a static executor, and the future is `Send`.
        unsafe { spawn(self.place.core, Owner::Root, options.region(self.id()), pool, build) }
    }

    /// Opens a region inside this one. O(table).
    ///
    /// # Errors
    ///
    /// [`OpenError`] when the table is full or this region is closing.
    pub fn open_region(&self, options: RegionOptions) -> Result<Self, OpenError> {
        let Place { core, id } = self.place;
        // SAFETY: the core is that of a static executor.
        unsafe { Ok(Self::new(core, Core::open_region(core, Owner::Region(id), options)?)) }
    }

    /// Asks everything in the region to stop, for [`Reason::User`], and closes it to new tasks; doesn't wait. O(1) here, and
    /// O(members) for the runner. Any context.
    ///
    /// # Errors
    ///
    /// [`Stale`] when the region was closed before.
    pub fn cancel(&self) -> Result<(), Stale> {
        // SAFETY: the core is that of a static executor.
        if unsafe { Core::close_region(self.place, Reason::User) } { Ok(()) } else { Err(Stale) }
    }

    /// Asks everything in the region to stop and waits until it has: then no task of it is alive, in it or below it. Bounded
    /// by the longest clean-up time of its tasks, and one poll per level. The first poll is O(depth) of the task that waits,
    /// the runner's work O(members).
    ///
    /// # Errors
    ///
    /// [`CloseError`] when it was closed before, when the task that waits is in the region itself (then nothing has
    /// changed), or when that task is asked to stop itself.
    ///
    /// # Cancellation
    ///
    /// Nothing happens before the first poll. Dropping the future after it leaves the region closing: close again to wait
    /// for the rest. To wait for it in a task that was asked to stop, use a shield.
    pub fn close(&mut self) -> Close<'_> {
        Close { wait: Wait::new(self), asked: false }
    }

    /// Waits until no task of the region, or below it, is alive, and asks none to stop. The region stays open.
    ///
    /// # Errors
    ///
    /// As for [`close`](Self::close).
    ///
    /// # Cancellation
    ///
    /// Dropping the future changes nothing.
    pub fn join_all(&mut self) -> JoinAll<'_> {
        JoinAll { wait: Wait::new(self) }
    }
}

impl Region {
    /// Leaves the results of its tasks to whoever has their handles.
    pub(super) fn keep_results(&self) {
        // SAFETY: the core is that of a static executor.
        unsafe { Core::keep_results(self.place) }
    }
}

impl Drop for Region {
    /// Asks everything in the region to stop, for [`Reason::ParentClosed`], and doesn't wait.
    fn drop(&mut self) {
        // SAFETY: the core is that of a static executor.
        unsafe { Core::abandon_region(self.place) }
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Region").field(&self.id()).finish()
    }
}

/// A wait for a region. The region's table knows its node from the first poll until it is dropped.
pub(super) struct Wait<'a> {
    region: &'a mut Region,
    node: JoinNode,
}

impl<'a> Wait<'a> {
    pub(super) fn new(region: &'a mut Region) -> Self {
        Self { region, node: JoinNode::new() }
    }

    /// Why there is no waiting, if so.
    fn refusal(&self, cx: &Context<'_>) -> Option<CloseError> {
        // SAFETY: the core is that of a static executor, and so is the header's.
        let inside = polled(cx).is_some_and(|header| unsafe { Core::is_inside(self.region.place, header) });
        if inside { Some(CloseError::Inside) } else { None }
    }

    /// Registers the waker.
    fn register(&self, cx: &Context<'_>, each: bool) {
        // SAFETY: the core is that of a static executor; whoever polls a `Wait` has it pinned, and its drop ends the watch.
        self.node.set_waker(cx, |cs| unsafe {
            Core::watch_region(self.region.place, cs, &raw const self.node, each);
        });
    }

    fn progress(&self, collect: bool) -> Progress {
        // SAFETY: the core is that of a static executor.
        unsafe { Core::progress(self.region.place, collect) }
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        // SAFETY: the core is that of a static executor.
        with_lock(|cs| unsafe { Core::watch_region(self.region.place, cs, core::ptr::null(), false) });
    }
}

/// Waits until a region has closed; made by [`Region::close`].
///
/// # Cancellation
///
/// When the task that awaits it is asked to stop, it is ready at once, with [`CloseError::Cancelled`]. Dropping it after its
/// first poll leaves the region closing.
#[must_use = "futures do nothing unless awaited"]
pub struct Close<'a> {
    wait: Wait<'a>,
    asked: bool,
}

impl Future for Close<'_> {
    type Output = Result<(), CloseError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: nothing is moved out of the pinned value.
        let this = unsafe { self.get_unchecked_mut() };
        if !this.asked {
            if let Some(error) = this.wait.refusal(cx) {
                return Poll::Ready(Err(error));
            }
            // SAFETY: the core is that of a static executor.
            if !unsafe { Core::close_region(this.wait.region.place, Reason::ParentClosed) } {
                return Poll::Ready(Err(CloseError::Closed));
            }
            this.asked = true;
        }
        this.wait.register(cx, false);
        match (this.wait.progress(true), heard(cx)) {
            (Progress::Closed, _) => Poll::Ready(Ok(())),
            (Progress::Gone, _) => Poll::Ready(Err(CloseError::Closed)),
            (_, Some(reason)) => Poll::Ready(Err(CloseError::Cancelled(reason))),
            (Progress::Empty | Progress::Busy, None) => Poll::Pending,
        }
    }
}

/// Waits until nobody in a region is alive; made by [`Region::join_all`].
///
/// # Cancellation
///
/// As for [`Close`], but dropping it changes nothing.
#[must_use = "futures do nothing unless awaited"]
pub struct JoinAll<'a> {
    wait: Wait<'a>,
}

impl Future for JoinAll<'_> {
    type Output = Result<(), CloseError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.into_ref();
        if let Some(error) = this.wait.refusal(cx) {
            return Poll::Ready(Err(error));
        }
        this.wait.register(cx, false);
        match (this.wait.progress(false), heard(cx)) {
            (Progress::Gone, _) => Poll::Ready(Err(CloseError::Closed)),
            (Progress::Empty | Progress::Closed, _) => Poll::Ready(Ok(())),
            (Progress::Busy, Some(reason)) => Poll::Ready(Err(CloseError::Cancelled(reason))),
            (Progress::Busy, None) => Poll::Pending,
        }
    }
}

impl Wait<'_> {
    /// Registers for each member's end; for a join set, which looks at its handles before and after.
    pub(super) fn register_each(&self, cx: &Context<'_>) {
        self.register(cx, true);
    }
}
