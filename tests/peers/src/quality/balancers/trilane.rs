//! The router under test, set up as the scenario says.

use std::sync::Arc;

use trilane::route::{
    Balancer as Core, Class, Endpoint as Member, EndpointId, Filter, Lease, Metrics, Request, RoutingKey,
    Selector, Strategy, Zone,
};
use trilane::time::{Duration, Instant};

use crate::quality::balancer::{Ask, Balancer, Verdict};
use crate::quality::endpoint::{Endpoint, Micros, Plan, Report};
use crate::quality::scenario::Scenario;

/// 64 endpoints.
pub const BANKS: usize = 2;
const PER_BANK: usize = 32;
/// As many workers as any scenario has.
const WORKERS: usize = 64;
/// Memory in use, which is the same for all endpoints: permille.
const MEMORY: u16 = 200;

type Shared<S> = Arc<Core<S, BANKS, PER_BANK, WORKERS>>;

struct Trilane<S: Strategy<BANKS, PER_BANK, WORKERS>> {
    core: Shared<S>,
    plans: Vec<Plan>,
    keyed: bool,
    selectors: Vec<(Selector<Shared<S>, S, BANKS, PER_BANK, WORKERS, 2>, Class)>,
    ids: Vec<Option<EndpointId>>,
    leases: Vec<Option<Lease<Shared<S>>>>,
}

/// With this strategy; requests without keys.
pub fn of<S>(strategy: S, scenario: &Scenario, workers: usize, seed: u64) -> Box<dyn Balancer>
where
    S: Strategy<BANKS, PER_BANK, WORKERS> + 'static,
{
    Box::new(Trilane::new(strategy, scenario, workers, seed, false))
}

/// With this strategy; each request has a key.
pub fn keyed<S>(strategy: S, scenario: &Scenario, workers: usize, seed: u64) -> Box<dyn Balancer>
where
    S: Strategy<BANKS, PER_BANK, WORKERS> + 'static,
{
    Box::new(Trilane::new(strategy, scenario, workers, seed, true))
}

impl<S: Strategy<BANKS, PER_BANK, WORKERS>> Trilane<S> {
    fn new(strategy: S, scenario: &Scenario, workers: usize, seed: u64, keyed: bool) -> Self {
        let core = Arc::new(Core::new(strategy, scenario.options));
        let has_zones = scenario.endpoints.iter().any(|plan| plan.zone != 0);
        let filter =
            if has_zones { Filter::ANY.prefer(Zone::of::<0>()).expect("one zone") } else { Filter::ANY };
        let selector = |worker| {
            let mut selector = Selector::new(Arc::clone(&core), seed.wrapping_add(worker))
                .expect("a stripe for each worker");
            let class = selector.class(filter).expect("there is room for it");
            (selector, class)
        };
        let selectors = (0..workers as u64).map(selector).collect();
        let ids = vec![None; scenario.endpoints.len()];
        Self { core, plans: scenario.endpoints.clone(), keyed, selectors, ids, leases: Vec::new() }
    }

    fn number(&self, id: EndpointId) -> usize {
        self.ids.iter().position(|known| *known == Some(id)).expect("no endpoint is removed")
    }
}

fn at(now: Micros) -> Instant {
    // Not from 0 on, where "never" might be.
    Instant::from_micros(now + 1_000_000)
}

impl<S: Strategy<BANKS, PER_BANK, WORKERS>> Balancer for Trilane<S> {
    fn add(&mut self, endpoint: usize, now: Micros) {
        let Plan { weight, zone, .. } = self.plans[endpoint];
        let zone = Zone::new(zone).expect("there is such a zone");
        let id = self.core.add(&Member::new(endpoint as u64).weight(weight).zone(zone), at(now));
        self.ids[endpoint] = Some(id.expect("there is room for it"));
        self.core.finish_build();
    }

    fn report(&mut self, endpoint: usize, report: Report, now: Micros) {
        let Report { utilisation, connections, response_ms, errors } = report;
        let metrics = Metrics::new(utilisation, MEMORY, connections, response_ms, errors)
            .expect("shares are at most 1,000");
        let id = self.ids[endpoint].expect("it has been added");
        self.core.report(id, metrics, at(now)).expect("no endpoint is removed");
    }

    fn select(&mut self, ask: &Ask<'_>, _truth: &[Endpoint], now: Micros) -> Option<usize> {
        let tried: Vec<EndpointId> = ask.tried.iter().filter_map(|&endpoint| self.ids[endpoint]).collect();
        let (selector, class) = &mut self.selectors[ask.worker];
        let mut request = Request::new(*class).excluding(&tried);
        if self.keyed {
            request = request.key(RoutingKey::new(&ask.key.to_le_bytes()));
        }
        let lease = selector.select(&request, at(now)).ok()?;
        let endpoint = lease.endpoint();
        if self.leases.len() <= ask.request {
            self.leases.resize_with(ask.request + 1, || None);
        }
        self.leases[ask.request] = Some(lease);
        Some(self.number(endpoint))
    }

    fn end(&mut self, request: usize, verdict: Verdict, after: Micros, now: Micros) {
        let lease = self.leases[request].take().expect("it was selected");
        let after = Duration::from_micros(after);
        match verdict {
            Verdict::Answered => lease.succeed(after, at(now)),
            Verdict::Refused | Verdict::TimedOut => lease.fail(after, at(now)),
        }
    }
}
