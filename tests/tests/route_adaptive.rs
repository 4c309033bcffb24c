//! `Adaptive`: which of its three parts decides, and that the other two take no step meanwhile.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use trilane::route::{
    Adaptive, Balancer, ConsistentHash, Endpoint, EndpointId, Health, Maglev, Metrics, Options, Request,
    RoutingKey, Selector,
};
use trilane::time::Instant;
use trilane_tests::leak;

const NOW: Instant = Instant::ZERO;

type Table = Maglev<251, 32>;
type Strategies = Adaptive<Table>;
type World = Balancer<Strategies, 2, 4, 1>;
type Chooser = Selector<&'static World, Strategies, 2, 4, 1, 1>;

/// A report whose score is `score`, up to 1,000.
fn scored(score: u32) -> Metrics {
    // 0.3 processor, 0.2 memory, 0.2 connections of 10,000, 0.15 response time of 1 s, 0.15 errors.
    let part = |from: u32, weight: u32| score.saturating_sub(from).min(weight) * 1_000 / weight;
    let (cpu, memory, connections) = (part(0, 300), part(300, 200), part(500, 200) * 10);
    let report = Metrics::new(cpu as u16, memory as u16, connections, part(700, 150), part(850, 150) as u16);
    let report = report.unwrap();
    assert_eq!(u32::from(report.score()), score);
    report
}

fn world(weights: &[u16]) -> (&'static World, Vec<EndpointId>, Chooser) {
    let balancer: &World =
        leak(Balancer::new(Adaptive::new(ConsistentHash::new(Table::new())), Options::new()));
    let add = |(number, &weight)| balancer.add(&Endpoint::new(number as u64).weight(weight), NOW).unwrap();
    let ids = weights.iter().enumerate().map(add).collect();
    assert!(balancer.finish_build());
    (balancer, ids, Selector::new(balancer, 1).unwrap())
}

fn key(number: u64) -> Request<'static> {
    Request::ANY.key(RoutingKey::from_id(number))
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Report(usize, u32),
    /// With a key or without; whether the lease is kept.
    Select(Option<u64>, bool),
    EndLease(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let select = |key| (Just(key), any::<bool>()).prop_map(|(key, keep)| Step::Select(key, keep));
    let step = prop_oneof![
        2 => (any::<usize>(), prop_oneof![690u32..712, 0u32..=1_000]).prop_map(|(at, score)| Step::Report(at, score)),
        4 => select(None),
        4 => (0u64..10).prop_flat_map(move |key| select(Some(key))),
        4 => any::<usize>().prop_map(Step::EndLease),
    ];
    vec(step, 1..500)
}

proptest! {
    /// D2: whatever comes in between, the turns by weight are exact over each cycle, and keys stay where they
    /// are.
    #[test]
    fn each_select_is_one_step_of_the_part_that_it_is_for(weights in vec(1u16..6, 1..=8), steps in steps()) {
        let (balancer, ids, mut chooser) = world(&weights);
        let cycle: u16 = weights.iter().sum();
        let mut scores = vec![None; ids.len()];
        let mut counts = vec![0u32; ids.len()];
        let mut homes = BTreeMap::new();
        let mut turns = Vec::new();
        let mut leases: Vec<(usize, _)> = Vec::new();
        for step in steps {
            match step {
                Step::Report(at, score) => {
                    let at = at % ids.len();
                    balancer.report(ids[at], scored(score), NOW).unwrap();
                    scores[at] = Some(score);
                }
                Step::Select(number, keep) => {
                    let reported: Vec<_> = scores.iter().flatten().collect();
                    let mean = reported.iter().copied().sum::<u32>() / (reported.len() as u32).max(1);
                    let lease = chooser.select(&number.map_or(Request::ANY, key), NOW).unwrap();
                    let at = ids.iter().position(|id| *id == lease.endpoint()).unwrap();
                    if mean > 700 {
                        let cost = |at: usize| (counts[at] + 1) as f64 / weights[at] as f64;
                        prop_assert!((0..ids.len()).all(|other| cost(at) <= cost(other)));
                    } else if let Some(number) = number {
                        prop_assert_eq!(*homes.entry(number).or_insert(at), at);
                    } else {
                        turns.push(at);
                    }
                    if keep {
                        counts[at] += 1;
                        leases.push((at, lease));
                    }
                }
                Step::EndLease(at) if !leases.is_empty() => {
                    let (at, _lease) = leases.swap_remove(at % leases.len());
                    counts[at] -= 1;
                }
                Step::EndLease(_) => {}
            }
        }
        for cycle in turns.chunks_exact(cycle as usize) {
            for (at, &weight) in weights.iter().enumerate() {
                prop_assert_eq!(cycle.iter().filter(|&&turn| turn == at).count(), weight as usize);
            }
        }
    }
}

#[test]
fn above_a_mean_load_of_700_the_fewest_leases_decide() {
    let (balancer, ids, mut chooser) = world(&[1, 1, 1, 1]);
    let request = key(7);
    let home = chooser.select(&request, NOW).unwrap();
    let at_home =
        |chooser: &mut Chooser| chooser.select(&request, NOW).unwrap().endpoint() == home.endpoint();
    ids.iter().for_each(|id| balancer.report(*id, scored(700), NOW).unwrap());
    assert!((0..50).all(|_| at_home(&mut chooser)));
    // One more permille in the mean; the lease at home is the only one.
    ids.iter().for_each(|id| balancer.report(*id, scored(701), NOW).unwrap());
    assert!((0..50).all(|_| !at_home(&mut chooser)));
    // An endpoint that goes takes its report along.
    balancer.report(ids[0], scored(697), NOW).unwrap();
    assert!((0..50).all(|_| at_home(&mut chooser)));
}

/// A key whose endpoint is out is somebody else's for that time, and a keyless request in between steps once.
#[test]
fn a_key_comes_back_to_its_endpoint() {
    let (balancer, ids, mut chooser) = world(&[1, 1]);
    let request = key(3);
    let home = chooser.select(&request, NOW).unwrap().endpoint();
    let other = ids[(home == ids[0]) as usize];
    balancer.set_health(home, Health::Unhealthy, NOW).unwrap();
    assert!((0..10).all(|_| chooser.select(&request, NOW).unwrap().endpoint() == other));
    balancer.set_health(home, Health::Healthy, NOW).unwrap();
    assert!((0..10).all(|_| chooser.select(&request, NOW).unwrap().endpoint() == home));
    // D2: two equal endpoints, every second select without a key.
    let mut counts = [0; 2];
    for _ in 0..100 {
        counts[(chooser.select(&Request::ANY, NOW).unwrap().endpoint() == ids[1]) as usize] += 1;
        drop(chooser.select(&request, NOW).unwrap());
    }
    assert_eq!(counts, [50, 50]);
}

#[test]
fn the_table_is_built_for_requests_with_keys_and_for_no_others() {
    let (balancer, ids, mut chooser) = world(&[1; 6]);
    let homes = |chooser: &mut Chooser| -> Vec<_> {
        (0..100).map(|number| chooser.select(&key(number), NOW).unwrap().endpoint()).collect()
    };
    // Two of six are enough for the table to be built without them.
    balancer.remove(ids[2], NOW).unwrap();
    balancer.remove(ids[4], NOW).unwrap();
    // However many come without a key, a first request with one meets the table of before, of which those
    // that have gone are left out.
    for _ in 0..10_000 {
        let _ = chooser.select(&Request::ANY, NOW).unwrap();
    }
    let before = homes(&mut chooser);
    // It has begun to be built, by whatever request comes.
    for _ in 0..10_000 {
        let _ = chooser.select(&Request::ANY, NOW).unwrap();
    }
    let after = homes(&mut chooser);
    assert_ne!(before, after);
    assert!(balancer.finish_build());
    assert_eq!(homes(&mut chooser), after, "nothing was left to build");
    // The same as that of another balancer which lost them.
    let (other, others, mut fresh) = world(&[1; 6]);
    other.remove(others[2], NOW).unwrap();
    other.remove(others[4], NOW).unwrap();
    assert!(other.finish_build());
    let slots = |homes: Vec<EndpointId>| homes.iter().map(|id| id.slot()).collect::<Vec<_>>();
    assert_eq!(slots(homes(&mut fresh)), slots(after));
}
