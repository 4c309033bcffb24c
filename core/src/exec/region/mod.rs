//! Regions: what owns tasks and ends them.
//!
//! A region is an entry of a table; it owns tasks and child regions, linked through headers and entries. All
//! links are under the executor's lock, a few steps at a time. What takes O(members), asking them all to stop
//! and clearing up after them, is the runner's work, one member per critical section: whoever closes a
//! region, in whatever context, puts it on the executor's list of work.

pub mod closing;
pub mod handle;
pub mod join_set;
pub mod members;
pub mod scope;
pub mod table;
pub mod tree;
pub mod wait;
pub mod work;
