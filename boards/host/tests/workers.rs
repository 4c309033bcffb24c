//! The examples with `--workers`: what of their output is the same whoever polls, and which refuse it.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const QUAKES: &str = env!("CARGO_BIN_EXE_quakes");
const HELLO: &str = env!("CARGO_BIN_EXE_hello");

fn run(example: &str, arguments: &[&str]) -> Output {
    Command::new(example).args(arguments).output().expect("the example starts")
}

/// What an example prints, but for the lines that begin with `~`.
fn lines(example: &str, workers: &str) -> Vec<String> {
    let output = run(example, &["--workers", workers]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{example} by {workers}: {errors}");
    let text = String::from_utf8(output.stdout).expect("it is text");
    text.lines().filter(|line| !line.starts_with('~')).map(str::to_owned).collect()
}

/// What it prints by one thread, as stored.
fn golden(example: &str) -> Vec<String> {
    let name = Path::new(example).file_stem().expect("it has a name").display();
    let path = format!("{}/../../tests/golden/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(path).expect("it is stored").lines().map(str::to_owned).collect()
}

/// The same with the lines between two headlines in an order of their own. Headlines begin with no blank.
fn without_order(mut lines: Vec<String>) -> Vec<String> {
    for section in lines.split_mut(|line| !line.starts_with(' ')) {
        section.sort_unstable();
    }
    lines
}

#[test]
fn the_alerts_and_the_totals_of_quakes_are_the_same_whoever_polls() {
    for workers in ["1", "2", "4"] {
        assert_eq!(lines(QUAKES, workers), golden(QUAKES), "by {workers}");
    }
}

#[test]
fn only_lines_of_tasks_that_run_at_the_same_time_change_places() {
    for example in [HELLO, env!("CARGO_BIN_EXE_deadlines"), env!("CARGO_BIN_EXE_cancel")] {
        assert_eq!(lines(example, "1"), golden(example), "{example} by one");
        for workers in ["2", "4"] {
            let printed = without_order(lines(example, workers));
            assert_eq!(printed, without_order(golden(example)), "{example} by {workers}");
        }
    }
}

#[test]
fn an_example_without_tasks_takes_workers_and_gives_them_nothing_to_do() {
    let balance = env!("CARGO_BIN_EXE_balance");
    assert_eq!(lines(balance, "3"), golden(balance));
}

#[test]
fn workers_wait_in_real_time_too() {
    let began = std::time::Instant::now();
    let output = run(HELLO, &["--workers", "2", "--real-time"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "hello\nhello again, a second later\n");
    assert!(began.elapsed() >= std::time::Duration::from_secs(1));
}

#[test]
fn an_example_that_needs_one_thread_refuses_workers_before_it_does_anything() {
    for (example, why) in [
        (env!("CARGO_BIN_EXE_lanes"), "it starts its executor for one thread, not by `board::run`"),
        (env!("CARGO_BIN_EXE_interrupts"), "an interrupt pre-empts its one thread"),
        (env!("CARGO_BIN_EXE_cores"), "each of its cores is one thread"),
    ] {
        let output = run(example, &["--workers", "2"]);
        assert_eq!(String::from_utf8_lossy(&output.stdout), "");
        let error = format!("error: run this program without --workers: {why}\n");
        assert_eq!(String::from_utf8_lossy(&output.stderr), error);
        assert_eq!(output.status.code(), Some(2));
    }
}

#[test]
fn a_wrong_number_of_workers_is_an_error() {
    for (arguments, error) in [
        (&["--workers", "0"][..], "error: --workers takes 1 to 64, not 0\n"),
        (&["--workers", "65"], "error: --workers takes 1 to 64, not 65\n"),
        (&["--workers", "two"], "error: --workers wants a number after it\n"),
        (&["--workers"], "error: --workers wants a number after it\n"),
    ] {
        let output = run(QUAKES, arguments);
        assert_eq!(String::from_utf8_lossy(&output.stdout), "");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(text.starts_with(error) && text.contains("usage: quakes "), "{arguments:?}: {text}");
        assert_eq!(output.status.code(), Some(2));
    }
}
