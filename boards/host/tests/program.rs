//! What a whole program on this board does: its command line, its console and its exit status.
//!
//! The test starts itself again with a part to play in `PART`; only those copies use the board.

use std::env;
use std::process::{Command, Output, Stdio};
use std::time::{Duration as Real, Instant as RealInstant};

use board::Board;
use trilane::exec::Platform;
use trilane::time::Instant;

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
    let at = BOARD.now() + trilane::time::Duration::from_millis(200);
    BOARD.set_alarm(Some(at));
    while BOARD.now() < at {
        BOARD.idle(&|| true);
    }
    board::print!("waited until ");
    board::println!("{}", if BOARD.now() == Instant::from_millis(200) { "200 ms" } else { "later" });
    board::println!();
    board::exit(3)
}

fn checks() -> ! {
    programs_run_in_virtual_time();
    real_time_is_an_option();
    help_is_printed_before_anything_happens();
    an_unknown_argument_is_an_error();
    a_panic_has_its_own_status();
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
    for part in ["panic", "panic in interrupt"] {
        let (output, _) = run(part, &[]);
        assert!(String::from_utf8_lossy(&output.stderr).contains("it broke"));
        assert_eq!(output.status.code(), Some(101), "{part}");
    }
}

fn a_console_that_was_closed_ends_the_program() {
    let mut child = program("endless", &[]).stdout(Stdio::piped()).spawn().expect("the test starts itself");
    drop(child.stdout.take());
    assert_eq!(child.wait().expect("it ends").code(), Some(1));
}
