//! Tiers, zones, overprovisioning, load and panic mode: who gets which share.

use proptest::collection::vec;
use proptest::prelude::*;
use trilane::route::{
    Balancer, BreakerState, Endpoint, EndpointId, Filter, Health, Metrics, Options, Request, RoundRobin,
    SelectError, Selector, Tier, Zone,
};
use trilane::time::{Duration, Instant};
use trilane_tests::leak;
use trilane_tests::oracle::{Placed, ShareRules, shares};

type Router = Balancer<RoundRobin, 2, 16, 1>;
type Chooser = Selector<&'static Router, RoundRobin, 2, 16, 1, 4>;

const NOW: Instant = Instant::ZERO;

fn tier(number: u8) -> Tier {
    Tier::new(number).unwrap()
}

fn zone(number: u8) -> Zone {
    Zone::new(number).unwrap()
}

fn prefer(zones: &[u8]) -> Filter {
    zones.iter().fold(Filter::ANY, |filter, &at| filter.prefer(zone(at)).unwrap())
}

/// Endpoints as (tier, zone, healthy), all enabled.
fn router(options: Options, places: &[(u8, u8, bool)]) -> (&'static Router, Chooser, Vec<EndpointId>) {
    let balancer: &'static Router = leak(Balancer::new(RoundRobin, options));
    let ids = places
        .iter()
        .zip(0..)
        .map(|(&(in_tier, in_zone, healthy), id)| {
            let health = if healthy { Health::Healthy } else { Health::Unhealthy };
            let endpoint = Endpoint::new(id).tier(tier(in_tier)).zone(zone(in_zone)).health(health);
            balancer.add(&endpoint, NOW).unwrap()
        })
        .collect();
    (balancer, Selector::new(balancer, 11).unwrap(), ids)
}

/// How often each was picked in `selects` selects.
fn counts(selector: &mut Chooser, filter: Filter, ids: &[EndpointId], selects: usize) -> Vec<usize> {
    let class = selector.class(filter).unwrap();
    let mut counts = vec![0; ids.len()];
    for _ in 0..selects {
        let lease = selector.select(&Request::new(class), NOW).unwrap();
        counts[ids.iter().position(|&id| id == lease.endpoint()).unwrap()] += 1;
    }
    counts
}

/// The part of the traffic that the endpoints in `range` get, in permille.
fn permille(
    selector: &mut Chooser,
    filter: Filter,
    ids: &[EndpointId],
    range: std::ops::Range<usize>,
) -> usize {
    let counts = counts(selector, filter, ids, 20_000);
    counts[range].iter().sum::<usize>() / 20
}

/// `count` endpoints in tier and zone, the first `healthy` of them well.
fn some(tier: u8, zone: u8, count: usize, healthy: usize) -> Vec<(u8, u8, bool)> {
    (0..count).map(|at| (tier, zone, at < healthy)).collect()
}

#[track_caller]
fn near(got: usize, expected: usize) {
    assert!(got.abs_diff(expected) <= 15, "{got} instead of {expected} permille");
}

#[test]
fn the_lowest_tier_serves_alone_while_five_of_seven_are_well() {
    let (_, mut selector, ids) = router(Options::new(), &[some(0, 0, 7, 5), some(1, 0, 3, 3)].concat());
    assert_eq!(permille(&mut selector, Filter::ANY, &ids, 0..7), 1_000);
    // A tier that is asked for gets it all, and no other does.
    assert_eq!(permille(&mut selector, Filter::ANY.tier(tier(1)), &ids, 7..10), 1_000);
    let class = selector.class(Filter::ANY.tier(tier(5))).unwrap();
    assert_eq!(selector.select(&Request::new(class), NOW).unwrap_err(), SelectError::NoTagMatch);
}

#[test]
fn what_a_tier_can_not_take_goes_to_the_next() {
    for (factor, healthy, expected) in [
        (1_400, 5, 700),
        (1_400, 1, 140),
        (1_400, 8, 1_000),
        (1_000, 5, 500),
        (2_000, 4, 800),
        (700, 10, 700),
    ] {
        let options = Options::new().overprovisioning(factor);
        let (_, mut selector, ids) =
            router(options, &[some(0, 0, 10, healthy), some(1, 0, 2, 2), some(2, 0, 4, 4)].concat());
        near(permille(&mut selector, Filter::ANY, &ids, 0..10), expected);
        assert_eq!(permille(&mut selector, Filter::ANY, &ids, 12..16), 0);
    }
}

#[test]
fn where_all_tiers_together_can_not_take_everything_each_gets_in_proportion() {
    let (_, mut selector, ids) = router(Options::new(), &[some(0, 0, 10, 2), some(1, 0, 10, 3)].concat());
    near(permille(&mut selector, Filter::ANY, &ids, 0..10), 400);
}

#[test]
fn each_tier_takes_what_it_can_of_what_those_before_it_leave() {
    // Of ten endpoints a tier, how many are well, and the shares: the table of Envoy's documentation, and
    // what it says of levels that can't take all together.
    for (well, expected) in [
        ([10, 10, 10], [1_000, 0, 0]),
        ([8, 8, 10], [1_000, 0, 0]),
        ([5, 5, 10], [700, 300, 0]),
        ([3, 3, 10], [420, 420, 160]),
        ([1, 5, 10], [140, 700, 160]),
        ([0, 3, 10], [0, 420, 580]),
        ([1, 0, 10], [140, 0, 860]),
        ([2, 2, 2], [333, 333, 333]),
        ([1, 2, 3], [167, 333, 500]),
        ([4, 0, 1], [800, 0, 200]),
        ([0, 1, 0], [0, 1_000, 0]),
    ] {
        let places: Vec<_> = (0..3).flat_map(|at| some(at, 0, 10, well[at as usize])).collect();
        let (_, mut selector, ids) = router(Options::new(), &places);
        for (at, share) in expected.into_iter().enumerate() {
            near(permille(&mut selector, Filter::ANY, &ids, 10 * at..10 * at + 10), share);
        }
    }
}

#[test]
fn steps_that_come_and_go_one_at_a_time_have_their_shares_at_once() {
    let places: Vec<_> = (0..3).flat_map(|at| some(at, 0, 10, 10)).collect();
    let (balancer, mut selector, ids) = router(Options::new(), &places);
    let mut well = [10i32; 3];
    // Down and up again, by turns, so that all three serve most of the time; each change is one bit of one
    // bank.
    for turn in 0..40 {
        let (tier, down) = (turn % 2, turn < 20);
        let at = if down { 10 - well[tier] as usize } else { 9 - well[tier] as usize };
        let health = if down { Health::Unhealthy } else { Health::Healthy };
        balancer.set_health(ids[10 * tier + at], health, NOW).unwrap();
        well[tier] += if down { -1 } else { 1 };
        let can = well.map(|well| (140 * well).min(1_000));
        let first = can[0];
        let second = can[1].min(1_000 - first);
        for (at, share) in [first, second, 1_000 - first - second].into_iter().enumerate() {
            near(permille(&mut selector, Filter::ANY, &ids, 10 * at..10 * at + 10), share as usize);
        }
    }
}

#[test]
fn preferred_zones_come_in_their_order_then_any_other() {
    let places = [some(0, 0, 2, 2), some(0, 1, 2, 2), some(0, 2, 2, 2), some(0, 3, 2, 2)].concat();
    let (balancer, mut selector, ids) = router(Options::new(), &places);
    let filter = prefer(&[2, 1]);
    assert_eq!(permille(&mut selector, filter, &ids, 4..6), 1_000);
    balancer.set_health(ids[4], Health::Unhealthy, NOW).unwrap();
    near(permille(&mut selector, filter, &ids, 4..6), 700);
    near(permille(&mut selector, filter, &ids, 2..4), 300);
    balancer.set_health(ids[5], Health::Unhealthy, NOW).unwrap();
    assert_eq!(permille(&mut selector, filter, &ids, 2..4), 1_000);
    for id in &ids[2..4] {
        balancer.set_health(*id, Health::Unhealthy, NOW).unwrap();
    }
    let rest = counts(&mut selector, filter, &ids, 4_000);
    assert_eq!(rest, [1_000, 1_000, 0, 0, 0, 0, 1_000, 1_000]);
    let class = selector.class(filter.confined()).unwrap();
    assert_eq!(selector.select(&Request::new(class), NOW).unwrap_err(), SelectError::AllUnhealthy);
    let class = selector.class(prefer(&[9]).confined()).unwrap();
    assert_eq!(selector.select(&Request::new(class), NOW).unwrap_err(), SelectError::NoZoneMatch);
}

#[test]
fn a_zone_named_twice_is_named_once() {
    let (_, mut selector, ids) = router(Options::new(), &[some(0, 0, 2, 1), some(0, 1, 2, 2)].concat());
    near(permille(&mut selector, prefer(&[0, 0, 0, 0, 0]), &ids, 0..2), 700);
}

#[test]
fn d18_a_loaded_zone_spills_to_the_next_place_of_its_tier() {
    let places = [some(0, 0, 4, 4), some(0, 1, 2, 2), some(0, 2, 2, 2), some(1, 0, 2, 2)].concat();
    let (balancer, mut selector, ids) = router(Options::new(), &places);
    let filter = prefer(&[0, 1]);
    assert_eq!(permille(&mut selector, filter, &ids, 0..4), 1_000);
    for (load, spilled) in [(800, 0), (850, 250), (900, 500), (1_000, 1_000), (700, 0), (950, 750)] {
        let metrics = Metrics::new(load, load, load as u32 * 10, load as u32, load).unwrap();
        assert_eq!(metrics.score(), load);
        for id in &ids[..4] {
            balancer.report(*id, metrics, NOW).unwrap();
        }
        near(permille(&mut selector, filter, &ids, 4..6), spilled);
        assert_eq!(permille(&mut selector, filter, &ids, 6..10), 0, "zone 1 can take it");
    }
    // Confined to one zone of one tier, there is no next.
    assert_eq!(permille(&mut selector, prefer(&[0]).confined().tier(tier(0)), &ids, 0..4), 1_000);
}

#[test]
fn d18_a_loaded_zone_without_another_keeps_its_turns() {
    let places = [some(0, 0, 4, 4), some(0, 1, 2, 0)].concat();
    let (balancer, mut selector, ids) = router(Options::new(), &places);
    balancer.report(ids[0], Metrics::new(1_000, 1_000, 10_000, 1_000, 1_000).unwrap(), NOW).unwrap();
    assert_eq!(counts(&mut selector, prefer(&[0]), &ids, 4_000), [1_000, 1_000, 1_000, 1_000, 0, 0]);
}

#[test]
fn when_all_is_at_capacity_the_next_steps_serve_one_by_one() {
    let balancer: &'static Router = leak(Balancer::new(RoundRobin, Options::new()));
    // One endpoint with room for one in each of three tiers and three zones.
    for id in 0..9 {
        let endpoint = Endpoint::new(id).tier(tier(id as u8 / 3)).zone(zone(id as u8 % 3)).cap(1);
        balancer.add(&endpoint, NOW).unwrap();
    }
    let mut selector: Chooser = Selector::new(balancer, 5).unwrap();
    let class = selector.class(prefer(&[1, 2])).unwrap();
    let mut leases = Vec::new();
    for expected in [1, 2, 0, 4, 5, 3, 7, 8, 6] {
        let lease = selector.select(&Request::new(class), NOW).unwrap();
        assert_eq!(balancer.find(expected), Some(lease.endpoint()));
        leases.push(lease);
    }
    assert_eq!(selector.select(&Request::new(class), NOW).unwrap_err(), SelectError::AllAtCapacity);
    drop(leases.remove(2));
    assert_eq!(balancer.find(0), Some(selector.select(&Request::new(class), NOW).unwrap().endpoint()));
}

#[test]
fn a_breaker_where_traffic_spills_to_gets_its_probe() {
    let options = Options::new().failures(1);
    let (balancer, mut selector, ids) = router(options, &[some(0, 0, 10, 1), some(1, 0, 10, 10)].concat());
    // Until one of the second tier is out.
    loop {
        let lease = selector.select(&Request::ANY, NOW).unwrap();
        let broken = lease.endpoint();
        if !ids[10..].contains(&broken) {
            continue;
        }
        lease.fail(Duration::ZERO, NOW);
        assert_eq!(balancer.stats(broken).unwrap().breaker, BreakerState::Open);
        let later = NOW + Duration::from_secs(31);
        let mut leases = (0..100).map(|_| selector.select(&Request::ANY, later).unwrap());
        assert!(
            leases.any(|lease| lease.is_probe() && lease.endpoint() == broken),
            "no probe in 100 selects"
        );
        break;
    }
}

#[test]
fn panic_mode_ignores_health_but_not_switches() {
    let options = Options::new().panic_below(500);
    let (balancer, mut selector, ids) = router(options, &some(0, 0, 8, 4));
    assert_eq!(counts(&mut selector, Filter::ANY, &ids, 800), [200, 200, 200, 200, 0, 0, 0, 0]);
    balancer.set_health(ids[0], Health::Unhealthy, NOW).unwrap();
    assert_eq!(counts(&mut selector, Filter::ANY, &ids, 800), [100; 8]);
    balancer.update(ids[7], &Endpoint::new(7).enabled(false), NOW).unwrap();
    // 3 of 7.
    assert_eq!(counts(&mut selector, Filter::ANY, &ids, 700), [100, 100, 100, 100, 100, 100, 100, 0]);
    balancer.update(ids[6], &Endpoint::new(6).weight(0), NOW).unwrap();
    // 3 of 6: half are well.
    assert_eq!(counts(&mut selector, Filter::ANY, &ids, 300), [0, 100, 100, 100, 0, 0, 0, 0]);
}

#[test]
fn panic_mode_of_a_confined_class_looks_at_its_zones_alone() {
    let options = Options::new().panic_below(500).panic_hosts(1);
    let (_, mut selector, ids) = router(options, &[some(0, 0, 4, 1), some(0, 1, 12, 12)].concat());
    let counts = counts(&mut selector, prefer(&[0]).confined(), &ids, 400);
    assert_eq!(counts[..4], [100; 4]);
}

proptest! {
    #[test]
    fn everybody_gets_the_share_that_the_rules_give(
        mut places in vec((0u8..3, 0u8..4, any::<bool>(), prop::bool::weighted(0.9)), 1..32),
        tier_asked in prop_oneof![4 => Just(None), 1 => (0u8..3).prop_map(Some)],
        zones in vec(0u8..5, 0..4),
        confined in any::<bool>(),
        factor in prop_oneof![2 => Just(1_400u16), 1 => 0u16..3_000],
        panic_below in prop_oneof![2 => Just(0u16), 1 => 0u16..1_001],
        load in prop_oneof![2 => Just(0u16), 1 => 0u16..1_001],
        flips in vec((0usize..32, any::<bool>()), 0..8),
    ) {
        let places_now: Vec<_> = places.iter().map(|&(tier, zone, healthy, _)| (tier, zone, healthy)).collect();
        let options = Options::new().overprovisioning(factor).panic_below(panic_below).panic_hosts(1);
        let (balancer, mut selector, ids) = router(options, &places_now);
        for (at, &(in_tier, in_zone, _, enabled)) in places.iter().enumerate() {
            let endpoint = Endpoint::new(at as u64).tier(tier(in_tier)).zone(zone(in_zone)).enabled(enabled);
            balancer.update(ids[at], &endpoint, NOW).unwrap();
        }
        let first = (places[0].0, places[0].1);
        for (at, _) in places.iter().enumerate().filter(|(_, place)| (place.0, place.1) == first) {
            let metrics = Metrics::new(load, load, load as u32 * 10, load as u32, load).unwrap();
            balancer.report(ids[at], metrics, NOW).unwrap();
        }
        let mut order: Vec<u8> = Vec::new();
        zones.iter().for_each(|at| if !order.contains(at) { order.push(*at) });
        let mut filter = prefer(&zones);
        filter = if confined { filter.confined() } else { filter };
        filter = tier_asked.map_or(filter, |number| filter.tier(tier(number)));
        let rules = ShareRules {
            tier: tier_asked, zones: order, confined, factor: factor as u32, panic_below: panic_below as u32, panic_hosts: 1,
            spill_from: 800, load: (first.0, first.1, load as u32),
        };
        let class = selector.class(filter).unwrap();
        // One at a time, so that the selector patches what it has.
        for (flip, healthy) in std::iter::once((0, places[0].2)).chain(flips) {
            let flip = flip % places.len();
            places[flip].2 = healthy;
            let health = if healthy { Health::Healthy } else { Health::Unhealthy };
            balancer.set_health(ids[flip], health, NOW).unwrap();
            let placed: Vec<_> = places.iter()
                .map(|&(tier, zone, healthy, enabled)| Placed { tier, zone, healthy, enabled }).collect();
            let expected = shares(&placed, &rules);
            let selects = 2_000;
            let mut counts = vec![0; ids.len()];
            for _ in 0..selects {
                match selector.select(&Request::new(class), NOW) {
                    Ok(lease) => counts[ids.iter().position(|&id| id == lease.endpoint()).unwrap()] += 1,
                    Err(error) => {
                        prop_assert!(expected.iter().all(|&share| share == 0.0), "{}", error);
                        break;
                    }
                }
            }
            for (at, &count) in counts.iter().enumerate() {
                let mean = expected[at] * selects as f64;
                prop_assert!(expected[at] != 0.0 || count == 0, "{} was picked {} times", at, count);
                // Steps that take turns have them eight selects long, so shares are off by a few turns.
                let off = 6.0 * mean.sqrt() + 2.0 + 3.0 * 8.0;
                prop_assert!((count as f64 - mean).abs() <= off, "{}: {} not {}", at, count, mean);
            }
        }
    }
}
