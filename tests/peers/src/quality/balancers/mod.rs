//! The contenders.

mod pingora;
mod reference;
mod tower;
mod trilane;

use ::trilane::route::{
    Adaptive, ConsistentHash, LeastConnections, LeastLatency, LeastLoad, Maglev, PowerOfTwo, Ring,
    RoundRobin as Turns, UniformRandom, WeightedRandom, WeightedRoundRobin,
};
use pingora_load_balancing::selection::{Consistent, Random, RoundRobin};

use self::trilane::{BANKS, of};
use super::balancer::Balancer;
use super::scenario::Scenario;
use reference::Knows;

/// Makes a balancer for so many workers, from a seed.
pub type Make = fn(&Scenario, usize, u64) -> Box<dyn Balancer>;

/// A load balancer with a name.
#[derive(Clone, Copy)]
pub struct Contender {
    /// Its name in the rows.
    pub name: &'static str,
    /// Makes one.
    pub make: Make,
    /// Whether it is one of trilane's that goes where there is room, of which the goals speak.
    pub has_goals: bool,
}

/// The reference's name.
pub const EXACT: &str = "exact least connections";

/// All of them, the references first.
pub fn all() -> Vec<Contender> {
    let new = |name, make: Make| Contender { name, make, has_goals: false };
    let goes_where_there_is_room = |name, make: Make| Contender { name, make, has_goals: true };
    vec![
        new(EXACT, |_, _, seed| reference::new(Knows::Failures, seed)),
        new("the same, blind to failures", |_, _, seed| reference::new(Knows::Nothing, seed)),
        new("oracle of times", |_, _, seed| reference::new(Knows::Times, seed)),
        goes_where_there_is_room("trilane least connections", |s, n, seed| {
            of(LeastConnections::new(), s, n, seed)
        }),
        goes_where_there_is_room("trilane power of two", |s, n, seed| of(PowerOfTwo::new(), s, n, seed)),
        goes_where_there_is_room("trilane least latency", |s, n, seed| of(LeastLatency::new(), s, n, seed)),
        goes_where_there_is_room("trilane least load", |s, n, seed| of(LeastLoad::new(), s, n, seed)),
        new("trilane adaptive", |s, n, seed| {
            of(Adaptive::new(ConsistentHash::new(Maglev::<4_093, { BANKS * 32 }>::new())), s, n, seed)
        }),
        new("trilane round robin", |s, n, seed| of(Turns, s, n, seed)),
        new("trilane weighted round robin", |s, n, seed| of(WeightedRoundRobin, s, n, seed)),
        new("trilane random", |s, n, seed| of(UniformRandom, s, n, seed)),
        new("trilane weighted random", |s, n, seed| of(WeightedRandom, s, n, seed)),
        new("trilane ring", |s, n, seed| {
            trilane::keyed(ConsistentHash::new(Ring::<10_240, 2_048>::new()), s, n, seed)
        }),
        new("trilane maglev", |s, n, seed| {
            trilane::keyed(ConsistentHash::new(Maglev::<4_093, { BANKS * 32 }>::new()), s, n, seed)
        }),
        new("tower p2c, peak EWMA", |s, _, seed| tower::peak_ewma(s, seed)),
        new("tower p2c, pending requests", |_, _, seed| tower::pending(seed)),
        new("pingora round robin", |s, _, _| pingora::new::<RoundRobin>(s)),
        new("pingora random", |s, _, _| pingora::new::<Random>(s)),
        new("pingora ketama", |s, _, _| pingora::new::<Consistent>(s)),
    ]
}
