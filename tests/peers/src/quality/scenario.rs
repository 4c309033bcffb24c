//! The scenarios: endpoints, what is asked of them, and what happens to them.

use trilane::route::Options;
use trilane::time::Duration;

use super::endpoint::{Condition, Micros, Plan, Service, Shape};

const MILLI: Micros = 1_000;
const SECOND: Micros = 1_000_000;

/// How requests come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Arrivals {
    /// Each worker sends the next when it has had the last one's answer.
    Closed,
    /// So many a second, whoever is busy: a Poisson process; each comes to a random worker.
    Open(f64),
}

/// What happens to an endpoint.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Change {
    /// It becomes this.
    Condition(Condition),
    /// It is there from now on.
    Joins,
}

/// One scenario.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is, in a line.
    pub about: &'static str,
    /// The endpoints.
    pub endpoints: Vec<Plan>,
    /// How long a request takes to serve.
    pub service: Service,
    /// Who asks: one selector each.
    pub workers: usize,
    /// Among how many balancers the workers are divided; none knows of the others' requests.
    pub balancers: usize,
    /// When they ask.
    pub arrivals: Arrivals,
    /// How long it goes on.
    pub length: Micros,
    /// What happens, in order.
    pub changes: Vec<(Micros, usize, Change)>,
    /// An endpoint whose share of the traffic is watched from a time on.
    pub watched: Option<(usize, Micros)>,
    /// What trilane's balancers are set to.
    pub options: Options,
}

impl Scenario {
    /// How long a client waits for an answer.
    pub const PATIENCE: Micros = SECOND;
    /// How often endpoints report.
    pub const REPORTS: Micros = 100 * MILLI;

    fn new(name: &'static str, about: &'static str, endpoints: usize, servers: usize) -> Self {
        Self {
            name,
            about,
            endpoints: vec![Plan::new(servers); endpoints],
            service: Service { mean: 5.0 * MILLI as f64, shape: Shape::Lognormal(0.5) },
            workers: 16,
            balancers: 1,
            arrivals: Arrivals::Closed,
            length: 20 * SECOND,
            changes: Vec::new(),
            watched: None,
            options: Options::new(),
        }
    }

    /// Requests come by themselves, at this share of what all endpoints can serve that are there at the
    /// beginning.
    fn open(self, share: f64) -> Self {
        let capacity = |plan: &Plan| match plan.condition {
            Condition::Slow(factor) => plan.servers as f64 / factor,
            _ => plan.servers as f64,
        };
        let there = self.endpoints.iter().filter(|plan| plan.joined);
        let capacity: f64 = there.map(capacity).sum::<f64>() * SECOND as f64 / self.service.mean;
        Self { arrivals: Arrivals::Open(capacity * share), ..self }
    }

    fn at(mut self, second: u64, endpoint: usize, condition: Condition) -> Self {
        self.changes.push((second * SECOND, endpoint, Change::Condition(condition)));
        self
    }

    fn watch(self, endpoint: usize, from: u64) -> Self {
        Self { watched: Some((endpoint, from * SECOND)), ..self }
    }

    fn lasts(self, seconds: u64) -> Self {
        Self { length: seconds * SECOND, ..self }
    }

    /// All of them, in the order of the tables.
    pub fn all() -> Vec<Self> {
        let exponential = |mean| Service { mean: mean * MILLI as f64, shape: Shape::Exponential };
        vec![
            Self::new("uniform", "8 equal endpoints, 16 workers", 8, 4),
            Self::one_slow(),
            Self::one_failing(),
            Self::new("one-hung", "one of 8 never answers from 2 s on", 8, 4).at(2, 0, Condition::Hung),
            Self::new("one-flaky", "one of 8 refuses three of ten", 8, 4).at(0, 0, Condition::Failing(0.3)),
            Self::new("most-failing", "6 of 10 refuse from 2 s on", 10, 8).most_failing(),
            Self::new("slow-recovers", "one of 8 takes 20 times as long from 5 to 15 s", 8, 4)
                .at(5, 0, Condition::Slow(20.0))
                .at(15, 0, Condition::Well)
                .watch(0, 15)
                .lasts(45),
            Self::new("failing-recovers", "one of 8 refuses from 5 to 15 s", 8, 4)
                .at(5, 0, Condition::Failing(1.0))
                .at(15, 0, Condition::Well)
                .watch(0, 15)
                .lasts(60),
            Self::new("joins", "a fifth endpoint joins four at 75 %, cold for 3 s; slow start 5 s", 5, 4)
                .open_and_joined(),
            Self::new("zone-lost", "the near zone, 4 of 8, refuses from 5 to 15 s", 8, 8).zone_lost(),
            Self::new("many-endpoints", "64 endpoints for 8 workers", 64, 2).with_workers(8),
            Self { service: exponential(10.0), ..Self::new("open", "32 endpoints at 75 %", 32, 2) }
                .open(0.75)
                .lasts(30),
            Self { service: exponential(10.0), ..Self::new("open-80", "10 endpoints at 80 %", 10, 4) }
                .open(0.8)
                .lasts(30),
            Self::new("open-slow", "one of 10 takes 5 times as long, at 75 %", 10, 4)
                .slow_from_the_beginning(),
            Self::new("uneven", "weights 1, 2 and 4 with as many servers, at 75 %", 9, 1).uneven(),
            Self {
                balancers: 8,
                workers: 32,
                ..Self::new("apart", "8 balancers that don't know of each other, 10 endpoints at 75 %", 10, 4)
            }
            .open(0.75),
            Self { workers: 64, ..Self::new("crowd", "64 workers at 8 endpoints", 8, 4) },
        ]
    }

    /// The scenario that envoy #35935 is about.
    pub fn one_slow() -> Self {
        let mut scenario = Self::new("one-slow", "one of 4 takes 100 ms, the others 5; 16 workers", 4, 8);
        scenario.endpoints[0].condition = Condition::Slow(20.0);
        scenario
    }

    /// One that fails fast looks idle.
    pub fn one_failing() -> Self {
        let mut scenario = Self::new("one-failing", "one of 10 refuses everything; 16 workers", 10, 4);
        scenario.endpoints[0].condition = Condition::Failing(1.0);
        scenario
    }

    fn with_workers(self, workers: usize) -> Self {
        Self { workers, ..self }
    }

    fn most_failing(self) -> Self {
        (0..6).fold(self, |scenario, endpoint| scenario.at(2, endpoint, Condition::Failing(1.0)))
    }

    fn open_and_joined(mut self) -> Self {
        const NEW: usize = 4;
        self.endpoints[NEW].joined = false;
        self.options = self.options.slow_start(Duration::from_secs(5));
        self = self.open(0.75);
        self.changes = vec![
            (10 * SECOND, NEW, Change::Condition(Condition::Slow(5.0))),
            (10 * SECOND, NEW, Change::Joins),
        ];
        self.at(11, NEW, Condition::Slow(3.0)).at(13, NEW, Condition::Well).watch(NEW, 10).lasts(30)
    }

    fn zone_lost(mut self) -> Self {
        self.endpoints.iter_mut().skip(4).for_each(|plan| plan.zone = 1);
        let lost = (0..4).fold(self, |scenario, endpoint| scenario.at(5, endpoint, Condition::Failing(1.0)));
        (0..4)
            .fold(lost, |scenario, endpoint| scenario.at(15, endpoint, Condition::Well))
            .watch(0, 15)
            .lasts(60)
    }

    fn slow_from_the_beginning(mut self) -> Self {
        self.endpoints[0].condition = Condition::Slow(5.0);
        self.open(0.75)
    }

    fn uneven(mut self) -> Self {
        for (endpoint, plan) in self.endpoints.iter_mut().enumerate() {
            plan.weight = 1 << (endpoint % 3);
            plan.servers = usize::from(plan.weight);
        }
        self.open(0.75)
    }
}
