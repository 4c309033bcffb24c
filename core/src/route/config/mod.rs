//! What a balancer is told: endpoints, options, filters, keys, requests.

pub(in crate::route) mod check_options;
pub(in crate::route) mod endpoint;
pub(in crate::route) mod errors;
pub(in crate::route) mod filter;
pub(in crate::route) mod key;
pub(in crate::route) mod options;
pub(in crate::route) mod random;
pub(in crate::route) mod request;
