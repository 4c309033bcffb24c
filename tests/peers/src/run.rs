//! A run over all rows.

use std::fmt::Write as _;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::OWN;
use crate::contenders;
use crate::events;
use crate::executors;
use crate::measure::{self, Op, Sample, median};
use crate::rows::{self, Limit, Stage};
use crate::runtimes;
use crate::side::Side;
use crate::world::World;

/// How often each side is measured in turn.
const ROUNDS: usize = 75;
/// How long one of these takes: less than other programs are kept waiting, so that most of them are not
/// interrupted.
pub const TARGET: Duration = Duration::from_micros(800);
/// A side that takes longer is measured less often, so as not to take more than this in all; but
/// [`SLOW_ROUNDS`] times.
const PATIENCE: Duration = Duration::from_millis(150);
const SLOW_ROUNDS: usize = 3;
/// By how much callgrind slows a program down, about.
const CALLGRIND: f64 = 50.0;

/// What the command line asks for.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Plan {
    quick: bool,
    executors: bool,
    runtimes: bool,
    events: bool,
    callgrind: bool,
    op: Option<String>,
    iterations: Option<u64>,
}

impl Plan {
    /// Reads the arguments. The error says what is wrong with them.
    pub fn read(mut args: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut plan = Self::default();
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or(format!("`{arg}` takes a value"));
            match arg.as_str() {
                "--quick" => plan.quick = true,
                "--executors" => plan.executors = true,
                "--runtimes" => plan.runtimes = true,
                "--events" => plan.events = true,
                "--callgrind" => plan.callgrind = true,
                "--op" => plan.op = Some(value()?),
                "--iterations" => {
                    let given = value()?;
                    let iterations = given.parse().ok().filter(|iterations| *iterations > 0);
                    plan.iterations =
                        Some(iterations.ok_or(format!("`{given}` is no number of iterations"))?);
                }
                _ => return Err(format!("`{arg}` is not known")),
            }
        }
        Ok(plan)
    }

    /// Whether each row is only to run.
    pub fn is_quick(&self) -> bool {
        self.quick
    }

    /// How many operations the command line asks for.
    pub fn iterations(&self) -> Option<u64> {
        self.iterations
    }

    /// Whether the row of this name is asked for.
    pub fn wants(&self, row: &str) -> bool {
        self.op.as_deref().is_none_or(|op| op == row)
    }

    /// `wanted` operations, or as many as the command line says, in whole quanta.
    fn operations(&self, op: Op, wanted: u64) -> u64 {
        self.iterations.unwrap_or(wanted).div_ceil(op.quantum()).max(1) * op.quantum()
    }
}

/// What one side took for one row, each operation.
pub struct Figures {
    pub nanos: f64,
    pub allocations: f64,
    /// What else was counted, by name.
    pub counts: Vec<(&'static str, f64)>,
}

impl Figures {
    /// The median of the samples' times, and the mean of their allocations.
    pub fn of(samples: impl IntoIterator<Item = Sample>) -> Self {
        let samples: Vec<Sample> = samples.into_iter().collect();
        let operations: u64 = samples.iter().map(|sample| sample.operations).sum();
        let allocations: f64 = samples.iter().map(|sample| sample.allocations).sum();
        let mut nanos: Vec<f64> = samples.iter().map(Sample::nanos_each).collect();
        Self { nanos: median(&mut nanos), allocations: allocations / operations as f64, counts: Vec::new() }
    }
}

/// Runs all rows and prints them.
pub fn run(plan: &Plan) -> ExitCode {
    let only = plan.executors || plan.runtimes || plan.events;
    let stages = if only { Vec::new() } else { rows::stages() };
    if !only {
        about();
    }
    let wanted = |stage: &Stage| stage.ops.iter().any(|&op| plan.wants(&stage.row(op)));
    let count = stages.iter().filter(|stage| wanted(stage)).count();
    let others = [executors::is_wanted(plan), runtimes::is_wanted(plan), events::is_wanted(plan)];
    if count == 0 && others == [false; 3] {
        eprintln!("there is no such row");
        return ExitCode::from(2);
    }
    let mut allocating = Vec::new();
    for (number, stage) in stages.iter().filter(|stage| wanted(stage)).enumerate() {
        if std::io::stderr().is_terminal() {
            eprint!("\r{number}/{count} ");
        }
        let mut sides = contenders::sides(stage.strategy, &stage.world());
        let slower = if plan.callgrind { CALLGRIND } else { 1.0 };
        sides.iter_mut().for_each(|side| side.check(slower));
        for &op in stage.ops.iter().filter(|&&op| plan.wants(&stage.row(op))) {
            let mut sides: Vec<&mut Box<dyn Side>> = sides.iter_mut().filter(|side| side.can(op)).collect();
            if plan.callgrind {
                sides.iter_mut().for_each(|side| count_instructions(plan, stage, op, side.as_mut()));
                continue;
            }
            let figures = measure(plan, op, &mut sides);
            for (side, figures) in sides.iter().zip(figures) {
                let notes = side.footnotes(op);
                let notes: Vec<&str> = notes.iter().map(|note| note.text()).collect();
                print_row(&stage.row(op), stage.n, side.name(), &figures, &notes);
                if side.name() == OWN && figures.allocations > 0.0 {
                    allocating.push(format!("{} with {} endpoints", stage.row(op), stage.n));
                }
            }
        }
    }
    if std::io::stderr().is_terminal() {
        eprint!("\r        \r");
    }
    // What threads do at a time is no matter of instructions.
    if !plan.callgrind {
        let mut print = |row: &str, n: usize, who: &str, figures: &Figures, notes: &[&str]| {
            print_row(row, n, who, figures, notes);
            if who == OWN && figures.allocations > 0.0 {
                allocating.push(row.to_owned());
            }
        };
        if plan.executors || !only {
            executors::run(plan, |row, who, figures, notes| print(row, 2, who, figures, notes));
        }
        if plan.runtimes || !only {
            runtimes::run(plan, |row, n, who, figures| print(row, n, who, figures, &[]));
        }
        if plan.events || !only {
            events::run(plan, |row, n, who, figures| print(row, n, who, figures, &[]));
        }
        print_goals(plan);
    }
    if allocating.is_empty() {
        return ExitCode::SUCCESS;
    }
    eprintln!("{OWN} allocates in: {}", allocating.join(", "));
    ExitCode::FAILURE
}

/// Measures the sides in turn, so that noise hits all of them.
fn measure(plan: &Plan, op: Op, sides: &mut [&mut Box<dyn Side>]) -> Vec<Figures> {
    let mut operations = Vec::new();
    let mut rounds = Vec::new();
    // To start a thread takes longer than what is measured of it.
    let op_alone = if op == Op::Threads { Op::Lease } else { op };
    for side in sides.iter_mut() {
        let mut count = plan.operations(op, 1);
        let mut took = warm_up(side.as_mut(), op_alone, count);
        // Until the clock's grain is no matter.
        while plan.iterations.is_none() && !plan.quick && took < TARGET / 8 {
            count *= 4;
            took = warm_up(side.as_mut(), op_alone, count);
        }
        if plan.iterations.is_none() && !plan.quick && took < TARGET {
            let more = TARGET.as_secs_f64() / took.as_secs_f64();
            count = plan.operations(op, (count as f64 * more) as u64);
        }
        operations.push(count);
        rounds.push(match () {
            () if plan.quick => 1,
            // Each may take several attempts.
            () if op == Op::Threads => ROUNDS / 3,
            () if took > TARGET => {
                ((PATIENCE.as_secs_f64() / took.as_secs_f64()) as usize).clamp(SLOW_ROUNDS, ROUNDS)
            }
            () => ROUNDS,
        });
    }
    let mut samples: Vec<Vec<Sample>> = sides.iter().map(|_| Vec::new()).collect();
    for round in 0..ROUNDS {
        for (index, side) in sides.iter_mut().enumerate().filter(|(index, _)| round < rounds[*index]) {
            samples[index].push(side.run(op, operations[index]));
        }
    }
    samples.into_iter().map(Figures::of).collect()
}

/// How long the operations take. The least of three times: another program that comes in between says nothing
/// of them.
fn warm_up(side: &mut dyn Side, op: Op, operations: u64) -> Duration {
    let mut run = || {
        let start = Instant::now();
        side.run(op, operations);
        start.elapsed()
    };
    let first = run();
    if first > PATIENCE / 8 { first } else { first.min(run()).min(run()) }
}

/// Runs the row twice, the second time with more operations; the difference of the instructions belongs to
/// them alone. Once, if it has so many that nothing else counts.
fn count_instructions(plan: &Plan, stage: &Stage, op: Op, side: &mut dyn Side) {
    // What threads do at a time is no matter of instructions, and a weighted mean has no sum.
    if op == Op::Threads || (op == Op::Headline && side.is_slow()) {
        return;
    }
    let quantum = plan.operations(op, 1);
    let took = warm_up(side, op, quantum);
    let [slow, slowest] = [20, 200].map(Duration::from_millis);
    let more = |plenty: u64| if took > slow { quantum } else { plenty.div_ceil(quantum) * quantum };
    let first = if took > slowest { None } else { Some(more(64)) };
    let row = stage.row(op);
    // The warm-up is a part without operations: nobody asks what it took.
    for operations in [Some(0), first, Some(more(64) + more(192))].into_iter().flatten() {
        let counted = if operations == 0 { 0 } else { side.run(op, operations).operations };
        measure::end_of_part();
        println!(r#"{{"op":"{row}","n":{},"who":"{}","operations":{counted}}}"#, stage.n, side.name());
    }
}

fn about() {
    println!(
        "The filter: two tags, each on 3 of 4 endpoints; one of two zones; every second endpoint down. All four are independent.\n\
         Unfiltered, all endpoints are up and match. Weights are 1 to 10 where they count."
    );
    for n in rows::SIZES {
        let candidates = World::new(n, true, false, false).candidates().len();
        println!("  {n} endpoints: {candidates} candidates with the filter");
    }
}

fn print_row(row: &str, n: usize, who: &str, figures: &Figures, notes: &[&str]) {
    let notes: Vec<String> = notes.iter().map(|note| format!("{note:?}")).collect();
    let counts: Vec<String> =
        figures.counts.iter().map(|(name, count)| format!("{name:?}:{count:.4}")).collect();
    let Figures { nanos, allocations, .. } = figures;
    let mut line = format!(r#"{{"op":"{row}","n":{n},"who":"{who}""#);
    let _ = write!(line, r#","ns":{nanos:.2},"allocations":{allocations:.3},"notes":[{}]"#, notes.join(","));
    if !counts.is_empty() {
        let _ = write!(line, r#","counts":{{{}}}"#, counts.join(","));
    }
    line.push('}');
    println!("{line}");
}

fn print_goals(plan: &Plan) {
    for goal in rows::goals() {
        let rows: Vec<String> =
            goal.rows.iter().filter(|row| plan.wants(row)).map(|row| format!("{row:?}")).collect();
        if !rows.is_empty() {
            let (unit, most) = match goal.at_most {
                Limit::Nanos(nanos) => ("ns", f64::from(nanos)),
                Limit::Times(times) => ("times", times),
            };
            println!(r#"{{"goal":"{}","{unit}":{most},"ops":[{}]}}"#, goal.what, rows.join(","));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Plan, String> {
        Plan::read(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn what_is_not_known_is_refused() {
        assert!(read("--quick --op rr-select --iterations 5").is_ok());
        for line in ["--quik", "--op", "--iterations 0", "--iterations x"] {
            assert!(read(line).is_err(), "{line}");
        }
    }

    #[test]
    fn operations_come_in_whole_quanta() {
        let plan = read("--iterations 65").unwrap();
        assert_eq!(plan.operations(Op::Select, 1), 72);
        assert_eq!(plan.operations(Op::Headline, 1), 10_000);
        assert_eq!(Plan::default().operations(Op::Add, 17), 20);
    }
}
