//! Runs seeds, and prints what it found.

use std::process::ExitCode;

use trilane::group::{RULES, Rule, take_away};
use trilane_adversary::picture::page;
use trilane_adversary::plan::{KINDS, Plan};
use trilane_adversary::run::run;
use trilane_adversary::seeds::{limit, run_seeds, shrink, take_each_away};

const USAGE: &str = "\
usage: cargo run --release -- [SEEDS [--rule RULE]]
                                                 run so many seeds, 10000 unless told; without a rule
       cargo run --release -- --mutations        take each rule away, and count the seeds that it takes to notice
       cargo run --release -- --seed SEED [--events N] [--without KINDS] [--rule RULE]
                                                 run one seed and tell what happens; KINDS with commas between
       cargo run --release -- --picture SEED FILE [the same options]
                                                 run one seed and write a page that shows what happens";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        [] => seeds(10_000),
        ["--mutations"] => mutations(),
        ["--seed", seed, ref options @ ..] => match seed.parse().ok().and_then(|seed| planned(seed, options))
        {
            Some(plan) => tell(&plan),
            None => usage(),
        },
        ["--picture", seed, file, ref options @ ..] => {
            match seed.parse().ok().and_then(|seed| planned(seed, options)) {
                Some(plan) => draw(&plan, file),
                None => usage(),
            }
        }
        [seeds_wanted] => seeds_wanted.parse().map_or_else(|_| usage(), seeds),
        [seeds_wanted, "--rule", name] => match (seeds_wanted.parse(), rule(name)) {
            (Ok(wanted), Some(rule)) => {
                take_away(Some(rule));
                seeds(wanted)
            }
            _ => usage(),
        },
        _ => usage(),
    }
}

fn usage() -> ExitCode {
    let rules: Vec<String> = RULES.iter().map(|rule| format!("{rule:?}")).collect();
    eprintln!("{USAGE}\nkinds: {}\nrules: {}", KINDS.join(","), rules.join(","));
    ExitCode::FAILURE
}

/// The plan of a seed, as the options say.
fn planned(seed: u64, options: &[&str]) -> Option<Plan> {
    let mut plan = Plan::new(seed);
    for option in options.chunks(2) {
        match option {
            ["--events", events] => plan.events = events.parse().ok()?,
            ["--without", kinds] => {
                for kind in kinds.split(',') {
                    plan = plan.without(KINDS.iter().find(|known| **known == kind)?);
                }
            }
            ["--rule", name] => take_away(Some(rule(name)?)),
            _ => return None,
        }
    }
    Some(plan)
}

fn rule(name: &str) -> Option<Rule> {
    RULES.iter().copied().find(|rule| format!("{rule:?}") == name)
}

fn seeds(seeds: u64) -> ExitCode {
    let began = std::time::Instant::now();
    let sum = run_seeds(1..seeds + 1);
    let [ticks, terms, deaths, outputs] = sum.counts;
    println!(
        "{} seeds in {:.1} s: {ticks} ticks, {terms} terms, {deaths} deaths of members, {outputs} outputs",
        sum.seeds,
        began.elapsed().as_secs_f64()
    );
    let Some((seed, violation)) = sum.found else {
        println!("nothing was lost, doubled, changed or stuck");
        return ExitCode::SUCCESS;
    };
    let (plan, without) = shrink(&Plan::new(seed));
    println!("seed {seed}: {violation:?}; to see the least that shows it:");
    let without =
        if without.is_empty() { String::new() } else { format!(" --without {}", without.join(",")) };
    println!("cargo run --release -- --seed {seed} --events {}{without}", plan.events);
    ExitCode::FAILURE
}

/// One line a rule that is taken away; fails if it was not noticed.
fn mutations() -> ExitCode {
    let mut missed = 0;
    println!("| rule taken away | seeds to notice, median of 5 | found as |\n| --- | --- | --- |");
    take_each_away(5, |noticed| {
        let mut found: Vec<String> =
            noticed.found.iter().flatten().map(|(_, violation)| format!("{violation:?}")).collect();
        found.sort_unstable();
        found.dedup();
        let median = noticed
            .median()
            .map_or_else(|| format!("more than {}", limit(noticed.rule)), |median| median.to_string());
        missed += u64::from(noticed.median().is_none());
        println!("| {:?} | {median} | {} |", noticed.rule, found.join(", "));
    });
    ExitCode::from(u8::from(missed > 0))
}

fn draw(plan: &Plan, file: &str) -> ExitCode {
    match std::fs::write(file, page(plan, &run(plan, true))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{file}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn tell(plan: &Plan) -> ExitCode {
    println!("{plan:?}");
    let outcome = run(plan, true);
    for note in outcome.notes.iter().filter(|note| !note.what.is_detail()) {
        println!("{:5}  {:12}  {}", note.tick, format!("{:?}", note.node), note.what);
    }
    if let Some(complaint) = outcome.complaint {
        println!("{complaint}");
    }
    match outcome.violation {
        None => ExitCode::SUCCESS,
        Some(violation) => {
            println!("{violation:?}");
            ExitCode::FAILURE
        }
    }
}
