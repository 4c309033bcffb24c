//! How well balancers choose: simulated endpoints, in virtual time.
//!
//! Read in this order: [`endpoint`] and [`scenario`] are what is simulated, [`simulation`] is one run;
//! [`balancer`] is what a contender does, [`balancers`] are the contenders; [`figures`] is what is said of
//! several runs.
//!
//! The same seed gives the same runs, but for pingora's random choices, which take no seed.

mod balancer;
mod balancers;
mod endpoint;
mod figures;
mod scenario;
mod simulation;

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

use self::balancers::{Contender, EXACT};
use self::figures::Figures;
use self::scenario::Scenario;
use self::simulation::Outcome;
use crate::STACK;

/// How many seeds there are runs of.
const SEEDS: u64 = 8;
/// How many runs there are at a time.
const THREADS: usize = 2;
/// How much less than the reference may be served, and how much later, in percent.
const SLACK: f64 = 5.0;

/// What the command line asks for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Plan {
    check: bool,
    json: bool,
    scenario: Option<String>,
    seed: u64,
    seeds: u64,
}

impl Plan {
    /// Reads the arguments without `--quality`. The error says what is wrong with them.
    pub fn read(mut args: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut plan = Self { check: false, json: false, scenario: None, seed: 1, seeds: SEEDS };
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or(format!("`{arg}` takes a value"));
            let number = |given: String| given.parse().map_err(|_| format!("`{given}` is no number"));
            match arg.as_str() {
                "--check" => plan.check = true,
                "--json" => plan.json = true,
                "--scenario" => plan.scenario = Some(value()?),
                "--seed" => plan.seed = number(value()?)?,
                "--seeds" => plan.seeds = number(value()?)?.max(1),
                _ => return Err(format!("`{arg}` is not known")),
            }
        }
        let known = |name: &String| Scenario::all().iter().any(|scenario| scenario.name == name);
        match &plan.scenario {
            Some(_) if plan.check => Err("`--check` has scenarios of its own".into()),
            Some(name) if !known(name) => {
                let names: Vec<&str> = Scenario::all().iter().map(|scenario| scenario.name).collect();
                Err(format!("there is no scenario `{name}`; there are: {}", names.join(", ")))
            }
            _ => Ok(plan),
        }
    }
}

/// Runs what is asked for and prints it.
pub fn run(plan: &Plan) -> ExitCode {
    if plan.check {
        return check(plan);
    }
    let wanted = |scenario: &Scenario| plan.scenario.as_deref().is_none_or(|name| name == scenario.name);
    let contenders = balancers::all();
    for scenario in Scenario::all().into_iter().filter(wanted) {
        let figures = play(&scenario, &contenders, plan.seed, plan.seeds);
        if plan.json {
            figures.iter().for_each(|figures| println!("{}", figures.to_json(scenario.name)));
        } else {
            print!("{}", figures::to_text(&scenario, &figures));
        }
    }
    ExitCode::SUCCESS
}

/// The goals: who goes where there is room serves as much as the reference, as early, within [`SLACK`].
fn check(plan: &Plan) -> ExitCode {
    let with_goals = |contender: &Contender| contender.name == EXACT || contender.has_goals;
    let contenders: Vec<Contender> = balancers::all().into_iter().filter(with_goals).collect();
    let mut missed = Vec::new();
    for scenario in [Scenario::one_slow(), Scenario::one_failing()] {
        let figures = play(&scenario, &contenders, plan.seed, plan.seeds);
        if plan.json {
            figures.iter().for_each(|figures| println!("{}", figures.to_json(scenario.name)));
        } else {
            print!("{}", figures::to_text(&scenario, &figures));
        }
        missed.extend(figures.iter().flat_map(|figures| misses(scenario.name, figures)));
    }
    missed.iter().for_each(|why| eprintln!("missed: {why}"));
    if missed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What a row falls short in. Not being a number is falling short.
fn misses(scenario: &str, figures: &Figures) -> Vec<String> {
    let who = figures.who;
    let mut missed = Vec::new();
    // What is no number is in no range.
    if !(100.0 - SLACK..=f64::MAX).contains(&figures.relative) {
        missed.push(format!("{scenario}: {who} serves {:.1} % of what {EXACT} does", figures.relative));
    }
    if !(0.0..=100.0 + SLACK).contains(&figures.relative_p99) {
        missed
            .push(format!("{scenario}: {who} has a p99 of {:.1} % of that of {EXACT}", figures.relative_p99));
    }
    missed
}

/// Runs each contender with each seed; the figures in the order of the contenders. The first is the
/// reference.
fn play(scenario: &Scenario, contenders: &[Contender], seed: u64, seeds: u64) -> Vec<Figures> {
    let runs = contenders.len() * seeds as usize;
    let next = AtomicUsize::new(0);
    let outcomes: Vec<Mutex<Option<Outcome>>> = (0..runs).map(|_| Mutex::new(None)).collect();
    let work = || loop {
        let run = next.fetch_add(1, Relaxed);
        let Some(place) = outcomes.get(run) else { return };
        let contender = &contenders[run / seeds as usize];
        let outcome = simulation::run(scenario, seed + run as u64 % seeds, contender.make);
        *place.lock().expect("nobody panics with it") = Some(outcome);
    };
    thread::scope(|scope| {
        for _ in 0..THREADS {
            // A balancer is made on the stack.
            thread::Builder::new()
                .stack_size(STACK)
                .spawn_scoped(scope, work)
                .expect("a thread can be started");
        }
    });
    let taken =
        |place: Mutex<Option<Outcome>>| place.into_inner().ok().flatten().expect("every run has ended");
    let outcomes: Vec<Outcome> = outcomes.into_iter().map(taken).collect();
    let mut of_each = contenders.iter().zip(outcomes.chunks(seeds as usize));
    let reference = outcomes.get(..seeds as usize).expect("there is a reference");
    of_each.by_ref().map(|(contender, own)| Figures::of(contender.name, scenario, own, reference)).collect()
}

#[cfg(test)]
mod tests {
    use super::endpoint::{Condition, Plan as EndpointPlan, Shape};
    use super::*;

    fn contender(name: &str) -> Contender {
        balancers::all().into_iter().find(|contender| contender.name == name).unwrap()
    }

    #[test]
    fn exact_least_connections_serves_what_it_must_by_arithmetic() {
        // Sixteen requests over four endpoints: four each, so twelve per 5 ms and four per 100 ms, for 20 s.
        let mut scenario = Scenario::one_slow();
        scenario.service.shape = Shape::Fixed;
        let outcome = simulation::run(&scenario, 1, contender(EXACT).make);
        let served = outcome.latencies.len() as f64;
        assert!((served / (20.0 * 2_440.0) - 1.0).abs() < 0.02, "{served}");
        assert_eq!(outcome.errors, 0);
    }

    #[test]
    fn a_queue_at_three_quarters_waits_as_long_as_theory_says() {
        // M/M/1 at a utilisation of 3/4: a request is there for the service time / (1 - 3/4), in the mean.
        let mut scenario = Scenario::all().into_iter().find(|scenario| scenario.name == "open").unwrap();
        scenario.endpoints = vec![EndpointPlan::new(1)];
        scenario.service.mean = 1_000.0;
        scenario.arrivals = scenario::Arrivals::Open(750.0);
        scenario.length = 200_000_000;
        let outcome = simulation::run(&scenario, 1, contender(EXACT).make);
        let sum: f64 = outcome.latencies.iter().map(|&latency| f64::from(latency)).sum();
        let mean = sum / outcome.latencies.len() as f64;
        assert!((mean / 4_000.0 - 1.0).abs() < 0.05, "{mean}");
    }

    #[test]
    fn the_same_seed_gives_the_same_run() {
        for name in ["trilane least latency", "tower p2c, peak EWMA", EXACT] {
            let [a, b, c] =
                [5, 5, 6].map(|seed| simulation::run(&Scenario::one_slow(), seed, contender(name).make));
            assert_eq!(a.latencies, b.latencies, "{name}");
            assert_ne!(a.latencies, c.latencies, "{name}");
        }
    }

    #[test]
    fn the_goals_are_missed_by_chance_and_by_nothing() {
        let scenario = Scenario::one_slow();
        let contenders = [contender(EXACT), contender("trilane random")];
        let figures = play(&scenario, &contenders, 1, 2);
        assert!(misses("", &figures[0]).is_empty());
        assert_eq!(misses("", &figures[1]).len(), 2);
        // Nothing served, by the reference neither.
        let nothing = Outcome { sent: vec![0; 4], ..Outcome::default() };
        let nothing = [nothing];
        let figures = Figures::of("nobody", &scenario, &nothing, &nothing);
        assert_eq!(misses("", &figures).len(), 2);
    }

    #[test]
    fn a_hung_endpoint_costs_a_time_out_each() {
        let mut scenario = Scenario::one_slow();
        scenario.endpoints.truncate(1);
        scenario.endpoints[0].condition = Condition::Hung;
        let outcome = simulation::run(&scenario, 1, contender("the same, blind to failures").make);
        // Sixteen workers for 20 s, a second each; there is nobody to retry with.
        assert_eq!(outcome.latencies.len(), 0);
        assert!((290..=320).contains(&outcome.errors), "{}", outcome.errors);
    }

    #[test]
    fn what_is_not_known_is_refused() {
        let read = |line: &str| Plan::read(line.split_whitespace().map(str::to_owned));
        assert!(read("--json --seed 3 --scenario one-slow").is_ok());
        for line in ["--chek", "--seed", "--seed x", "--scenario nowhere", "--check --scenario one-slow"] {
            assert!(read(line).is_err(), "{line}");
        }
    }
}
