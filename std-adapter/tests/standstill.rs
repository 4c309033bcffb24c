//! Virtual time that would stand still for ever.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::task::{Poll, Waker};
use std::time::Duration as Real;

use trilane::exec::{Attributes, Cx, Executor, JoinHandle, MissedTick, Runner, TaskOptions, TaskPool};
use trilane::time::{Duration, Instant};
use trilane_std::simulation::Virtual;
use trilane_std::standstill::{Creep, Livelock};

type Exec = Executor<Virtual, 2, 8>;

/// More passes than any of these programs needs that ends.
const ENDLESS: u32 = 100_000;

fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

fn spawn<F>(executor: &'static Exec, body: impl FnOnce(Cx) -> F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    let pool: &TaskPool<512, 1> = leak(TaskPool::new());
    executor.spawn(pool, body).unwrap_or_else(|error| panic!("{error}"))
}

fn spawn_named<F>(executor: &'static Exec, attributes: &'static Attributes, body: impl FnOnce(Cx) -> F)
where
    F: Future<Output: Send> + Send + 'static,
{
    let pool: &TaskPool<512, 1> = leak(TaskPool::new());
    let options = TaskOptions::new().attributes(attributes);
    drop(executor.spawn_with(options, pool, body).unwrap_or_else(|error| panic!("{error}")));
}

/// Runs until the task is over; how many passes that took.
fn run_until_over<T>(executor: &'static Exec, task: &JoinHandle<T>) -> u32 {
    let mut runner = executor.start().unwrap();
    let mut passes = 0;
    runner.run_until(|| {
        passes += 1;
        task.is_finished() || passes == ENDLESS
    });
    assert!(task.is_finished(), "it doesn't end, at {}", runner.now());
    passes
}

async fn sleep_for_nothing(cx: Cx) {
    loop {
        cx.sleep(Duration::ZERO).await.unwrap();
    }
}

async fn yield_for_ever(cx: Cx) {
    loop {
        cx.yield_now().await;
    }
}

#[test]
fn a_task_that_sleeps_for_no_time_lets_another_one_wake() {
    for idlers in 1..=3 {
        let executor: &Exec = leak(Executor::new(Virtual::new()));
        for _ in 0..idlers {
            drop(spawn(executor, sleep_for_nothing));
        }
        let mut sleeper = spawn(executor, |cx| async move {
            cx.sleep(Duration::from_millis(10)).await.unwrap();
            cx.now()
        });
        run_until_over(executor, &sleeper);
        assert_eq!(sleeper.try_join(), Some(Ok(Instant::from_millis(10))));
    }
}

#[test]
fn a_task_that_sleeps_until_the_past_lets_another_one_wake() {
    let executor: &Exec = leak(Executor::new(Virtual::new()));
    drop(spawn(executor, |cx| async move {
        loop {
            cx.sleep_until(Instant::ZERO).await.unwrap();
        }
    }));
    let sleeper = spawn(executor, |cx| cx.sleep(Duration::from_millis(10)));
    run_until_over(executor, &sleeper);
}

#[test]
fn a_task_that_gives_up_at_once_lets_another_one_wake() {
    let executor: &Exec = leak(Executor::new(Virtual::new()));
    drop(spawn(executor, |cx| async move {
        loop {
            cx.timeout(Duration::ZERO, std::future::pending::<()>()).await.unwrap_err();
        }
    }));
    let sleeper = spawn(executor, |cx| cx.sleep(Duration::from_millis(10)));
    run_until_over(executor, &sleeper);
}

/// Each sleep lasts as long as it says: the other's moments are no shorter.
#[test]
fn times_stay_exact_beside_a_task_that_sleeps_for_no_time() {
    let executor: &Exec = leak(Executor::new(Virtual::new()));
    drop(spawn(executor, sleep_for_nothing));
    let mut sleeper = spawn(executor, |cx| async move {
        let mut times = Vec::new();
        for span in [300, 1, 20, 7] {
            cx.sleep(Duration::from_micros(span)).await.unwrap();
            times.push(cx.now().as_micros());
        }
        times
    });
    run_until_over(executor, &sleeper);
    assert_eq!(sleeper.try_join(), Some(Ok(vec![300, 301, 321, 328])));
}

#[test]
fn a_thousand_waits_for_nothing_take_no_time() {
    // The executor need not idle for each wait: one that is over as the pass begins is over in it.
    for (waits, times) in [(1, 0..=0), (Creep::AFTER, 0..=0), (Creep::AFTER + 50, 1..=50)] {
        let executor: &Exec = leak(Executor::new(Virtual::new()));
        let mut task = spawn(executor, move |cx| async move {
            for _ in 0..waits {
                cx.sleep(Duration::ZERO).await.unwrap();
            }
            cx.now().as_micros()
        });
        run_until_over(executor, &task);
        let time = task.try_join().unwrap().unwrap();
        assert!(times.contains(&time), "{waits} waits took {time} us");
    }
}

#[test]
fn a_wait_for_time_ends_the_row_of_waits_for_nothing() {
    let executor: &Exec = leak(Executor::new(Virtual::new()));
    let mut task = spawn(executor, |cx| async move {
        for _ in 0..10 {
            for _ in 0..Creep::AFTER - 1 {
                cx.sleep(Duration::ZERO).await.unwrap();
            }
            cx.sleep(Duration::from_millis(1)).await.unwrap();
        }
        cx.now()
    });
    run_until_over(executor, &task);
    assert_eq!(task.try_join(), Some(Ok(Instant::from_millis(10))));
}

/// An interval that is late makes up for its ticks one by one.
#[test]
fn late_ticks_are_made_up_for_at_one_instant() {
    let executor: &Exec = leak(Executor::new(Virtual::new()));
    let mut task = spawn(executor, |cx| async move {
        let mut interval = cx.interval(Duration::from_micros(10), MissedTick::Burst).unwrap();
        executor.platform().advance(Duration::from_micros(9_000));
        for _ in 0..900 {
            interval.tick().await.unwrap();
        }
        cx.now()
    });
    run_until_over(executor, &task);
    assert_eq!(task.try_join(), Some(Ok(Instant::from_micros(9_000))));
}

static SPINNER: Attributes = Attributes::named("spinner");
static OTHER: Attributes = Attributes::named("other spinner");
static SLEEPER: Attributes = Attributes::named("sleeper");

/// Runs until the platform panics; what it says.
fn report(mut runner: Runner<Virtual, 2, 8>) -> String {
    let mut passes = 0;
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        runner.run_until(|| {
            passes += 1;
            passes == ENDLESS
        });
    }));
    *unwound.expect_err("nobody noticed").downcast::<String>().unwrap()
}

#[test]
fn tasks_that_never_wait_are_a_livelock_that_names_them() {
    let executor: &Exec = leak(Executor::new(Virtual::new().livelock_after(500)));
    spawn_named(executor, &SLEEPER, |cx| cx.sleep(Duration::from_millis(10)));
    spawn_named(executor, &SPINNER, |cx| async move {
        cx.sleep(Duration::from_millis(3)).await.unwrap();
        yield_for_ever(cx).await;
    });
    spawn_named(executor, &OTHER, yield_for_ever);
    let report = report(executor.start().unwrap());
    assert!(report.starts_with("livelock in virtual time at 0 us"), "{report}");
    assert!(report.contains("500 passes") && report.contains("other spinner"), "{report}");
    assert!(!report.contains("sleeper"), "it waits: {report}");
}

#[test]
fn a_livelock_is_reported_at_the_time_at_which_the_clock_stands() {
    let executor: &Exec = leak(Executor::new(Virtual::new().livelock_after(500)));
    spawn_named(executor, &SLEEPER, |cx| cx.sleep(Duration::from_millis(10)));
    for attributes in [&SPINNER, &OTHER] {
        spawn_named(executor, attributes, |cx| async move {
            cx.sleep(Duration::from_millis(3)).await.unwrap();
            yield_for_ever(cx).await;
        });
    }
    let report = report(executor.start().unwrap());
    assert!(report.contains("at 3000 us") && report.contains(": spinner, other spinner."), "{report}");
}

#[test]
fn two_tasks_that_wake_each_other_for_ever_are_a_livelock() {
    static WAKERS: [Mutex<Option<Waker>>; 2] = [const { Mutex::new(None) }; 2];
    let executor: &Exec = leak(Executor::new(Virtual::new().livelock_after(500)));
    for (number, attributes) in [&SPINNER, &OTHER].into_iter().enumerate() {
        spawn_named(executor, attributes, move |_| {
            poll_fn(move |cx| {
                *WAKERS[number].lock().unwrap() = Some(cx.waker().clone());
                if let Some(other) = WAKERS[1 - number].lock().unwrap().take() {
                    other.wake();
                }
                Poll::<()>::Pending
            })
        });
    }
    let report = report(executor.start().unwrap());
    assert!(report.contains("spinner, ") && report.contains("other spinner"), "{report}");
}

/// One that spawns a task for each that ends: the names are those of the latest.
#[test]
fn tasks_that_follow_each_other_for_ever_are_a_livelock() {
    static NEXT: Attributes = Attributes::named("next");
    static POOL: TaskPool<256, 2> = TaskPool::new();

    type Boxed = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

    fn next(cx: Cx) -> Boxed {
        Box::pin(async move { drop(cx.spawn_with(TaskOptions::new().attributes(&NEXT), &POOL, next)) })
    }

    let executor: &Exec = leak(Executor::new(Virtual::new().livelock_after(500)));
    drop(spawn(executor, next));
    let report = report(executor.start().unwrap());
    assert!(report.contains(": next"), "{report}");
}

#[test]
fn many_tasks_in_a_livelock_are_counted() {
    let executor: &Exec = leak(Executor::new(Virtual::new().livelock_after(500)));
    for _ in 0..12 {
        spawn_named(executor, &SPINNER, yield_for_ever);
    }
    let report = report(executor.start().unwrap());
    assert!(report.contains("spinner, spinner") && report.contains(" and 4 more."), "{report}");
}

#[test]
fn the_hook_learns_of_a_livelock_each_time_anew() {
    static SEEN: Mutex<Vec<Livelock>> = Mutex::new(Vec::new());
    let platform = Virtual::new().livelock_after(100).on_livelock(|livelock| {
        SEEN.lock().unwrap().push(livelock);
    });
    let executor: &Exec = leak(Executor::new(platform));
    spawn_named(executor, &SPINNER, yield_for_ever);
    let mut runner = executor.start().unwrap();
    let mut passes = 0;
    runner.run_until(|| {
        passes += 1;
        passes == 350
    });
    let seen = std::mem::take(&mut *SEEN.lock().unwrap());
    assert_eq!(seen.len(), 3);
    for livelock in seen {
        assert_eq!((livelock.at, livelock.passes), (Instant::ZERO, 100));
        assert_eq!(livelock.tasks, ["spinner"]);
    }
}

#[test]
fn tasks_that_yield_between_waits_for_time_are_no_livelock() {
    let executor: &Exec = leak(Executor::new(Virtual::new().livelock_after(20)));
    let task = spawn(executor, |cx| async move {
        for _ in 0..100 {
            for _ in 0..1_000 {
                cx.yield_now().await;
            }
            cx.sleep(Duration::from_micros(1)).await.unwrap();
        }
    });
    run_until_over(executor, &task);
}

#[test]
fn work_that_takes_time_is_no_livelock() {
    let executor: &Exec = leak(Executor::new(Virtual::new().livelock_after(20)));
    let task = spawn(executor, |cx| async move {
        for _ in 0..10_000 {
            executor.platform().advance(Duration::from_micros(1));
            cx.yield_now().await;
        }
    });
    run_until_over(executor, &task);
}

#[test]
fn an_executor_at_rest_that_another_thread_wakes_has_no_livelock() {
    const WAKES: u32 = 200;
    static POLLS: AtomicU32 = AtomicU32::new(0);
    static WAKER: Mutex<Option<Waker>> = Mutex::new(None);
    let executor: &Exec =
        leak(Executor::new(Virtual::new().livelock_after(100).patient(Real::from_secs(20))));
    let task = spawn(executor, |_| {
        poll_fn(|cx| {
            *WAKER.lock().unwrap() = Some(cx.waker().clone());
            if POLLS.fetch_add(1, SeqCst) == WAKES { Poll::Ready(()) } else { Poll::Pending }
        })
    });
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for wake in 1..=WAKES {
                while POLLS.load(SeqCst) < wake {
                    std::thread::yield_now();
                }
                // It rests by now, or will: then it has been woken already, which is one pass more at most.
                std::thread::sleep(Real::from_micros(50));
                WAKER.lock().unwrap().as_ref().unwrap().wake_by_ref();
            }
        });
        run_until_over(executor, &task);
    });
}

#[test]
fn a_livelock_says_what_to_do() {
    let executor: &Exec = leak(Executor::new(Virtual::new().livelock_after(2)));
    spawn_named(executor, &SPINNER, yield_for_ever);
    assert_eq!(
        report(executor.start().unwrap()),
        "livelock in virtual time at 0 us: the clock hasn't moved for 2 passes, because tasks are polled again and again \
         without a wait for time: spinner. Let them sleep, or wait for each other; if so many passes at one instant are \
         meant, raise the limit"
    );
}
