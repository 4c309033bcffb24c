//! The right to send one request to an endpoint.

pub(in crate::route) mod detached;
pub(in crate::route) mod retry;
pub(in crate::route) mod slots;

use core::fmt;
use core::ops::Deref;

use crate::id::{Key, Stale};
use crate::route::EndpointId;
use crate::route::health::breaker::term;
use crate::route::state::record::Record;
use crate::time::{Duration, Instant};

/// What a lease needs of its balancer. Implemented by [`Balancer`](crate::route::Balancer) alone.
///
/// A function for each way to end, so that the most frequent ones are a few instructions where the lease
/// ends.
pub trait Leasing: sealed::Sealed {
    #[doc(hidden)]
    fn number(&self, ticket: Ticket) -> Result<u64, Stale>;
    #[doc(hidden)]
    fn release(&self, ticket: Ticket);
    #[doc(hidden)]
    fn succeed(&self, ticket: Ticket, latency: Duration, now: Instant);
    #[doc(hidden)]
    fn fail(&self, ticket: Ticket, latency: Duration, now: Instant);
}

pub(in crate::route) mod sealed {
    pub trait Sealed {}
}

/// What a lease is of, without its balancer.
///
/// Three words, and no `bool`: the compiler would keep in a `bool`'s unused values whether there is a lease
/// at all, and copy an `Option` of a lease in four pieces.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Ticket {
    generation: u32,
    /// The breaker's word if this is a probe; otherwise the term in which it was taken.
    breaker: u32,
    place: Place,
}

/// Whose a ticket is: slot, stripe, whether the exact count holds it, and whether it is a probe.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Place(u32);

const STRIPE: u32 = 16;
const EXACT: u32 = 1 << 24;
const PROBE: u32 = 1 << 25;

impl Place {
    #[inline(always)]
    pub(in crate::route) const fn slot(self) -> u16 {
        self.0 as u16
    }

    #[inline(always)]
    pub(in crate::route) const fn stripe(self) -> u8 {
        (self.0 >> STRIPE) as u8
    }

    #[inline(always)]
    pub(in crate::route) const fn is_exact(self) -> bool {
        self.0 & EXACT != 0
    }

    /// Whether there is nothing to it but its exact count, if it is to have one.
    #[inline(always)]
    pub(in crate::route) const fn is_usual(self, exact: bool) -> bool {
        self.0 >> 24 == exact as u32
    }

    #[inline(always)]
    pub(in crate::route) const fn is_probe(self) -> bool {
        self.0 & PROBE != 0
    }
}

impl Ticket {
    #[inline(always)]
    pub(in crate::route) const fn new(endpoint: EndpointId, breaker: u32, stripe: u8, exact: bool) -> Self {
        let Key { slot, generation } = endpoint.key();
        let exact = if exact { EXACT } else { 0 };
        Self { generation, breaker, place: Place(slot as u32 | (stripe as u32) << STRIPE | exact) }
    }

    /// That of an ordinary lease on the endpoint that has the record, whose generation is acquired.
    #[inline(always)]
    pub(in crate::route) fn of(record: &Record, slot: u16, stripe: u8, exact: bool) -> Self {
        Self::new(record.handle(slot), term(record.breakers().get()), stripe, exact)
    }

    /// The same for the probe that has set the breaker's word to this.
    pub(in crate::route) const fn probing(self, word: u32) -> Self {
        Self { breaker: word, place: Place(self.place.0 | PROBE), ..self }
    }

    #[inline(always)]
    pub(in crate::route) const fn endpoint(self) -> EndpointId {
        EndpointId::from_key(Key::new(self.slot(), self.generation))
    }

    #[inline(always)]
    pub(in crate::route) const fn place(self) -> Place {
        self.place
    }

    #[inline(always)]
    pub(in crate::route) const fn slot(self) -> u16 {
        self.place.slot()
    }

    #[inline(always)]
    pub(in crate::route) fn probe(self) -> Option<u32> {
        self.place.is_probe().then_some(self.breaker)
    }

    #[inline(always)]
    pub(in crate::route) const fn breaker(self) -> u32 {
        self.breaker
    }
}

/// One request's place at an endpoint.
///
/// The endpoint counts it as in flight until it ends, in one of three ways: [`succeed`](Self::succeed),
/// [`fail`](Self::fail), or dropped, which releases the place and says nothing of how the endpoint did: a
/// probe may then be sent again at once. It
/// ends once: the type leaves no second time. It may be moved to any context. `B` is `&'static Balancer` on a
/// chip; on the host also an `Arc`, whose count each lease then changes twice (a scoped reference or a leaked
/// box doesn't).
///
/// A lease that is leaked (`mem::forget`) stays in flight; to keep one beyond its owner, with an end that is
/// sure, see [`detach`](Self::detach).
#[must_use = "dropping a lease releases it: the endpoint then counts nothing as in flight"]
pub struct Lease<B: Deref<Target: Leasing>> {
    balancer: B,
    ticket: Ticket,
}

impl<B: Deref<Target: Leasing>> Lease<B> {
    #[inline(always)]
    pub(in crate::route) fn new(balancer: B, ticket: Ticket) -> Self {
        Self { balancer, ticket }
    }

    /// Where to send the request.
    #[inline(always)]
    pub fn endpoint(&self) -> EndpointId {
        self.ticket.endpoint()
    }

    /// The caller's number of the endpoint; also after it has been removed, as long as no other endpoint has
    /// its slot. O(1).
    ///
    /// # Errors
    ///
    /// [`Stale`] when another endpoint has the slot. It can't get it while the lease is out, unless the
    /// removal came in the very moment of the select.
    pub fn number(&self) -> Result<u64, Stale> {
        self.balancer.number(self.ticket)
    }

    /// Whether this is the probe that decides about a breaker.
    pub fn is_probe(&self) -> bool {
        self.ticket.probe().is_some()
    }

    /// Ends it: the endpoint has answered, after `latency`. O(1); closing a breaker takes a critical section.
    #[inline]
    pub fn succeed(self, latency: Duration, now: Instant) {
        let (balancer, ticket) = self.into_parts();
        balancer.succeed(ticket, latency, now);
    }

    /// Ends it: the endpoint has failed, or hasn't answered, after `latency`. That makes it no faster, and
    /// slower if it took longer than its requests do. O(1); opening a breaker takes a critical section and
    /// O(filters * banks).
    #[inline]
    pub fn fail(self, latency: Duration, now: Instant) {
        let (balancer, ticket) = self.into_parts();
        balancer.fail(ticket, latency, now);
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
        self.balancer.release(self.ticket);
    }
}

impl<B: Deref<Target: Leasing>> fmt::Debug for Lease<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("endpoint", &self.endpoint()).field("probe", &self.is_probe()).finish()
    }
}
