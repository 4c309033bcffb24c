//! The router: picks one of up to 1,024 endpoints for an event, without a walk and without an allocation.

mod random;

pub use random::Random;
