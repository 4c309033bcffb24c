//! The router: picks one of up to 1,024 endpoints for an event, without a walk and without an allocation.

mod key;
mod latency;
mod maglev;
mod metrics;
mod random;
mod retry;
mod ring;
mod table;

pub use key::{Keys, RoutingKey, rehash};
pub use latency::PeakEwma;
pub use maglev::Maglev;
pub use metrics::{Gauges, Metrics, MetricsError};
pub use random::Random;
pub use retry::{BudgetSpent, RetryBudget, TooManyTries, Tried};
pub use ring::Ring;
pub use table::{HashTable, MAX_WEIGHT, Member, Progress};
