//! L2 (pingora #144): the counts of requests in flight began anew with each change of members, so least
//! connections went by nothing. Here a member's count is its leases, whatever becomes of others, and it ends
//! with them.

use trilane::route::{Endpoint, LeastConnections, Options, PowerOfTwo, Request, Strategy, Tag, Tags, Zone};
use trilane::time::{Duration, Instant};
use trilane_tests::for_each_strategy;
use trilane_tests::routing::Routes;

const NOW: Instant = Instant::ZERO;

/// Whether the counts `held` by 0 and 1 are the same after each of some changes of others and of themselves.
fn survive(mut counts: impl FnMut() -> [u32; 2], change: impl Fn(usize)) -> bool {
    let before = counts();
    before != [0, 0]
        && (0..CHANGES).all(|number| {
            change(number);
            counts() == before
        })
}
const CHANGES: usize = 40;

#[test]
fn l2_the_check_catches_counts_that_are_made_anew() {
    let counts = std::cell::Cell::new([3, 1]);
    assert!(!survive(|| counts.get(), |_| counts.set([0, 0])));
}

fn counts_survive<S: Strategy<1, 16, 4> + 'static>(name: &str, strategy: S) {
    let mut routes = Routes::equal(strategy, Options::new(), 2);
    let held: Vec<_> = [0, 0, 0, 1].map(|at| routes.lease_of(at, NOW)).into();
    let (balancer, ids) = (routes.balancer, routes.ids.clone());
    let in_flight = || [0, 1].map(|at| balancer.stats(ids[at]).unwrap().in_flight);
    let change = |number| match number % 5 {
        // Others come and go, in slots that had others before.
        0 => drop(balancer.add(&Endpoint::new(100), NOW).unwrap()),
        1 => drop(balancer.add(&Endpoint::new(101 + number as u64), NOW).unwrap()),
        2 => drop(balancer.remove(balancer.find(100).unwrap(), NOW).unwrap()),
        3 => {
            let tags = Tags::NONE.with(Tag::of::<2>());
            let first = Endpoint::new(0).weight(number as u16).tags(tags).zone(Zone::of::<1>());
            balancer.update(ids[0], &first, NOW).unwrap();
        }
        _ => {
            let on = number % 2 == 0;
            balancer.update(ids[1], &Endpoint::new(1).enabled(on).cap(5), NOW).unwrap();
        }
    };
    assert!(survive(in_flight, change), "{name}");
    drop(held);
    assert_eq!(in_flight(), [0, 0], "{name}");
}

#[test]
fn l2_counts_survive_every_change_of_members() {
    for_each_strategy!(counts_survive);
}

fn the_old_ones_end_alone<S: Strategy<1, 16, 4> + 'static>(name: &str, strategy: S) {
    let mut routes = Routes::equal(strategy, Options::new(), 1);
    let old: Vec<_> = [0, 0, 0].map(|at| routes.lease_of(at, NOW)).into();
    assert_eq!(routes.balancer.remove(routes.ids[0], NOW), Ok(3), "{name}");
    // Under the same number.
    let new = routes.add(&Endpoint::new(0), NOW);
    assert_ne!(routes.ids[new].slot(), routes.ids[0].slot(), "{name}: the slot is still in use");
    let lease = routes.lease_of(new, NOW);
    old.into_iter().for_each(|lease| lease.fail(Duration::ZERO, NOW));
    let stats = routes.balancer.stats(routes.ids[new]).unwrap();
    assert_eq!((stats.in_flight, stats.selected, stats.failed), (1, 1, 0), "{name}");
    drop(lease);
    assert_eq!(routes.balancer.stats(routes.ids[new]).unwrap().in_flight, 0, "{name}");
    // The slot comes back with the last of its leases.
    let again = routes.add(&Endpoint::new(7), NOW);
    assert_eq!(routes.ids[again].slot(), routes.ids[0].slot(), "{name}");
    assert_eq!(routes.balancer.stats(routes.ids[again]).unwrap().in_flight, 0, "{name}");
}

#[test]
fn l2_leases_of_an_endpoint_that_was_removed_are_not_its_successors() {
    for_each_strategy!(the_old_ones_end_alone);
}

fn goes_to_the_idle_one<S: Strategy<1, 16, 4> + 'static>(strategy: S) {
    let mut routes = Routes::equal(strategy, Options::new(), 2);
    let _held: Vec<_> = [0, 0, 0].map(|at| routes.lease_of(at, NOW)).into();
    for number in 0..200 {
        let other = routes.balancer.add(&Endpoint::new(100 + number).enabled(false), NOW).unwrap();
        assert_eq!(routes.pick(&Request::ANY, NOW), 1);
        routes.balancer.remove(other, NOW).unwrap();
        routes.update(1, &Endpoint::new(1).weight(1 + number as u16 % 7), NOW);
        assert_eq!(routes.pick(&Request::ANY, NOW), 1);
    }
}

#[test]
fn l2_who_has_fewer_is_known_after_every_change() {
    goes_to_the_idle_one(PowerOfTwo::new());
    goes_to_the_idle_one(LeastConnections::new());
}
