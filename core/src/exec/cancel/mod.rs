//! Tasks that aren't plain: asked to stop, with a deadline, a quota or a priority.
//!
//! # Stopping
//!
//! Three steps, each bounded:
//!
//! 1. **Request**, from any context: the task goes to the cancel lane and is polled.
//!    [`Cx::is_cancelled`](crate::exec::Cx::is_cancelled) is true, and every wait of this crate (a sleep, a
//!    timeout, a tick, a join, a region's close) returns an error at once. A [`Shield`](waits::Shield) delays
//!    that for what runs inside it.
//! 2. **Drain**: the task cleans up and returns. It may take
//!    [`cleanup_polls`](crate::exec::Attributes::cleanup_polls) and
//!    [`cleanup_time`](crate::exec::Attributes::cleanup_time), counted from the request.
//! 3. **Force**: a task that is still there then is dropped, by its runner, between two polls. So a task that
//!    waits for a future of another crate, which knows nothing of cancellation, ends too. A poll that never
//!    returns can't be ended; [`StallWatch`](crate::exec::StallWatch) reports it.
//!
//! Then the finaliser is called, then whoever joins is woken.
//!
//! A loop that ignores the errors of its waits would never return from its poll. So a task is refused seven
//! waits in a poll; the next is pending and wakes the task, until the clean-up is over.
//!
//! A wait learns of the request by the waker that it is polled with. Inside a combinator with wakers of its
//! own (`FuturesUnordered`) it doesn't; the task does, by its `Cx`.

pub mod ask;
pub mod dispatch;
pub mod force;
pub mod limits;
pub mod rekey;
pub mod request;
pub mod waits;
