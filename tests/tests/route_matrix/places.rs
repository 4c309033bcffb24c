//! Tiers, zones, panic mode, load and staleness: which group of endpoints a request goes to, whatever picks
//! among them.

use trilane::route::{Endpoint, Filter, Health, Metrics, Options, Strategy, Tier, Zone};
use trilane::time::Duration;

use super::{World, cell, due, row};

const NEAR: Zone = Zone::of::<0>();
const FAR: Zone = Zone::of::<1>();

/// `count` endpoints in a place, numbered from `first`.
fn some(first: u64, count: u64, tier: Tier, zone: Zone) -> impl Iterator<Item = Endpoint> {
    (first..first + count).map(move |id| Endpoint::new(id).tier(tier).zone(zone))
}

fn two_tiers(first: u64, second: u64) -> impl Iterator<Item = Endpoint> {
    some(0, first, Tier::of::<0>(), NEAR).chain(some(first, second, Tier::of::<1>(), NEAR))
}

fn two_zones(near: u64, far: u64) -> impl Iterator<Item = Endpoint> {
    some(0, near, Tier::of::<0>(), NEAR).chain(some(near, far, Tier::of::<0>(), FAR))
}

/// Two zones and who is in the first.
fn zoned<S: Strategy<1, 16, 4> + 'static>(strategy: S, options: Options, near: u64, far: u64) -> World<S> {
    let mut world = World::new(strategy, options, two_zones(near, far));
    world.class = world.routes.selector.class(Filter::ANY.prefer(NEAR).unwrap()).unwrap();
    world
}

fn report<S: Strategy<1, 16, 4>>(world: &World<S>, at: usize, load: u16) {
    let metrics = Metrics::new(load, load, load as u32 * 10, load as u32, load).unwrap();
    world.routes.balancer.report(world.routes.ids[at], metrics, world.now).unwrap();
}

/// What leaves the first `here`, in permille.
fn leaves<S: Strategy<1, 16, 4>>(world: &mut World<S>, here: usize) -> u64 {
    let shares = world.shares(4_000);
    1_000 - shares[..here].iter().sum::<u64>().min(1_000)
}

fn leaves_about<S: Strategy<1, 16, 4>>(name: &str, world: &mut World<S>, here: usize, due: u64, what: &str) {
    for keyed in [false, true] {
        world.keyed = keyed;
        let left = leaves(world, here);
        // Shares are rounded down, five of them.
        let near = if due == 0 { left <= 5 } else { left.abs_diff(due) <= 40 };
        cell(name, near, || format!("{what}: {left} permille leave instead of {due}, keys: {keyed}"));
    }
}

#[test]
fn tier() {
    fn check<S: Strategy<1, 16, 4> + 'static>(name: &str, strategy: S) {
        let mut world = World::new(strategy, Options::new(), two_tiers(7, 3));
        leaves_about(name, &mut world, 7, 0, "all well");
        (0..2).for_each(|at| world.routes.set_health(at, Health::Unhealthy, world.now));
        leaves_about(name, &mut world, 7, 0, "5 of 7");
        (2..5).for_each(|at| world.routes.set_health(at, Health::Unhealthy, world.now));
        leaves_about(name, &mut world, 7, 600, "2 of 7");
        (5..7).for_each(|at| world.routes.set_health(at, Health::Unhealthy, world.now));
        leaves_about(name, &mut world, 7, 1_000, "none of 7");
    }
    row!(check);
}

#[test]
fn zone() {
    fn check<S: Strategy<1, 16, 4> + 'static>(name: &str, strategy: S) {
        let mut world = zoned(strategy, Options::new(), 4, 4);
        leaves_about(name, &mut world, 4, 0, "all well");
        (0..3).for_each(|at| world.routes.set_health(at, Health::Unhealthy, world.now));
        leaves_about(name, &mut world, 4, 650, "1 of 4");
    }
    row!(check);
}

#[test]
fn zone_load() {
    fn check<S: Strategy<1, 16, 4> + 'static>(name: &str, strategy: S) {
        let mut world = zoned(strategy, Options::new().stale_after(Duration::from_secs(10)), 4, 4);
        for (near, far, due) in
            [(700, 0, 0), (900, 100, 500), (1_000, 900, 500), (1_000, 1_000, 0), (900, 1_000, 0)]
        {
            (0..4).for_each(|at| report(&world, at, near));
            (4..8).for_each(|at| report(&world, at, far));
            leaves_about(name, &mut world, 4, due, &format!("loads {near} and {far}"));
        }
        // Reports that are old say nothing.
        (0..4).for_each(|at| report(&world, at, 1_000));
        (4..8).for_each(|at| report(&world, at, 100));
        leaves_about(name, &mut world, 4, 1_000, "fresh");
        world.pass(Duration::from_secs(11));
        leaves_about(name, &mut world, 4, 0, "stale");
        // Nor do those of endpoints that get nothing.
        (0..4).for_each(|at| report(&world, at, if at == 0 { 1_000 } else { 790 }));
        leaves_about(name, &mut world, 4, 212, "one of four is full");
        world.routes.set_health(0, Health::Unhealthy, world.now);
        leaves_about(name, &mut world, 4, 0, "and is out");
    }
    row!(check);
}

#[test]
fn zone_load_of_who_matches() {
    fn check<S: Strategy<1, 16, 4> + 'static>(name: &str, strategy: S) {
        use trilane::route::{Tag, Tags};
        const TAG: Tags = Tags::NONE.with(Tag::of::<7>());
        let endpoints = two_zones(4, 4)
            .enumerate()
            .map(|(at, endpoint)| if at % 2 == 0 { endpoint.tags(TAG) } else { endpoint });
        let mut world = World::new(strategy, Options::new(), endpoints);
        let filter = Filter::ANY.tags(TAG).prefer(NEAR).unwrap();
        world.class = world.routes.selector.class(filter).unwrap();
        (0..8).for_each(|at| report(&world, at, if at % 2 == 1 { 1_000 } else { 500 }));
        leaves_about(name, &mut world, 4, 0, "only others are full");
        (0..4).for_each(|at| report(&world, at, if at % 2 == 0 { 1_000 } else { 0 }));
        leaves_about(name, &mut world, 4, 1_000, "those that match are full");
    }
    row!(check);
}

#[test]
fn panic() {
    fn check<S: Strategy<1, 16, 4> + 'static>(name: &str, strategy: S) {
        // Tier 0 is dead, half of tier 1 lives: the living get all.
        let options = Options::new().panic_below(500);
        let mut world = World::new(strategy, options, two_tiers(5, 5));
        (0..5).chain(7..10).for_each(|at| world.routes.set_health(at, Health::Unhealthy, world.now));
        for keyed in [false, true] {
            world.keyed = keyed;
            let shares = world.shares(2_000);
            let living = shares[5] + shares[6];
            cell(name, living >= 998, || format!("the living get {living}: {shares:?}"));
        }
    }
    row!(check);
}

#[test]
fn panic_within_one_step() {
    fn check<S: Strategy<1, 16, 4> + 'static>(name: &str, strategy: S) {
        let options = Options::new().panic_below(500).max_ejected(1_000);
        let mut world = World::new(strategy, options, two_tiers(10, 0));
        (0..6).for_each(|at| world.routes.set_health(at, Health::Unhealthy, world.now));
        world.routes.set_health(6, Health::Unknown, world.now);
        let mut weights = vec![1; 10];
        weights[6] = 0;
        let due = due(&weights);
        for keyed in [false, true] {
            world.keyed = keyed && super::places_keys(name);
            let shares = world.shares(6_000);
            cell(name, super::are_near(name, &shares, &due), || format!("{shares:?} instead of {due:?}"));
        }
    }
    row!(check);
}
