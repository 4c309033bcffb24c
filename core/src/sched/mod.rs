//! What runs next, as pure data.
//!
//! Nothing here knows futures, wakers or clocks: slots go in, slots come out. A slot's place in a queue is
//! kept in its own [`Node`], wherever the caller stores that ([`Nodes`]), so a queue can't overflow, a slot
//! is in at most one place, and moving it is in place.
//!
//! | structure | order | push | pop | remove or re-key |
//! | --- | --- | --- | --- | --- |
//! | [`Fifo`] | priority, then arrival | O(1) | O(1) | O(1) |
//! | [`Edf`] | deadline, then priority, then arrival | O(log N) | O(log N) | O(log N) |
//! | [`Lanes`] | cancel, timed, ready, with bounded streaks | as above | as above | as above |
//! | [`Timers`] | due time | O(log n) | O(log n) | O(log n) |
//!
//! There is **no priority inheritance**: a task that waits for something a lower task holds waits as long as
//! the lower task does. Give both the same priority, or let the holder raise itself with `set_priority` while
//! it holds.

mod edf;
mod fifo;
mod lanes;
mod node;
mod timers;

pub use edf::Edf;
pub use fifo::Fifo;
pub use lanes::{Fairness, Lanes, Turn};
pub use node::{Lane, Node, NodeArray, Nodes, Priority, PriorityOutOfRange};
pub use timers::{TimerNode, Timers};
