//~ ERROR a table has 1 to 32 banks
use trilane::route::{Balancer, DetachedLeases, RoundRobin};

fn main() {
    let _: DetachedLeases<&'static Balancer<RoundRobin, 1>, 33, 1> = DetachedLeases::new();
}
