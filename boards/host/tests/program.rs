//! What a whole program on this board does: its command line, its console and its exit status.
//!
//! The test starts itself again with a part to play in `PART`; only those copies use the board.

use std::env;
use std::future::poll_fn;
use std::mem::replace;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::task::Poll;
use std::thread;
use std::time::{Duration as Real, Instant as RealInstant};

use board::{Board, Preemptive, SecondCore, Spawner};
use embassy_sync::waitqueue::AtomicWaker;
use trilane::exec::{Attributes, Cx, Executor, JoinHandle, Platform, TaskOptions, TaskPool};
use trilane::time::{Duration, Instant};

board::entry!(start);

fn start() -> ! {
    match env::var("PART").as_deref() {
        Ok("wait") => wait(),
        Ok("silent") => board::exit(7),
        Ok("panic") => panic!("it broke"),
        Ok("panic in interrupt") => {
            board::irq::bind(|| panic!("it broke"));
            board::irq::trigger();
            board::exit(0)
        }
        Ok("preempt") => preempt(),
        Ok("panic in pre-emption") => {
            HIGH.spawn(&HIGH_TASKS, |_| async { panic!("it broke") }).unwrap();
            Preemptive::start(HIGH.start_in_handler().unwrap());
            board::exit(0)
        }
        Ok("bind twice") => {
            static OTHER: Executor<Preemptive, 1, 4> = Executor::new(Preemptive::new());
            Preemptive::start(HIGH.start_in_handler().unwrap());
            Preemptive::start(OTHER.start_in_handler().unwrap());
            board::exit(0)
        }
        Ok("panic on the second core") => {
            board::start_second_core(|| panic!("it broke"));
            Board::new().idle(&|| true);
            board::exit(0)
        }
        Ok("waits for nothing") => waits_for_nothing(),
        Ok("waits for nothing in the interrupt") => waits_for_nothing_in_the_interrupt(),
        Ok("waits for nothing on both cores") => waits_for_nothing_on_both_cores(),
        Ok("livelock") => LOW.run(|spawner| {
            spawner.spawn_local(&LOW_TASKS, |cx| cx.sleep(Duration::from_millis(10))).unwrap();
            spawner.spawn_local_with(spinner(), &LOW_TASKS, spin_from_3_ms).unwrap();
        }),
        Ok("livelock in the interrupt") => LOW.run(|spawner| {
            spawner.spawn_local(&LOW_TASKS, |cx| cx.sleep(Duration::from_millis(10))).unwrap();
            HIGH.spawn_with(spinner(), &HIGH_TASKS, spin_from_3_ms).unwrap();
            Preemptive::start(HIGH.start_in_handler().unwrap());
        }),
        Ok("livelock on the second core") => {
            board::start_second_core(|| {
                SECOND.run(|spawner| {
                    spawner.spawn_local_with(spinner(), &SECOND_TASKS, spin_from_3_ms).unwrap();
                })
            });
            LOW.run(|spawner| {
                spawner.spawn_local(&LOW_TASKS, |cx| cx.sleep(Duration::from_millis(10))).unwrap();
            })
        }
        Ok("meet") => meet(|number| board::println!("{number} has met the other")),
        Ok("panic by another worker") => meet(|_| {
            if thread::current().name() != Some("main") {
                panic!("it broke");
            }
            board::relax();
        }),
        Ok("spin by workers") => meet(|_| {
            board::spin(1_000);
            board::println!("{}", LOW.platform().now());
        }),
        Ok("waits for nothing by workers") => by_workers(|spawner| {
            spawner.spawn_local(&LOW_TASKS, wait_for_nothing).unwrap();
            spawner.spawn_local(&LOW_TASKS, wait_for_nothing).unwrap();
            spawner.spawn_local(&LOW_TASKS, wait_10_ms).unwrap()
        }),
        Ok("livelock by workers") => by_workers(|spawner| {
            spawner.spawn_local(&LOW_TASKS, |cx| cx.sleep(Duration::from_millis(10))).unwrap();
            spawner.spawn_local_with(spinner(), &LOW_TASKS, spin_from_3_ms).unwrap()
        }),
        Ok("endless") => loop {
            board::println!("more");
        },
        Ok(other) => panic!("no such part: {other}"),
        Err(_) => checks(),
    }
}

/// 200 ms on the board's clock.
fn wait() -> ! {
    static BOARD: Board = Board::new();
    let at = BOARD.now() + Duration::from_millis(200);
    BOARD.set_alarm(Some(at));
    while BOARD.now() < at {
        BOARD.idle(&|| true);
    }
    board::print!("waited until ");
    board::println!("{}", if BOARD.now() == Instant::from_millis(200) { "200 ms" } else { "later" });
    board::println!();
    board::exit(3)
}

static LOW: Executor<Board, 1, 4> = Executor::new(Board::new());
static HIGH: Executor<Preemptive, 1, 4> = Executor::new(Preemptive::new());
static LOW_TASKS: TaskPool<256, 4> = TaskPool::new();
static HIGH_TASKS: TaskPool<256, 4> = TaskPool::new();
static BELL: AtomicWaker = AtomicWaker::new();

/// What comes when, with an executor that pre-empts another.
fn preempt() -> ! {
    HIGH.spawn(&HIGH_TASKS, |_| async { board::println!("spawned before the start") }).unwrap();
    board::println!("nothing runs yet");
    Preemptive::start(HIGH.start_in_handler().unwrap());
    HIGH.spawn(&HIGH_TASKS, answer).unwrap();
    LOW.run(|spawner| {
        spawner.spawn_local(&LOW_TASKS, call).unwrap();
    })
}

/// Waits for the bell again and again.
async fn answer(_cx: Cx) {
    loop {
        let mut rung = false;
        poll_fn(|context| {
            BELL.register(context.waker());
            if replace(&mut rung, true) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        board::println!("  answer");
    }
}

async fn call(cx: Cx) {
    board::println!("a wake pre-empts");
    BELL.wake();
    board::println!("a wake in a critical section pre-empts after it");
    critical_section::with(|_| {
        BELL.wake();
        board::println!("in the section");
    });
    board::println!("an interrupt's wake pre-empts when its handler has returned");
    board::irq::bind(|| {
        BELL.wake();
        board::println!(" handler");
    });
    board::irq::trigger();
    board::println!("so it does while the processor is busy");
    board::irq::trigger_after(2_000);
    board::spin(5_000);
    board::println!("and while it sleeps");
    board::irq::trigger_after(1_000);
    cx.sleep(Duration::from_millis(5)).await.unwrap();
    board::println!("of two alarms at one instant the pre-empting executor's is first");
    let both = cx.now() + Duration::from_millis(1);
    let sleeper = HIGH.spawn(&HIGH_TASKS, move |cx| async move {
        cx.sleep_until(both).await.unwrap();
        board::println!("  first");
    });
    cx.sleep_until(both).await.unwrap();
    board::println!("second");
    sleeper.unwrap().await.unwrap();
    board::println!("what is woken last runs before the end");
    BELL.wake();
    board::exit(0)
}

const PREEMPTED: &str = "\
nothing runs yet
spawned before the start
a wake pre-empts
  answer
a wake in a critical section pre-empts after it
in the section
  answer
an interrupt's wake pre-empts when its handler has returned
 handler
  answer
so it does while the processor is busy
 handler
  answer
and while it sleeps
 handler
  answer
of two alarms at one instant the pre-empting executor's is first
  first
second
what is woken last runs before the end
  answer
";

static SECOND: Executor<SecondCore, 1, 4> = Executor::new(SecondCore::new());
static SECOND_TASKS: TaskPool<256, 4> = TaskPool::new();

/// Waits for no time at all, again and again.
async fn wait_for_nothing(cx: Cx) {
    loop {
        cx.sleep(Duration::ZERO).await.unwrap();
    }
}

/// Says that 10 ms have passed.
async fn wait_10_ms(cx: Cx) {
    cx.sleep(Duration::from_millis(10)).await.unwrap();
    board::println!("{}", cx.now());
}

fn waits_for_nothing() -> ! {
    LOW.run(|spawner| {
        spawner.spawn_local(&LOW_TASKS, wait_for_nothing).unwrap();
        spawner.spawn_local(&LOW_TASKS, wait_for_nothing).unwrap();
        spawner
            .spawn_local(&LOW_TASKS, |cx| async move {
                wait_10_ms(cx).await;
                board::exit(0)
            })
            .unwrap();
    })
}

fn waits_for_nothing_in_the_interrupt() -> ! {
    board::irq::bind(|| board::println!("an interrupt comes"));
    board::irq::trigger_after(5_000);
    HIGH.spawn(&HIGH_TASKS, wait_for_nothing).unwrap();
    HIGH.spawn(&HIGH_TASKS, |cx| async move {
        wait_10_ms(cx).await;
        board::exit(0)
    })
    .unwrap();
    Preemptive::start(HIGH.start_in_handler().unwrap());
    unreachable!("the interrupt doesn't end")
}

fn waits_for_nothing_on_both_cores() -> ! {
    board::start_second_core(|| {
        SECOND.run(|spawner| {
            spawner.spawn_local(&SECOND_TASKS, wait_for_nothing).unwrap();
            spawner.spawn_local(&SECOND_TASKS, wait_10_ms).unwrap();
        })
    });
    LOW.run(|spawner| {
        spawner.spawn_local(&LOW_TASKS, wait_for_nothing).unwrap();
        spawner
            .spawn_local(&LOW_TASKS, |cx| async move {
                // Longer than the other core, which holds the clock for as long as it works.
                cx.sleep(Duration::from_millis(10)).await.unwrap();
                wait_10_ms(cx).await;
                board::exit(0)
            })
            .unwrap();
    })
}

fn spinner() -> TaskOptions {
    static SPINNER: Attributes = Attributes::named("spinner");
    TaskOptions::new().attributes(&SPINNER)
}

async fn spin_from_3_ms(cx: Cx) {
    cx.sleep(Duration::from_millis(3)).await.unwrap();
    loop {
        cx.yield_now().await;
    }
}

/// Runs until the task that is joined has ended.
fn by_workers<T: Send + 'static>(spawn: impl FnOnce(Spawner<1, 4>) -> JoinHandle<T>) -> ! {
    let mut runner = board::start(&LOW);
    let mut joined = spawn(runner.spawner());
    runner.run_until(|| joined.is_finished());
    joined.try_join().expect("it is finished").expect("nothing ends it");
    board::exit(0)
}

/// Two tasks, neither of which goes on in its first poll before the other one is in its own; then each does
/// something.
fn meet(then: fn(u32)) -> ! {
    static MET: AtomicU32 = AtomicU32::new(0);
    async fn one(number: u32, then: fn(u32)) {
        MET.fetch_add(1, SeqCst);
        while MET.load(SeqCst) != 2 {
            board::relax();
        }
        then(number);
    }
    by_workers(|spawner| {
        let first = spawner.spawn_local(&LOW_TASKS, move |_| one(1, then)).unwrap();
        let second = spawner.spawn_local(&LOW_TASKS, move |_| one(2, then)).unwrap();
        let both = move |_| async move {
            first.await.unwrap();
            second.await.unwrap();
        };
        spawner.spawn_local(&LOW_TASKS, both).unwrap()
    })
}

fn checks() -> ! {
    programs_run_in_virtual_time();
    real_time_is_an_option();
    help_is_printed_before_anything_happens();
    an_unknown_argument_is_an_error();
    a_panic_has_its_own_status();
    the_interrupt_drives_one_executor();
    interrupts_pre_empt_as_on_a_chip();
    a_task_that_waits_for_no_time_does_not_hold_the_clock();
    tasks_that_never_wait_are_a_livelock_that_names_them();
    a_console_that_was_closed_ends_the_program();
    workers_poll_at_the_same_time();
    workers_share_a_clock();
    std::process::exit(0)
}

fn program(part: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env::current_exe().expect("the test has a path"));
    command.env("PART", part).args(arguments);
    command
}

fn run(part: &str, arguments: &[&str]) -> (Output, Real) {
    let started = RealInstant::now();
    (program(part, arguments).output().expect("the test starts itself"), started.elapsed())
}

fn programs_run_in_virtual_time() {
    let (output, _) = run("wait", &[]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "waited until 200 ms\n\n");
    assert_eq!(output.status.code(), Some(3));
}

fn real_time_is_an_option() {
    let (output, took) = run("wait", &["--real-time"]);
    assert!(took >= Real::from_millis(200), "{took:?}");
    assert_eq!(output.status.code(), Some(3));
}

fn help_is_printed_before_anything_happens() {
    for part in ["wait", "silent"] {
        let (output, _) = run(part, &["--help"]);
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.starts_with("usage: ") && text.contains("--real-time"), "{text}");
        assert!(!text.contains("waited"), "{text}");
        assert_eq!(output.status.code(), Some(0));
    }
}

fn an_unknown_argument_is_an_error() {
    for part in ["wait", "silent"] {
        let (output, _) = run(part, &["--fast"]);
        assert_eq!(String::from_utf8_lossy(&output.stdout), "");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(
            text.starts_with("error: unknown argument \"--fast\"") && text.contains("--real-time"),
            "{text}"
        );
        assert_eq!(output.status.code(), Some(2));
    }
}

fn a_panic_has_its_own_status() {
    for part in ["panic", "panic in interrupt", "panic on the second core", "panic in pre-emption"] {
        let (output, _) = run(part, &[]);
        assert!(String::from_utf8_lossy(&output.stderr).contains("it broke"));
        assert_eq!(output.status.code(), Some(101), "{part}");
    }
}

fn the_interrupt_drives_one_executor() {
    let (output, _) = run("bind twice", &[]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("the interrupt drives an executor already"));
    assert_eq!(output.status.code(), Some(101));
}

fn interrupts_pre_empt_as_on_a_chip() {
    for arguments in [&[] as &[&str], &["--real-time"]] {
        let (output, _) = run("preempt", arguments);
        assert_eq!(String::from_utf8_lossy(&output.stdout), PREEMPTED, "{arguments:?}");
        assert_eq!(output.status.code(), Some(0));
    }
}

fn a_task_that_waits_for_no_time_does_not_hold_the_clock() {
    for (part, wanted) in [
        ("waits for nothing", "10000 us\n"),
        ("waits for nothing in the interrupt", "an interrupt comes\n10000 us\n"),
        ("waits for nothing on both cores", "10000 us\n20000 us\n"),
    ] {
        let (output, _) = run(part, &[]);
        assert_eq!(String::from_utf8_lossy(&output.stdout), wanted, "{part}");
        assert_eq!(output.status.code(), Some(0));
    }
}

fn tasks_that_never_wait_are_a_livelock_that_names_them() {
    for part in ["livelock", "livelock in the interrupt", "livelock on the second core"] {
        let (output, _) = run(part, &["--livelock-after", "300"]);
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains("livelock in virtual time at 3000 us"), "{part}: {text}");
        assert!(text.contains("300 passes") && text.contains(": spinner."), "{part}: {text}");
        assert_eq!(output.status.code(), Some(101), "{part}");
    }
}

fn workers_poll_at_the_same_time() {
    for arguments in [&["--workers", "2"][..], &["--workers", "3", "--real-time"]] {
        let (output, _) = run("meet", arguments);
        let text = String::from_utf8_lossy(&output.stdout);
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, ["1 has met the other", "2 has met the other"], "{arguments:?}");
        assert_eq!(output.status.code(), Some(0));
    }
    let (output, _) = run("panic by another worker", &["--workers", "2"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("it broke"));
    assert_eq!(output.status.code(), Some(101));
}

fn workers_share_a_clock() {
    let (output, _) = run("spin by workers", &["--workers", "2"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "1000 us\n1000 us\n");
    for workers in ["1", "2"] {
        let (output, _) = run("waits for nothing by workers", &["--workers", workers]);
        assert_eq!(String::from_utf8_lossy(&output.stdout), "10000 us\n", "by {workers}");
        assert_eq!(output.status.code(), Some(0));
        let (output, _) = run("livelock by workers", &["--workers", workers, "--livelock-after", "300"]);
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains("livelock in virtual time at 3000 us"), "by {workers}: {text}");
        assert!(text.contains(": spinner."), "by {workers}: {text}");
        assert_eq!(output.status.code(), Some(101));
    }
}

fn a_console_that_was_closed_ends_the_program() {
    let mut child = program("endless", &[]).stdout(Stdio::piped()).spawn().expect("the test starts itself");
    drop(child.stdout.take());
    assert_eq!(child.wait().expect("it ends").code(), Some(1));
}
