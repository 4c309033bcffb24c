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
//! | filter by tags and zones | a class of requests keeps its candidates while one word, the epoch, stands |
//! | make all of it anew after a change | of each bank of 32 endpoints, a few words are combined |
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
//! | make the members what a list says | [`Balancer::sync`] |
//! | read how it does | [`Balancer::stats`], [`Balancer::totals`] |
//! | change the options | [`Balancer::configure`] |
//! | have more than 1,024 endpoints | [`Fleet`], [`Aperture`] |
//! | go where there is room, by a load of your own | [`LeastCost`], [`Load`] |
//! | write a strategy | [`Strategy`], and `strategies/uniform_random.rs` as the shortest example |
//!
//! # Reading the code
//!
//! From the bottom up; a folder uses those before it.
//!
//! | folder | what is there |
//! | --- | --- |
//! | `config/` | what a balancer is told: endpoints, options, filters, keys, requests |
//! | `state/` | what it knows: `endpoints.rs` is the memory, `view.rs` what most code sees of it |
//! | `health/` | what changes who is routable: health, breakers, slow start, time |
//! | `lease/` | leases, with an owner and without; retries |
//! | `load/` | how loaded an endpoint is |
//! | `tables/` | ring and Maglev, and who builds them |
//! | `strategies/` | the choice among those who may serve |
//! | `select/` | what a selector keeps of a class, the order of tiers and zones, the search for somebody |
//!
//! On top `balancer.rs` and `selector.rs`, which has the select itself. Code that is not on the path of every
//! select works on a view of the memory, and so is compiled once for balancers of all sizes. What several
//! contexts may change has an invariant, which stands in the file that changes it.

mod aperture;
mod balancer;
mod config;
mod exchange;
mod health;
mod lease;
mod load;
mod select;
mod selector;
mod state;
mod stats;
mod strategies;
mod sync_members;
mod tables;

pub use aperture::{Aperture, ApertureError, Fleet, MAX_FLEET, Share};
pub use balancer::Balancer;
pub use config::check_options::{CheckOptions, CheckOptionsError};
pub use config::endpoint::{
    Endpoint, EndpointId, Health, OutOfRange, ParseNumberError, SOURCES, Source, TAGS, TIERS, Tag, Tags,
    Tier, UnknownHealth, ZONES, Zone,
};
pub use config::errors::{AddError, ErrorCounts, SelectError, TooManyClasses, TooManySelectors, UpdateError};
pub use config::filter::{Class, Filter, MAX_FILTER_ZONES, TooManyZones};
pub use config::key::{Keys, RoutingKey, rehash};
pub use config::options::{FailureRate, Options, OptionsError};
pub use config::random::Random;
pub use config::request::Request;
pub use health::breaker::State as BreakerState;
pub use health::checker::{Change, Check, Due, HealthChecker, WatchError};
pub use lease::detached::{DetachError, DetachedId, DetachedLeases};
pub use lease::retry::{BudgetSpent, RetryBudget, TooManyTries, Tried};
pub use lease::{Lease, Leasing};
pub use load::{Latency, Load, Observed, Outstanding, Score};
pub use selector::Selector;
pub use state::endpoints::Endpoints;
pub use state::filters::MAX_FILTERS;
pub use state::latency::PeakEwma;
pub use state::metrics::{Gauges, Metrics, MetricsError};
pub use stats::{EndpointStats, Totals};
pub use strategies::candidates::Candidates;
pub use strategies::{
    Adaptive, AnyStrategy, Barred, ConsistentHash, Kind, LeastConnections, LeastCost, LeastLatency,
    LeastLoad, Needs, Pool, PowerOfTwo, RoundRobin, Strategy, Turn, UniformRandom, UnknownKind,
    WeightedRandom, WeightedRoundRobin,
};
pub use sync_members::{SyncError, Synced};
pub use tables::bounded::Bounded;
pub use tables::maglev::Maglev;
pub use tables::ring::Ring;
pub use tables::table::{HashTable, MAX_WEIGHT, Member, Members, Progress, SizedTable};
