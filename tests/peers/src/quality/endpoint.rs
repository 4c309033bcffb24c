//! A simulated endpoint: a first-in-first-out queue before a few servers.

use std::collections::VecDeque;

use crate::random::Xorshift;

/// Microseconds of virtual time.
pub type Micros = u64;

/// How long an endpoint that refuses takes to say so.
pub const REFUSAL: Micros = 1_000;

/// How an endpoint is at the moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Condition {
    /// It takes what the scenario's service times say.
    Well,
    /// It takes so many times as long.
    Slow(f64),
    /// It refuses this share of requests, each after [`REFUSAL`], and serves the others.
    Failing(f64),
    /// It takes requests and never answers.
    Hung,
}

/// How service times vary. All have the same mean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shape {
    /// Not at all, so that a test can tell by arithmetic.
    #[cfg(test)]
    Fixed,
    /// Lognormal; the standard deviation of the logarithm.
    Lognormal(f64),
    /// Exponential.
    Exponential,
}

/// Service times.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Service {
    /// The mean in microseconds.
    pub mean: f64,
    /// The distribution.
    pub shape: Shape,
}

impl Service {
    fn draw(self, random: &mut Xorshift) -> f64 {
        let factor = match self.shape {
            #[cfg(test)]
            Shape::Fixed => 1.0,
            // Box and Muller's transform; the second value is not used.
            Shape::Lognormal(sigma) => {
                let radius = (-2.0 * unit(random).ln()).sqrt();
                let normal = radius * (std::f64::consts::TAU * unit(random)).cos();
                (sigma * normal - sigma * sigma / 2.0).exp()
            }
            Shape::Exponential => -unit(random).ln(),
        };
        self.mean * factor
    }
}

/// Above 0, at most 1.
pub fn unit(random: &mut Xorshift) -> f64 {
    ((random.next() >> 11) + 1) as f64 / (1u64 << 53) as f64
}

/// What a scenario says of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    /// How many requests it serves at a time; more wait.
    pub servers: usize,
    /// Its weight, for contenders that weigh.
    pub weight: u16,
    /// Its zone. Requests prefer zone 0; each zone further adds [`Plan::DISTANCE`] to the way there and back.
    pub zone: u8,
    /// How it is at the beginning.
    pub condition: Condition,
    /// Whether it is there at the beginning.
    pub joined: bool,
}

impl Plan {
    /// What a zone further away costs.
    pub const DISTANCE: Micros = 2_000;

    /// An endpoint with so many servers that is well, and there from the beginning.
    pub const fn new(servers: usize) -> Self {
        Self { servers, weight: 1, zone: 0, condition: Condition::Well, joined: true }
    }
}

/// One try of a request: who waits for it, and which of its tries it is.
pub type Attempt = (usize, u32);

/// What happens to an attempt that has come.
pub enum Taken {
    /// It is refused.
    Refused,
    /// It is being served, and ends after so many microseconds.
    Served(Micros),
    /// It waits, or will never be answered.
    Waits,
}

/// An endpoint at work.
pub struct Endpoint {
    plan: Plan,
    condition: Condition,
    joined: bool,
    service: Service,
    /// Its own: the same seed gives the same service times, whoever balances.
    random: Xorshift,
    serving: usize,
    queue: VecDeque<Attempt>,
    /// Attempts out, as those see it who send them.
    out: usize,
    /// Since the last report.
    period: Period,
}

/// What an endpoint has seen since its last report.
#[derive(Clone, Copy, Debug, Default)]
struct Period {
    since: Micros,
    until: Micros,
    /// Microseconds of work, of all servers.
    work: Micros,
    ended: u32,
    failed: u32,
}

/// What an endpoint says of itself.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// How much of its servers' time was used, in permille.
    pub utilisation: u16,
    /// Requests there.
    pub connections: u32,
    /// The mean service time in milliseconds.
    pub response_ms: u32,
    /// Requests refused, in permille.
    pub errors: u16,
}

impl Endpoint {
    /// As the plan has it.
    pub fn new(plan: Plan, service: Service, seed: u64) -> Self {
        Self {
            plan,
            condition: plan.condition,
            joined: plan.joined,
            service,
            random: Xorshift::new(seed),
            serving: 0,
            queue: VecDeque::new(),
            out: 0,
            period: Period::default(),
        }
    }

    /// How it is.
    pub fn condition(&self) -> Condition {
        self.condition
    }

    /// What the scenario says of it.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Whether it is there.
    pub fn has_joined(&self) -> bool {
        self.joined
    }

    /// It is there from now on.
    pub fn join(&mut self) {
        self.joined = true;
    }

    /// How many attempts its clients have out to it.
    pub fn out(&self) -> usize {
        self.out
    }

    /// A client has sent one, or has had its answer or given up.
    pub fn count_out(&mut self, sent: bool) {
        self.out = if sent { self.out + 1 } else { self.out - 1 };
    }

    /// How long it takes to serve a request, in the mean.
    pub fn mean(&self) -> f64 {
        match self.condition {
            Condition::Slow(factor) => self.service.mean * factor,
            _ => self.service.mean,
        }
    }

    /// The way there and back.
    pub fn way(&self) -> Micros {
        u64::from(self.plan.zone) * Plan::DISTANCE
    }

    /// It becomes something else. What is being served ends as it would have; what a hung endpoint has
    /// swallowed stays lost.
    pub fn become_(&mut self, condition: Condition, now: Micros) {
        self.count_work(now);
        self.condition = condition;
    }

    /// An attempt has come.
    pub fn take(&mut self, attempt: Attempt, now: Micros) -> Taken {
        match self.condition {
            Condition::Hung => Taken::Waits,
            Condition::Failing(share) if unit(&mut self.random) <= share => {
                self.period.ended += 1;
                self.period.failed += 1;
                Taken::Refused
            }
            _ if self.serving < self.plan.servers => Taken::Served(self.serve(now)),
            _ => {
                self.queue.push_back(attempt);
                Taken::Waits
            }
        }
    }

    /// One has been served; the next, and when it ends.
    pub fn next(&mut self, now: Micros) -> Option<(Attempt, Micros)> {
        self.count_work(now);
        self.serving -= 1;
        self.period.ended += 1;
        let attempt = self.queue.pop_front()?;
        Some((attempt, self.serve(now)))
    }

    fn serve(&mut self, now: Micros) -> Micros {
        self.count_work(now);
        self.serving += 1;
        let factor = if let Condition::Slow(factor) = self.condition { factor } else { 1.0 };
        ((self.service.draw(&mut self.random) * factor) as Micros).max(1)
    }

    fn count_work(&mut self, now: Micros) {
        self.period.work += (now - self.period.until) * self.serving as u64;
        self.period.until = now;
    }

    /// What it says of itself, of the time since it last did. A hung one says nothing.
    pub fn report(&mut self, now: Micros) -> Option<Report> {
        self.count_work(now);
        let Period { since, work, ended, failed, .. } = self.period;
        self.period = Period { since: now, until: now, ..Period::default() };
        let time = (now - since).max(1) * self.plan.servers as u64;
        let served = u64::from(ended - failed);
        (self.condition != Condition::Hung).then(|| Report {
            utilisation: (work * 1_000 / time).min(1_000) as u16,
            connections: (self.serving + self.queue.len()) as u32,
            response_ms: (work.checked_div(served).unwrap_or(0) / 1_000) as u32,
            errors: (failed * 1_000).checked_div(ended).unwrap_or(0) as u16,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_has_the_mean_that_it_is_given() {
        for shape in [Shape::Fixed, Shape::Lognormal(0.5), Shape::Exponential] {
            let mut random = Xorshift::new(7);
            let service = Service { mean: 5_000.0, shape };
            let sum: f64 = (0..200_000).map(|_| service.draw(&mut random)).sum();
            assert!((sum / 200_000.0 - 5_000.0).abs() < 50.0, "{shape:?}: {}", sum / 200_000.0);
        }
    }

    #[test]
    fn more_than_it_has_servers_for_wait_in_order() {
        let service = Service { mean: 10.0, shape: Shape::Fixed };
        let mut endpoint = Endpoint::new(Plan::new(1), service, 1);
        assert!(matches!(endpoint.take((1, 0), 0), Taken::Served(10)));
        assert!(matches!(endpoint.take((2, 0), 1), Taken::Waits));
        assert!(matches!(endpoint.take((3, 0), 2), Taken::Waits));
        assert_eq!(endpoint.next(10), Some(((2, 0), 10)));
        assert_eq!(endpoint.next(20), Some(((3, 0), 10)));
        assert_eq!(endpoint.next(30), None);
        let report = endpoint.report(60).unwrap();
        assert_eq!((report.utilisation, report.connections), (500, 0));
    }
}
