//! L4 (envoy #4481): a full scan for the fewest requests took the first of equals, so an idle set of hosts
//! was one host. Here equals are drawn.

use trilane::route::{LeastConnections, LeastLatency, LeastLoad, Options, PowerOfTwo, Request, Strategy};
use trilane::time::Instant;
use trilane_tests::choosing::assert_shares;
use trilane_tests::routing::{Routes, chooser};

const HOSTS: usize = 8;
const NOW: Instant = Instant::ZERO;

#[test]
#[should_panic(expected = "chi-square")]
fn l4_the_check_catches_a_scan_that_takes_the_first_of_equals() {
    let in_flight = [0; HOSTS];
    let mut counts = [0; HOSTS];
    for _ in 0..4_000 {
        counts[(0..HOSTS).min_by_key(|&host| in_flight[host]).unwrap()] += 1;
    }
    assert_shares(&counts, &[1; HOSTS]);
}

fn idle_ones_share_alike<S: Strategy<1, 16, 4> + 'static>(strategy: S) {
    let mut routes = Routes::equal(strategy, Options::new(), HOSTS as u64);
    assert_shares(&routes.counts(&Request::ANY, NOW, 4_000), &[1; HOSTS]);
    // Nor does the next depend on the last: any may follow any.
    let mut pairs = [[false; HOSTS]; HOSTS];
    let mut last = routes.pick(&Request::ANY, NOW);
    for _ in 0..4_000 {
        let next = routes.pick(&Request::ANY, NOW);
        pairs[last][next] = true;
        last = next;
    }
    assert!(pairs.iter().flatten().all(|&seen| seen), "{pairs:?}");
}

fn those_that_tie_for_least_share_alike<S: Strategy<1, 16, 4> + 'static>(strategy: S) {
    let mut routes = Routes::equal(strategy, Options::new(), HOSTS as u64);
    // Two leases each, one more for every other.
    let wanted: Vec<u32> = (0..HOSTS as u32).map(|at| 2 + at % 2).collect();
    let mut held = Vec::new();
    while routes.in_flight() != wanted {
        let (at, lease) = routes.select(&Request::ANY, NOW).unwrap();
        if routes.in_flight()[at] <= wanted[at] {
            held.push(lease);
        } else {
            drop(lease);
            // Everybody else is where it should be, or this one wouldn't have had its turn: begin again.
            held.clear();
        }
    }
    let counts = routes.counts(&Request::ANY, NOW, 4_000);
    let (least, others): (Vec<_>, Vec<_>) = counts.chunks(2).map(|pair| (pair[0], pair[1])).unzip();
    assert_shares(&least, &[1; HOSTS / 2]);
    assert_eq!(others, [0; HOSTS / 2]);
}

fn a_wave_meets_each_once_in_any_order<S: Strategy<1, 16, 4> + 'static>(strategy: S) {
    let routes = Routes::equal(strategy, Options::new(), HOSTS as u64);
    let mut orders = Vec::new();
    for seed in 0..20 {
        let mut selector = chooser(routes.balancer, seed);
        let held: Vec<_> = (0..HOSTS).map(|_| selector.select(&Request::ANY, NOW).unwrap()).collect();
        let order: Vec<_> = held.iter().map(|lease| lease.endpoint()).collect();
        let mut all = order.clone();
        all.sort();
        assert_eq!(all, routes.ids, "each once");
        orders.push(order);
    }
    orders.sort();
    orders.dedup();
    assert!(orders.len() >= 19, "{} orders of 20", orders.len());
}

#[test]
fn l4_idle_endpoints_share_alike() {
    idle_ones_share_alike(LeastConnections::new());
    idle_ones_share_alike(LeastLatency::new());
    idle_ones_share_alike(LeastLoad::new());
    idle_ones_share_alike(PowerOfTwo::new());
}

#[test]
fn l4_those_that_tie_for_the_fewest_share_alike_and_others_get_nothing() {
    those_that_tie_for_least_share_alike(LeastConnections::new());
    those_that_tie_for_least_share_alike(LeastLatency::new());
    those_that_tie_for_least_share_alike(LeastLoad::new());
    those_that_tie_for_least_share_alike(PowerOfTwo::new());
}

#[test]
fn l4_a_wave_of_requests_meets_each_once_in_any_order() {
    a_wave_meets_each_once_in_any_order(LeastConnections::new());
    a_wave_meets_each_once_in_any_order(LeastLatency::new());
    a_wave_meets_each_once_in_any_order(LeastLoad::new());
    a_wave_meets_each_once_in_any_order(PowerOfTwo::new());
}
