//! Random programs of one thread with several selectors: each pick is one of the least loaded that may serve.

use proptest::collection::vec;
use proptest::prelude::*;
use trilane::route::{
    Class, Endpoint, EndpointId, Filter, Health, LeastConnections, Request, Tag, Tags,
    WeightedLeastConnections,
};
use trilane::time::Instant;

use super::{Held, Least, Select, Static, assert_rest, balancer, select};

const NOW: Instant = Instant::ZERO;
const TAG: Tag = Tag::of::<5>();

#[derive(Clone, Debug)]
enum Step {
    Add { weight: u16, cap: Option<u32>, tagged: bool },
    Update { at: usize, weight: u16, cap: Option<u32>, tagged: bool, enabled: bool },
    Remove { at: usize },
    Health { at: usize, health: Health },
    Select { selector: usize, tagged: bool, times: u8, tried: Vec<usize> },
    End { at: usize, times: u8 },
}

fn cap() -> impl proptest::strategy::Strategy<Value = Option<u32>> {
    prop_oneof![3 => Just(None), 2 => (1..6u32).prop_map(Some)]
}

fn weight() -> impl proptest::strategy::Strategy<Value = u16> {
    prop_oneof![1 => Just(0), 8 => 1..12u16, 1 => 1..=u16::MAX]
}

fn step() -> impl proptest::strategy::Strategy<Value = Step> {
    let health = prop_oneof![
        Just(Health::Healthy),
        Just(Health::Degraded),
        Just(Health::Unknown),
        Just(Health::Unhealthy)
    ];
    prop_oneof![
        3 => (weight(), cap(), any::<bool>()).prop_map(|(weight, cap, tagged)| Step::Add { weight, cap, tagged }),
        2 => (any::<usize>(), weight(), cap(), any::<bool>(), prop::bool::weighted(0.8)).prop_map(
            |(at, weight, cap, tagged, enabled)| Step::Update { at, weight, cap, tagged, enabled }
        ),
        1 => any::<usize>().prop_map(|at| Step::Remove { at }),
        2 => (any::<usize>(), health).prop_map(|(at, health)| Step::Health { at, health }),
        12 => (0..3usize, any::<bool>(), 1..12u8, vec(any::<usize>(), 0..3))
            .prop_map(|(selector, tagged, times, tried)| Step::Select { selector, tagged, times, tried }),
        8 => (any::<usize>(), 1..12u8).prop_map(|(at, times)| Step::End { at, times }),
    ]
}

struct Known {
    id: EndpointId,
    number: u64,
    weight: u16,
    cap: Option<u32>,
    tagged: bool,
    enabled: bool,
    health: Health,
    out: u32,
}

impl Known {
    fn endpoint(&self) -> Endpoint {
        let tags = if self.tagged { Tags::NONE.with(TAG) } else { Tags::NONE };
        let endpoint = Endpoint::new(self.number)
            .weight(self.weight)
            .tags(tags)
            .enabled(self.enabled)
            .health(self.health);
        self.cap.map_or(endpoint, |cap| endpoint.cap(cap))
    }

    fn may_serve(&self, tagged: bool, tried: &[EndpointId]) -> bool {
        let healthy = matches!(self.health, Health::Healthy | Health::Degraded);
        let fits = healthy && self.enabled && self.weight > 0 && (!tagged || self.tagged);
        fits && !tried.contains(&self.id) && self.cap.is_none_or(|cap| self.out < cap)
    }

    /// The weight that its health leaves, in 64ths.
    fn weight_left(&self) -> u32 {
        self.weight as u32 * if self.health == Health::Healthy { 64 } else { 32 }
    }
}

/// Two banks of 13: fewer than the 32 that a select raises, so that it finds the least loaded always.
struct Model<S: Least<2, 13>> {
    balancer: Static<S, 2, 13>,
    selectors: Vec<(Select<S, 2, 13>, Class)>,
    known: Vec<Known>,
    held: Vec<Held<S, 2, 13>>,
    next: u64,
}

impl<S: Least<2, 13>> Model<S> {
    fn new() -> Self {
        let balancer = balancer::<S, 2, 13>();
        let selectors = (0..3).map(|seed| {
            let mut selector = select(balancer, seed);
            let class = selector.class(Filter::ANY.tags(Tags::NONE.with(TAG))).unwrap();
            (selector, class)
        });
        Self { balancer, selectors: selectors.collect(), known: Vec::new(), held: Vec::new(), next: 0 }
    }

    fn apply(&mut self, step: &Step) {
        let count = self.known.len();
        match step {
            &Step::Add { weight, cap, tagged } => {
                self.next += 1;
                let number = self.next;
                let id = EndpointId::from_key(trilane::id::Key::new(0, 0));
                let mut known =
                    Known { id, number, weight, cap, tagged, enabled: true, health: Health::Healthy, out: 0 };
                // Full while those that are removed still have leases out.
                if let Ok(id) = self.balancer.add(&known.endpoint(), NOW) {
                    known.id = id;
                    self.known.push(known);
                }
            }
            &Step::Update { at, weight, cap, tagged, enabled } if count > 0 => {
                let known = &mut self.known[at % count];
                (known.weight, known.cap, known.tagged, known.enabled) = (weight, cap, tagged, enabled);
                self.balancer.update(known.id, &known.endpoint(), NOW).unwrap();
            }
            &Step::Remove { at } if count > 0 => {
                let known = self.known.swap_remove(at % count);
                assert_eq!(self.balancer.remove(known.id, NOW), Ok(known.out));
            }
            &Step::Health { at, health } if count > 0 => {
                let known = &mut self.known[at % count];
                known.health = health;
                self.balancer.set_health(known.id, health, NOW).unwrap();
            }
            Step::Select { selector, tagged, times, tried } => {
                let tried: Vec<_> =
                    tried.iter().filter_map(|&at| Some(self.known.get(at % 13)?.id)).collect();
                (0..*times).for_each(|_| self.select(*selector, *tagged, &tried));
            }
            &Step::End { at, times } => {
                for _ in 0..times {
                    if self.held.is_empty() {
                        break;
                    }
                    self.end(at % self.held.len());
                }
            }
            _ => {}
        }
    }

    fn select(&mut self, selector: usize, tagged: bool, tried: &[EndpointId]) {
        let (selector, class) = &mut self.selectors[selector];
        let class = if tagged { *class } else { Class::ANY };
        let result = selector.select(&Request::new(class).excluding(tried), NOW);
        let may = || self.known.iter().filter(|known| known.may_serve(tagged, tried));
        let load = |known: &Known| (known.out, known.weight_left());
        match result {
            Ok(lease) => {
                let id = lease.endpoint();
                let picked = may().find(|known| known.id == id).expect("a pick that may serve");
                let less = may().find(|known| S::is_less(load(known), load(picked))).map(|known| known.id);
                assert_eq!(less, None, "{id:?} with {} out", picked.out);
                self.held.push(lease);
                self.known.iter_mut().find(|known| known.id == id).unwrap().out += 1;
            }
            Err(error) => assert_eq!(may().next().map(|known| known.id), None, "{error}"),
        }
    }

    fn end(&mut self, at: usize) {
        let lease = self.held.swap_remove(at);
        // A lease on one that has been removed counts for nobody.
        if let Some(known) = self.known.iter_mut().find(|known| known.id == lease.endpoint()) {
            known.out -= 1;
        }
    }

    /// The levels of all that may be looked at. A weight changes where an endpoint stands with the next
    /// select.
    fn check(&mut self) {
        self.selectors.iter_mut().for_each(|(selector, _)| drop(selector.select(&Request::ANY, NOW)));
        let loads =
            self.known.iter().filter(|known| matches!(known.health, Health::Healthy | Health::Degraded));
        let loads = loads.map(|known| (known.id.slot(), S::naive(known.out, known.weight_left())));
        assert_rest(self.balancer, loads);
    }
}

fn run<S: Least<2, 13>>(steps: &[Step]) {
    let mut model = Model::<S>::new();
    for step in steps {
        model.apply(step);
        model.check();
    }
    while !model.held.is_empty() {
        model.end(model.held.len() / 2);
    }
    for known in &model.known {
        assert_eq!(super::out(model.balancer, known.id), 0);
    }
    model.check();
    assert_rest(model.balancer, (0..45).filter(|slot| slot % 32 < 13).map(|slot| (slot, 0)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_pick_has_the_fewest_leases_of_those_that_may_serve(steps in vec(step(), 1..120)) {
        run::<LeastConnections<2>>(&steps);
    }

    #[test]
    fn every_pick_has_the_fewest_leases_for_its_weight(steps in vec(step(), 1..120)) {
        run::<WeightedLeastConnections<2>>(&steps);
    }
}

#[test]
fn levels_are_what_the_docs_say() {
    for count in 0..120_000 {
        let naive = <LeastConnections<1> as Least<1, 1>>::naive(count, 64);
        assert_eq!(LeastConnections::<1>::level(count), naive.min(63), "{count}");
    }
    let mut random = trilane::route::Random::new(3);
    for _ in 0..200_000 {
        let (count, weight) =
            (random.next() >> random.below(32), random.below(65_536 * 64) >> random.below(20));
        let naive = <WeightedLeastConnections<1> as Least<1, 1>>::naive(count, weight);
        assert_eq!(WeightedLeastConnections::<1>::level(count, weight), naive, "{count} for {weight}");
    }
}

#[test]
fn one_that_carries_half_an_octave_more_is_never_equal() {
    // Four steps an octave, and two straight lines for a logarithm.
    let mut random = trilane::route::Random::new(4);
    for _ in 0..200_000 {
        let weights = [1 + random.below(1000), 1 + random.below(1000)];
        let counts = [1 + random.below(2000), 1 + random.below(2000)];
        let load = |at: usize| counts[at] as f64 / weights[at] as f64;
        let level = |at: usize| WeightedLeastConnections::<1>::level(counts[at], weights[at] * 64);
        if load(0) > load(1) * 1.5 && load(1) > 1.0 / 512.0 {
            assert!(level(0) > level(1), "{counts:?} {weights:?}");
        }
    }
}
