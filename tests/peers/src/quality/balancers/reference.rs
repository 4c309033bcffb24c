//! What a balancer would choose that knows what none can know.

use crate::quality::balancer::{Ask, Balancer, Verdict};
use crate::quality::endpoint::{Condition, Endpoint, Micros, Report};
use crate::random::Xorshift;

/// What a reference knows, beside how many requests all clients have out to each endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Knows {
    /// Nothing.
    Nothing,
    /// Who refuses or hangs at the moment.
    Failures,
    /// That, and how long each takes.
    Times,
}

/// The least cost of all, ties at random: of the nearest zone where one answers, of those not yet tried.
pub struct Reference {
    knows: Knows,
    random: Xorshift,
}

/// A reference.
pub fn new(knows: Knows, seed: u64) -> Box<dyn Balancer> {
    Box::new(Reference { knows, random: Xorshift::new(seed) })
}

impl Reference {
    fn cost(&self, endpoint: &Endpoint) -> f64 {
        let plan = endpoint.plan();
        let busy = (endpoint.out() + 1) as f64;
        match self.knows {
            Knows::Nothing | Knows::Failures => busy / f64::from(plan.weight),
            // Until it is served: those beyond its servers wait.
            Knows::Times => endpoint.mean() * (busy / plan.servers as f64).max(1.0) + endpoint.way() as f64,
        }
    }

    /// Of all that are there and that `may` be taken, one of those that come first: the nearer, the less
    /// busy.
    fn best(&mut self, truth: &[Endpoint], may: impl Fn(usize, &Endpoint) -> bool) -> Option<usize> {
        let mut best = Vec::new();
        let mut least = (u8::MAX, f64::INFINITY);
        for (index, endpoint) in truth.iter().enumerate().filter(|(_, endpoint)| endpoint.has_joined()) {
            let cost = (endpoint.plan().zone, self.cost(endpoint));
            if !may(index, endpoint) || cost > least {
                continue;
            }
            if cost < least {
                least = cost;
                best.clear();
            }
            best.push(index);
        }
        let nth = self.random.below(best.len());
        best.get(nth).copied()
    }
}

impl Balancer for Reference {
    fn add(&mut self, _endpoint: usize, _now: Micros) {}

    fn report(&mut self, _endpoint: usize, _report: Report, _now: Micros) {}

    fn select(&mut self, ask: &Ask<'_>, truth: &[Endpoint], _now: Micros) -> Option<usize> {
        let answers = |endpoint: &Endpoint| {
            self.knows == Knows::Nothing
                || matches!(endpoint.condition(), Condition::Well | Condition::Slow(_))
        };
        let lives: Vec<bool> = truth.iter().map(answers).collect();
        let other = |index: usize| !ask.tried.contains(&index);
        self.best(truth, |index, _| lives[index] && other(index))
            .or_else(|| self.best(truth, |index, _| other(index)))
    }

    fn end(&mut self, _request: usize, _verdict: Verdict, _after: Micros, _now: Micros) {}
}
