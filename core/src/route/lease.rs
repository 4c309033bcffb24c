//! The right to send one request to an endpoint.

use core::fmt;
use core::ops::Deref;

use super::stripe::Verdict;
use super::{EndpointId, breaker};
use crate::time::{Duration, Instant};

/// What a lease needs of its balancer. Implemented by [`Balancer`](super::Balancer) alone.
pub trait Leasing: sealed::Sealed {
    #[doc(hidden)]
    fn end(&self, ticket: &Ticket, verdict: Outcome);
}

pub(super) mod sealed {
    pub trait Sealed {}
}

/// How a lease ended.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub enum Outcome {
    Succeeded(Duration, Instant),
    Failed(Instant),
    Released,
}

impl Outcome {
    pub(super) fn verdict(self) -> Verdict {
        match self {
            Self::Succeeded(..) => Verdict::Succeeded,
            Self::Failed(_) => Verdict::Failed,
            Self::Released => Verdict::Released,
        }
    }
}

/// What a lease is of, without its balancer.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Ticket {
    pub(super) endpoint: EndpointId,
    /// The breaker's word if this is a probe; a closed breaker's otherwise.
    pub(super) probe: u32,
    pub(super) stripe: u8,
    /// Whether the exact count holds it.
    pub(super) exact: bool,
}

impl Ticket {
    pub(super) fn probe(&self) -> Option<u32> {
        (breaker::State::of(self.probe) == breaker::State::Probing).then_some(self.probe)
    }
}

/// One request's place at an endpoint.
///
/// The endpoint counts it as in flight until it ends, in one of three ways: [`succeed`](Self::succeed),
/// [`fail`](Self::fail), or dropped, which releases the place and says nothing of how the endpoint did. It ends once: the
/// type leaves no second time. It may be moved to any context. `B` is `&'static Balancer` on a chip; on the host also an
/// `Arc`, whose count each lease then changes twice (a scoped reference or a leaked box doesn't).
///
/// A lease that is leaked (`mem::forget`) stays in flight; to keep one beyond its owner, with an end that is sure, see
/// [`detach`](Self::detach).
#[must_use = "dropping a lease releases it: the endpoint then counts nothing as in flight"]
pub struct Lease<B: Deref<Target: Leasing>> {
    balancer: B,
    ticket: Ticket,
}

impl<B: Deref<Target: Leasing>> Lease<B> {
    #[inline(always)]
    pub(super) fn new(balancer: B, ticket: Ticket) -> Self {
        Self { balancer, ticket }
    }

    /// Where to send the request.
    #[inline(always)]
    pub fn endpoint(&self) -> EndpointId {
        self.ticket.endpoint
    }

    /// Whether this is the probe that decides about a breaker.
    pub fn is_probe(&self) -> bool {
        self.ticket.probe().is_some()
    }

    /// Ends it: the endpoint has answered, after `latency`. O(1); closing a breaker takes a critical section.
    #[inline]
    pub fn succeed(self, latency: Duration, now: Instant) {
        self.end(Outcome::Succeeded(latency, now));
    }

    /// Ends it: the endpoint has failed. O(1); opening a breaker takes a critical section and O(banks).
    #[inline]
    pub fn fail(self, now: Instant) {
        self.end(Outcome::Failed(now));
    }

    #[inline(always)]
    fn end(self, outcome: Outcome) {
        let (balancer, ticket) = self.into_parts();
        balancer.end(&ticket, outcome);
    }

    #[inline(always)]
    fn into_parts(self) -> (B, Ticket) {
        let lease = core::mem::ManuallyDrop::new(self);
        // SAFETY: the lease is not dropped and not used again, so the reference is moved out once.
        (unsafe { core::ptr::read(&lease.balancer) }, lease.ticket)
    }
}

impl<B: Deref<Target: Leasing>> Drop for Lease<B> {
    #[inline]
    fn drop(&mut self) {
        self.balancer.end(&self.ticket, Outcome::Released);
    }
}

impl<B: Deref<Target: Leasing>> fmt::Debug for Lease<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("endpoint", &self.endpoint()).field("probe", &self.is_probe()).finish()
    }
}
