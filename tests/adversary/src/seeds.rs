//! Many seeds at once.

use std::sync::atomic::{AtomicU64, Ordering};

use trilane::group::{RULES, Rule, take_away};

use crate::plan::{KINDS, Plan};
use crate::run::run;
use crate::world::Violation;

/// What many seeds had in them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum {
    /// The seeds.
    pub seeds: u64,
    /// Ticks, terms, deaths of members, outputs.
    pub counts: [u64; 4],
    /// The first seed that found something, with what.
    pub found: Option<(u64, Violation)>,
}

/// Runs seeds on all processors, until one finds something.
pub fn run_seeds(seeds: std::ops::Range<u64>) -> Sum {
    let next = AtomicU64::new(seeds.start);
    let end = AtomicU64::new(seeds.end);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let one = || {
        let mut sum = Sum::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end.load(Ordering::Relaxed) {
                return sum;
            }
            let outcome = run(&Plan::new(seed), false);
            sum.seeds += 1;
            let counts = [outcome.ticks, outcome.terms, outcome.deaths, outcome.outputs as u64];
            sum.counts.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
            if let Some(violation) = outcome.violation {
                end.fetch_min(seed, Ordering::Relaxed);
                sum.found = Some(sum.found.map_or((seed, violation), |found| found.min((seed, violation))));
            }
        }
    };
    let sums: Vec<Sum> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(one)).collect();
        threads.into_iter().map(|thread| thread.join().expect("a seed panicked")).collect()
    });
    let mut all = Sum::default();
    for sum in sums {
        all.seeds += sum.seeds;
        all.counts.iter_mut().zip(sum.counts).for_each(|(all, count)| *all += count);
        all.found = [all.found, sum.found].into_iter().flatten().min();
    }
    all
}

/// A rule that was taken away, and how long it took to notice.
#[derive(Clone, Debug)]
pub struct Noticed {
    /// The rule.
    pub rule: Rule,
    /// For each range of seeds, how many it took, and what was found; `None` if none of them found anything.
    pub found: Vec<Option<(u64, Violation)>>,
}

impl Noticed {
    /// The median of how many seeds it took.
    pub fn median(&self) -> Option<u64> {
        let mut seeds: Vec<u64> =
            self.found.iter().map(|found| found.map_or(u64::MAX, |(seeds, _)| seeds)).collect();
        seeds.sort_unstable();
        seeds.get(seeds.len() / 2).copied().filter(|seeds| *seeds < u64::MAX)
    }
}

/// Rules whose absence shows only where several faults come together.
pub const RARELY_MISSED: [Rule; 3] = [Rule::TwoRemain, Rule::CommitOfJoined, Rule::LogOfIncarnation];

/// The seeds within which a rule is missed that was taken away.
pub fn limit(rule: Rule) -> u64 {
    if RARELY_MISSED.contains(&rule) { 12_000 } else { 1_000 }
}

/// Takes each rule away, and runs `ranges` ranges of seeds until one notices, [`limit`] at most in each.
pub fn take_each_away(ranges: u64, mut each: impl FnMut(&Noticed)) {
    for rule in RULES {
        take_away(Some(*rule));
        let found = |range| {
            let first = 1 + 1_000_000 * range;
            run_seeds(first..first + limit(*rule))
                .found
                .map(|(seed, violation)| (seed - first + 1, violation))
        };
        let noticed = Noticed { rule: *rule, found: (0..ranges).map(found).collect() };
        take_away(None);
        each(&noticed);
    }
}

/// Takes kinds of faults, events and ticks away from a plan for as long as it still finds something.
pub fn shrink(plan: &Plan) -> (Plan, Vec<&'static str>) {
    let finds = |plan: &Plan| run(plan, false).violation.is_some();
    let (mut plan, mut without) = (plan.clone(), Vec::new());
    for kind in KINDS {
        let smaller = plan.without(kind);
        if smaller != plan && finds(&smaller) {
            plan = smaller;
            without.push(kind);
        }
    }
    while plan.events > 1 {
        let smaller = Plan { events: plan.events - 1, ..plan.clone() };
        if !finds(&smaller) {
            break;
        }
        plan = smaller;
    }
    (plan, without)
}
