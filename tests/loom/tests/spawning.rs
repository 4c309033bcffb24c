//! Spawns from other contexts while the runner passes.
#![cfg(trilane_loom)]

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;

use loom::thread;
use trilane::exec::{Attributes, SpawnErrorKind, TaskOptions};
use trilane::time::Instant;
use trilane_loom::{Plain, Stage, check};

/// Counts what tasks do. They all run in the runner's thread, so the checker needn't know of it.
type Tally = Arc<AtomicU32>;

fn count(tally: &Tally) -> u32 {
    tally.load(Ordering::Relaxed)
}

/// Spawns a task that reads what this thread has just written, and says so in `done`.
fn spawn_letter<const BANKS: usize, const PER_BANK: usize>(
    stage: Stage<BANKS, PER_BANK>,
    options: TaskOptions,
    done: &Tally,
) -> Result<(), SpawnErrorKind> {
    let (letter, done) = (Plain::new(), done.clone());
    letter.set(7);
    let task = poll_fn(move |_| {
        assert_eq!(letter.get(), 7);
        done.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(())
    });
    match stage.executor.spawn_with(options, stage.pool, |_cx| task) {
        Ok(handle) => {
            drop(handle);
            Ok(())
        }
        Err(error) => Err(error.kind),
    }
}

#[test]
fn a_task_spawned_while_the_runner_passes_is_polled_whole() {
    check(|| {
        let (stage, mut runner) = Stage::<1, 2>::set();
        let done = Tally::default();
        let spawner = {
            let done = done.clone();
            thread::spawn(move || spawn_letter(stage, TaskOptions::new(), &done).unwrap())
        };
        runner.run_until(|| count(&done) == 1);
        spawner.join().unwrap();
        let counters = stage.executor.counters();
        assert_eq!((counters.spawns, counters.polls, counters.completions), (1, 1, 1));
    });
}

#[test]
fn a_task_with_a_deadline_spawned_while_the_runner_passes_is_polled_whole() {
    check(|| {
        let (stage, mut runner) = Stage::<1, 2>::set();
        let done = Tally::default();
        let spawner = {
            let done = done.clone();
            let timed = TaskOptions::new().deadline(Instant::from_millis(1));
            thread::spawn(move || spawn_letter(stage, timed, &done).unwrap())
        };
        runner.run_until(|| count(&done) == 1);
        spawner.join().unwrap();
    });
}

#[test]
fn two_spawners_of_an_executor_with_one_slot_left_get_it_once() {
    check(|| {
        let (stage, mut runner) = Stage::<1, 1>::set();
        let done = Tally::default();
        let spawners = [0, 0].map(|_| {
            let done = done.clone();
            thread::spawn(move || spawn_letter(stage, TaskOptions::new(), &done))
        });
        let mut spawned = spawners.map(|spawner| spawner.join().unwrap());
        spawned.sort_unstable_by_key(Result::is_err);
        assert_eq!(spawned, [Ok(()), Err(SpawnErrorKind::ExecutorFull)]);
        runner.poll_pending(Instant::ZERO);
        assert_eq!(count(&done), 1);
    });
}

#[test]
fn a_spawn_into_a_full_executor_says_so_or_takes_the_slot_of_the_task_that_ends() {
    check(|| {
        let (stage, mut runner) = Stage::<1, 1>::set();
        let done = Tally::default();
        spawn_letter(stage, TaskOptions::new(), &done).unwrap();
        let spawner = {
            let done = done.clone();
            thread::spawn(move || spawn_letter(stage, TaskOptions::new(), &done))
        };
        runner.run_until(|| count(&done) >= 1);
        if let Err(kind) = spawner.join().unwrap() {
            assert_eq!(kind, SpawnErrorKind::ExecutorFull);
            assert_eq!(count(&done), 1);
            // By now the slot is back.
            spawn_letter(stage, TaskOptions::new(), &done).unwrap();
        }
        runner.run_until(|| count(&done) == 2);
        assert_eq!(stage.executor.tasks().count(), 0);
    });
}

#[test]
fn a_stale_waker_never_leads_to_a_half_spawned_task() {
    check(|| {
        let (stage, mut runner) = Stage::<1, 1>::set();
        let done = Tally::default();
        let (handle, stale) = stage.spawn_asleep(&mut runner, TaskOptions::new(), |_| Poll::Ready(()));
        drop(handle);
        stale.wake_by_ref();
        runner.poll_pending(Instant::ZERO);

        let late = thread::spawn(move || stale.wake());
        let spawner = {
            let done = done.clone();
            thread::spawn(move || spawn_letter(stage, TaskOptions::new(), &done).unwrap())
        };
        runner.run_until(|| count(&done) == 1);
        late.join().unwrap();
        spawner.join().unwrap();
    });
}

static LETTER: Attributes = Attributes::named("letter");

#[test]
fn a_dump_during_a_spawn_and_a_run_shows_the_task_or_not() {
    check(|| {
        let (stage, mut runner) = Stage::<1, 1>::set();
        let done = Tally::default();
        let spawner = {
            let done = done.clone();
            let named = TaskOptions::new().attributes(&LETTER).deadline(Instant::from_millis(1));
            thread::spawn(move || spawn_letter(stage, named, &done).unwrap())
        };
        let watcher = thread::spawn(move || {
            for line in stage.executor.tasks() {
                assert_eq!(line.name, "letter");
                assert_eq!(line.deadline, Some(Instant::from_millis(1)));
                assert_eq!(line.id.slot(), 0);
            }
        });
        runner.run_until(|| count(&done) == 1);
        spawner.join().unwrap();
        watcher.join().unwrap();
    });
}
