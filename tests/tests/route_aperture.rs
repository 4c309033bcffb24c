//! Apertures beside a naive oracle: lists, and arcs that are cut piece by piece.

use std::collections::{BTreeMap, BTreeSet};

use trilane::route::{Aperture, ApertureError, Fleet, MAX_FLEET, Random, Share};

type Test = fn(u32) -> bool;

/// The order in which the endpoints of a fleet stand on the ring.
fn order(fleet: Fleet, len: u64) -> Vec<u32> {
    let whole = fleet.random_aperture(0, u16::MAX).unwrap();
    assert_eq!(whole.len() as u64, len);
    whole.shares().map(Share::endpoint).collect()
}

/// Whether the list was dealt out: of each two that come to a node one goes left, and the other right.
fn is_dealt(order: &[u32]) -> bool {
    if order.len() < 2 {
        return true;
    }
    let mut arrivals = order.to_vec();
    arrivals.sort();
    let half = order.len() / 2;
    [half, order.len() - half].into_iter().any(|left| {
        let (left, right) = order.split_at(left);
        let parted = arrivals.chunks_exact(2).all(|pair| left.contains(&pair[0]) != left.contains(&pair[1]));
        parted && is_dealt(left) && is_dealt(right)
    })
}

/// The share of everybody in an aperture: an endpoint has `clients` pieces, and the client at `place` in the
/// order of clients has `overlap` times `endpoints` pieces, from `place` times that on.
fn cut(order: &[u32], clients: u64, place: u64, overlap: u64) -> BTreeMap<u32, u32> {
    let endpoints = order.len() as u64;
    let mut parts = BTreeMap::new();
    for piece in place * endpoints..(place + overlap) * endpoints {
        *parts.entry(order[(piece / clients % endpoints) as usize]).or_insert(0) += 1;
    }
    parts
}

fn parts(aperture: &Aperture) -> BTreeMap<u32, u32> {
    aperture.shares().map(|share| (share.endpoint(), share.part().0)).collect()
}

fn endpoints(aperture: &Aperture) -> BTreeSet<u32> {
    aperture.shares().map(Share::endpoint).collect()
}

fn fleet(endpoints: u64) -> Fleet {
    Fleet::new(endpoints, 0x5eed).unwrap()
}

/// The apertures of all clients, if there are any.
fn apertures(endpoints: u64, clients: u32, most: u16) -> Option<Vec<Aperture>> {
    (0..clients).map(|client| fleet(endpoints).aperture(client, clients, most).ok()).collect()
}

fn overlap(endpoints: u64, clients: u32, most: u16) -> u64 {
    (most as u64 - 1) * clients as u64 / endpoints
}

#[test]
fn the_order_parts_pairs_and_one_more_moves_nobody() {
    for seed in [0, 1, u64::MAX] {
        let mut before: Vec<u32> = Vec::new();
        for len in 1..200 {
            let now = order(Fleet::new(len, seed).unwrap(), len);
            assert!(is_dealt(&now), "{now:?}");
            let old: Vec<u32> = now.iter().copied().filter(|&number| number as u64 != len - 1).collect();
            assert_eq!(old, before);
            before = now;
        }
    }
    assert_ne!(order(Fleet::new(64, 1).unwrap(), 64), order(Fleet::new(64, 2).unwrap(), 64));
}

#[test]
fn neighbours_in_the_list_and_every_fourth_are_spread_over_the_order() {
    // Racks in a row, or endpoints dealt to racks in turn: each sixteenth of the order has its share of them.
    let order = order(fleet(6_400), 6_400);
    let racks: [(&str, Test); 3] =
        [("row", |number| number / 1_600 == 1), ("turn", |number| number % 4 == 1), ("odd", |n| n % 2 == 1)];
    for (name, rack) in racks {
        let due = order.iter().filter(|&&number| rack(number)).count() as f64 / 16.0;
        for part in order.chunks(400) {
            let count = part.iter().filter(|&&number| rack(number)).count() as f64;
            assert!((count - due).abs() < 4.0 * due.sqrt(), "{name}: {count} of {due}");
        }
    }
}

#[test]
fn an_aperture_is_what_the_oracle_cuts_and_all_together_are_even() {
    let (mut cases, mut worst) = (0, 0.0f64);
    for endpoints in 1..=40u64 {
        let order = order(fleet(endpoints), endpoints);
        for clients in 1..=24u32 {
            for most in [1, 2, 3, 4, 5, 8, 13, 20, 39, 40] {
                let Some(all) = apertures(endpoints, clients, most) else { continue };
                cases += 1;
                check(&order, clients, most, &all);
                for full in [8, 100] {
                    worst = worst.max(unevenness(endpoints, &all, full) * full as f64);
                }
            }
        }
    }
    assert!(cases > 4_000, "{cases}");
    assert!(worst <= 2.0, "loads differ by {worst} over the full weight");
}

fn check(order: &[u32], clients: u32, most: u16, all: &[Aperture]) {
    let endpoints = order.len() as u64;
    let what = format!("{endpoints} endpoints, {clients} clients, at most {most}");
    if endpoints <= most as u64 {
        // Everybody has all.
        for aperture in all {
            assert!(
                aperture.shares().all(|share| share.part() == (1, 1)) && aperture.len() as u64 == endpoints
            );
        }
        return;
    }
    let overlap = overlap(endpoints, clients, most);
    // Each is one of the oracle's, and no two are the same one.
    let mut cuts: Vec<_> = (0..clients as u64).map(|at| cut(order, clients as u64, at, overlap)).collect();
    let mut degrees = vec![0u64; order.len()];
    let mut sums = vec![0u64; order.len()];
    for aperture in all {
        let parts = parts(aperture);
        let at = cuts.iter().position(|cut| *cut == parts).unwrap_or_else(|| panic!("{what}: {parts:?}"));
        cuts.swap_remove(at);
        assert!(parts.len() <= most as usize && parts.len() == aperture.len() as usize, "{what}");
        let least = most as f64 - 1.0 - endpoints as f64 / clients as f64;
        assert!(parts.values().sum::<u32>() as f64 / clients as f64 > least, "{what}");
        for number in 0..order.len() as u32 + 3 {
            let share = aperture.share(number).map(|share| (share.endpoint(), share.part()));
            assert_eq!(share, parts.get(&number).map(|&part| (number, (part, clients))), "{what}");
        }
        for (&number, &part) in &parts {
            degrees[number as usize] += 1;
            sums[number as usize] += part as u64;
        }
    }
    assert!(sums.iter().all(|&sum| sum == overlap * clients as u64), "{what}: {sums:?}");
    let (least, greatest) = (degrees.iter().min().unwrap(), degrees.iter().max().unwrap());
    assert!(greatest - least <= 1, "{what}: {degrees:?}");
}

/// How far apart the loads of the endpoints are at most, over their mean: each client deals out one unit by
/// weights.
fn unevenness(endpoints: u64, all: &[Aperture], full: u16) -> f64 {
    let mut loads = vec![0.0; endpoints as usize];
    for aperture in all {
        let sum: u32 = aperture.shares().map(|share| share.weight(full) as u32).sum();
        for share in aperture.shares() {
            loads[share.endpoint() as usize] += share.weight(full) as f64 / sum as f64;
        }
    }
    let (least, most) = loads.iter().fold((f64::MAX, 0.0f64), |(a, b), &load| (a.min(load), b.max(load)));
    (most - least) / (all.len() as f64 / endpoints as f64)
}

#[test]
fn loads_by_weights_are_even_in_large_fleets() {
    let mut random = Random::new(9);
    let usual = [(20_000, 500, 128), (1_025, 7, 1_024), (5_000, 3_000, 3), (3_000, 40, 76)];
    for (endpoints, clients, most) in usual {
        let worst = unevenness(endpoints, &apertures(endpoints, clients, most).unwrap(), 100);
        assert!(worst <= 0.02, "{worst}");
    }
    for _ in 0..20 {
        let endpoints = 1 + random.below(3_000) as u64;
        let (clients, most) = (1 + random.below(400), 2 + random.below(1_023) as u16);
        let Some(all) = apertures(endpoints, clients, most) else { continue };
        for full in [16, 64, 1_000] {
            let worst = unevenness(endpoints, &all, full);
            assert!(worst <= 2.0 / full as f64, "{endpoints}, {clients}, {most}, {full}: {worst}");
        }
    }
}

/// How many endpoints come to an aperture or go at most, and how many do both on average.
fn changes(before: &[Aperture], after: &[Aperture]) -> (usize, f64) {
    let (mut most, mut sum) = (0, 0);
    for (before, after) in before.iter().zip(after) {
        let (before, after) = (endpoints(before), endpoints(after));
        let (go, come) = (before.difference(&after).count(), after.difference(&before).count());
        most = most.max(go).max(come);
        sum += go + come;
    }
    (most, sum as f64 / before.len() as f64)
}

#[test]
fn one_endpoint_more_or_one_client_more_changes_few_memberships() {
    let mut random = Random::new(5);
    let mut seen = 0;
    for _ in 0..200 {
        let endpoints = 2 + random.below(2_000) as u64;
        let (clients, most) = (1 + random.below(60), 2 + random.below(300) as u16);
        let Some(before) = apertures(endpoints, clients, most) else { continue };
        if endpoints <= most as u64 {
            continue;
        }
        let what = format!("{endpoints} endpoints, {clients} clients, at most {most}");
        let arc = endpoints as f64 / clients as f64;
        if let Some(after) = apertures(endpoints + 1, clients, most) {
            let same = overlap(endpoints, clients, most) == overlap(endpoints + 1, clients, most);
            let (most, _) = changes(&before, &after);
            assert!(most as f64 <= 2.0 + if same { 0.0 } else { arc }, "{what}: {most}");
            seen += 1;
        }
        if let Some(after) = apertures(endpoints, clients + 1, most) {
            let same = overlap(endpoints, clients, most) == overlap(endpoints, clients + 1, most);
            let arc_and_most = arc + most as f64 / clients as f64;
            let (most, _) = changes(&before, &after);
            assert!(most as f64 <= 2.0 + arc_and_most + if same { 0.0 } else { arc }, "{what}: {most}");
            seen += 1;
        }
    }
    assert!(seen > 100, "{seen}");
    // The usual case: 100 of 10,000 for each of 1,000 clients, so nine clients an endpoint.
    let before = apertures(10_000, 1_000, 100).unwrap();
    let (_, by_endpoint) = changes(&before, &apertures(10_001, 1_000, 100).unwrap());
    let (_, by_client) = changes(&before, &apertures(10_000, 1_001, 100).unwrap());
    println!("{by_endpoint:.2} memberships of 100 change with an endpoint, {by_client:.2} with a client");
    assert!(by_endpoint < 1.05 && by_client < 9.05, "{by_endpoint} {by_client}");
}

#[test]
fn clients_whose_numbers_are_near_have_different_endpoints() {
    let all: Vec<_> = apertures(10_000, 1_000, 100).unwrap().iter().map(endpoints).collect();
    let shared = |a: usize, b: usize| all[a].intersection(&all[b]).count();
    assert!((0..500).filter(|pair| shared(2 * pair, 2 * pair + 1) > 0).count() < 20);
    let mean = (0..999).map(|at| shared(at, at + 1)).sum::<usize>() as f64 / 999.0;
    assert!(mean < 2.0, "{mean}");
}

#[test]
fn random_apertures_are_whole_spread_by_chance_and_steady() {
    let (len, clients, most) = (2_000u64, 4_000u64, 50u16);
    let mut degrees = vec![0u64; len as usize];
    for client in 0..clients {
        let aperture = fleet(len).random_aperture(client, most).unwrap();
        assert_eq!(aperture.len(), most as u32);
        let own = endpoints(&aperture);
        assert_eq!(own.len(), most as usize);
        for share in aperture.shares() {
            assert_eq!((share.part(), share.weight(7)), ((1, 1), 7));
            degrees[share.endpoint() as usize] += 1;
        }
        if client < 200 {
            let more = endpoints(&fleet(len + 1).random_aperture(client, most).unwrap());
            assert!(own.difference(&more).count() <= 2 && more.difference(&own).count() <= 2);
        }
    }
    // A mean of 100, a standard deviation of 10.
    let mean = (clients * most as u64 / len) as f64;
    assert!(degrees.iter().all(|&degree| (degree as f64 - mean).abs() < 6.0 * mean.sqrt()), "{degrees:?}");
    let square: f64 = degrees.iter().map(|&degree| (degree as f64 - mean).powi(2)).sum::<f64>() / len as f64;
    assert!((0.5 * mean..2.0 * mean).contains(&square), "{square}");
}

#[test]
fn the_largest_fleets_and_the_ends_of_all_ranges_work() {
    let clients = [(u32::MAX, u32::MAX - 1), (u32::MAX, 0), (1 << 31, 77), (5_000_000, 4_999_999)];
    for (clients, client) in clients {
        for most in [1_024, u16::MAX] {
            let fleet = Fleet::new(MAX_FLEET, u64::MAX).unwrap();
            let aperture = fleet.aperture(client, clients, most).unwrap();
            assert!(aperture.len() <= most as u32);
            let sum: u64 = aperture.shares().map(|share| share.part().0 as u64).sum();
            assert_eq!(sum, overlap(MAX_FLEET, clients, most) * MAX_FLEET);
            for share in aperture.shares() {
                assert_eq!(aperture.share(share.endpoint()), Some(share));
            }
        }
    }
    // Nearly the whole ring, and from nearly its end.
    let (len, clients) = (65_536, u32::MAX);
    for client in [0, 1, clients / 2, clients - 1] {
        let aperture = fleet(len).aperture(client, clients, u16::MAX).unwrap();
        assert!((65_534..=65_535).contains(&aperture.len()), "{}", aperture.len());
        assert_eq!(endpoints(&aperture).len() as u32, aperture.len());
    }
    let one = fleet(MAX_FLEET).random_aperture(3, 1).unwrap();
    assert_eq!((one.len(), one.shares().count()), (1, 1));
}

#[test]
fn what_cannot_be_is_an_error_that_says_what_can() {
    assert_eq!(Fleet::new(0, 1), Err(ApertureError::NoEndpoints));
    assert_eq!(Fleet::new(MAX_FLEET + 1, 1), Err(ApertureError::TooManyEndpoints));
    assert_eq!(fleet(9).aperture(3, 3, 5), Err(ApertureError::NoSuchClient));
    assert_eq!(fleet(9).aperture(0, 0, 5), Err(ApertureError::NoSuchClient));
    assert_eq!(fleet(9).random_aperture(0, 0), Err(ApertureError::TooFew { least: 1 }));
    let mut refused = 0;
    for (len, clients) in (1..50u64).flat_map(|len| (1..20u32).map(move |clients| (len, clients))) {
        for most in 0..50 {
            if let Err(error) = fleet(len).aperture(0, clients, most) {
                let ApertureError::TooFew { least } = error else { panic!("{error}") };
                // So many are enough indeed, one less isn't, and it was less.
                assert!(least > most as u64);
                assert!(fleet(len).aperture(0, clients, least as u16).is_ok());
                assert!(
                    fleet(len).aperture(0, clients, least as u16 - 1).is_err(),
                    "{len} {clients} {least}"
                );
                refused += 1;
            }
        }
    }
    assert!(refused > 1_000);
    assert!(ApertureError::TooFew { least: 41 }.to_string().contains("have 41"));
}

#[test]
fn a_whole_endpoint_has_the_full_weight_and_nobody_is_drained() {
    for full in [0, 1, 2, 100, u16::MAX] {
        for aperture in apertures(97, 89, 5).unwrap() {
            for share in aperture.shares() {
                let (part, of) = share.part();
                let exact = full as f64 * part as f64 / of as f64;
                let weight = share.weight(full);
                assert!((weight as f64 - exact).abs() <= if weight == 1 { 1.0 } else { 0.5 });
                assert!(weight >= 1.min(full) && weight <= full && (part < of || weight == full));
            }
        }
    }
}
