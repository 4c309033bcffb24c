//! `UniformRandom` against a naive list of who may serve.

use trilane::route::{Health, Random, Request, UniformRandom};
use trilane::time::Instant;
use trilane_tests::choosing::{Asks, World, assert_shares, count};

#[test]
fn chances_are_by_weight_whatever_comes_and_goes() {
    let mut random = Random::new(1);
    let mut rounds = 0;
    for round in 0..60 {
        let mut world = World::<_, 3, 20>::new(UniformRandom);
        for _ in 0..random.below(150) {
            world.change(&mut random);
        }
        let mut chooser = world.chooser(round);
        for _ in 0..3 {
            world.change(&mut random);
            for asks in Asks::ALL {
                let request = Request::new(world.class(&mut chooser, asks));
                let those = world.eligible(asks);
                let due: Vec<_> = those.iter().map(|known| known.due()).collect();
                // Where few are heavy, 64 draws may find none of them.
                let (sum, most) = (due.iter().sum::<u64>(), due.iter().max().copied().unwrap_or(0));
                if most * due.len() as u64 > 4 * sum {
                    continue;
                }
                rounds += 1;
                let counts = count(&mut chooser, &request, &those, 200 * those.len() as u64 + 1);
                // Shares that are so small that chance plays with them are left out.
                let large: Vec<_> = (0..due.len()).filter(|&at| due[at] * 200 >= most).collect();
                let of = |from: &[u64]| large.iter().map(|&at| from[at]).collect::<Vec<_>>();
                assert_shares(&of(&counts), &of(&due));
            }
        }
    }
    assert!(rounds > 60, "{rounds}");
}

#[test]
fn the_first_pick_of_selectors_with_different_seeds_differs() {
    let world = World::<_, 1, 8>::with(UniformRandom, &[1; 8]);
    let those = world.eligible(Asks::Anything);
    let mut counts = vec![0; 8];
    for seed in 0..4_000 {
        let mut chooser = world.chooser(seed);
        for (sum, picked) in counts.iter_mut().zip(count(&mut chooser, &Request::ANY, &those, 1)) {
            *sum += picked;
        }
    }
    assert_shares(&counts, &[1; 8]);
}

#[test]
fn what_was_tried_is_left_out_and_the_rest_have_the_same_chance() {
    let mut world = World::<_, 2, 8>::with(UniformRandom, &[1; 13]);
    world.set_health(4, Health::Unhealthy);
    let those = world.eligible(Asks::Anything);
    // One of them twice, and one that isn't a candidate.
    let tried = [those[2].handle, those[0].handle, those[11].handle, those[2].handle, world.known[4].handle];
    let rest: Vec<_> = those.into_iter().filter(|known| !tried.contains(&known.handle)).collect();
    let mut chooser = world.chooser(5);
    let counts = count(&mut chooser, &Request::ANY.excluding(&tried), &rest, 20_000);
    assert_shares(&counts, &[1; 9]);
}

#[test]
fn what_is_full_is_passed_on_evenly() {
    let mut world = World::<_, 1, 8>::with(UniformRandom, &[1; 6]);
    let known = world.known[2];
    let full = trilane::route::Endpoint::new(known.number).cap(1);
    world.balancer.update(known.handle, &full, Instant::ZERO).unwrap();
    let mut chooser = world.chooser(5);
    let held = loop {
        let lease = chooser.select(&Request::ANY, Instant::ZERO).unwrap();
        if lease.endpoint() == known.handle {
            break lease;
        }
    };
    world.known.remove(2);
    let rest = world.eligible(Asks::Anything);
    assert_shares(&count(&mut chooser, &Request::ANY, &rest, 20_000), &[1; 5]);
    drop(held);
}
