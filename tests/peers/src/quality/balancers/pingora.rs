//! `pingora-load-balancing`. It learns nothing from requests; a retry passes over who has been tried.

use pingora_load_balancing::selection::{BackendIter, BackendSelection};

use crate::contender::Contender;
use crate::contenders::pingora::Pingora;
use crate::quality::balancer::{Ask, Balancer, Verdict};
use crate::quality::endpoint::{Endpoint, Micros, Report};
use crate::quality::scenario::Scenario;
use crate::world::{Traits, World};

struct Simulated<S: BackendSelection>(Pingora<S>);

/// With its way to select.
pub fn new<S>(scenario: &Scenario) -> Box<dyn Balancer>
where
    S: BackendSelection + Send + Sync + 'static,
    S::Iter: BackendIter,
{
    let endpoints = scenario.endpoints.iter();
    let traits = |plan: &super::super::endpoint::Plan| Traits {
        tags: 0,
        zone: plan.zone,
        up: true,
        weight: plan.weight,
        load: 0,
        latency: 0,
    };
    let world = World { endpoints: endpoints.clone().map(traits).collect(), filtered: false, caps: false };
    let pingora = Pingora::<S>::new(&world);
    for (endpoint, _) in endpoints.enumerate().filter(|(_, plan)| !plan.joined) {
        pingora.remove(endpoint);
    }
    Box::new(Simulated(pingora))
}

impl<S> Balancer for Simulated<S>
where
    S: BackendSelection + Send + Sync + 'static,
    S::Iter: BackendIter,
{
    fn add(&mut self, endpoint: usize, now: Micros) {
        // Those there from the beginning are in it.
        if now > 0 {
            self.0.add(endpoint);
        }
    }

    fn report(&mut self, _endpoint: usize, _report: Report, _now: Micros) {}

    fn select(&mut self, ask: &Ask<'_>, _truth: &[Endpoint], _now: Micros) -> Option<usize> {
        self.0.select_other(ask.key, ask.tried)
    }

    fn end(&mut self, _request: usize, _verdict: Verdict, _after: Micros, _now: Micros) {}
}
