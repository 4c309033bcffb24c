//! The state machines of `trilane::group`, run against an adversary.
//!
//! A seed makes a [plan](plan::Plan): how many members, how durable, which faults how often. The plan is run
//! in virtual time: messages are dropped, delayed, repeated and reordered, members die and begin anew,
//! ingress and arbiter, too, the outlet restarts between any two steps and amid a write of its record, nodes
//! are parted, the living are taken for dead. Then all heals, but for one member that may stand still, and
//! the group has to come to its end. What must hold is in [`world::Violation`].

pub mod counter;
pub mod message;
pub mod notes;
pub mod picture;
pub mod plan;
pub mod rng;
pub mod run;
pub mod seeds;
pub mod world;
