//! Searches the settings and prints what it found.

use std::process::ExitCode;

use trilane_protocol::mutation::Mutation;
use trilane_protocol::rows::ROWS;
use trilane_protocol::search::{Report, search};
use trilane_protocol::setting::Setting;
use trilane_protocol::settings::{LARGE, SMALL, named};

const USAGE: &str = "usage: cargo run --release -- [--large | --mutations | SETTING [RULE]]";

/// About 100 bytes a state are kept.
const LIMIT: usize = 60_000_000;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        [] => settings(SMALL),
        ["--large"] => settings(LARGE),
        ["--mutations"] => mutations(),
        [name] if named(name).is_some() => trace(name, None),
        [name, rule] if named(name).is_some() && Mutation::named(rule).is_some() => trace(name, Some(rule)),
        _ => {
            eprintln!("{USAGE}");
            ExitCode::FAILURE
        }
    }
}

/// One line a setting; fails if one of them found something.
fn settings(settings: &[Setting]) -> ExitCode {
    println!("{:26} {:>10} {:>11} {:>5}", "setting", "states", "transitions", "steps");
    let mut found = false;
    for setting in settings {
        let report = search(setting, LIMIT);
        found |= report.found.is_some();
        println!("{:26} {}", setting.name, line(&report));
    }
    ExitCode::from(u8::from(found))
}

/// One line a rule that is taken away; fails if it was not noticed.
fn mutations() -> ExitCode {
    let mut missed = false;
    println!("| rule taken away | found as | steps | states to it | setting |");
    println!("| --- | --- | --- | --- | --- |");
    for row in ROWS {
        let report = search(&row.setting(), LIMIT);
        missed |= report.found.is_none();
        let (found, steps) = report
            .found
            .map_or(("-".to_owned(), 0), |(violation, trace)| (format!("{violation:?}"), trace.len()));
        println!("| {:?} | {found} | {steps} | {} | {} |", row.rule, report.states, row.setting);
    }
    ExitCode::from(u8::from(missed))
}

/// One setting, with the shortest trace to what it found.
fn trace(name: &str, rule: Option<&str>) -> ExitCode {
    let without = rule.and_then(Mutation::named);
    let setting = Setting { without, ..named(name).expect("it was looked for") };
    let report = search(&setting, LIMIT);
    println!("{:26} {}", name, line(&report));
    let Some((_, steps)) = &report.found else { return ExitCode::SUCCESS };
    steps.iter().for_each(|step| println!("{step}"));
    ExitCode::FAILURE
}

fn line(report: &Report) -> String {
    let Report { states, transitions, depth, is_complete, found } = report;
    let end = match found {
        Some((violation, steps)) => format!("{violation:?} after {} steps", steps.len()),
        None if *is_complete => "all states".to_owned(),
        None => "stopped at the limit".to_owned(),
    };
    format!("{states:10} {transitions:11} {depth:5}  {end}")
}
