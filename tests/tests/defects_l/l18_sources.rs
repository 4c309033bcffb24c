//! L18 (haproxy #1176): of several sources of a server's health the last one won. Here the worst does.

use trilane::route::{Health, Options, Request, Source, Strategy};
use trilane::time::Instant;
use trilane_tests::for_each_strategy;
use trilane_tests::routing::Routes;

const NOW: Instant = Instant::ZERO;
const CHECK: Source = Source::of::<1>();
const OPERATOR: Source = Source::of::<2>();

#[test]
fn l18_of_several_sources_the_worst_wins() {
    fn check<S: Strategy<1, 16, 4> + 'static>(name: &str, strategy: S) {
        let mut routes = Routes::equal(strategy, Options::new(), 2);
        let (balancer, id) = (routes.balancer, routes.ids[0]);
        let say = |source, health| balancer.set_health_from(id, source, health, NOW).unwrap();
        assert_eq!(say(CHECK, Health::Unhealthy), Health::Healthy);
        assert_eq!(say(OPERATOR, Health::Healthy), Health::Healthy);
        balancer.set_health(id, Health::Healthy, NOW).unwrap();
        assert!((0..50).all(|_| routes.pick(&Request::ANY, NOW) == 1), "{name}");
        assert_eq!(balancer.stats(id).unwrap().health, Health::Unhealthy, "{name}");
        // Each says what it said before, and takes back only that.
        assert_eq!(say(OPERATOR, Health::Degraded), Health::Healthy);
        assert_eq!(say(CHECK, Health::Healthy), Health::Unhealthy);
        assert_eq!(balancer.stats(id).unwrap().health, Health::Degraded, "{name}");
        assert_eq!(say(OPERATOR, Health::Healthy), Health::Degraded);
        assert_eq!(balancer.stats(id).unwrap().health, Health::Healthy, "{name}");
    }
    for_each_strategy!(check);
}
