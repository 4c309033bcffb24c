//! What a balancer knows: the records of its endpoints, and who may change them.

pub(in crate::route) mod admitted;
pub(in crate::route) mod bank;
pub(in crate::route) mod endpoints;
pub(in crate::route) mod filters;
pub(in crate::route) mod handles;
pub(in crate::route) mod latency;
pub(in crate::route) mod link;
pub(in crate::route) mod membership;
pub(in crate::route) mod metrics;
pub(in crate::route) mod record;
pub(in crate::route) mod reports;
pub(in crate::route) mod settings;
pub(in crate::route) mod shared;
pub(in crate::route) mod stripe;
pub(in crate::route) mod view;
