//! The router: picks one of up to 1,024 endpoints for an event, without a walk and without an allocation.
//!
//! A [`Balancer`] is a static of atomics that knows its [`Endpoint`]s: weight, tier, zone, tags, cap, health,
//! breaker, latency, reported load. A [`Selector`], one a worker or interrupt, asks it for a [`Lease`] by a
//! rule, the [`Strategy`]; the lease's end tells how the endpoint did.
//!
//! ```
//! use trilane::route::*;
//! use trilane::time::{Duration, Instant};
//!
//! static RADIOS: Balancer<RoundRobin, 1, 8> = Balancer::new(RoundRobin, Options::new().failures(3));
//!
//! let now = Instant::ZERO; // nothing here reads a clock
//! let near = Zone::of::<0>();
//! RADIOS.add(&Endpoint::new(0xA1).zone(near).weight(3), now)?;
//! RADIOS.add(&Endpoint::new(0xA2).zone(near).cap(4), now)?;
//! let far = RADIOS.add(&Endpoint::new(0xB1).zone(Zone::of::<1>()), now)?;
//!
//! let mut selector = RADIOS.selector::<2>(0x5eed)?;
//! let here = selector.class(Filter::ANY.prefer(near)?)?;
//! let lease = selector.select(&Request::new(here), now)?;
//! assert_ne!(lease.endpoint(), far);
//! lease.succeed(Duration::from_millis(12), now); // or `fail`, or dropped: no verdict
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Why a select costs so little
//!
//! | what others do for each event | what is done here |
//! | --- | --- |
//! | walk the endpoints, look at each one's health | the condition of each is one bit, changed when it changes |
//! | filter by tags and zones | a class of requests keeps its candidates, valid while one word, the epoch, stands |
//! | make all of it anew after a change | a change names its bank of 32: that bank is looked at again, O(32) |
//! | share a cursor, a counter, a generator | each selector has its own, on cache lines of its own |
//! | sort the ring, hash into a buffer | tables are built beside the lookups, in slices; hashes are streamed |
//! | look for the least of all | two random ones are enough, and of a few all are compared |
//! | take a time stamp, or run a timer an endpoint | one word holds the time of the first change ahead |
//!
//! # What is where
//!
//! | to | see |
//! | --- | --- |
//! | choose a strategy | [`RoundRobin`] and its neighbours; one that is exchanged at run time: [`AnyStrategy`] |
//! | ask for tags, a tier, zones in order | [`Filter`], [`Selector::class`] |
//! | place by a key | [`RoutingKey`], [`Keys`], [`Ring`], [`Maglev`] |
//! | retry elsewhere, within a budget | [`Tried`], [`Request::excluding`], [`RetryBudget`] |
//! | keep a lease without an owner | [`Lease::detach`], [`DetachedLeases`] |
//! | check endpoints actively | [`HealthChecker`] |
//! | tell what an endpoint reports of itself | [`Metrics`], [`Balancer::report`] |
//! | read how it does | [`Balancer::stats`], [`Balancer::totals`] |
//! | go where there is room, by a load of your own | [`LeastCost`], [`Load`] |
//! | have a part of a fleet that is too large for one balancer | [`Fleet`], [`Aperture`] |
//! | write a strategy | [`Strategy`], and `strategies/uniform_random.rs` as the shortest example |
//!
//! # Reading the code
//!
//! `endpoints.rs` is the state; `membership.rs`, `condition.rs`, `breaker.rs`, `report.rs` and `timed.rs`
//! change it, each with the invariant by which several contexts may; `builds.rs` says who builds a table.
//! `class.rs` and `candidates.rs` are what a selector keeps of it, `steps.rs` and `spill.rs` the order of
//! tiers and zones; `selector.rs` is the select.

mod aperture;
mod balancer;
mod breaker;
mod builds;
mod candidates;
mod changes;
mod check_options;
mod class;
mod condition;
mod detached;
mod eligible;
mod endpoint;
mod endpoints;
mod errors;
mod filter;
mod filters;
mod health;
mod key;
mod latency;
mod lease;
mod load;
mod maglev;
mod membership;
mod metrics;
mod options;
mod probing;
mod random;
mod report;
mod request;
mod retry;
mod ring;
mod search;
mod selector;
mod settings;
mod slots;
mod spill;
mod steps;
mod strategies;
mod stripe;
mod table;
mod timed;
mod view;

pub use aperture::{Aperture, ApertureError, Fleet, MAX_FLEET, Share};
pub use balancer::{Balancer, EndpointStats, Totals};
pub use breaker::State as BreakerState;
pub use candidates::Candidates;
pub use check_options::{CheckOptions, CheckOptionsError};
pub use detached::{DetachError, DetachedId, DetachedLeases};
pub use endpoint::{
    Endpoint, EndpointId, Health, OutOfRange, SOURCES, Source, TAGS, TIERS, Tag, Tags, Tier, ZONES, Zone,
};
pub use endpoints::Endpoints;
pub use errors::{AddError, SelectError, TooManyClasses, TooManySelectors, UpdateError};
pub use filter::{Class, Filter, MAX_FILTER_ZONES, TooManyZones};
pub use filters::MAX_FILTERS;
pub use health::{Change, Check, Due, HealthChecker, WatchError};
pub use key::{Keys, RoutingKey, rehash};
pub use latency::PeakEwma;
pub use lease::{Lease, Leasing};
pub use load::{Latency, Load, Observed, Outstanding, Score};
pub use maglev::Maglev;
pub use metrics::{Gauges, Metrics, MetricsError};
pub use options::{FailureRate, Options, OptionsError};
pub use random::Random;
pub use request::Request;
pub use retry::{BudgetSpent, RetryBudget, TooManyTries, Tried};
pub use ring::Ring;
pub use selector::Selector;
pub use strategies::{
    Adaptive, AnyStrategy, Barred, ConsistentHash, Kind, LeastConnections, LeastCost, LeastLatency,
    LeastLoad, Needs, Pool, PowerOfTwo, RoundRobin, Strategy, Turn, UniformRandom, UnknownKind,
    WeightedRandom, WeightedRoundRobin,
};
pub use table::{HashTable, MAX_WEIGHT, Member, Members, Progress, SizedTable};
