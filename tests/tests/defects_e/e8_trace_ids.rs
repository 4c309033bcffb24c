//! E8: a task's respawn corrupted the trace's task list.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use trilane::exec::{Attributes, Executor, TaskId, TaskOptions, TraceEvent};
use trilane::time::Duration;
use trilane_tests::future::parked;
use trilane_tests::platform::Watched;
use trilane_tests::{leak, pool, settle, us};

#[test]
fn the_next_task_of_a_slot_has_another_id() {
    let executor = leak(Executor::<_, 1, 1>::new(Watched::new()));
    let mut runner = executor.start().unwrap();
    let pool = pool::<1>();
    let mut ids = Vec::new();
    for _ in 0..100 {
        let task = executor.spawn(pool, |_| async {}).unwrap();
        assert_eq!(task.id().slot(), 0);
        ids.push(task.id());
        drop(task);
        settle(&mut runner, us(0));
    }
    let spawned: Vec<TaskId> = executor.platform().events.take().into_iter().filter_map(spawned).collect();
    assert_eq!(spawned, ids);
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 100);
}

fn spawned(event: TraceEvent) -> Option<TaskId> {
    match event {
        TraceEvent::Spawned { id, .. } => Some(id),
        _ => None,
    }
}

/// A task list as a trace viewer keeps it.
#[derive(Default)]
struct Viewer {
    alive: HashMap<TaskId, Seen>,
    polls: u32,
}

/// What a viewer knows of a task.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Seen {
    Waiting,
    Polled,
    /// It has ended, and its last poll goes on.
    Ending,
}

impl Viewer {
    fn see(&mut self, event: TraceEvent) {
        use TraceEvent::{Ended, PollEnds, PollStarts, Spawned};
        let (Spawned { id, .. } | PollStarts { id } | PollEnds { id } | Ended { id }) = event else {
            panic!("{event:?} is unknown to this test");
        };
        let next = match (self.alive.remove(&id), event) {
            (None, Spawned { .. }) => Some(Seen::Waiting),
            (Some(Seen::Waiting), PollStarts { .. }) => Some(Seen::Polled),
            (Some(Seen::Polled), PollEnds { .. }) => Some(Seen::Waiting),
            (Some(Seen::Polled), Ended { .. }) => Some(Seen::Ending),
            (Some(Seen::Waiting), Ended { .. }) | (Some(Seen::Ending), PollEnds { .. }) => None,
            (seen, event) => panic!("{event:?} of a task that was {seen:?}"),
        };
        self.polls += u32::from(matches!(event, PollStarts { .. }));
        self.alive.extend(next.map(|next| (id, next)));
    }
}

#[test]
fn a_trace_tells_whole_lives() {
    let executor = leak(Executor::<_, 3, 2>::new(Watched::new()));
    let mut runner = executor.start().unwrap();
    let pool = pool::<6>();
    let mut viewer = Viewer::default();
    for round in 0..20u64 {
        for naps in 0..3 {
            drop(executor.spawn(pool, |cx| async move {
                for _ in 0..naps {
                    cx.sleep(Duration::from_micros(1)).await.unwrap();
                }
            }));
        }
        let doomed = TaskOptions::new().poll_quota(std::num::NonZeroU16::MIN);
        drop(executor.spawn_with(doomed, pool, |cx| async move {
            loop {
                cx.yield_now().await;
            }
        }));
        for now in 0..5 {
            settle(&mut runner, us(round * 5 + now));
        }
    }
    executor.platform().events.take().into_iter().for_each(|event| viewer.see(event));
    assert!(viewer.alive.is_empty(), "{:?}", viewer.alive);
    assert_eq!(viewer.polls, executor.counters().polls);
}

#[test]
fn a_trace_tells_the_end_of_a_task_that_panics() {
    let executor = leak(Executor::<_, 1, 2>::new(Watched::new()));
    let mut runner = executor.start().unwrap();
    let pool = pool::<2>();
    drop(executor.spawn(pool, |_| async { panic!("as planned") }));
    catch_unwind(AssertUnwindSafe(|| runner.poll_pending(us(0)))).unwrap_err();
    let mut viewer = Viewer::default();
    executor.platform().events.take().into_iter().for_each(|event| viewer.see(event));
    assert!(viewer.alive.is_empty(), "{:?}", viewer.alive);
}

#[test]
fn a_trace_tells_the_end_of_a_task_whose_build_panics() {
    let executor = leak(Executor::<_, 1, 2>::new(Watched::new()));
    let pool = pool::<2>();
    let build = |_| -> std::future::Ready<()> { panic!("as planned") };
    catch_unwind(AssertUnwindSafe(|| drop(executor.spawn(pool, build)))).unwrap_err();
    let mut viewer = Viewer::default();
    let events = executor.platform().events.take();
    assert_eq!(events.len(), 2);
    events.into_iter().for_each(|event| viewer.see(event));
    assert!(viewer.alive.is_empty(), "{:?}", viewer.alive);
}

#[test]
fn a_trace_names_tasks() {
    let executor = leak(Executor::<_, 1, 2>::new(Watched::new()));
    let pool = pool::<2>();
    drop(executor.spawn_with(
        TaskOptions::new().attributes(const { &Attributes::named("reporter") }),
        pool,
        |_| parked(),
    ));
    drop(executor.spawn(pool, |_| parked()));
    let names: Vec<&str> = executor.platform().events.take().into_iter().filter_map(name).collect();
    assert_eq!(names[0], "reporter");
    assert!(names[1].contains("parked"), "{}", names[1]);
}

fn name(event: TraceEvent) -> Option<&'static str> {
    match event {
        TraceEvent::Spawned { name, .. } => Some(name),
        _ => None,
    }
}
