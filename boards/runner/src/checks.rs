//! `miri` and `sanitize`: the tests with an interpreter that finds undefined behaviour, and with
//! ThreadSanitizer, which finds data races.
//!
//! Both take a nightly tool-chain of rustup's: it has Miri, and the source of the standard library. Miri
//! interprets that, and ThreadSanitizer has to see its locks: with a library that was compiled without it, it
//! reports races where there are none.

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use crate::{Error, Result, child::Guard, environment, machine::Machine, session::Session, toolchain};

/// The tests that Miri is done with in some minutes, all together.
const FAST: [&str; 5] = ["joining", "join_races", "waking", "regions", "shards"];

/// The others that it can run: no files, no child processes, no random programs by the thousand.
const SLOW: [&str; 10] = [
    "bad_input",
    "bad_input_regions",
    "cancelling",
    "defects_e",
    "limits",
    "pending",
    "reports",
    "sleeping",
    "threads",
    "timeouts_and_intervals",
];

/// Those in which threads meet; five of them are `trilane-std`'s.
const THREADED: [&str; 12] = [
    "defects_e",
    "join_races",
    "net",
    "route_least_cost",
    "route_pool",
    "route_storm",
    "route_threads",
    "runtime",
    "shards",
    "thread",
    "threads",
    "two_threads",
];

/// The tool-chain: of one day, since both are as new as the day, and the flags unstable.
pub const NIGHTLY: &str = "nightly-2026-05-20";

/// What it must have.
const COMPONENTS: [&str; 2] = ["miri", "rust-src"];

/// How to get it.
pub const INSTALL: [&str; 9] = [
    "toolchain",
    "install",
    NIGHTLY,
    "--profile",
    "minimal",
    "--component",
    COMPONENTS[0],
    "--component",
    COMPONENTS[1],
];

/// How long that may take.
const INSTALL_LIMIT: Duration = Duration::from_secs(10 * 60);

/// Runs `tests` of `trilane-tests` under Miri; without any, the fast ones, and with `all` the slow ones too.
pub fn miri(session: &Session, tests: &[String], all: bool) -> Result<u8> {
    let chosen: Vec<&str> = match tests {
        [] if all => [&FAST[..], &SLOW].concat(),
        [] => FAST.to_vec(),
        tests => tests.iter().map(String::as_str).collect(),
    };
    let mut command = cargo(session, &["miri", "test", "--package", "trilane-tests"], "miri", &chosen)?;
    // Executors and pools are where nothing is freed: a test leaks them.
    command.env("MIRIFLAGS", "-Zmiri-ignore-leaks -Zmiri-strict-provenance");
    run(session, command, "the tests under Miri")
}

/// Runs the tests that have threads under ThreadSanitizer; with `all`, as many rounds of them as without it.
pub fn sanitize(session: &Session, all: bool) -> Result<u8> {
    let host = toolchain::host(session.machine.as_ref()).unwrap_or_default();
    // In release, as what it slows down is the waiting of threads for each other.
    let test = ["test", "--release", "-Zbuild-std", "--target", &host];
    let packages = ["--package", "trilane-tests", "--package", "trilane-std"];
    let mut command = cargo(session, &[&test[..], &packages].concat(), "sanitize", &THREADED)?;
    command.env("RUSTFLAGS", "-Zsanitizer=thread");
    if !all {
        // By this the tests tell that they are slow: their storms are of some hundred thousand rounds then.
        // One is enough for a race that has no need of a rare order.
        command.env("CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS", "true");
        // Compiling takes longer than running.
        command.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1");
    }
    run(session, command, "the tests under ThreadSanitizer")
}

/// Makes sure that the nightly tool-chain is there, with what both take.
pub fn prepare(session: &Session) -> Result<()> {
    ensure(session.machine.as_ref(), session.install)
}

fn ensure(machine: &dyn Machine, allowed: bool) -> Result<()> {
    if is_there(machine) {
        return Ok(());
    }
    if !allowed {
        return Err(Error::NoNightly("nothing was installed because of --no-install".into()));
    }
    if machine.find("rustup").is_none() {
        return Err(Error::NoNightly("rustup is not installed".into()));
    }
    eprintln!("cargo board: rustup {}", INSTALL.join(" "));
    machine.perform("rustup", &INSTALL, Some(INSTALL_LIMIT)).map_err(Error::NoNightly)?;
    if is_there(machine) { Ok(()) } else { Err(Error::NoNightly("rustup did not install them".into())) }
}

fn is_there(machine: &dyn Machine) -> bool {
    let installed = machine.ask("rustup", &["component", "list", "--installed", "--toolchain", NIGHTLY]);
    let installed = installed.unwrap_or_default();
    COMPONENTS.iter().all(|component| installed.lines().any(|line| line.starts_with(component)))
}

/// Nightly's cargo with `args`, for `tests`, in a target folder of its own.
fn cargo(session: &Session, args: &[&str], folder: &str, tests: &[&str]) -> Result<Command> {
    prepare(session)?;
    let root = &session.workspace.root;
    let mut command = Command::new("rustup");
    environment::isolate(environment::clean(&mut command)).current_dir(root).stdin(Stdio::null());
    command
        .args(["run", NIGHTLY, "cargo"])
        .args(args)
        .arg("--target-dir")
        .arg(root.join("target").join(folder));
    for test in tests {
        command.args(["--test", test]);
    }
    Ok(command)
}

/// Builds the tests, which has no time limit, then runs them.
fn run(session: &Session, command: Command, what: &str) -> Result<u8> {
    let start = |command: &mut Command| Guard::spawn(command).map_err(Error::io("start rustup"));
    let mut build = again(&command);
    build.arg("--no-run");
    match start(&mut build)?.wait(None).map_err(Error::io("wait for cargo"))? {
        Some(0) => {}
        status => return Ok(status.unwrap_or(1)),
    }
    let mut command = command;
    command.arg("--no-fail-fast");
    let status = start(&mut command)?.wait(Some(session.limit)).map_err(Error::io("wait for cargo"))?;
    status.ok_or_else(|| Error::Hung {
        what: what.into(),
        limit: session.limit,
        last: "(all of it is above)".into(),
    })
}

/// The same command once more.
fn again(command: &Command) -> Command {
    let mut again = Command::new(command.get_program());
    again.args(command.get_args()).stdin(Stdio::null());
    command.get_current_dir().map(|folder| again.current_dir(folder));
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => again.env(name, value),
            None => again.env_remove(name),
        };
    }
    again
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::fake::Fake;

    #[test]
    fn a_nightly_that_is_there_is_left_alone() {
        let machine = Fake::default().with_nightly("miri-x86_64-unknown-linux-gnu\nrust-src");
        assert!(ensure(&machine, true).is_ok());
        assert!(machine.performed.borrow().is_empty());
    }

    #[test]
    fn what_is_missing_is_installed_by_rustup_or_named() {
        for installed in ["", "rust-src\nrustc-x86_64-unknown-linux-gnu"] {
            let machine = Fake::default().with_working_rustup().with_nightly(installed);
            assert!(ensure(&machine, true).is_ok());
            let rest = "--profile minimal --component miri --component rust-src";
            let call = format!("rustup toolchain install {NIGHTLY} {rest}");
            assert_eq!(*machine.performed.borrow(), [call]);
        }
        for (machine, allowed, why) in [
            (Fake::default().with_working_rustup(), false, "because of --no-install"),
            (Fake::default(), true, "rustup is not installed"),
            (Fake::default().with_rustup(&[]), true, "ended with status 1"),
        ] {
            let error = ensure(&machine, allowed).expect_err("is missing");
            let text = error.to_string();
            assert!(text.starts_with("Miri and the source of the standard library are missing"), "{text}");
            assert!(
                text.contains(&format!("rustup toolchain install {NIGHTLY} ")) && text.contains(why),
                "{text}"
            );
            assert_eq!(error.status(), 1);
        }
    }
}
