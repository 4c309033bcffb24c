//! D3: weighted round robin was exact only where the lesser weight divides the greater: 3:2 gave 2:1, 100:99
//! gave 2:1. Here each cycle is exact, for any weights in any order.

use trilane::route::{
    Adaptive, ConsistentHash, Endpoint, Maglev, Options, Request, Strategy, WeightedRoundRobin,
};
use trilane::time::Instant;
use trilane_tests::routing::Routes;

const WEIGHTS: [&[u16]; 9] =
    [&[3, 2], &[2, 3], &[100, 99], &[99, 100], &[100, 60], &[60, 100], &[5, 1, 1], &[7, 11, 13], &[1]];

/// Whether in each of five cycles everybody is picked as often as its weight says.
fn is_exact(weights: &[u16], mut select: impl FnMut() -> usize) -> bool {
    let cycle: u16 = weights.iter().sum();
    (0..5).all(|_| {
        let mut picks = vec![0; weights.len()];
        (0..cycle).for_each(|_| picks[select()] += 1);
        picks == weights
    })
}

/// The turns of Linux's virtual server, with the least weight where it has the greatest common divisor.
fn naive(weights: &[u16]) -> impl FnMut() -> usize {
    let (least, greatest) = (*weights.iter().min().unwrap(), *weights.iter().max().unwrap());
    let (mut at, mut level) = (weights.len() - 1, 0);
    move || loop {
        at = (at + 1) % weights.len();
        if at == 0 {
            level = if level > least { level - least } else { greatest };
        }
        if weights[at] >= level {
            return at;
        }
    }
}

#[test]
fn d3_the_check_catches_the_least_weight_in_place_of_a_divisor() {
    let exact: Vec<_> = WEIGHTS.iter().map(|weights| is_exact(weights, naive(weights))).collect();
    // Exact where the least divides all.
    assert_eq!(exact, [false, false, false, false, false, false, true, false, true]);
    for weights in [[3, 2], [100, 99], [100, 60]] {
        let mut next = naive(&weights);
        assert_eq!((0..300).filter(|_| next() == 0).count(), 200, "2:1");
    }
}

fn cycles_are_exact<S: Strategy<1, 16, 4> + 'static>(strategy: impl Fn() -> S) {
    for weights in WEIGHTS {
        let endpoints = weights.iter().zip(0..).map(|(&weight, id)| Endpoint::new(id).weight(weight));
        let mut routes = Routes::new(strategy(), Options::new(), endpoints);
        assert!(is_exact(weights, || routes.pick(&Request::ANY, Instant::ZERO)), "{weights:?}");
    }
}

#[test]
fn d3_a_cycle_is_exact_at_any_weights_in_any_order() {
    cycles_are_exact(|| WeightedRoundRobin);
}

#[test]
fn d3_a_cycle_of_adaptive_is_exact_too() {
    cycles_are_exact(|| Adaptive::new(ConsistentHash::new(Maglev::<251, 32>::new())));
}
