//! L3 (envoy #31378): balancers that were started together all picked the first host first. Here the first
//! pick is anyone.

use trilane::route::{Options, Request, Strategy};
use trilane::time::Instant;
use trilane_tests::choosing::assert_shares;
use trilane_tests::for_each_strategy;
use trilane_tests::routing::{Routes, chooser};

const HOSTS: u64 = 8;
const BALANCERS: u64 = 800;

/// How often each host is the first pick of a balancer.
fn first_picks(mut first_pick: impl FnMut(u64) -> usize) -> Vec<u64> {
    let mut picks = vec![0; HOSTS as usize];
    (0..BALANCERS).for_each(|seed| picks[first_pick(seed)] += 1);
    picks
}

#[test]
#[should_panic(expected = "chi-square")]
fn l3_the_check_catches_a_cursor_that_begins_at_the_first() {
    assert_shares(&first_picks(|_seed| 0), &[1; HOSTS as usize]);
}

fn first_picks_are_spread<S: Strategy<1, 16, 4> + 'static>(name: &str, strategy: S) {
    let routes = Routes::equal(strategy, Options::new(), HOSTS);
    let place = |id| routes.ids.iter().position(|&other| other == id).unwrap();
    println!("{name}");
    assert_shares(
        &first_picks(|seed| {
            let lease = chooser(routes.balancer, seed).select(&Request::ANY, Instant::ZERO).unwrap();
            place(lease.endpoint())
        }),
        &[1; HOSTS as usize],
    );
}

#[test]
fn l3_of_many_balancers_that_start_together_each_host_is_first_as_often() {
    for_each_strategy!(first_picks_are_spread);
}

fn second_picks_are_spread<S: Strategy<1, 16, 4> + 'static>(name: &str, strategy: S) {
    // A burst of few requests each, as of many clients that have just started.
    let routes = Routes::equal(strategy, Options::new(), HOSTS);
    let mut picks = vec![0u64; HOSTS as usize];
    for seed in 0..BALANCERS {
        let mut selector = chooser(routes.balancer, seed);
        for _ in 0..3 {
            let lease = selector.select(&Request::ANY, Instant::ZERO).unwrap();
            picks[routes.ids.iter().position(|&id| id == lease.endpoint()).unwrap()] += 1;
        }
    }
    let mean = 3 * BALANCERS / HOSTS;
    assert!(picks.iter().all(|&count| count.abs_diff(mean) < mean / 4), "{name}: {picks:?}");
}

#[test]
fn l3_nor_do_their_first_bursts_meet() {
    for_each_strategy!(second_picks_are_spread);
}
