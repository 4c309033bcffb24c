//! The router: picks one of up to 1,024 endpoints for an event, without a walk and without an allocation.

mod key;
mod latency;
mod metrics;
mod random;
mod retry;

pub use key::{Keys, RoutingKey, rehash};
pub use latency::PeakEwma;
pub use metrics::{Gauges, Metrics, MetricsError};
pub use random::Random;
pub use retry::{BudgetSpent, RetryBudget, TooManyTries, Tried};
