//! Keys: an equal key goes to the same endpoint, and stays there whatever happens to others.

use trilane::route::{
    Bounded, ConsistentHash, Endpoint, Health, Maglev, Options, Request, Ring, RoutingKey, SizedTable,
    Strategy,
};
use trilane::time::Duration;

use super::{World, cell, places_keys, row};

const KEYS: u64 = 2_000;

/// Where each key is.
fn homes<S: Strategy<1, 16, 4>>(world: &mut World<S>) -> Vec<usize> {
    let mut home = |key| {
        let request = Request::new(world.class).key(RoutingKey::from_id(key));
        world.routes.pick(&request, world.now)
    };
    (0..KEYS).map(&mut home).collect()
}

#[test]
fn a_key_stays_whatever_happens_to_others() {
    fn check<S: Strategy<1, 16, 4> + 'static>(name: &str, strategy: S) {
        if !places_keys(name) {
            return;
        }
        let options = Options::new().failures(2).slow_start(Duration::from_secs(160)).route_unknown(true);
        let mut world = World::new(strategy, options, (0..10).map(Endpoint::new));
        world.pass(Duration::from_secs(1_000));
        let before = homes(&mut world);
        let stay = |world: &mut World<S>, what: &str| {
            let after = homes(world);
            let moved = before.iter().zip(&after).filter(|&(&from, &to)| from != to && from != 4).count();
            cell(name, moved == 0, || format!("{what}: {moved} keys of others moved"));
            // Whom they went to when it was out is no matter.
            after.iter().filter(|&&at| at == 4).count()
        };
        for health in [Health::Degraded, Health::Unknown, Health::Unhealthy, Health::Healthy] {
            world.routes.set_health(4, health, world.now);
            stay(&mut world, &format!("{health:?}"));
        }
        world.pass(Duration::from_secs(1_000));
        stay(&mut world, "after its slow start");
        for _ in 0..2 {
            world.routes.lease_of(4, world.now).fail(Duration::ZERO, world.now);
        }
        let kept = stay(&mut world, "its breaker is open");
        cell(name, kept == 0, || format!("it kept {kept} keys"));
        // The probe takes one of its own, and no other.
        world.pass(Duration::from_secs(31));
        let probes = stay(&mut world, "it is probed");
        cell(name, probes >= 1, || format!("{probes} probes"));
    }
    row!(check);
}

#[test]
fn a_key_stays_with_its_class() {
    fn check<S: Strategy<1, 16, 4> + 'static>(name: &str, strategy: S) {
        use trilane::route::{Filter, Tag, Tags};
        const TAG: Tags = Tags::NONE.with(Tag::of::<1>());
        if !places_keys(name) {
            return;
        }
        let endpoints = (0..16).map(|id| {
            let tags = if id % 5 == 0 { TAG } else { Tags::NONE };
            Endpoint::new(id).tags(tags)
        });
        let mut world = World::new(strategy, Options::new(), endpoints);
        world.class = world.routes.selector.class(Filter::ANY.tags(TAG)).unwrap();
        let before = homes(&mut world);
        // One that isn't of the class changes nothing for it, one that is moves its own keys.
        world.routes.set_health(3, Health::Unhealthy, world.now);
        let moved = homes(&mut world).iter().zip(&before).filter(|(to, from)| to != from).count();
        cell(name, moved == 0, || format!("{moved} keys moved for one of another class"));
        world.routes.set_health(10, Health::Unhealthy, world.now);
        let after = homes(&mut world);
        let moved = before.iter().zip(&after).filter(|&(&from, to)| from != 10 && from != *to).count();
        // Fewer members are candidates: some keys are looked up once less.
        cell(name, moved <= KEYS as usize / 8, || format!("{moved} keys of others moved"));
    }
    row!(check);
}

/// Bounded load: with weights, and within a class.
fn is_bounded<T: SizedTable + 'static>(name: &str, table: T, tagged: bool, weights: [u16; 4]) {
    use trilane::route::{Filter, Tag, Tags};
    const TAG: Tags = Tags::NONE.with(Tag::of::<1>());
    let endpoints = (0..12).map(|id| {
        let endpoint = Endpoint::new(id).weight(weights[id as usize % 4]);
        if id < 4 { endpoint.tags(TAG) } else { endpoint }
    });
    let count = if tagged { 12 } else { 4 };
    let hash = ConsistentHash::new(Bounded::<T, 1_250>::new(table));
    let mut world = World::new(hash, Options::new(), endpoints.take(count));
    world.class = world.routes.selector.class(Filter::ANY.tags(TAG)).unwrap();
    world.keyed = true;
    let sum: u32 = weights.iter().map(|&weight| weight as u32).sum();
    for sent in 0..3_000 {
        world.next_key = sent % 3; // Three keys are most of the traffic.
        world.send().unwrap();
        let out = world.routes.in_flight();
        let all: u32 = out.iter().sum();
        for (&out, weight) in out.iter().zip(weights) {
            let most = (all * weight as u32 * 5).div_ceil(sum * 4);
            cell(name, out <= most, || format!("{out} of {all} at weight {weight}, at most {most}"));
        }
    }
    super::assert_no_cell_is_wrong();
}

#[test]
fn bounded_load() {
    is_bounded("ring", Ring::<2_560, 512>::new(), false, [1; 4]);
    is_bounded("Maglev", Maglev::<1_021, 32>::new(), false, [1; 4]);
}

#[test]
fn bounded_load_by_weight() {
    is_bounded("ring", Ring::<2_560, 512>::new(), false, [1, 2, 3, 6]);
    is_bounded("Maglev", Maglev::<1_021, 32>::new(), false, [1, 2, 3, 6]);
}

#[test]
fn bounded_load_of_a_class() {
    is_bounded("ring", Ring::<2_560, 512>::new(), true, [1; 4]);
    is_bounded("Maglev", Maglev::<1_021, 32>::new(), true, [1; 4]);
}
