//! `WeightedRoundRobin` and `WeightedRandom` against what is due to each weight.

use proptest::prelude::*;
use trilane::route::{Endpoint, Health, Random, Request, Strategy, WeightedRandom, WeightedRoundRobin};
use trilane::time::Instant;
use trilane_tests::choosing::{Asks, Chooser, Known, World, assert_shares, count};

/// The length of a cycle, as a naive reader of the docs would compute it: all weights, in 64ths if less than
/// all is left of one.
fn cycle(those: &[Known]) -> u64 {
    let partial = those.iter().any(|known| known.health != Health::Healthy);
    let all: u64 = those.iter().map(Known::due).sum();
    if partial { all * 16 } else { all / 4 }
}

/// Panics unless a cycle from here on is exact.
fn assert_exact<const BANKS: usize, const PER_BANK: usize>(
    chooser: &mut Chooser<WeightedRoundRobin, BANKS, PER_BANK>,
    request: &Request<'_>,
    those: &[Known],
) {
    let cycle = cycle(those);
    let all: u64 = those.iter().map(Known::due).sum();
    let counts = count(chooser, request, those, cycle);
    let due: Vec<_> = those.iter().map(|known| known.due() * cycle / all).collect();
    assert_eq!(counts, due, "of a cycle of {cycle}");
}

#[test]
fn d3_a_cycle_is_exact_at_weights_that_do_not_divide_in_any_order() {
    let rows: [&[u16]; 10] = [
        &[3, 2],
        &[2, 3],
        &[100, 99],
        &[60, 100],
        &[100, 60],
        &[1],
        &[65_535],
        &[1, 65_535],
        &[65_535, 0, 65_534, 1],
        &[7, 7, 7],
    ];
    for weights in rows {
        let world = World::<_, 2, 8>::with(WeightedRoundRobin, weights);
        let mut chooser = world.chooser(1);
        let those = world.eligible(Asks::Anything);
        for _ in 0..2 {
            assert_exact(&mut chooser, &Request::ANY, &those);
        }
        // A cycle may begin anywhere.
        count(&mut chooser, &Request::ANY, &those, 3);
        assert_exact(&mut chooser, &Request::ANY, &those);
    }
}

#[test]
fn every_sum_of_weights_up_to_600_makes_an_exact_cycle() {
    for sum in 1..600u16 {
        let weights = if sum < 3 { vec![sum] } else { vec![1, sum / 3, sum - 1 - sum / 3] };
        let world = World::<_, 1, 4>::with(WeightedRoundRobin, &weights);
        let those = world.eligible(Asks::Anything);
        assert_exact(&mut world.chooser(sum as u64), &Request::ANY, &those);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_cycle_is_exact_whatever_came_and_went(seed: u64, changes in 0..120u32) {
        let mut random = Random::new(seed);
        let mut world = World::<_, 3, 20>::new(WeightedRoundRobin);
        let mut chooser = world.chooser(seed);
        for _ in 0..changes {
            world.change(&mut random);
            // Selects in between, so that caches are of every age.
            let asks = Asks::ALL[random.below(3) as usize];
            let request = Request::new(world.class(&mut chooser, asks));
            count(&mut chooser, &request, &world.eligible(asks), random.below(3) as u64);
        }
        // What weighs 65,535 would make the cycle too long to walk.
        for at in 0..world.known.len() {
            if world.known[at].weight > 300 {
                world.known[at].weight = 1 + random.below(300) as u16;
                let known = world.known[at];
                world.balancer.update(known.handle, &known.endpoint(), Instant::ZERO).unwrap();
            }
        }
        for asks in Asks::ALL {
            let request = Request::new(world.class(&mut chooser, asks));
            let those = world.eligible(asks);
            if cycle(&those) < 100_000 {
                assert_exact(&mut chooser, &request, &those);
            }
        }
    }
}

#[test]
fn turns_are_spread_over_the_cycle() {
    // The furthest that the picks of one endpoint are ever from its share of the selects so far. A design
    // that picks an endpoint as often as its weight before it goes on to the next is off by a quarter of the
    // weight and more.
    for weights in [&[100u16, 100, 100, 100][..], &[1, 5, 300, 17, 90, 2], &[500; 2], &[3, 2], &[99, 100, 1]]
    {
        let world = World::<_, 1, 8>::with(WeightedRoundRobin, weights);
        let those = world.eligible(Asks::Anything);
        let all: u32 = weights.iter().map(|&weight| weight as u32).sum();
        let mut chooser = world.chooser(1);
        let mut picked = vec![0u32; weights.len()];
        let mut worst: f64 = 0.0;
        for step in 1..=all {
            let lease = chooser.select(&Request::ANY, Instant::ZERO).unwrap();
            let at = those.iter().position(|known| known.handle == lease.endpoint()).unwrap();
            picked[at] += 1;
            for (&picked, &weight) in picked.iter().zip(weights) {
                let share = step as f64 * weight as f64 / all as f64;
                worst = worst.max((picked as f64 - share).abs());
            }
        }
        assert!(worst < 3.0, "{weights:?}: {worst}");
    }
}

#[test]
fn a_change_of_health_takes_exactly_its_part_of_the_weight() {
    let mut world = World::<_, 2, 4>::with(WeightedRoundRobin, &[5, 3, 8, 1, 7]);
    let mut chooser = world.chooser(1);
    for (at, health) in [
        (0, Health::Degraded),
        (3, Health::Unknown),
        (4, Health::Degraded),
        (0, Health::Healthy),
        (3, Health::Unhealthy),
        (4, Health::Healthy),
        (3, Health::Healthy),
    ] {
        world.set_health(at, health);
        assert_exact(&mut chooser, &Request::ANY, &world.eligible(Asks::Anything));
    }
}

#[test]
fn a_change_that_leaves_the_weights_as_they_are_leaves_the_turns_as_they_are() {
    fn picks<S: Strategy<1, 8, 2> + 'static>(strategy: S, disturbed: bool) -> Vec<u16> {
        let world = World::<_, 1, 8>::with(strategy, &[5, 3, 8, 1]);
        let mut chooser = world.chooser(4);
        let mut pick = |turn: usize| {
            if disturbed && turn % 3 == 1 {
                let known = world.known[turn % 4];
                world.balancer.update(known.handle, &known.endpoint(), Instant::ZERO).unwrap();
            }
            chooser.select(&Request::ANY, Instant::ZERO).unwrap().endpoint().slot()
        };
        (0..500).map(&mut pick).collect()
    }
    assert_eq!(picks(WeightedRoundRobin, false), picks(WeightedRoundRobin, true));
    assert_eq!(picks(WeightedRandom, false), picks(WeightedRandom, true));
}

#[test]
fn a_full_balancer_of_the_greatest_weights_keeps_its_shares() {
    let mut world = World::<_, 32, 32>::with(WeightedRoundRobin, &[65_535; 1_024]);
    // One that has half its weight: the sum is in 64ths, just below 2^32.
    world.set_health(517, Health::Degraded);
    let those = world.eligible(Asks::Anything);
    let mut chooser = world.chooser(9);
    let counts = count(&mut chooser, &Request::ANY, &those, 204_700);
    // A low-discrepancy sequence: far closer than chance would be.
    for (known, seen) in those.iter().zip(counts) {
        let due = if known.health == Health::Degraded { 100 } else { 200 };
        assert!(seen.abs_diff(due) <= 6, "{seen} of {due}");
    }
}

#[test]
fn selectors_that_start_together_begin_in_proportion_to_weights() {
    fn first_picks<S: Strategy<1, 8, 2> + 'static>(strategy: S) -> Vec<u64> {
        let world = World::<_, 1, 8>::with(strategy, &[1, 2, 3, 4]);
        let those = world.eligible(Asks::Anything);
        let mut counts = vec![0; 4];
        for seed in 0..4_000 {
            for (sum, picked) in
                counts.iter_mut().zip(count(&mut world.chooser(seed), &Request::ANY, &those, 1))
            {
                *sum += picked;
            }
        }
        counts
    }
    assert_shares(&first_picks(WeightedRoundRobin), &[1, 2, 3, 4]);
    assert_shares(&first_picks(WeightedRandom), &[1, 2, 3, 4]);
}

#[test]
fn weighted_random_gives_each_a_chance_by_its_weight_whatever_comes_and_goes() {
    let mut random = Random::new(7);
    for round in 0..40 {
        let mut world = World::<_, 3, 20>::new(WeightedRandom);
        let mut chooser = world.chooser(round);
        for _ in 0..random.below(100) {
            world.change(&mut random);
            let _lease = chooser.select(&Request::ANY, Instant::ZERO);
        }
        for asks in Asks::ALL {
            let request = Request::new(world.class(&mut chooser, asks));
            let those = world.eligible(asks);
            let counts = count(&mut chooser, &request, &those, 20_000);
            let due: Vec<_> = those.iter().map(Known::due).collect();
            // Chi-square wants five of each expected: those of which fewer are, count together.
            let all: u64 = due.iter().sum();
            let (mut counted, mut owed, mut rare) = (vec![], vec![], (0, 0));
            for (&count, &due) in counts.iter().zip(&due) {
                if due * 20_000 < 5 * all {
                    rare = (rare.0 + count, rare.1 + due);
                } else {
                    counted.push(count);
                    owed.push(due);
                }
            }
            if rare.1 * 20_000 > 5 * all {
                counted.push(rare.0);
                owed.push(rare.1);
                assert_shares(&counted, &owed);
            } else if rare.0 < 20 && counted.len() > 1 {
                counted[0] += rare.0;
                owed[0] += rare.1;
                assert_shares(&counted, &owed);
            }
        }
    }
}

#[test]
fn what_was_tried_goes_to_the_others_by_weight_and_takes_no_turn() {
    fn shares<S: Strategy<1, 8, 2> + 'static>(strategy: S) {
        let world = World::<_, 1, 8>::with(strategy, &[50, 1, 2, 3, 4]);
        let those = world.eligible(Asks::Anything);
        let tried = [those[0].handle];
        let mut chooser = world.chooser(2);
        let counts = count(&mut chooser, &Request::ANY.excluding(&tried), &those[1..], 20_000);
        let small = counts.iter().sum::<u64>() as f64 / 10.0;
        for (seen, weight) in counts.iter().zip(1..) {
            // Half of what is due, at the least: where all draws meet the large one, the next by slot stands
            // in.
            assert!(*seen as f64 > small * weight as f64 * 0.5, "{counts:?}");
        }
    }
    shares(WeightedRoundRobin);
    shares(WeightedRandom);

    // All but one tried: it is found, however little it weighs.
    let world = World::<_, 2, 8>::with(WeightedRoundRobin, &[60_000, 60_000, 1, 60_000]);
    let those = world.eligible(Asks::Anything);
    let tried = [those[0].handle, those[1].handle, those[3].handle];
    count(&mut world.chooser(2), &Request::ANY.excluding(&tried), &those[2..3], 1_000);
}

#[test]
fn in_panic_mode_what_is_unhealthy_has_its_whole_weight() {
    use trilane::route::{Balancer, Options, Selector};
    let balancer: &Balancer<WeightedRoundRobin, 1, 8> = trilane_tests::leak(Balancer::new(
        WeightedRoundRobin,
        Options::new().panic_hosts(1).panic_below(500),
    ));
    // One has never been healthy.
    let health = |id| if id == 2 { Health::Unhealthy } else { Health::Healthy };
    let ids: Vec<_> = (0..4)
        .map(|id| Endpoint::new(id).weight(id as u16 + 1).health(health(id)))
        .map(|endpoint| balancer.add(&endpoint, Instant::ZERO).unwrap())
        .collect();
    for &id in &ids[..2] {
        balancer.set_health(id, Health::Unhealthy, Instant::ZERO).unwrap();
    }
    let mut selector: Selector<_, _, 1, 8, 1, 1> = Selector::new(balancer, 1).unwrap();
    for _ in 0..640 {
        drop(selector.select(&Request::ANY, Instant::ZERO).unwrap());
    }
    let counts = ids.iter().map(|&id| balancer.stats(id).unwrap().selected);
    assert_eq!(counts.collect::<Vec<_>>(), [64, 128, 192, 256]);
}
