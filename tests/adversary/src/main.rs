//! Runs seeds, and prints what it found.

use std::process::ExitCode;

use trilane_adversary::plan::Plan;
use trilane_adversary::run::run;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments[0] == "many" {
        let n: u64 = arguments[1].parse().unwrap();
        let mut bad = 0;
        let (mut ticks, mut terms, mut deaths, mut outputs) = (0, 0, 0, 0);
        for seed in 1..=n {
            let outcome = run(&Plan::new(seed), false);
            ticks += outcome.ticks; terms += outcome.terms; deaths += outcome.deaths; outputs += outcome.outputs;
            if let Some(violation) = outcome.violation {
                bad += 1;
                if bad <= 20 { println!("{seed} {violation:?} {:?}", outcome.complaint); }
            }
        }
        println!("bad {bad} ticks {ticks} terms {terms} deaths {deaths} outputs {outputs}");
        return ExitCode::SUCCESS;
    }
    let seed: u64 = arguments.first().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let plan = Plan::new(seed);
    println!("{plan:?}");
    let outcome = run(&plan, true);
    for note in &outcome.notes {
        println!("{:5} {:?} {}", note.tick, note.node, note.text);
    }
    println!("{:?} {} ticks {} terms {} deaths {} outputs {:?}", outcome.violation, outcome.ticks, outcome.terms, outcome.deaths, outcome.outputs, outcome.complaint);
    ExitCode::SUCCESS
}
