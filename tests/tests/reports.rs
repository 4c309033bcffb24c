//! What an executor tells of itself: counters, dumps, names, stalls, poll times.

use std::num::NonZeroU16;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use trilane::exec::{
    Attributes, Counters, Executor, Manual, OnMiss, Stall, StallWatch, TaskOptions, TaskState,
};
use trilane::sched::{Lane, Priority};
use trilane::time::Duration;
use trilane_tests::future::{Bell, parked};
use trilane_tests::platform::Watched;
use trilane_tests::{Log, leak, manual, pool, settle, us};

#[test]
fn a_dump_has_one_line_for_each_task() {
    let mut runner = manual::<3, 2>();
    let executor = runner.executor();
    let pool = pool::<6>();
    let options = TaskOptions::new()
        .attributes(const { &Attributes::named("pump") })
        .priority(Priority::of::<5>())
        .deadline(us(70));
    let pump = executor.spawn_with(options, pool, |_| parked()).unwrap();
    let finished = executor.spawn(pool, |_| async { 1 }).unwrap();
    let nameless = executor.spawn(pool, |_| parked()).unwrap();
    drop(executor.spawn(pool, |_| async {}));
    settle(&mut runner, us(0));

    let dump: Vec<_> = executor.tasks().collect();
    let ids: Vec<_> = dump.iter().map(|task| task.id).collect();
    assert_eq!(ids, [pump.id(), finished.id(), nameless.id()]);
    assert_eq!(dump.iter().map(|task| task.id.slot()).collect::<Vec<_>>(), [0, 1, 32]);
    assert_eq!(
        dump.iter().map(|task| task.state).collect::<Vec<_>>(),
        [TaskState::Waiting, TaskState::Done, TaskState::Waiting]
    );
    assert_eq!(
        (dump[0].name, dump[0].priority, dump[0].deadline),
        ("pump", Priority::of::<5>(), Some(us(70)))
    );
    assert_eq!((dump[2].priority, dump[2].deadline), (Priority::LOWEST, None));
    assert!(dump[2].name.contains("parked"), "{}", dump[2].name);
    assert_eq!(executor.task(pump.id()).unwrap().name, "pump");
}

#[test]
fn a_dump_from_within_a_poll_tells_who_runs_and_who_waits_in_which_lane() {
    let mut runner = manual::<1, 8>();
    let executor = runner.executor();
    let pool = pool::<8>();
    let states: &Log<TaskState> = leak(Log::new());
    let first = TaskOptions::new().deadline(us(0));
    drop(executor.spawn_with(first, pool, |_| async {
        executor.tasks().for_each(|task| states.push(task.state));
    }));
    drop(executor.spawn_with(TaskOptions::new().deadline(us(9)), pool, |_| parked()));
    drop(executor.spawn_with(TaskOptions::new().priority(Priority::of::<1>()), pool, |_| parked()));
    drop(executor.spawn(pool, |_| parked()));
    settle(&mut runner, us(0));
    // A plain task waits in its round.
    assert_eq!(
        states.take(),
        [
            TaskState::Running,
            TaskState::Queued(Lane::Timed),
            TaskState::Queued(Lane::Ready),
            TaskState::Woken
        ]
    );
}

#[test]
fn a_dump_tells_a_task_that_is_woken_from_one_that_waits() {
    let mut runner = manual::<1, 2>();
    let executor = runner.executor();
    let bell: &Bell = leak(Bell::new());
    let task = executor.spawn(pool::<1>(), |_| bell.forever()).unwrap();
    let state = || executor.task(task.id()).unwrap().state;
    assert_eq!(state(), TaskState::Woken);
    settle(&mut runner, us(0));
    assert_eq!(state(), TaskState::Waiting);
    bell.ring();
    assert_eq!(state(), TaskState::Woken);
}

#[test]
fn every_wake_is_counted_somewhere() {
    let mut runner = manual::<1, 8>();
    let executor = runner.executor();
    let pool = pool::<8>();
    let bells: &[Bell; 4] = leak([const { Bell::new() }; 4]);
    drop(executor.spawn(pool, |_| bells[0].forever()));
    drop(executor.spawn(pool, |_| bells[1].until(2)));
    let quota = TaskOptions::new().poll_quota(NonZeroU16::MIN);
    drop(executor.spawn_with(quota, pool, |_| bells[2].forever()));
    let late = TaskOptions::new().deadline(us(5)).on_miss(OnMiss::Cancel);
    drop(executor.spawn_with(late, pool, |_| bells[3].forever()));
    let mut wakes = 4;
    for round in 0..10 {
        settle(&mut runner, us(round));
        for bell in bells {
            bell.ring();
            bell.ring();
            wakes += 2;
        }
    }
    settle(&mut runner, us(10));
    let counters = executor.counters();
    let requests = counters.cancelled_by_deadline + counters.cancelled_by_quota;
    // A request wakes its task.
    assert_eq!(counters.wakes + counters.coalesced + counters.stale_wakes, wakes + requests);
    assert_eq!(counters.wakes, counters.polls + counters.diverted);
    assert_eq!((counters.spawns, counters.completions, requests), (4, 1, 2));
    assert_eq!(counters.polls, bells.iter().map(Bell::polls).sum());
}

#[test]
fn the_deepest_lane_is_a_high_water_mark() {
    let mut runner = manual::<1, 8>();
    let executor = runner.executor();
    let pool = pool::<8>();
    let urgent = TaskOptions::new().priority(Priority::of::<1>());
    drop(executor.spawn_with(urgent, pool, |_| async {}));
    for _ in 0..5 {
        drop(executor.spawn(pool, |_| async {}));
    }
    settle(&mut runner, us(0));
    assert_eq!(executor.counters().deepest_lane, 1, "plain tasks need no lane");
    for _ in 0..5 {
        drop(executor.spawn_with(urgent, pool, |_| async {}));
    }
    settle(&mut runner, us(0));
    assert_eq!(executor.counters().deepest_lane, 5);
    drop(executor.spawn_with(urgent, pool, |_| async {}));
    settle(&mut runner, us(0));
    assert_eq!(executor.counters().deepest_lane, 5);
}

#[test]
fn counters_of_several_executors_add_up() {
    let runners = [3, 5].map(|tasks| {
        let mut runner = manual::<1, 8>();
        let pool = pool::<8>();
        for number in 0..tasks {
            let urgent = TaskOptions::new().priority(Priority::of::<1>());
            drop(runner.executor().spawn_with(urgent, pool, move |_| async move { assert_ne!(number, 1) }));
        }
        // Each panic leaves the runner.
        catch_unwind(AssertUnwindSafe(|| settle(&mut runner, us(0)))).unwrap_err();
        settle(&mut runner, us(0));
        runner
    });
    let counters: Counters = runners.iter().map(|runner| runner.executor().counters()).sum();
    assert_eq!(counters.spawns, 8);
    assert_eq!((counters.completions, counters.panics, counters.deepest_lane), (6, 2, 5));
    let twice = counters + counters;
    assert_eq!((twice.spawns, twice.deepest_lane), (16, 5));
}

#[test]
fn the_longest_poll_is_measured_in_the_platforms_ticks() {
    let executor = leak(Executor::<_, 1, 4>::new(Watched::new()));
    let mut runner = executor.start().unwrap();
    let pool = pool::<4>();
    for ticks in [5, u32::MAX - 10, 20, 7] {
        // The counter wraps around on the way.
        let ticks = if ticks > 100 {
            executor.platform().tick(ticks);
            1
        } else {
            ticks
        };
        drop(executor.spawn(pool, move |_| async move { executor.platform().tick(ticks) }));
        settle(&mut runner, us(0));
    }
    assert_eq!(executor.counters().longest_poll, 20);
}

/// The time by which a poll goes on while a watch looks from outside.
static CLOCK: AtomicU64 = AtomicU64::new(0);

#[test]
fn a_stalled_poll_is_reported_once_with_its_task() {
    let executor = leak(Executor::<_, 1, 4>::new(Manual::new()));
    let mut runner = executor.start().unwrap();
    let mut watch = StallWatch::new(executor, Duration::from_micros(50));
    let mut check = move || watch.check(us(CLOCK.fetch_add(20, SeqCst)));
    assert_eq!(check(), None);
    let stalls: &Log<Stall> = leak(Log::new());
    let mut task = executor
        .spawn(pool::<1>(), |cx| async move {
            for _ in 0..2 {
                for _ in 0..10 {
                    if let Some(stall) = check() {
                        stalls.push(stall);
                    }
                }
                cx.yield_now().await;
            }
            check
        })
        .unwrap();
    settle(&mut runner, us(0));
    let reported = stalls.take();
    assert_eq!(reported.len(), 2, "each poll stalls once: {reported:?}");
    assert!(reported.iter().all(|stall| stall.task == task.id()));
    assert!(reported.iter().all(|stall| stall.lasted >= Duration::from_micros(50)));
    let mut check = task.try_join().unwrap().unwrap();
    assert!((0..10).all(|_| check().is_none()), "nothing is being polled");
}

#[test]
fn many_short_polls_are_no_stall() {
    let executor = leak(Executor::<_, 1, 4>::new(Manual::new()));
    let mut runner = executor.start().unwrap();
    let mut watch = StallWatch::new(executor, Duration::from_micros(50));
    let mut task = executor
        .spawn(pool::<1>(), |cx| async move {
            let mut reports = 0;
            for poll in 0..100u64 {
                reports += watch.check(us(poll * 40)).into_iter().count();
                cx.yield_now().await;
            }
            reports
        })
        .unwrap();
    settle(&mut runner, us(0));
    assert_eq!(task.try_join(), Some(Ok(0)));
}

#[test]
fn a_debug_print_names_what_it_shows() {
    let mut runner = manual::<1, 4>();
    let executor = runner.executor();
    let task = executor.spawn(pool::<1>(), |cx| async move { format!("{cx:?}") }).unwrap();
    assert_eq!(format!("{task:?}"), "JoinHandle { id: 0v0, finished: false }");
    settle(&mut runner, us(0));
    assert_eq!(format!("{task:?}"), "JoinHandle { id: 0v0, finished: true }");
    assert!(format!("{executor:?}").starts_with("Executor { capacity: 4, running: None"));
    let mut task = task;
    assert_eq!(task.try_join(), Some(Ok("Cx(0v0)".to_owned())));
}
