//! One run of a scenario with one contender: events in virtual time, one after the other.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::balancer::{Ask, Balancer, Verdict};
use super::endpoint::{Attempt, Endpoint, Micros, REFUSAL, Taken, unit};
use super::scenario::{Arrivals, Change, Scenario};
use crate::random::Xorshift;

/// How often a request is sent at most.
const ATTEMPTS: u32 = 2;
/// How long a worker waits when nobody could be had.
const PAUSE: Micros = 1_000;
/// The grain of the timeline of an endpoint's share.
pub const WINDOW: Micros = 500_000;
/// How many keys there are.
const KEYS: usize = 10_000;

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// How long each request took that was served, from its arrival on, retries included.
    pub latencies: Vec<u32>,
    /// Requests that were not served.
    pub errors: u64,
    /// The most attempts that were out to one endpoint at a time.
    pub most_out: usize,
    /// Attempts sent to each endpoint.
    pub sent: Vec<u64>,
    /// The watched endpoint's share of the attempts in each [`WINDOW`] after it is watched.
    pub shares: Vec<f64>,
}

/// In the order of time; among equals, in the order in which they were planned.
type Planned = Reverse<(Micros, u64, Event)>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Change(usize),
    Report,
    /// A worker's turn, in a closed loop; or the next of an open one.
    Arrival(usize),
    /// A server has ended an attempt, which is answered after the way back.
    Served(usize, Attempt),
    Answer(Attempt, bool),
    TimeOut(Attempt),
}

struct Request {
    arrived: Micros,
    sent: Micros,
    worker: usize,
    key: u64,
    /// The number of the attempt that is out; those before count no more.
    attempt: u32,
    attempts: u32,
    tried: Vec<usize>,
}

struct Simulation<'a> {
    scenario: &'a Scenario,
    balancers: Vec<Box<dyn Balancer>>,
    endpoints: Vec<Endpoint>,
    requests: Vec<Request>,
    free: Vec<usize>,
    planned: BinaryHeap<Planned>,
    number: u64,
    arrivals: Xorshift,
    windows: Vec<(u64, u64)>,
    outcome: Outcome,
}

/// Runs the scenario. `make` makes a balancer for so many workers from a seed.
pub fn run(
    scenario: &Scenario,
    seed: u64,
    make: impl Fn(&Scenario, usize, u64) -> Box<dyn Balancer>,
) -> Outcome {
    let mut seeds = Xorshift::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let endpoint = |plan: &_| Endpoint::new(*plan, scenario.service, seeds.next());
    let endpoints: Vec<Endpoint> = scenario.endpoints.iter().map(endpoint).collect();
    let arrivals = Xorshift::new(seeds.next());
    let workers = scenario.workers.div_ceil(scenario.balancers);
    let balancers = (0..scenario.balancers).map(|_| make(scenario, workers, seeds.next())).collect();
    let outcome = Outcome { sent: vec![0; endpoints.len()], ..Outcome::default() };
    let mut simulation = Simulation {
        scenario,
        balancers,
        endpoints,
        requests: Vec::new(),
        free: Vec::new(),
        planned: BinaryHeap::new(),
        number: 0,
        arrivals,
        windows: Vec::new(),
        outcome,
    };
    simulation.run();
    simulation.outcome
}

impl Simulation<'_> {
    fn plan(&mut self, at: Micros, event: Event) {
        self.number += 1;
        self.planned.push(Reverse((at, self.number, event)));
    }

    fn run(&mut self) {
        for endpoint in 0..self.endpoints.len() {
            if self.endpoints[endpoint].has_joined() {
                self.balancers.iter_mut().for_each(|balancer| balancer.add(endpoint, 0));
            }
        }
        for (index, &(at, ..)) in self.scenario.changes.iter().enumerate() {
            self.plan(at, Event::Change(index));
        }
        self.plan(Scenario::REPORTS, Event::Report);
        let first = if self.scenario.arrivals == Arrivals::Closed { self.scenario.workers } else { 1 };
        (0..first).for_each(|worker| self.plan(0, Event::Arrival(worker)));
        while let Some(Reverse((now, _, event))) = self.planned.pop() {
            if now >= self.scenario.length {
                break;
            }
            self.happen(event, now);
        }
        let shares = self.windows.iter().map(|&(own, all)| own as f64 / all.max(1) as f64);
        self.outcome.shares = shares.collect();
    }

    fn happen(&mut self, event: Event, now: Micros) {
        match event {
            Event::Change(index) => {
                let (_, endpoint, change) = self.scenario.changes[index];
                match change {
                    Change::Condition(condition) => self.endpoints[endpoint].become_(condition, now),
                    Change::Joins => {
                        self.endpoints[endpoint].join();
                        self.balancers.iter_mut().for_each(|balancer| balancer.add(endpoint, now));
                    }
                }
            }
            Event::Report => {
                for (index, endpoint) in self.endpoints.iter_mut().enumerate() {
                    if let Some(report) = endpoint.report(now).filter(|_| endpoint.has_joined()) {
                        self.balancers.iter_mut().for_each(|balancer| balancer.report(index, report, now));
                    }
                }
                self.plan(now + Scenario::REPORTS, Event::Report);
            }
            Event::Arrival(worker) => self.arrive(worker, now),
            Event::Served(endpoint, attempt) => {
                let way = self.endpoints[endpoint].way();
                self.plan(now + way, Event::Answer(attempt, true));
                if let Some((next, takes)) = self.endpoints[endpoint].next(now) {
                    self.plan(now + takes, Event::Served(endpoint, next));
                }
            }
            Event::Answer(attempt, well) => {
                self.end(attempt, if well { Verdict::Answered } else { Verdict::Refused }, now);
            }
            Event::TimeOut(attempt) => self.end(attempt, Verdict::TimedOut, now),
        }
    }

    fn arrive(&mut self, worker: usize, now: Micros) {
        let mut worker = worker;
        if let Arrivals::Open(rate) = self.scenario.arrivals {
            let gap = -unit(&mut self.arrivals).ln() * 1e6 / rate;
            self.plan(now + gap as Micros, Event::Arrival(0));
            worker = self.arrivals.below(self.scenario.workers);
        }
        let key = self.arrivals.below(KEYS) as u64;
        let tried = Vec::new();
        let request = Request { arrived: now, sent: now, worker, key, attempt: 0, attempts: 0, tried };
        let index = match self.free.pop() {
            Some(index) => {
                // Late answers to whoever had the place are of attempts before.
                let attempt = self.requests[index].attempt;
                self.requests[index] = Request { attempt, ..request };
                index
            }
            None => {
                self.requests.push(request);
                self.requests.len() - 1
            }
        };
        self.send(index, now);
    }

    /// The balancer of the request's worker, and the worker's number there.
    fn place_of(&self, request: usize) -> (usize, usize) {
        let worker = self.requests[request].worker;
        (worker % self.balancers.len(), worker / self.balancers.len())
    }

    fn send(&mut self, index: usize, now: Micros) {
        let (balancer, worker) = self.place_of(index);
        let request = &mut self.requests[index];
        let ask = Ask { worker, request: index, key: request.key, tried: &request.tried };
        let Some(chosen) = self.balancers[balancer].select(&ask, &self.endpoints, now) else {
            self.conclude(index, false, now + PAUSE);
            return;
        };
        request.sent = now;
        request.attempt += 1;
        request.attempts += 1;
        request.tried.push(chosen);
        let attempt = (index, request.attempt);
        self.outcome.sent[chosen] += 1;
        self.watch(chosen, now);
        let endpoint = &mut self.endpoints[chosen];
        endpoint.count_out(true);
        self.outcome.most_out = self.outcome.most_out.max(endpoint.out());
        let way = endpoint.way();
        // The way counts once, when it is answered.
        match endpoint.take(attempt, now) {
            Taken::Refused => self.plan(now + way + REFUSAL, Event::Answer(attempt, false)),
            Taken::Served(takes) => self.plan(now + takes, Event::Served(chosen, attempt)),
            Taken::Waits => {}
        }
        self.plan(now + Scenario::PATIENCE, Event::TimeOut(attempt));
    }

    fn watch(&mut self, chosen: usize, now: Micros) {
        if let Some((watched, from)) = self.scenario.watched
            && now >= from
        {
            let window = ((now - from) / WINDOW) as usize;
            if self.windows.len() <= window {
                self.windows.resize(window + 1, (0, 0));
            }
            self.windows[window].0 += u64::from(chosen == watched);
            self.windows[window].1 += 1;
        }
    }

    /// An attempt has ended, unless it ended before.
    fn end(&mut self, (index, attempt): Attempt, verdict: Verdict, now: Micros) {
        let (balancer, _) = self.place_of(index);
        let request = &mut self.requests[index];
        if request.attempt != attempt {
            return;
        }
        request.attempt += 1;
        let endpoint = *request.tried.last().expect("it was sent");
        self.endpoints[endpoint].count_out(false);
        self.balancers[balancer].end(index, verdict, now - request.sent, now);
        if verdict != Verdict::Answered && request.attempts < ATTEMPTS {
            self.send(index, now);
        } else {
            self.conclude(index, verdict == Verdict::Answered, now);
        }
    }

    /// The request has ended; in a closed loop, its worker goes on at `next`.
    fn conclude(&mut self, index: usize, served: bool, next: Micros) {
        let request = &self.requests[index];
        let worker = request.worker;
        if served {
            self.outcome.latencies.push((next - request.arrived) as u32);
        } else {
            self.outcome.errors += 1;
        }
        self.free.push(index);
        if self.scenario.arrivals == Arrivals::Closed {
            self.plan(next, Event::Arrival(worker));
        }
    }
}
