//! trilane on an operating system.
//!
//! The core has no clock and no way to sleep; a [`Platform`](trilane::exec::Platform) lends it both. This
//! crate has two for the host:
//!
//! | platform | time | use it for |
//! | --- | --- | --- |
//! | [`thread::Thread`] | the operating system's monotonic clock | programs |
//! | [`simulation::Virtual`] | a number that jumps to the next alarm | tests and demonstrations: a week passes in milliseconds, and each run is the same |
//!
//! Both are `const`-constructible, so an executor on either can be a `static`, as on a chip.
//!
//! For several threads there is [`runtime`]: executors whose tasks are polled by workers that steal from each
//! other. On Unix they also wait for sockets: [`net`].
//!
//! For the router there is [`route`]: a balancer of any size in an `Arc`, selectors for many threads, values
//! kept for endpoints, and with the feature `serde` a configuration file.
//!
//! # The critical section
//!
//! The core takes a [`critical-section`](critical_section) on its cold paths and leaves the choice of
//! implementation to the program. Depending on this crate makes that choice: it enables the `std` feature of
//! `critical-section`, one re-entrant mutex for the process. A program can have only one implementation, so
//! don't combine this crate with another that supplies one; the linker reports a duplicate symbol if you do.

pub mod clock;
#[cfg(feature = "prometheus")]
mod exposition;
#[cfg(unix)]
pub mod net;
mod parker;
pub mod route;
pub mod runtime;
pub mod simulation;
pub mod standstill;
mod sync;
pub mod thread;

// Names the dependency in code, so that its implementation is linked even where the core's code does not call
// it.
use critical_section as _;
