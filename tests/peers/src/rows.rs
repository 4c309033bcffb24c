//! Which operations are measured, of which strategies, in which worlds; and what they should take.

use crate::contender::Strategy;
use crate::executors;
use crate::measure::Op;
use crate::world::World;

/// The numbers of endpoints.
pub const SIZES: [usize; 3] = [16, 100, 1000];
/// Where only one number is measured.
pub const LARGEST: usize = SIZES[2];

/// Contenders that are built once, and what they are measured at.
pub struct Stage {
    /// How they choose.
    pub strategy: Strategy,
    /// How many endpoints there are.
    pub n: usize,
    /// Whether requests ask for tags and a zone, and half of the endpoints are down.
    pub filtered: bool,
    /// Whether endpoints have exact caps.
    pub caps: bool,
    /// The operations.
    pub ops: Vec<Op>,
}

impl Stage {
    /// The endpoints.
    pub fn world(&self) -> World {
        World::new(self.n, self.filtered, self.strategy.is_weighted(), self.caps)
    }

    /// The row's name; its `n` stands beside it.
    pub fn row(&self, op: Op) -> String {
        let filtered = if self.filtered { "-filtered" } else { "" };
        let caps = if self.caps { "-caps" } else { "" };
        format!("{}{filtered}{caps}-{}", self.strategy.name(), op.name())
    }
}

/// All stages, the headline first.
pub fn stages() -> Vec<Stage> {
    let stage =
        |strategy, n, filtered, caps, ops: &[Op]| Stage { strategy, n, filtered, caps, ops: ops.to_vec() };
    let mut stages = Vec::new();
    for strategy in Strategy::ALL {
        stages.push(stage(strategy, LARGEST, true, false, &[Op::Headline]));
    }
    for strategy in Strategy::ALL {
        for filtered in [false, true] {
            for n in SIZES {
                stages.push(stage(strategy, n, filtered, false, &[Op::Select, Op::Lease]));
            }
        }
    }
    for strategy in Strategy::ALL {
        for caps in [false, true] {
            let ops: &[Op] = if caps { &[Op::Lease, Op::Threads] } else { &[Op::Threads] };
            stages.push(stage(strategy, LARGEST, true, caps, ops));
        }
    }
    for strategy in Strategy::ALL {
        let mut ops = vec![Op::HealthFirst, Op::HealthAndFirst, Op::MemberFirst, Op::MemberAndFirst];
        match strategy {
            Strategy::RoundRobin => ops.extend([Op::Health, Op::Remove, Op::Add]),
            Strategy::Ring | Strategy::Maglev => {
                ops.extend([Op::MemberAndBuild, Op::Health, Op::Remove, Op::Add]);
            }
            Strategy::LeastConnections => ops.push(Op::Health),
            Strategy::LeastLoad | Strategy::Adaptive => {
                ops.extend([Op::Health, Op::Report, Op::ReportAndFirst]);
            }
            _ => {}
        }
        stages.push(stage(strategy, LARGEST, true, false, &ops));
    }
    stages
}

/// The most that an operation should take.
#[derive(Clone, Copy, Debug)]
pub enum Limit {
    /// Nanoseconds.
    Nanos(u32),
    /// Times as long as the fastest other in its row.
    Times(f64),
}

/// What some rows should take.
pub struct Goal {
    /// In words.
    pub what: &'static str,
    /// The most that they should take.
    pub at_most: Limit,
    /// The rows' names.
    pub rows: Vec<String>,
}

/// The goals. None of their rows may allocate.
pub fn goals() -> Vec<Goal> {
    use Strategy::*;
    const CONSTANT: [Strategy; 6] =
        [RoundRobin, Random, WeightedRoundRobin, WeightedRandom, PowerOfTwo, Maglev];
    let rows = |strategies: &[Strategy], ends: &[&str]| {
        let pairs = ends.iter().flat_map(|end| strategies.iter().map(move |strategy| (strategy.name(), end)));
        pairs.map(|(strategy, end)| format!("{strategy}-{end}")).collect()
    };
    let goal = |what, nanos, rows| Goal { what, at_most: Limit::Nanos(nanos), rows };
    let tasks = |what, nanos, ops: &[&str]| {
        let rows = ops.iter().flat_map(|op| [1, 2].map(|workers| format!("task-{op}-{workers}w")));
        Goal { what, at_most: Limit::Nanos(nanos), rows: rows.collect() }
    };
    let executors = |what, end| Goal { what, at_most: Limit::Times(1.1), rows: executors::names(end) };
    let selects = ["select", "filtered-select"];
    vec![
        goal("select: round robin, random, weighted, power of two, Maglev", 20, rows(&CONSTANT, &selects)),
        goal("select: ring", 40, rows(&[Ring], &selects)),
        goal(
            "select: least load, latency, connections",
            30,
            rows(&[LeastLoad, LeastLatency, LeastConnections, WeightedLeastConnections], &selects),
        ),
        goal(
            "first select after a change, 1,000 endpoints",
            400,
            rows(&[&CONSTANT[..], &[Ring]].concat(), &["filtered-health-first", "filtered-member-first"]),
        ),
        goal(
            "health change",
            10,
            rows(&[RoundRobin, Maglev, Ring, LeastConnections, LeastLoad, Adaptive], &["filtered-health"]),
        ),
        goal("two threads, no caps", 30, rows(&Strategy::ALL, &["filtered-lease-2t"])),
        goal("two threads, exact caps", 80, rows(&Strategy::ALL, &["filtered-caps-lease-2t"])),
        executors("two executors on two threads, each beside one alone: 1.1 times", "2t"),
        executors("two executors side by side in memory, beside far apart: 1.1 times", "beside"),
        tasks("spawn a task and await it", 60, &["spawn-await"]),
        tasks("spawn many tasks and await them", 50, &["spawn-many"]),
        tasks("the same by a thread that is no worker", 100, &["spawn-remote"]),
        tasks("yield, 200 tasks", 8, &["yield"]),
        tasks("ping-pong of two tasks, there and back", 25, &["ping-pong"]),
        Goal {
            what: "wake a task that is woken already",
            at_most: Limit::Nanos(8),
            rows: vec!["task-wake-woken-1w".into()],
        },
        tasks("arm a timer and drop it", 25, &["timer"]),
        tasks("the same beside 10,000 others", 40, &["timer-10k"]),
        // Two polls here take less than 100 ns.
        Goal {
            what: "from the wake of a task with a deadline to its poll, p99.9: 50 us and two polls",
            at_most: Limit::Nanos(50_100),
            rows: [1, 2].map(|workers| format!("task-timed-{workers}w-p999")).into(),
        },
        goal("a horizon becomes the bits of a link", 1, vec!["event-horizon".into()]),
        goal("take in an event of 64 bytes", 25, vec!["event-ingress".into()]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{events, runtimes};

    #[test]
    fn every_row_comes_once_and_every_goal_is_about_rows() {
        let mut rows: Vec<(String, usize)> = Vec::new();
        for stage in stages() {
            for &op in &stage.ops {
                let row = (stage.row(op), stage.n);
                assert!(!rows.contains(&row), "{row:?} comes twice");
                rows.push(row);
            }
        }
        rows.extend(["2t", "beside"].iter().flat_map(|end| executors::names(end)).map(|row| (row, 2)));
        for row in runtimes::rows().into_iter().chain(events::rows()) {
            assert!(!rows.contains(&row), "{row:?} comes twice");
            rows.push(row);
        }
        for row in goals().into_iter().flat_map(|goal| goal.rows) {
            assert!(rows.iter().any(|(name, _)| *name == row), "there is no row {row}");
        }
    }
}
