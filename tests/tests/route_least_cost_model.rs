//! `LeastCost` beside a walk of all endpoints, for each load that there is: of a few, every pick is one of
//! the least.

use proptest::collection::vec;
use proptest::prelude::*;
use trilane::route::{
    Balancer, Class, Endpoint, EndpointId, Filter, Health, Latency, Lease, LeastCost, Load, Metrics, Options,
    PeakEwma, PowerOfTwo, Request, Score, Selector, Tag, Tags,
};
use trilane::time::{Duration, Instant};
use trilane_tests::leak;

const TAG: Tags = Tags::NONE.with(Tag::of::<5>());
/// After so many ticks a report is stale.
const STALE: u64 = 3_000;

#[derive(Clone, Debug)]
enum Step {
    Add {
        weight: u16,
        cap: Option<u32>,
        tagged: bool,
    },
    Update {
        at: usize,
        weight: u16,
        cap: Option<u32>,
        enabled: bool,
    },
    Remove {
        at: usize,
    },
    Health {
        at: usize,
        health: Health,
    },
    Report {
        at: usize,
        load: u16,
    },
    Pass(u64),
    Select {
        selector: usize,
        tagged: bool,
        times: u8,
        tried: Vec<usize>,
    },
    /// Succeeds after so many microseconds, fails, or is released.
    End {
        at: usize,
        micros: u32,
        how: u8,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let cap = || prop_oneof![3 => Just(None), 1 => (1..6u32).prop_map(Some)];
    let weight = || prop_oneof![1 => Just(0), 6 => 1..12u16, 1 => 1..=u16::MAX];
    let health = prop_oneof![
        2 => Just(Health::Healthy),
        2 => Just(Health::Degraded),
        1 => Just(Health::Unknown),
        1 => Just(Health::Unhealthy)
    ];
    let at = any::<usize>;
    prop_oneof![
        3 => (weight(), cap(), any::<bool>()).prop_map(|(weight, cap, tagged)| Step::Add { weight, cap, tagged }),
        2 => (at(), weight(), cap(), prop::bool::weighted(0.8))
            .prop_map(|(at, weight, cap, enabled)| Step::Update { at, weight, cap, enabled }),
        1 => at().prop_map(|at| Step::Remove { at }),
        2 => (at(), health).prop_map(|(at, health)| Step::Health { at, health }),
        3 => (at(), 0u16..=1_000).prop_map(|(at, load)| Step::Report { at, load }),
        1 => (0u64..12_000).prop_map(Step::Pass),
        12 => (0..3usize, any::<bool>(), 1..12u8, vec(at(), 0..3))
            .prop_map(|(selector, tagged, times, tried)| Step::Select { selector, tagged, times, tried }),
        8 => (at(), 1u32..90_000_000, 0..3u8).prop_map(|(at, micros, how)| Step::End { at, micros, how }),
    ]
}

type Few<L> = Balancer<LeastCost<L>, 2, 8, 3>;

struct Known {
    id: EndpointId,
    endpoint: Endpoint,
    weight: u16,
    cap: Option<u32>,
    tagged: bool,
    enabled: bool,
    health: Health,
    out: u32,
    latency: PeakEwma,
    /// The score, and when it was reported.
    report: Option<(u16, u64)>,
}

impl Known {
    fn may_serve(&self, tagged: bool, tried: &[EndpointId]) -> bool {
        let healthy = matches!(self.health, Health::Healthy | Health::Degraded);
        let fits = healthy && self.enabled && self.weight > 0 && (!tagged || self.tagged);
        fits && !tried.contains(&self.id) && self.cap.is_none_or(|cap| self.out < cap)
    }
}

/// What the load of an endpoint is; `None`: it isn't known.
type Loaded = fn(&Known, u64) -> Option<u32>;

/// The costs of those that may serve. One of which nothing is known counts as the mean of the others and 1;
/// or as idle, in a select that `explores`, as does one whose latency is old.
fn costs(
    known: &[Known],
    load: Loaded,
    tick: u64,
    tagged: bool,
    tried: &[EndpointId],
    explores: bool,
    latencies: bool,
) -> Vec<(EndpointId, f64)> {
    let compared = known.iter().filter(|known| known.may_serve(tagged, tried));
    let loads: Vec<_> = compared.filter_map(|known| load(known, tick)).map(u64::from).collect();
    let mean = loads.iter().sum::<u64>().checked_div(loads.len() as u64).map_or(1, |mean| mean as u32 + 1);
    let instead = if explores { 1 } else { mean };
    let may = known.iter().filter(|known| known.may_serve(tagged, tried));
    let cost = |known: &Known| {
        let left = if known.health == Health::Degraded { 0.5 } else { 1.0 };
        let is_tried = explores && latencies && known.out == 0 && known.latency.is_old(tick as u32);
        let load = load(known, tick).filter(|_| !is_tried);
        // What a lease more would make of it; more counts as the most.
        let busy = load.unwrap_or(instead).saturating_mul(known.out + 1);
        busy as f64 / (known.weight as f64 * left)
    };
    may.map(|known| (known.id, cost(known))).collect()
}

fn run<L: Load + 'static>(strategy: LeastCost<L>, load: Loaded, steps: Vec<Step>) {
    let options = Options::new().failures(0).stale_after(Duration::from_micros(STALE * 1_024));
    let balancer: &'static Few<L> = leak(Balancer::new(strategy, options));
    let mut selectors: Vec<(Selector<_, _, 2, 8, 3, 2>, Class)> = (0..3)
        .map(|seed| {
            let mut selector = Selector::new(balancer, seed).unwrap();
            let class = selector.class(Filter::ANY.tags(TAG)).unwrap();
            (selector, class)
        })
        .collect();
    let mut known: Vec<Known> = Vec::new();
    let mut held: Vec<Lease<&'static Few<L>>> = Vec::new();
    let (mut tick, mut number) = (0, 0);
    for step in steps {
        let now = Instant::from_micros(tick * 1_024);
        let count = known.len();
        match step {
            Step::Add { weight, cap, tagged } => {
                number += 1;
                let endpoint = Endpoint::new(number).weight(weight);
                let endpoint = if tagged { endpoint.tags(TAG) } else { endpoint };
                let capped = cap.map_or(endpoint, |cap| endpoint.cap(cap));
                if let Ok(id) = balancer.add(&capped, now) {
                    let (health, latency) = (Health::Healthy, PeakEwma::new());
                    known.push(Known {
                        id,
                        endpoint,
                        weight,
                        cap,
                        tagged,
                        enabled: true,
                        health,
                        out: 0,
                        latency,
                        report: None,
                    });
                }
            }
            Step::Update { at, weight, cap, enabled } if count > 0 => {
                let known = &mut known[at % count];
                (known.weight, known.cap, known.enabled) = (weight, cap, enabled);
                let endpoint = known.endpoint.weight(weight).enabled(enabled);
                balancer.update(known.id, &cap.map_or(endpoint, |cap| endpoint.cap(cap)), now).unwrap();
            }
            Step::Remove { at } if count > 0 => {
                let known = known.swap_remove(at % count);
                assert_eq!(balancer.remove(known.id, now), Ok(known.out));
            }
            Step::Health { at, health } if count > 0 => {
                known[at % count].health = health;
                balancer.set_health(known[at % count].id, health, now).unwrap();
            }
            Step::Report { at, load } if count > 0 => {
                let report = Metrics::new(load, 0, 0, 0, 0).unwrap();
                balancer.report(known[at % count].id, report, now).unwrap();
                known[at % count].report = Some((report.score(), tick));
            }
            Step::Pass(span) => {
                tick += span;
                (0..3).for_each(|_| balancer.tick(Instant::from_micros(tick * 1_024)));
            }
            Step::Select { selector, tagged, times, tried } => {
                let tried: Vec<_> = tried.iter().filter_map(|&at| Some(known.get(at % 16)?.id)).collect();
                for _ in 0..times {
                    let (selector, class) = &mut selectors[selector];
                    let class = if tagged { *class } else { Class::ANY };
                    let costs = [false, true]
                        .map(|explores| costs(&known, load, tick, tagged, &tried, explores, L::LATENCIES));
                    let got = selector.select(&Request::new(class).excluding(&tried), now);
                    let Ok(lease) = got else {
                        assert!(costs[0].is_empty(), "{got:?} with {costs:?}");
                        continue;
                    };
                    let id = lease.endpoint();
                    let is_least = |costs: &Vec<(EndpointId, f64)>| {
                        let (_, cost) = *costs.iter().find(|(other, _)| *other == id).expect("it may serve");
                        costs.iter().all(|(_, other)| other * 1.001 >= cost)
                    };
                    assert!(costs.iter().any(is_least), "{id:?} at {tick} of {costs:?}");
                    known.iter_mut().find(|known| known.id == id).unwrap().out += 1;
                    held.push(lease);
                }
            }
            Step::End { at, micros, how } if !held.is_empty() => {
                let lease = held.swap_remove(at % held.len());
                let it = known.iter_mut().find(|known| known.id == lease.endpoint());
                let latency = Duration::from_micros(micros.into());
                if let Some(it) = it {
                    it.out -= 1;
                    match how {
                        0 => _ = it.latency.record(micros, tick as u32),
                        1 => _ = it.latency.record_failure(micros, tick as u32),
                        _ => {}
                    }
                }
                match how {
                    0 => lease.succeed(latency, now),
                    1 => lease.fail(latency, now),
                    _ => drop(lease),
                }
            }
            _ => {}
        }
    }
    held.clear();
    assert!(known.iter().all(|known| balancer.stats(known.id).unwrap().in_flight == 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn every_pick_has_the_fewest_leases_for_its_weight(steps in vec(step(), 1..120)) {
        run(PowerOfTwo::new(), |_, _| Some(1), steps);
    }

    #[test]
    fn every_pick_is_the_fastest_for_its_leases(steps in vec(step(), 1..120)) {
        let load: Loaded = |known, tick| {
            Some(known.latency.get_halved(tick as u32).min(67_108_863)).filter(|&latency| latency != 0)
        };
        run(LeastCost::by(Latency), load, steps);
    }

    #[test]
    fn every_pick_reports_the_least_for_its_leases(steps in vec(step(), 1..120)) {
        let load: Loaded = |known, tick| {
            known.report.filter(|(_, at)| tick - at < STALE).map(|(score, _)| score as u32 + 250)
        };
        run(LeastCost::by(Score), load, steps);
    }
}
