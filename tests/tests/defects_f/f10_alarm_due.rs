//! F10: while tasks compute, a sleep that was due waited for the end of the pass: 128 polls of 100 us for a
//! sleep of 1 ms.
//!
//! The platform tells the executor when its alarm has gone off: then what is due runs after the poll under
//! way.

use std::future::pending;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use trilane::exec::{Attributes, Cx, Executor, Forced, MissedTick, Platform, Runner, TaskOptions, TaskPool};
use trilane::sched::Priority;
use trilane::time::{Duration, Instant};
use trilane_tests::{leak, pool, us};

use crate::bench::Bench;

type Run = Runner<Bench, 1, 16>;

const POLL: Duration = Duration::from_micros(100);
const SPAN: Duration = Duration::from_millis(1);
/// What is due at 1 ms is noticed when the poll under way has ended, and may then have to wait for one more.
const LATEST: Instant = us(1_000 + 2 * POLL.as_micros());

/// When something happened; [`Instant::MAX`]: not yet.
#[derive(Debug)]
struct When(AtomicU64);

impl When {
    const fn never() -> Self {
        Self(AtomicU64::new(u64::MAX))
    }

    /// Notes the bench's time, which is what a scope shows.
    fn note(&self, executor: &'static Executor<Bench, 1, 16>) {
        self.0.store(executor.platform().now().as_micros(), SeqCst);
    }

    fn get(&self) -> Instant {
        us(self.0.load(SeqCst))
    }
}

/// A way to run an executor until something has happened.
type Way = (&'static str, fn(&mut Run, &When));

const WAYS: [Way; 3] = [("poll_pending", by_poll_pending), ("run_until", by_run_until), ("drive", by_drive)];

/// What is to be late begins its wait before others compute where the caller sets the alarm: between two
/// passes.
fn prepare(way: &str, runner: &mut Run) {
    if way == "poll_pending" {
        let bench = runner.executor().platform();
        while runner.poll_pending(bench.now()).more {}
        bench.set_alarm(runner.next_alarm());
    }
}

/// The caller is the clock, and sets the alarm after each pass as `run` does.
fn by_poll_pending(runner: &mut Run, when: &When) {
    let bench = runner.executor().platform();
    for _ in 0..1_000 {
        if when.get() != Instant::MAX {
            return;
        }
        let more = runner.poll_pending(bench.now()).more;
        bench.set_alarm(runner.next_alarm());
        if !more && when.get() == Instant::MAX {
            bench.idle(&|| true);
        }
    }
}

fn by_run_until(runner: &mut Run, when: &When) {
    let mut passes = 0;
    runner.run_until(|| {
        passes += 1;
        when.get() != Instant::MAX || passes > 1_000
    });
}

fn by_drive(runner: &mut Run, when: &When) {
    let bench = runner.executor().platform();
    for _ in 0..1_000 {
        if when.get() != Instant::MAX {
            return;
        }
        if !bench.take_pend() {
            bench.idle(&|| true);
        }
        runner.drive();
    }
}

fn start() -> Run {
    leak(Executor::new(Bench::watching())).start().unwrap()
}

/// Spawns `tasks` that compute 100 us a poll, for ever.
fn compute(runner: &Run, tasks: u64, options: TaskOptions) {
    let executor = runner.executor();
    let pool: &TaskPool<256, 8> = leak(TaskPool::new());
    for _ in 0..tasks {
        let task = executor.spawn_with(options, pool, |cx| async move {
            loop {
                executor.platform().compute(POLL);
                cx.yield_now().await;
            }
        });
        drop(task.unwrap());
    }
}

/// In each way: spawns the task that `body` makes, then some that compute, and looks when the first one gets
/// on: after the poll under way and one more, and `more` polls of each that computes.
#[track_caller]
fn gets_on_in_time<F>(more: u64, body: fn(Cx) -> F)
where
    F: Future<Output: Send> + Send + 'static,
{
    for computing in [1, 2, 7] {
        for (way, run) in WAYS {
            let mut runner = start();
            let executor = runner.executor();
            let when: &When = leak(When::never());
            let task = executor.spawn(pool::<1>(), move |cx| async move {
                body(cx).await;
                when.note(executor);
            });
            drop(task.unwrap());
            prepare(way, &mut runner);
            compute(&runner, computing, TaskOptions::new());
            run(&mut runner, when);
            let at = when.get();
            let latest = LATEST + POLL.saturating_mul(more * computing);
            assert!(at >= us(1_000) && at <= latest, "{way}, {computing} compute: at {at}, not by {latest}");
        }
    }
}

#[test]
fn a_sleep_ends_after_the_poll_under_way() {
    gets_on_in_time(1, |cx| cx.sleep(SPAN));
}

#[test]
fn a_timeout_ends_after_the_poll_under_way() {
    gets_on_in_time(1, |cx| cx.timeout(SPAN, pending::<()>()));
}

#[test]
fn a_tick_comes_after_the_poll_under_way() {
    gets_on_in_time(1, |cx| async move {
        let mut interval = cx.interval(SPAN, MissedTick::Skip).unwrap();
        interval.tick().await
    });
}

/// The alarm is set then, or the sleep would be as late as the pass is long.
#[test]
fn a_sleep_that_begins_in_the_middle_of_a_pass_ends_in_time() {
    for (way, run) in &WAYS[1..] {
        let mut runner = start();
        let executor = runner.executor();
        let when: &When = leak(When::never());
        let task = executor.spawn(pool::<1>(), move |cx| async move {
            while cx.now() < us(500) {
                cx.yield_now().await;
            }
            cx.sleep_until(us(1_000)).await.unwrap();
            when.note(executor);
        });
        drop(task.unwrap());
        compute(&runner, 2, TaskOptions::new());
        run(&mut runner, when);
        assert!(when.get() >= us(1_000) && when.get() <= LATEST, "{way}: at {}", when.get());
    }
}

#[test]
fn a_join_with_a_limit_gives_up_in_time() {
    // Two more tasks have to be polled: the one that is asked to stop, and again the one that waits.
    gets_on_in_time(2, |cx| async move {
        let mut task = cx.spawn(pool::<1>(), |cx: Cx| async move { cx.cancelled().await }).unwrap();
        task.join_within(cx, SPAN).await
    });
}

/// What is more urgent than those that compute comes right after the poll under way.
#[test]
fn an_urgent_sleeper_waits_for_one_poll_only() {
    for options in [TaskOptions::new().deadline(us(5_000)), TaskOptions::new().priority(Priority::HIGHEST)] {
        for (way, run) in WAYS {
            let mut runner = start();
            let executor = runner.executor();
            let when: &When = leak(When::never());
            let task = executor.spawn_with(options, pool::<1>(), move |cx| async move {
                cx.sleep(SPAN).await.unwrap();
                when.note(executor);
            });
            drop(task.unwrap());
            prepare(way, &mut runner);
            compute(&runner, 2, TaskOptions::new());
            run(&mut runner, when);
            assert!(when.get() <= us(1_100), "{way}: at {}", when.get());
        }
    }
}

/// Those that compute have deadlines, so they are in the timed lane; the sleeper has the earliest.
#[test]
fn a_sleeper_among_timed_tasks_ends_in_time() {
    for (way, run) in WAYS {
        let mut runner = start();
        let executor = runner.executor();
        let when: &When = leak(When::never());
        let sleeper = TaskOptions::new().deadline(us(2_000));
        let task = executor.spawn_with(sleeper, pool::<1>(), move |cx| async move {
            cx.sleep(SPAN).await.unwrap();
            when.note(executor);
        });
        drop(task.unwrap());
        prepare(way, &mut runner);
        compute(&runner, 2, TaskOptions::new().deadline(us(1_000_000)));
        run(&mut runner, when);
        assert!(when.get() <= LATEST, "{way}: at {}", when.get());
    }
}

#[test]
fn each_of_many_sleeps_ends_in_time() {
    for (way, run) in WAYS {
        let mut runner = start();
        let executor = runner.executor();
        let (when, worst): (&When, &AtomicU64) = (leak(When::never()), leak(AtomicU64::new(0)));
        let task = executor.spawn(pool::<1>(), move |cx| async move {
            for _ in 0..20 {
                let sleep = cx.sleep(Duration::from_micros(730));
                let due = sleep.due();
                sleep.await.unwrap();
                worst.fetch_max((executor.platform().now() - due).as_micros(), SeqCst);
            }
            when.note(executor);
        });
        drop(task.unwrap());
        prepare(way, &mut runner);
        compute(&runner, 2, TaskOptions::new());
        run(&mut runner, when);
        let worst = worst.load(SeqCst);
        assert!(when.get() != Instant::MAX && worst <= 4 * POLL.as_micros(), "{way}: {worst} us late");
    }
}

/// The time for a clean-up is over in the middle of a pass.
#[test]
fn a_clean_up_is_ended_after_the_poll_under_way() {
    static STUBBORN: Attributes = Attributes::new().cleanup_polls(9).cleanup_time(SPAN);

    struct Noted(&'static When, &'static Executor<Bench, 1, 16>);

    impl Drop for Noted {
        fn drop(&mut self) {
            self.0.note(self.1);
        }
    }

    for (way, run) in WAYS {
        let mut runner = start();
        let executor = runner.executor();
        let when: &When = leak(When::never());
        let noted = Noted(when, executor);
        let task =
            executor.spawn_with(TaskOptions::new().attributes(&STUBBORN), pool::<1>(), |_| async move {
                let _noted = noted;
                pending::<()>().await;
            });
        task.unwrap().cancel().unwrap();
        prepare(way, &mut runner);
        compute(&runner, 2, TaskOptions::new());
        run(&mut runner, when);
        assert!(when.get() >= us(1_000) && when.get() <= LATEST, "{way}: at {}", when.get());
    }
}

/// The same as the finaliser sees it.
#[test]
fn a_finaliser_is_called_after_the_poll_under_way() {
    static EXECUTOR: OnceLock<&'static Executor<Bench, 1, 16>> = OnceLock::new();
    static WHEN: When = When::never();
    static STUBBORN: Attributes = Attributes::new().cleanup_polls(9).cleanup_time(SPAN).finaliser(note);

    fn note(_: &Forced) {
        WHEN.note(EXECUTOR.get().unwrap());
    }

    let mut runner = start();
    let executor = runner.executor();
    EXECUTOR.set(executor).map_err(drop).unwrap();
    let task =
        executor.spawn_with(TaskOptions::new().attributes(&STUBBORN), pool::<1>(), |_| pending::<()>());
    compute(&runner, 2, TaskOptions::new());
    task.unwrap().cancel().unwrap();
    by_run_until(&mut runner, &WHEN);
    assert!(WHEN.get() >= us(1_000) && WHEN.get() <= LATEST, "at {}", WHEN.get());
}

/// Raising it for nothing, from anywhere, costs a look at the clock and loses nothing.
#[test]
fn a_flag_that_is_raised_for_nothing_does_no_harm() {
    let mut runner = start();
    let executor = runner.executor();
    let bench = executor.platform();
    let when: &When = leak(When::never());
    let task = executor.spawn(pool::<1>(), move |cx| async move {
        cx.sleep(SPAN).await.unwrap();
        when.note(executor);
    });
    drop(task.unwrap());
    let pool: &TaskPool<256, 2> = leak(TaskPool::new());
    for _ in 0..2 {
        let task = executor.spawn(pool, |cx| async move {
            loop {
                bench.compute(POLL);
                bench.raise();
                cx.yield_now().await;
            }
        });
        drop(task.unwrap());
    }
    std::thread::scope(|scope| drop(scope.spawn(|| bench.raise())));
    by_run_until(&mut runner, when);
    assert!(when.get() <= LATEST + POLL.saturating_mul(2), "at {}", when.get());
}
