//! L13 (envoy #19437, #28512): slow start worked with few strategies, and a new host got its whole share with
//! the others. Here it is a factor wherever there is a choice; the matrix has the other options.

use trilane::route::{Endpoint, Options, PowerOfTwo, Request, Strategy};
use trilane::time::{Duration, Instant};
use trilane_tests::for_each_strategy;
use trilane_tests::routing::Routes;

const BEFORE: Instant = Instant::ZERO;
const NOW: Instant = Instant::from_secs(1_000);

/// The share of a new one beside four old ones, of 1,000 selects.
fn share_of_a_new_one<S: Strategy<1, 16, 4> + 'static>(strategy: S) -> u64 {
    let options = Options::new().slow_start(Duration::from_secs(60));
    let mut routes = Routes::new(strategy, options, []);
    (0..4).for_each(|id| _ = routes.add(&Endpoint::new(id), BEFORE));
    (0..4).for_each(|_| routes.balancer.tick(NOW));
    routes.add(&Endpoint::new(4), NOW);
    routes.balancer.finish_build();
    routes.counts(&Request::ANY, NOW, 1_000)[4]
}

#[test]
fn l13_power_of_two_starts_slowly() {
    let share = share_of_a_new_one(PowerOfTwo::new());
    assert!(share <= 60, "{share}");
}

#[test]
fn l13_every_strategy_starts_slowly() {
    fn check<S: Strategy<1, 16, 4> + 'static>(name: &str, strategy: S) {
        let share = share_of_a_new_one(strategy);
        assert!(share <= 60, "{name}: {share}");
    }
    for_each_strategy!(check);
}
