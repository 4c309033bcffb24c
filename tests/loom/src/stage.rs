//! How a model is run, and the executor that plays in it.

use std::future::poll_fn;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use trilane::exec::{Cx, Executor, JoinHandle, Regions, Runner, TaskOptions, TaskPool};
use trilane::time::Instant;

use crate::Sleeper;

/// How often the checker takes the processor away from a thread that could go on.
///
/// Without a bound, an executor's pass has too many steps to try all orders. Two are enough for each of some
/// thirty faults that were put into the core to see the models fail (a weaker ordering, a lock left out, two
/// lines exchanged): one thread comes in between two steps of another and is interrupted itself. With three,
/// the models of tasks that are asked to stop take half an hour.
const PREEMPTIONS: usize = 2;

/// Runs `model` in every order of its threads' steps with up to two preemptions, and with every value that
/// the orderings of its loads allow.
pub fn check(model: impl Fn() + Send + Sync + 'static) {
    check_with(PREEMPTIONS, model);
}

/// The same with up to `preemptions`, for models of many steps.
pub fn check_with(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut checker = loom::model::Builder::new();
    checker.preemption_bound.get_or_insert(preemptions);
    checker.max_branches = 10_000;
    let runs = Arc::new(AtomicU32::new(0));
    let began = std::time::Instant::now();
    let counted = runs.clone();
    checker.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        // Made by the first thread, so that making it orders nothing later.
        critical_section::with(|_| ());
        model();
    });
    println!("{} runs in {:.1?}", runs.load(Ordering::Relaxed), began.elapsed());
}

/// A poll function that first shows its waker, and later calls `poll`; and what gives the waker then.
pub fn showing<T>(
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<T> + Send + 'static,
) -> (impl FnMut(&mut Context<'_>) -> Poll<T> + Send + 'static, impl FnOnce() -> Waker) {
    let shown: Arc<Mutex<Option<Waker>>> = Arc::default();
    let show = shown.clone();
    let mut is_first = true;
    let poll = move |cx: &mut Context<'_>| {
        if is_first {
            is_first = false;
            *show.lock().unwrap() = Some(cx.waker().clone());
            return Poll::Pending;
        }
        poll(cx)
    };
    (poll, move || shown.lock().unwrap().take().unwrap())
}

/// An executor, with room for two regions, and a pool, for one run of a model; they are leaked, to be reached
/// as statics are.
#[derive(Clone, Copy)]
pub struct Stage<const BANKS: usize, const PER_BANK: usize> {
    /// The executor.
    pub executor: &'static Executor<Sleeper, BANKS, PER_BANK>,
    /// The pool.
    pub pool: &'static TaskPool<256, 3>,
}

impl<const BANKS: usize, const PER_BANK: usize> Stage<BANKS, PER_BANK> {
    /// A started executor; the runner stays with the thread that calls this.
    pub fn set() -> (Self, Runner<Sleeper, BANKS, PER_BANK>) {
        let regions: &Regions<2> = Box::leak(Box::new(Regions::new()));
        let executor: &_ = Box::leak(Box::new(Executor::new(Sleeper::new()))).with_regions(regions);
        let pool = Box::leak(Box::new(TaskPool::new()));
        (Self { executor, pool }, executor.start().unwrap())
    }

    /// Spawns a task that has no await of its own: each of its polls calls `poll`.
    pub fn spawn<T: Send + 'static>(
        self,
        poll: impl FnMut(&mut Context<'_>) -> Poll<T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.executor.spawn(self.pool, |_cx| poll_fn(poll)).unwrap()
    }

    /// Spawns a task that waits already: its first poll, made here, shows its waker; the later ones call
    /// `poll`.
    pub fn spawn_asleep<T: Send + 'static>(
        self,
        runner: &mut Runner<Sleeper, BANKS, PER_BANK>,
        options: TaskOptions,
        poll: impl FnMut(&mut Context<'_>) -> Poll<T> + Send + 'static,
    ) -> (JoinHandle<T>, Waker) {
        let (poll, shown) = showing(poll);
        let handle = self.executor.spawn_with(options, self.pool, |_cx| poll_fn(poll)).unwrap();
        runner.poll_pending(Instant::ZERO);
        (handle, shown())
    }

    /// The context of a task that is over: by it, whoever is no task sleeps.
    pub fn spawn_for_cx(self, runner: &mut Runner<Sleeper, BANKS, PER_BANK>) -> Cx {
        let mut handle = self.executor.spawn(self.pool, |cx| async move { cx }).unwrap();
        runner.poll_pending(Instant::ZERO);
        handle.try_join().unwrap().unwrap()
    }
}
