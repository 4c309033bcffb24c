//! `bench --on host`: the router beside other load balancers, and two executors beside each other, in time,
//! allocations and instructions.
//!
//! The package `tests/peers` measures time and allocations, all sides in one process, and prints a row a line
//! (see [`rows`]). Run again under callgrind, it counts instructions ([`callgrind`]). [`table`] puts both
//! together.

pub mod callgrind;
pub mod rows;
pub mod table;

use std::path::PathBuf;

use clap::Args;

use crate::{
    Error, Result, build,
    emulate::Run,
    install::Ready,
    machine::Machine,
    session::Session,
    workspace::{Board, Workspace},
};

/// The package's folder.
const FOLDER: &str = "tests/peers";
/// Its name, and its binary's.
const PACKAGE: &str = "trilane-peers";

/// How the benches beside peers are run.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct How {
    /// On the host: only see that each row runs, and fail if one of trilane's allocates
    #[arg(long)]
    quick: bool,
    /// On the host: count no instructions, which takes valgrind
    #[arg(long)]
    no_callgrind: bool,
    /// On the host: only the rows of two executors, which have no instructions
    #[arg(long)]
    executors: bool,
    /// On the host: only the rows of runtimes beside each other, which have no instructions
    #[arg(long, conflicts_with = "executors")]
    runtimes: bool,
    /// On the host: only the rows of causal events, which have no instructions
    #[arg(long, conflicts_with_all = ["executors", "runtimes"])]
    events: bool,
    /// On the host: how well the load balancers choose, simulated; no times
    #[arg(long, conflicts_with_all = ["quick", "executors", "runtimes", "events"])]
    quality: bool,
}

impl How {
    /// Fails if something was asked for that no other board's benches have.
    pub fn check_unused(self) -> Result<()> {
        let Self { quick, no_callgrind, executors, runtimes, events, quality } = self;
        if quick || no_callgrind || executors || runtimes || events || quality {
            let why = "--quick, --no-callgrind, --executors, --runtimes, --events and --quality are for `cargo board bench --on host`";
            return Err(Error::Usage(why.into()));
        }
        Ok(())
    }
}

/// Runs the benches on `host` and prints their rows and the goals. Returns the exit status.
///
/// # Errors
///
/// With `--quick` a row of trilane's that allocates: the benches say which, and end with a status other than
/// 0.
pub fn bench(session: &Session, host: &Board, json: bool, how: How) -> Result<u8> {
    let package = package(&session.workspace, host)?;
    let no_instructions = how.no_callgrind || how.executors || how.runtimes || how.events;
    let valgrind = if how.quick || how.quality || no_instructions {
        None
    } else {
        Some(valgrind(session.machine.as_ref())?)
    };
    // The host needs nothing but the compiler that built this tool.
    let ready = Ready::default();
    let built = build::build(&package, &ready, &[PACKAGE])?;
    let image = built.get(PACKAGE)?;
    let flags = [
        (how.quick, "--quick"),
        (how.executors, "--executors"),
        (how.runtimes, "--runtimes"),
        (how.events, "--events"),
        (how.quality, "--quality"),
        (how.quality && json, "--json"),
    ];
    let args: Vec<String> =
        flags.iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| (*flag).into()).collect();
    let run = Run { board: &package, bin: PACKAGE, image, args: &args, limit: session.limit };
    if how.quality {
        // Its tables are made there.
        return run.status(&run.run(&ready, &mut std::io::stdout())?);
    }
    let (status, outcome) = run.collect(&ready)?;
    let wrong = |why| Error::Bench { what: format!("{PACKAGE} on {}", host.name), why, last: outcome.last() };
    if status != 0 {
        return Err(wrong(format!("ended with status {status}; why is above")));
    }
    let mut measured = rows::parse(&outcome.output).map_err(wrong)?;
    if how.quick {
        let operations = rows::beside(&measured.rows).map_err(wrong)?.len();
        let count = measured.rows.len();
        println!("{}: {count} rows of {operations} operations run; trilane allocates in none", host.name);
        return Ok(0);
    }
    if let Some(valgrind) = valgrind {
        let folder = package.dir.join("target/callgrind");
        let counted = callgrind::count(&valgrind, image, &folder, session.limit)?;
        rows::add_instructions(&mut measured.rows, &counted);
    }
    let rows = rows::beside(&measured.rows).map_err(wrong)?;
    let goals: Vec<table::Reached> =
        measured.goals.iter().filter_map(|goal| table::reached(goal, &rows)).collect();
    if json {
        rows.iter().flat_map(|row| table::to_json(&host.name, row)).for_each(|line| println!("{line}"));
        goals.iter().for_each(|goal| println!("{}", table::goal_to_json(&host.name, goal)));
    } else {
        print!("{}", table::to_text(&host.name, &measured.remarks, &rows, &goals));
    }
    Ok(0)
}

/// The package as what the host builds and runs.
fn package(workspace: &Workspace, host: &Board) -> Result<Board> {
    let dir = workspace.root.join(FOLDER);
    if !dir.join("Cargo.toml").is_file() {
        let why = format!("has no benches (there is no package in {FOLDER})");
        return Err(Error::NotPossible { board: host.name.clone(), why });
    }
    Ok(Board { dir, package: PACKAGE.into(), examples: Vec::new(), ..host.clone() })
}

/// Where valgrind is.
fn valgrind(machine: &dyn Machine) -> Result<PathBuf> {
    machine.find("valgrind").ok_or(Error::NoValgrind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::fake::Fake;

    #[test]
    fn without_valgrind_the_error_says_what_to_install_and_how_to_do_without() {
        let error = valgrind(&Fake::default()).expect_err("is not there");
        assert_eq!(error.status(), 1);
        let text = error.to_string();
        assert!(text.contains("apt-get install valgrind") && text.contains("--no-callgrind"), "{text}");
        let there = Fake::default().with_program("valgrind");
        assert_eq!(valgrind(&there).expect("is there"), PathBuf::from("/usr/bin/valgrind"));
    }
}
