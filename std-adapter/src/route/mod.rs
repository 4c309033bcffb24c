//! The router on an operating system: what threads and configuration files need beside
//! [`trilane::route`].
//!
//! | to | see |
//! | --- | --- |
//! | share a balancer of any size in an `Arc` | [`arc`] |
//! | select from many threads or tasks | [`SelectorPool`] |
//! | keep a client, an address or a connection for each endpoint | [`Directory`] |
//! | show Prometheus how endpoints do | `RouterMetrics`, with the feature `prometheus` |
//! | read strategy, options, endpoints and filters from a file | `Config`, with the feature `serde` |
//!
//! `examples/gateway_pool/main.rs` has all but the metrics in one program.

mod arc;
#[cfg(feature = "serde")]
mod config;
mod directory;
mod loans;
#[cfg(feature = "prometheus")]
mod metrics;
#[cfg(feature = "serde")]
mod names;
mod pool;
#[cfg(feature = "serde")]
mod span;

pub use arc::arc;
#[cfg(feature = "serde")]
pub use config::{
    Config, ConfigError, EndpointConfig, FailureRateConfig, FilterConfig, NamedEndpoint, OptionsConfig,
    Resolved,
};
pub use directory::Directory;
#[cfg(feature = "prometheus")]
pub use metrics::RouterMetrics;
#[cfg(feature = "serde")]
pub use names::{Names, NamesError};
pub use pool::{AllInUse, Borrowed, SelectorPool};
