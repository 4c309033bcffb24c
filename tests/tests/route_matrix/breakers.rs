//! Ejection and probes, whatever picks among those that are left.

use trilane::route::{
    BreakerState, Endpoint, Filter, Options, Request, RoutingKey, Strategy, Tag, Tags, Tier,
};
use trilane::time::Duration;

use super::{World, cell, row};

const TAG: Tags = Tags::NONE.with(Tag::of::<4>());

fn state<S: Strategy<1, 16, 4>>(world: &World<S>, at: usize) -> BreakerState {
    world.routes.balancer.stats(world.routes.ids[at]).unwrap().breaker
}

/// `requests` requests, 100 ms apart, each of which fails at those who `fail`; how many each got, and how
/// many got nobody.
fn traffic<S: Strategy<1, 16, 4>>(
    world: &mut World<S>,
    requests: u64,
    fail: impl Fn(usize) -> bool,
) -> (Vec<u64>, u64) {
    let (mut counts, mut refused) = (vec![0; world.routes.ids.len()], 0);
    for _ in 0..requests {
        world.now += Duration::from_millis(100);
        let request = world.request();
        match world.routes.select(&request, world.now) {
            Ok((at, lease)) => {
                counts[at] += 1;
                if fail(at) {
                    lease.fail(Duration::ZERO, world.now);
                } else {
                    lease.succeed(Duration::from_millis(1), world.now);
                }
            }
            Err(_) => refused += 1,
        }
    }
    (counts, refused)
}

#[test]
fn the_last_of_a_class_is_never_ejected() {
    fn check<S: Strategy<1, 16, 4> + 'static>(name: &str, strategy: S) {
        let endpoints = (0..8).map(|id| {
            let endpoint = Endpoint::new(id);
            if id < 2 { endpoint.tags(TAG) } else { endpoint }
        });
        let mut world = World::new(strategy, Options::new().max_ejected(1_000), endpoints);
        world.class = world.routes.selector.class(Filter::ANY.tags(TAG)).unwrap();
        for keyed in [false, true] {
            world.keyed = keyed;
            let (_, refused) = traffic(&mut world, 400, |_| true);
            cell(name, refused == 0, || format!("{refused} of 400 got nobody"));
        }
    }
    row!(check);
}

#[test]
fn the_budget_counts_only_what_keeps_traffic_out() {
    fn check<S: Strategy<1, 16, 4> + 'static>(name: &str, strategy: S) {
        let tier = |id| if id < 4 { Tier::of::<0>() } else { Tier::of::<1>() };
        let endpoints = (0..6).map(|id| Endpoint::new(id).tier(tier(id)));
        let mut world = World::new(strategy, Options::new(), endpoints);
        // Tier 1 has three members, of which two fail; then nobody asks for it any more.
        world.routes.add(&Endpoint::new(6).tier(Tier::of::<1>()), world.now);
        world.routes.balancer.finish_build();
        for at in [4, 5] {
            (0..5).for_each(|_| world.routes.lease_of(at, world.now).fail(Duration::ZERO, world.now));
        }
        let out = [4, 5].map(|at| state(&world, at) == BreakerState::Open);
        cell(name, out == [true; 2], || format!("{out:?} of tier 1 are out"));
        world.pass(Duration::from_secs(40));
        traffic(&mut world, 400, |at| at == 0);
        cell(name, state(&world, 0) != BreakerState::Closed, || "the failing one stays".into());
        // Half of seven at most are out at a time, and those that fail are.
        traffic(&mut world, 400, |at| at < 4);
        let out =
            (0..7).filter(|&at| matches!(state(&world, at), BreakerState::Open | BreakerState::Probing));
        let out = out.count();
        cell(name, (2..=3).contains(&out), || format!("{out} are out"));
    }
    row!(check);
}

#[test]
fn the_share_of_a_failing_endpoint_falls() {
    fn check<S: Strategy<1, 16, 4> + 'static>(name: &str, strategy: S) {
        let mut world = World::new(strategy, Options::new(), (0..4).map(Endpoint::new));
        for keyed in [false, true] {
            world.keyed = keyed;
            // An hour each, 10 requests a second.
            let hours: Vec<_> = (0..2).map(|_| traffic(&mut world, 36_000, |at| at == 0).0[0]).collect();
            cell(name, hours[1] <= 40 && hours[0] < 150, || format!("{hours:?} failures an hour"));
        }
    }
    row!(check);
}

#[test]
fn a_probe_is_no_retry_and_is_given_back_when_it_is_dropped() {
    fn check<S: Strategy<1, 16, 4> + 'static>(name: &str, strategy: S) {
        let options = Options::new().failures(1).open_for(Duration::from_secs(1));
        let mut world = World::new(strategy, options, (0..4).map(Endpoint::new));
        world.routes.lease_of(2, world.now).fail(Duration::ZERO, world.now);
        world.pass(Duration::from_secs(2));
        let other = [world.routes.ids[0]];
        for _ in 0..50 {
            let (at, lease) = world.routes.select(&Request::ANY.excluding(&other), world.now).unwrap();
            cell(name, !lease.is_probe() && at != 2, || "a retry is a probe".into());
        }
        for _ in 0..3 {
            let (at, lease) = world.routes.select(&Request::ANY, world.now).unwrap();
            cell(name, lease.is_probe() && at == 2, || format!("{at} is no probe"));
        }
        // A slow probe: the next is sent, then the first succeeds.
        let (_, slow) = world.routes.select(&Request::ANY, world.now).unwrap();
        world.pass(Duration::from_secs(31));
        let next = world.routes.select(&Request::ANY, world.now).unwrap().1;
        cell(name, next.is_probe(), || "no second probe".into());
        slow.succeed(Duration::from_secs(31), world.now);
        cell(name, state(&world, 2) == BreakerState::Closed, || "a slow probe's success is lost".into());
    }
    row!(check);
}

#[test]
fn a_probe_has_a_key_of_its_own() {
    fn check<S: Strategy<1, 16, 4> + 'static>(name: &str, strategy: S) {
        if !super::places_keys(name) {
            return;
        }
        let options = Options::new().failures(1).open_for(Duration::from_secs(1));
        let mut world = World::new(strategy, options, (0..4).map(Endpoint::new));
        let keyed = |key| Request::ANY.key(RoutingKey::from_id(key));
        let homes: Vec<_> = (0..400).map(|key| world.routes.pick(&keyed(key), world.now)).collect();
        world.routes.lease_of(2, world.now).fail(Duration::ZERO, world.now);
        world.pass(Duration::from_secs(2));
        let mut probed = false;
        for key in 0..400 {
            let (at, lease) = world.routes.select(&keyed(key), world.now).unwrap();
            let own = homes[key as usize] == 2;
            cell(name, lease.is_probe() == own, || format!("key {key} of {}", homes[key as usize]));
            cell(name, own || at == homes[key as usize], || format!("key {key} moved to {at}"));
            probed |= lease.is_probe();
        }
        cell(name, probed, || "no probe".into());
    }
    row!(check);
}

#[test]
fn what_was_taken_before_an_opening_decides_nothing_after_it() {
    fn check<S: Strategy<1, 16, 4> + 'static>(name: &str, strategy: S) {
        let options = Options::new().failures(3).open_for(Duration::from_secs(1));
        let mut world = World::new(strategy, options, (0..4).map(Endpoint::new));
        let mut leases: Vec<_> = (0..10).map(|_| world.routes.lease_of(1, world.now)).collect();
        leases.drain(..3).for_each(|lease| lease.fail(Duration::ZERO, world.now));
        cell(name, state(&world, 1) == BreakerState::Open, || "it isn't open".into());
        world.pass(Duration::from_secs(2));
        let (_, probe) = world.routes.select(&Request::ANY, world.now).unwrap();
        probe.succeed(Duration::ZERO, world.now);
        leases.into_iter().for_each(|lease| lease.fail(Duration::ZERO, world.now));
        cell(name, state(&world, 1) == BreakerState::Closed, || "it opened again".into());
    }
    row!(check);
}

#[test]
fn one_that_may_not_be_ejected_gets_little_while_it_fails() {
    fn check<S: Strategy<1, 16, 4> + 'static>(name: &str, strategy: S) {
        let options = Options::new().max_ejected(0);
        let mut world = World::new(strategy, options, (0..4).map(Endpoint::new));
        let keyed = |key| Request::ANY.key(RoutingKey::from_id(key));
        let homes: Vec<_> = (0..400).map(|key| world.routes.pick(&keyed(key), world.now)).collect();
        for by_key in [false, true] {
            world.keyed = by_key;
            traffic(&mut world, 40, |at| at == 2);
            // Half an hour: it is tried now and then, and far less often than before.
            let got = traffic(&mut world, 18_000, |at| at == 2).0;
            cell(name, (10..900).contains(&got[2]), || format!("{got:?}, of which the third fails"));
            cell(name, state(&world, 2) == BreakerState::Closed, || "it is out".into());
            let mut stays = |key: usize| {
                homes[key] == 2 || world.routes.pick(&keyed(key as u64), world.now) == homes[key]
            };
            cell(name, !super::places_keys(name) || (0..400).all(&mut stays), || "a key has moved".into());
            // A success ends that.
            world.routes.lease_of(2, world.now).succeed(Duration::from_millis(1), world.now);
            let left = world.routes.balancer.stats(world.routes.ids[2]).unwrap().weight_left;
            cell(name, left == 64, || format!("{left} of 64 are left"));
        }
    }
    row!(check);
}
