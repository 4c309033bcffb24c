//! What a whole program on this board does: its command line, its console and its exit status.
//!
//! The test starts itself again with a part to play in `PART`; only those copies use the board.

use std::env;
use std::future::poll_fn;
use std::mem::replace;
use std::process::{Command, Output, Stdio};
use std::task::Poll;
use std::time::{Duration as Real, Instant as RealInstant};

use board::{Board, Preemptive};
use embassy_sync::waitqueue::AtomicWaker;
use trilane::exec::{Cx, Executor, Platform, TaskPool};
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

fn checks() -> ! {
    programs_run_in_virtual_time();
    real_time_is_an_option();
    help_is_printed_before_anything_happens();
    an_unknown_argument_is_an_error();
    a_panic_has_its_own_status();
    the_interrupt_drives_one_executor();
    interrupts_pre_empt_as_on_a_chip();
    a_console_that_was_closed_ends_the_program();
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

fn a_console_that_was_closed_ends_the_program() {
    let mut child = program("endless", &[]).stdout(Stdio::piped()).spawn().expect("the test starts itself");
    drop(child.stdout.take());
    assert_eq!(child.wait().expect("it ends").code(), Some(1));
}
