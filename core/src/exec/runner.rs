//! Driving an executor.

use core::fmt;
use core::marker::PhantomData;

use super::executor::Executor;
use super::memory::core::ExecRef;
use super::run::pass::{self, Pass};
use super::run::platform::Platform;
use super::spawner::LocalSpawner;
use crate::sync::Ordering;
use crate::time::Instant;

/// The one that polls an executor's tasks. It stays in the context that started it.
pub struct Runner<P: Platform, const BANKS: usize, const PER_BANK: usize> {
    executor: &'static Executor<P, BANKS, PER_BANK>,
    _not_send: PhantomData<*const ()>,
}

/// As a literal, so that a panic with it formats nothing.
macro_rules! started_before {
    () => {
        "the executor has been started before: keep the runner of the first start"
    };
}

/// The executor has been started before; it has one runner for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct AlreadyStarted;

impl fmt::Display for AlreadyStarted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(started_before!())
    }
}

impl core::error::Error for AlreadyStarted {}

impl<P: Platform, const BANKS: usize, const PER_BANK: usize> Executor<P, BANKS, PER_BANK> {
    /// Starts the executor in the context that calls this, for ever.
    ///
    /// # Errors
    ///
    /// [`AlreadyStarted`] at any further call.
    pub fn start(&'static self) -> Result<Runner<P, BANKS, PER_BANK>, AlreadyStarted> {
        let core = self.exec().as_ptr();
        // SAFETY: the executor is static.
        let core = unsafe { &*core };
        if core.started.swap(true, Ordering::Relaxed) {
            return Err(AlreadyStarted);
        }
        core.watched.store(self.platform.watch_alarm(&core.look), Ordering::Relaxed);
        Ok(Runner::new(self))
    }

    /// Starts the executor, lets `init` spawn, and runs for ever.
    ///
    /// # Panics
    ///
    /// When the executor has been started before; and with a task's panic, as [`Runner::poll_pending`]. The
    /// runner is gone then, so where panics unwind and the rest is to go on, use [`start`](Self::start).
    pub fn run(&'static self, init: impl FnOnce(LocalSpawner<P, BANKS, PER_BANK>)) -> ! {
        let Ok(mut runner) = self.start() else { panic!(started_before!()) };
        init(runner.spawner());
        runner.run()
    }
}

impl<P: Platform, const BANKS: usize, const PER_BANK: usize> Runner<P, BANKS, PER_BANK> {
    /// The most polls of one pass: the capacity, but at least 128, so that reading the clock once a pass
    /// costs little.
    pub const POLLS_PER_PASS: u32 = {
        let capacity = (BANKS * PER_BANK) as u32;
        if capacity > 128 { capacity } else { 128 }
    };

    pub(super) fn new(executor: &'static Executor<P, BANKS, PER_BANK>) -> Self {
        Self { executor, _not_send: PhantomData }
    }

    /// The executor.
    pub const fn executor(&self) -> &'static Executor<P, BANKS, PER_BANK> {
        self.executor
    }

    /// Spawns tasks that stay in this context.
    pub const fn spawner(&self) -> LocalSpawner<P, BANKS, PER_BANK> {
        LocalSpawner::new(self.executor)
    }

    /// The time of the latest pass.
    pub fn now(&self) -> Instant {
        self.exec().pass_time()
    }

    /// One pass: wakes whose sleep is over at `now`, then polls what is woken until nothing is,
    /// [`POLLS_PER_PASS`](Self::POLLS_PER_PASS) have been made, or the platform says that its alarm is due.
    ///
    /// Plain tasks are polled in rounds, in which each woken one has one poll; special ones (with a priority,
    /// deadline or quota, or asked to stop) go by the lanes, before each poll. A task that keeps waking
    /// itself neither holds up its equals nor the pass. A `now` before that of an earlier pass is counted and
    /// taken as that one.
    ///
    /// Cost beside the polls: O(log n) a due sleep, O(1) a poll in a round, one lane operation a poll of a
    /// special task.
    ///
    /// # Panics
    ///
    /// When a task does, or other code of yours that is called: a waker, a hook, a finaliser. On hosts
    /// the panic leaves this function; the task is over, and its join gives
    /// [`JoinError::Panicked`](super::JoinError::Panicked). Catch the panic, and call again to go on with the
    /// others. Firmware aborts.
    ///
    /// ```
    /// use std::panic::{AssertUnwindSafe, catch_unwind};
    /// # use trilane::exec::{Executor, JoinError, Manual, TaskPool};
    /// # use trilane::time::Instant;
    /// # static POOL: TaskPool<16, 2> = TaskPool::new();
    /// # static EXECUTOR: Executor<Manual, 1, 2> = Executor::new(Manual::new());
    /// # let mut runner = EXECUTOR.start().unwrap();
    ///
    /// let mut bad = EXECUTOR.spawn(&POOL, |_| async { panic!("on purpose") }).unwrap();
    /// let mut good = EXECUTOR.spawn(&POOL, |_| async { 7 }).unwrap();
    /// while !good.is_finished() {
    ///     let _ = catch_unwind(AssertUnwindSafe(|| runner.poll_pending(Instant::ZERO)));
    /// }
    /// assert_eq!(bad.try_join(), Some(Err::<(), _>(JoinError::Panicked)));
    /// assert_eq!(good.try_join(), Some(Ok(7)));
    /// ```
    pub fn poll_pending(&mut self, now: Instant) -> Pass {
        pass::pass(self.exec(), self.executor, Some(now), Self::POLLS_PER_PASS)
    }

    /// A pass that first polls the plain task that an interrupt has woken, and then reads the clock.
    #[inline(always)]
    fn pass_promptly(&mut self) -> Pass {
        pass::pass(self.exec(), self.executor, None, Self::POLLS_PER_PASS)
    }

    /// When the next pass is due if nothing is woken before: at the earliest end of a sleep or of a clean-up.
    pub fn next_alarm(&self) -> Option<Instant> {
        let exec = self.exec();
        Some(exec.locked(|cs| pass::next_due(exec, cs))).filter(|&due| due < Instant::MAX)
    }

    /// Whether a pass would do something now. Plain loads.
    pub fn is_runnable(&self) -> bool {
        pass::is_runnable(self.exec(), BANKS > 1)
    }

    /// Passes for ever, sleeping in between.
    ///
    /// # Panics
    ///
    /// With a task, as [`poll_pending`](Self::poll_pending); call again to go on.
    pub fn run(&mut self) -> ! {
        loop {
            self.run_until(|| false);
        }
    }

    /// Passes until `done`, which is looked at after each pass, sleeping in between.
    ///
    /// # Panics
    ///
    /// With a task, as [`poll_pending`](Self::poll_pending); call again to go on.
    pub fn run_until(&mut self, mut done: impl FnMut() -> bool) {
        loop {
            let pass = self.pass_promptly();
            if done() {
                return;
            }
            if !pass.more {
                pass::set_alarm(self.exec());
                self.executor.platform.idle(&|| pass::is_quiet(self.exec(), BANKS > 1, P::WATCHES));
            }
        }
    }

    /// One round for an owner that returns instead of sleeping: a pass, then the platform's alarm. If
    /// something is runnable still, the platform is pended, so that the owner is called again.
    ///
    /// This is what an interrupt's handler does ([`Handler`](super::Handler)), or a thread with an event loop
    /// of its own.
    ///
    /// # Panics
    ///
    /// With a task, as [`poll_pending`](Self::poll_pending); call again to go on.
    pub fn drive(&mut self) {
        if BANKS == 1 {
            let polls = Self::POLLS_PER_PASS;
            let polled = match P::TRACES || P::TIMES_POLLS {
                false => pass::poll_promptly::<false>(self.exec(), polls),
                true => pass::poll_promptly::<true>(self.exec(), polls),
            };
            self.drive_on(polls - u32::from(polled));
        } else {
            self.drive_on(Self::POLLS_PER_PASS);
        }
    }

    /// [`drive`](Self::drive) after what is polled promptly.
    #[inline(never)]
    fn drive_on(&mut self, polls: u32) {
        let now = if BANKS == 1 { Some(self.executor.platform.now()) } else { None };
        let mut more = pass::pass(self.exec(), self.executor, now, polls).more;
        if !more {
            pass::set_alarm(self.exec());
            // As before a sleep: what came meanwhile needs another round.
            more = self.is_runnable();
        }
        if more {
            self.executor.platform.pend();
        }
    }

    #[inline(always)]
    fn exec(&self) -> ExecRef {
        self.executor.exec_of_runner()
    }
}
