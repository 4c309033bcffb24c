//! D2: where a strategy fell back on taking turns (adaptive, a hash without a key, power of two with one
//! candidate), the counter stepped twice: of two equal endpoints one got everything. Here a select is one
//! step, whatever its path.

use trilane::route::{
    Adaptive, ConsistentHash, Endpoint, Filter, Maglev, Metrics, Options, PowerOfTwo, Request, Ring,
    RoundRobin, SizedTable, Strategy, Tag, Tags, WeightedRoundRobin,
};
use trilane::time::Instant;
use trilane_tests::routing::Routes;

const NOW: Instant = Instant::ZERO;
const SELECTS: u64 = 10_000;

/// How far from half of the selects the first of two is.
fn off(mut select: impl FnMut() -> usize) -> u64 {
    let first = (0..SELECTS).filter(|_| select() == 0).count() as u64;
    first.abs_diff(SELECTS / 2)
}

/// Five standard deviations.
const BY_CHANCE: u64 = 250;

#[test]
fn d2_the_check_catches_a_counter_that_steps_twice() {
    let mut counter = 0;
    let mut turn = || {
        counter += 1;
        counter % 2
    };
    let twice = off(|| {
        turn(); // The select.
        turn() // What it falls back on.
    });
    assert_eq!(twice, SELECTS / 2);
    assert_eq!(off(turn), 0);
}

fn off_without_a_key<S: Strategy<1, 16, 4> + 'static>(strategy: S) -> u64 {
    let mut routes = Routes::equal(strategy, Options::new(), 2);
    off(|| routes.pick(&Request::ANY, NOW))
}

#[test]
fn d2_a_hash_without_a_key_takes_turns() {
    assert_eq!(off_without_a_key(ConsistentHash::new(Maglev::<251, 32>::new())), 0);
    assert_eq!(off_without_a_key(ConsistentHash::new(Ring::<512, 128>::new())), 0);
}

fn adaptive() -> Adaptive<impl SizedTable> {
    Adaptive::new(ConsistentHash::new(Maglev::<251, 32>::new()))
}

#[test]
fn d2_adaptive_without_a_key_takes_turns() {
    assert_eq!(off_without_a_key(adaptive()), 0);
}

#[test]
fn d2_adaptive_under_load_is_fair() {
    let mut routes = Routes::equal(adaptive(), Options::new(), 2);
    for &id in &routes.ids {
        let busy = Metrics::new(1_000, 1_000, 10_000, 1_000, 0).unwrap();
        routes.balancer.report(id, busy, NOW).unwrap();
    }
    assert!(off(|| routes.pick(&Request::ANY, NOW)) <= BY_CHANCE);
}

/// How far requests that two endpoints may serve are from half each, when between any two of them there is
/// one that a single endpoint may serve.
fn off_beside_a_class_of_one<S: Strategy<1, 16, 4> + 'static>(strategy: S) -> u64 {
    let tags = Tags::NONE.with(Tag::of::<0>());
    let mut routes = Routes::new(strategy, Options::new(), [Endpoint::new(0).tags(tags), Endpoint::new(1)]);
    let one = Request::new(routes.selector.class(Filter::ANY.tags(tags)).unwrap());
    off(|| {
        assert_eq!(routes.pick(&one, NOW), 0);
        routes.pick(&Request::ANY, NOW)
    })
}

#[test]
fn d2_a_class_with_one_candidate_takes_no_turns_of_others() {
    assert!(off_beside_a_class_of_one(PowerOfTwo::new()) <= BY_CHANCE);
    assert_eq!(off_beside_a_class_of_one(RoundRobin), 0);
    assert_eq!(off_beside_a_class_of_one(WeightedRoundRobin), 0);
    assert_eq!(off_beside_a_class_of_one(ConsistentHash::new(Maglev::<251, 32>::new())), 0);
    assert_eq!(off_beside_a_class_of_one(adaptive()), 0);
}

/// Two of the same seed, one of which holds endpoint 0's only place: whoever's turn isn't that endpoint's has
/// it in both.
fn steps_once_when_it_looks_again<S: Strategy<1, 16, 4> + 'static>(strategy: impl Fn() -> S) {
    let routes = || {
        let endpoints = [Endpoint::new(0).cap(1), Endpoint::new(1), Endpoint::new(2), Endpoint::new(3)];
        Routes::new(strategy(), Options::new(), endpoints)
    };
    let (mut free, mut full) = (routes(), routes());
    let mut held = None;
    let mut elsewhere = 0;
    for _ in 0..1_000 {
        let turn = free.pick(&Request::ANY, NOW);
        let (at, lease) = full.select(&Request::ANY, NOW).unwrap();
        if turn == 0 && held.is_some() {
            assert_ne!(at, 0);
            elsewhere += 1;
        } else {
            assert_eq!(at, turn);
        }
        if at == 0 {
            held = Some(lease);
        }
    }
    assert_eq!(elsewhere, 249);
}

#[test]
fn d2_a_select_that_has_to_look_again_steps_once() {
    steps_once_when_it_looks_again(|| RoundRobin);
    steps_once_when_it_looks_again(|| WeightedRoundRobin);
    steps_once_when_it_looks_again(|| ConsistentHash::new(Maglev::<251, 32>::new()));
    steps_once_when_it_looks_again(adaptive);
}
