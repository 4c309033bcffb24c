//! A span of `tracing` for each task of a shard.

use std::cell::Cell;
use std::fmt;
use std::mem;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::sync::{OnceLock, PoisonError};

use tracing::{Dispatch, Id, Span, trace, trace_span};
use trilane::exec::{RegionId, TaskId, TraceEvent};

use super::crew::SHARD;
use super::work::forget;
use crate::sync::{Mutex, thread_local};

/// What is known of a task where it is spawned.
#[derive(Clone, Copy)]
pub(super) struct Site {
    pub at: &'static Location<'static>,
    pub region: Option<RegionId>,
}

thread_local! {
    /// That of the task that this thread is about to spawn by a handle.
    static SITE: Cell<Option<Site>> = const { Cell::new(None) };
}

impl Site {
    /// Calls `spawn`, whose first task it is of.
    pub fn during<T>(self, spawn: impl FnOnce() -> T) -> T {
        SITE.set(Some(self));
        let spawned = spawn();
        SITE.set(None);
        spawned
    }
}

/// The spans of the tasks in a shard's slots. No memory until there is one.
#[derive(Default)]
pub(super) struct Spans(OnceLock<Box<[Mutex<Span>]>>);

impl fmt::Debug for Spans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spans").finish_non_exhaustive()
    }
}

impl Spans {
    /// Does what the shard's event asks for. A panic of the program's subscriber goes no further: it would be
    /// taken for one of the task.
    pub fn trace(&self, shard: usize, event: TraceEvent) {
        let _ = catch_unwind(AssertUnwindSafe(|| match event {
            TraceEvent::Spawned { id, name } => self.begin(shard, id, name),
            TraceEvent::PollStarts { id } => {
                if let Some((span, dispatch)) = self.get(id) {
                    // Else the console takes all the time between two polls for time in a queue.
                    trace!(target: "runtime::waker", op = "waker.wake_by_ref", task.id = span.into_u64());
                    dispatch.enter(&span);
                }
            }
            TraceEvent::PollEnds { id } => {
                if let Some((span, dispatch)) = self.get(id) {
                    dispatch.exit(&span);
                }
            }
            TraceEvent::Ended { id } => drop(self.replace(id, Span::none())),
            _ => {}
        }))
        .map_err(forget);
    }

    fn begin(&self, shard: usize, task: TaskId, name: &'static str) {
        let site = SITE.take();
        let (at, slot) = (site.map(|site| site.at), task.slot());
        let span = trace_span!(
            target: "trilane::task",
            parent: None,
            "runtime.spawn",
            kind = "task",
            task.name = name,
            task.id = u64::from(task.generation()) << 32 | (shard as u64) << 16 | u64::from(slot),
            shard,
            slot,
            region = site.and_then(|site| site.region).map(tracing::field::debug),
            loc.file = at.map(Location::file),
            loc.line = at.map(Location::line),
            loc.col = at.map(Location::column),
        );
        if let Some(id) = span.id() {
            self.0.get_or_init(|| (0..SHARD).map(|_| Mutex::new(Span::none())).collect());
            drop(self.replace(task, span));
            // Else the console takes a task that waits for lost: wakers are not counted here.
            trace!(target: "runtime::waker", op = "waker.clone", task.id = id.into_u64());
        }
    }

    fn slot(&self, task: TaskId) -> Option<&Mutex<Span>> {
        self.0.get()?.get(usize::from(task.slot()))
    }

    /// The task's span, and whose it is. The lock is free when they are used, which calls the program's code.
    fn get(&self, task: TaskId) -> Option<(Id, Dispatch)> {
        let span = self.slot(task)?.lock().unwrap_or_else(PoisonError::into_inner);
        span.with_subscriber(|(id, dispatch)| (id.clone(), dispatch.clone()))
    }

    /// The span that was there before; its drop calls the program's code.
    fn replace(&self, task: TaskId, span: Span) -> Option<Span> {
        let mut slot = self.slot(task)?.lock().unwrap_or_else(PoisonError::into_inner);
        Some(mem::replace(&mut *slot, span))
    }
}
