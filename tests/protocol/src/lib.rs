//! A model of the protocol of standby groups, and a search over all that can happen in small settings.

pub mod chain;
pub mod invariants;
pub mod log;
pub mod mutation;
pub mod row;
pub mod rows;
pub mod rules;
pub mod search;
pub mod setting;
pub mod settings;
pub mod state;
