//! Breakers with a full-width clock, each probe known by its number.

use trilane::route::{BreakerState, FailureRate};

/// What the breakers are set to; spans in microseconds.
#[derive(Clone, Copy, Debug)]
pub struct BreakerRules {
    /// Failures in a row that open a breaker; 0: none do.
    pub failures: u16,
    /// The share that does.
    pub rate: Option<FailureRate>,
    /// Probes that must succeed.
    pub probes: u8,
    /// How long it is open, the first time.
    pub open_for: u64,
    /// How long it is open at most, if that isn't less.
    pub open_at_most: u64,
    /// When a probe is given up.
    pub window: u64,
    /// The share that may be out, in permille.
    pub max_ejected: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed,
    Open { until: i64 },
    HalfOpen,
    Probing { until: i64, claim: u64 },
}

/// One endpoint's breaker.
#[derive(Clone, Debug)]
struct Breaker {
    member: u64,
    healthy: bool,
    state: State,
    /// How often it has opened and closed.
    term: u64,
    /// How often it has opened without being forgiven, and until when it isn't.
    level: u32,
    forgiven: i64,
    /// How many probes have been sent.
    claims: u64,
    successes: u8,
    failures: u32,
    outcomes: u32,
    bad: u32,
    /// When the half-window began, in ticks.
    half_began: i64,
}

/// What a select must give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// The probe of a member that waits for one.
    Probe,
    /// Any member that is closed and healthy.
    Any,
    /// All breakers are open until this tick.
    Open(i64),
    /// Nobody is healthy.
    Unhealthy,
}

/// The breakers of the members in each place.
#[derive(Debug)]
pub struct NaiveBreakers {
    rules: BreakerRules,
    places: Vec<Breaker>,
}

/// A span in ticks.
fn ticks(span: u64) -> i64 {
    (span.div_ceil(1_024) as i64).min(1 << 30)
}

/// The tick of an instant.
pub fn tick(now: u64) -> i64 {
    (now >> 10) as i64
}

impl Breaker {
    fn new(member: u64) -> Self {
        let state = State::Closed;
        Self {
            member,
            healthy: true,
            state,
            term: 0,
            level: 0,
            forgiven: 0,
            claims: 0,
            successes: 0,
            failures: 0,
            outcomes: 0,
            bad: 0,
            half_began: 0,
        }
    }

    /// Whether this probe is the one that is out; sixteen after it, one can't be told from it.
    fn is_out(&self, term: u64, claim: u64) -> bool {
        matches!(self.state, State::Probing { claim: own, .. } if self.term == term && own % 16 == claim % 16)
    }

    fn count(&mut self, rate: &FailureRate, failed: bool, now: i64) -> bool {
        if self.outcomes == 0 {
            self.half_began = now;
        }
        let half = (ticks(rate.window.as_micros()) / 2).max(1);
        // Of an endpoint without outcomes for 50 days nobody remembers how often: ticks wrap.
        let gone = (now - self.half_began) as i32 as i64;
        let passed = if gone >= 0 { (gone / half).min(16) } else { 16 * (gone < -half) as i64 };
        if passed == 16 {
            self.half_began = now;
        } else {
            self.half_began += passed * half;
        }
        for _ in 0..passed {
            (self.outcomes, self.bad) = (self.outcomes / 2, self.bad / 2);
        }
        self.outcomes += 1;
        self.bad += failed as u32;
        self.outcomes >= rate.at_least as u32
            && self.bad > 0
            && self.bad * 1_000 >= rate.permille as u32 * self.outcomes
    }
}

impl NaiveBreakers {
    /// As many members, all closed.
    pub fn new(rules: BreakerRules, members: usize) -> Self {
        Self { rules, places: (0..members).map(|at| Breaker::new(at as u64)).collect() }
    }

    /// Another member, with this number, comes to the place.
    pub fn replace(&mut self, place: usize, member: u64) {
        self.places[place] = Breaker::new(member);
    }

    /// Who is in the place.
    pub fn member(&self, place: usize) -> u64 {
        self.places[place].member
    }

    /// A health check has an answer.
    pub fn set_healthy(&mut self, place: usize, healthy: bool) {
        self.places[place].healthy = healthy;
    }

    /// How many keep out what would come else.
    pub fn ejected(&self) -> usize {
        let keeps_out = |state| matches!(state, State::Open { .. } | State::Probing { .. });
        self.places.iter().filter(|breaker| breaker.healthy && keeps_out(breaker.state)).count()
    }

    /// The term of the breaker in the place: what a lease remembers.
    pub fn term(&self, place: usize) -> u64 {
        self.places[place].term
    }

    /// A lease has ended without a verdict; `claim` is its number if it is a probe.
    pub fn release(&mut self, place: usize, member: u64, term: u64, claim: Option<u64>) {
        let breaker = &mut self.places[place];
        if breaker.member == member && claim.is_some_and(|claim| breaker.is_out(term, claim)) {
            breaker.state = State::HalfOpen;
        }
    }

    /// The state of the breaker in the place.
    pub fn state(&self, place: usize) -> BreakerState {
        match self.places[place].state {
            State::Closed => BreakerState::Closed,
            State::Open { .. } => BreakerState::Open,
            State::HalfOpen => BreakerState::HalfOpen,
            State::Probing { .. } => BreakerState::Probing,
        }
    }

    /// Whether it may get an ordinary request.
    pub fn is_routable(&self, place: usize) -> bool {
        self.places[place].healthy && self.places[place].state == State::Closed
    }

    /// Time has come to `now`, and somebody looks.
    pub fn advance(&mut self, now: u64) {
        (0..self.places.len()).for_each(|place| self.look(place, now));
    }

    /// Time has come to `now`, and somebody looks at this place.
    pub fn look(&mut self, place: usize, now: u64) {
        let breaker = &mut self.places[place];
        match breaker.state {
            State::Open { until } | State::Probing { until, .. } if tick(now) >= until => {
                breaker.state = State::HalfOpen;
            }
            // What is forgiven stays so when the clock goes back.
            State::Closed if tick(now) >= breaker.forgiven => breaker.level = 0,
            _ => {}
        }
    }

    /// Whether its probe may be sent.
    pub fn awaits_probe(&self, place: usize) -> bool {
        self.places[place].healthy && self.places[place].state == State::HalfOpen
    }

    /// Its probe is sent; returns its number.
    pub fn send_probe(&mut self, place: usize, now: u64) -> u64 {
        let until = tick(now) + ticks(self.rules.window);
        let breaker = &mut self.places[place];
        breaker.claims += 1;
        breaker.state = State::Probing { until, claim: breaker.claims };
        breaker.claims
    }

    /// What a select gives.
    pub fn select(&mut self, now: u64) -> Expected {
        self.advance(now);
        if (0..self.places.len()).any(|place| self.awaits_probe(place)) {
            return Expected::Probe;
        }
        if (0..self.places.len()).any(|place| self.is_routable(place)) {
            return Expected::Any;
        }
        let open = self.places.iter().filter(|breaker| breaker.healthy).filter_map(|at| match at.state {
            State::Open { until } | State::Probing { until, .. } => Some(until),
            _ => None,
        });
        open.min().map_or(Expected::Unhealthy, Expected::Open)
    }

    /// A lease has ended with a verdict; `term` is what it remembers, `claim` its number if it is a probe.
    pub fn end(
        &mut self,
        place: usize,
        member: u64,
        term: u64,
        claim: Option<u64>,
        succeeded: bool,
        now: u64,
    ) {
        let (rules, members) = (self.rules, self.places.len());
        let breaker = &mut self.places[place];
        if breaker.member != member || breaker.term != term {
            return;
        }
        let most = ticks(rules.open_at_most).max(ticks(rules.open_for));
        let open = |breaker: &mut Breaker, level: u32| {
            breaker.level = level.min(15);
            let doubled = (ticks(rules.open_for) as i128) << (breaker.level - 1);
            let span =
                if breaker.level > 1 { doubled.min(most as i128) as i64 } else { ticks(rules.open_for) };
            breaker.state = State::Open { until: tick(now) + span };
            breaker.successes = 0;
            breaker.term += 1;
        };
        if let Some(claim) = claim {
            let out = breaker.is_out(term, claim);
            match succeeded {
                false if out => open(breaker, breaker.level + 1),
                true if out || matches!(breaker.state, State::Probing { .. } | State::HalfOpen) => {
                    breaker.successes += 1;
                    if breaker.successes >= rules.probes {
                        breaker.state = State::Closed;
                        breaker.term += 1;
                        breaker.forgiven = tick(now) + most;
                        (breaker.successes, breaker.failures, breaker.outcomes, breaker.bad) = (0, 0, 0, 0);
                    } else if out {
                        breaker.state = State::HalfOpen;
                    }
                }
                _ => {}
            }
            return;
        }
        if breaker.state != State::Closed {
            return;
        }
        if succeeded {
            breaker.failures = 0;
            if let Some(rate) = &rules.rate {
                breaker.count(rate, false, tick(now));
            }
            return;
        }
        breaker.failures += 1;
        let too_many = rules.rate.is_some_and(|rate| breaker.count(&rate, true, tick(now)));
        let in_a_row = rules.failures != 0 && breaker.failures >= rules.failures as u32;
        if !in_a_row && !too_many {
            return;
        }
        self.advance(now);
        let share = members * rules.max_ejected as usize / 1_000;
        let may = if rules.max_ejected == 0 { 0 } else { share.max(1) };
        // The last is never kept out.
        let others = (0..members).any(|other| other != place && self.is_routable(other));
        if self.ejected() < may && others {
            let breaker = &mut self.places[place];
            let again = breaker.level != 0 && tick(now) < breaker.forgiven;
            open(breaker, if again { breaker.level + 1 } else { 1 });
        }
    }
}
