//! L5 (envoy #38525): affinity by hash and preference for a locality excluded each other, and a key stayed
//! with a host that was out. Here a key stays where it is as long as that host may serve, in the zone as long
//! as the zone may, and comes back.

use trilane::route::{
    Class, ConsistentHash, Endpoint, Filter, Health, Maglev, Options, Request, Ring, RoutingKey, SizedTable,
    Zone,
};
use trilane::time::{Duration, Instant};
use trilane_tests::routing::{Routes, chooser};

const NOW: Instant = Instant::ZERO;
const KEYS: u64 = 400;

type Placed<T> = (Routes<ConsistentHash<T>>, Class);

/// 0 to 3 here, 4 to 7 elsewhere; the class of those who are here.
fn placed<T: SizedTable + 'static>(table: T) -> Placed<T> {
    let endpoints = (0..8).map(|id| Endpoint::new(id).zone(Zone::new(id as u8 / 4).unwrap()));
    let options = Options::new().failures(1).overprovisioning(4_000);
    let mut routes = Routes::new(ConsistentHash::new(table), options, endpoints);
    let class = routes.selector.class(Filter::ANY.prefer(Zone::of::<0>()).unwrap()).unwrap();
    (routes, class)
}

/// Where each key is.
fn homes<T: SizedTable>((routes, class): &mut Placed<T>, now: Instant) -> Vec<usize> {
    (0..KEYS).map(|key| routes.pick(&Request::new(*class).key(RoutingKey::from_id(key)), now)).collect()
}

/// Which share of the keys whose home is not among `out` is elsewhere, in permille; panics if a key is on one
/// of these.
fn moved(before: &[usize], after: &[usize], out: &[usize]) -> usize {
    assert!(after.iter().all(|home| !out.contains(home)), "a key is on one that is out");
    let stay = || before.iter().zip(after).filter(|(home, _)| !out.contains(home));
    stay().filter(|(home, now)| home != now).count() * 1_000 / stay().count()
}

/// What moves of others, at most, when the first of four is out, and then the second of three: for a class to
/// which half of the members belong, a key is looked up in the table less often, the fewer of them serve.
const FEW: [usize; 2] = [60, 150];

#[test]
fn l5_the_check_catches_a_hash_modulo_whoever_is_there() {
    let home = |out: &[usize]| -> Vec<_> {
        let there: Vec<_> = (0..4).filter(|at| !out.contains(at)).collect();
        (0..KEYS as usize).map(|key| there[key % there.len()]).collect()
    };
    assert!(moved(&home(&[]), &home(&[2]), &[2]) > 500);
}

#[test]
#[should_panic(expected = "is out")]
fn l5_the_check_catches_a_hash_that_knows_of_no_health() {
    let home: Vec<_> = (0..KEYS as usize).map(|key| key % 4).collect();
    moved(&home, &home, &[2]);
}

fn respects_health_and_locality<T: SizedTable + 'static>(table: impl Fn() -> T) {
    let mut placed = placed(table());
    let before = homes(&mut placed, NOW);
    assert!((0..4).all(|at| before.iter().filter(|&&home| home == at).count() > KEYS as usize / 20));
    assert!(before.iter().all(|&home| home < 4), "all of them here");
    // Out by its health, then two of them.
    placed.0.set_health(2, Health::Unhealthy, NOW);
    let after = homes(&mut placed, NOW);
    assert!(moved(&before, &after, &[2]) <= FEW[0] && after.iter().all(|&home| home < 4));
    // The keys of the one that is out go to all the others.
    let went_to = |to| before.iter().zip(&after).any(|(&home, &now)| home == 2 && now == to);
    assert!([0, 1, 3].into_iter().all(went_to));
    placed.0.set_health(0, Health::Unhealthy, NOW);
    let two = homes(&mut placed, NOW);
    assert!(moved(&after, &two, &[0, 2]) <= FEW[1] && two.iter().all(|&home| home < 4));
    // Nobody is left here: elsewhere, and there by the same rule.
    placed.0.set_health(1, Health::Unhealthy, NOW);
    placed.0.set_health(3, Health::Unhealthy, NOW);
    let elsewhere = homes(&mut placed, NOW);
    assert!(elsewhere.iter().all(|&home| home >= 4));
    assert_eq!(homes(&mut placed, NOW), elsewhere);
    // All come back, and so do the keys.
    (0..4).for_each(|at| placed.0.set_health(at, Health::Healthy, NOW));
    assert_eq!(homes(&mut placed, NOW), before);
}

/// Among all members, nobody's keys move but those of the one that is out.
fn moves_nothing_else<T: SizedTable + 'static>(table: impl Fn() -> T) {
    let mut placed = (placed(table()).0, Class::ANY);
    let before = homes(&mut placed, NOW);
    for out in 0..8 {
        placed.0.set_health(out, Health::Unhealthy, NOW);
        assert_eq!(moved(&before, &homes(&mut placed, NOW), &[out]), 0);
        placed.0.set_health(out, Health::Healthy, NOW);
    }
    assert_eq!(homes(&mut placed, NOW), before);
}

#[test]
fn l5_one_that_is_out_moves_no_key_of_others_among_all() {
    moves_nothing_else(Maglev::<1_021, 32>::new);
    moves_nothing_else(Ring::<1_280, 256>::new);
}

#[test]
fn l5_affinity_respects_health_and_locality_on_maglev() {
    respects_health_and_locality(Maglev::<1_021, 32>::new);
}

#[test]
fn l5_affinity_respects_health_and_locality_on_a_ring() {
    respects_health_and_locality(Ring::<1_280, 256>::new);
}

#[test]
fn l5_affinity_respects_breakers_and_caps() {
    let mut placed = (placed(Maglev::<1_021, 32>::new()).0, Class::ANY);
    let before = homes(&mut placed, NOW);
    placed.0.lease_of(1, NOW).fail(Duration::ZERO, NOW);
    assert_eq!(moved(&before, &homes(&mut placed, NOW), &[1]), 0);
    let later = NOW + Duration::from_secs(31);
    let (at, probe) = placed.0.select(&Request::ANY, later).unwrap();
    assert!(at == 1 && probe.is_probe());
    probe.succeed(Duration::ZERO, later);
    assert_eq!(homes(&mut placed, later), before);

    let endpoint = Endpoint::new(3).zone(Zone::of::<0>()).cap(1);
    placed.0.update(3, &endpoint, later);
    let full = placed.0.lease_of(3, later);
    assert_eq!(moved(&before, &homes(&mut placed, later), &[3]), 0);
    drop(full);
    assert_eq!(homes(&mut placed, later), before);
}

#[test]
fn l5_affinity_is_the_same_in_every_selector() {
    let mut placed = placed(Maglev::<1_021, 32>::new());
    let before = homes(&mut placed, NOW);
    // One of them makes its class while an endpoint is out.
    placed.0.set_health(3, Health::Unhealthy, NOW);
    let out = homes(&mut placed, NOW);
    let mut other = chooser(placed.0.balancer, 99);
    let class = other.class(Filter::ANY.prefer(Zone::of::<0>()).unwrap()).unwrap();
    let mut assert_same = |homes: &[usize]| {
        for (key, &home) in (0..KEYS).zip(homes) {
            let request = Request::new(class).key(RoutingKey::from_id(key));
            assert_eq!(other.select(&request, NOW).unwrap().endpoint(), placed.0.ids[home]);
        }
    };
    assert_same(&out);
    placed.0.set_health(3, Health::Healthy, NOW);
    assert_same(&before);
}
