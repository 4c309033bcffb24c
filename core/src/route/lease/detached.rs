//! Leases that outlive their owner: kept in a table, ended by a handle, or when they expire.

use core::fmt;
use core::ops::Deref;

use crate::bitmap::{MAX_BANKS, MAX_PER_BANK};
use crate::id::{Key, Stale};
use crate::route::lease::slots::Slots;
use crate::route::lease::{Lease, Leasing};
use crate::sync::{Guarded, const_fn, with_lock};
use crate::time::{Duration, Instant};

/// A lease in a table of [`DetachedLeases`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct DetachedId(Key);

/// A lease that was not detached, since the table is full: it comes back.
pub struct DetachError<B: Deref<Target: Leasing>>(pub Lease<B>);

impl<B: Deref<Target: Leasing>> fmt::Debug for DetachError<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DetachError").field(&self.0).finish()
    }
}

impl<B: Deref<Target: Leasing>> fmt::Display for DetachError<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the table of detached leases is full: expire some, or give it more banks")
    }
}

impl<B: Deref<Target: Leasing>> core::error::Error for DetachError<B> {}

struct Entry<B: Deref<Target: Leasing>> {
    lease: Lease<B>,
    expires: Instant,
}

/// Up to `BANKS * PER_BANK` leases without an owner.
///
/// For requests whose answer comes in another context, by a number on the wire say: the number is a
/// [`DetachedId`]. One that is never answered expires, and then counts as released without a verdict.
///
/// Each operation takes the critical section once; what it releases, it releases outside. When the table is
/// dropped, so are its leases.
///
/// # Examples
///
/// ```
/// # use trilane::route::*;
/// # use trilane::time::{Duration, Instant};
/// # static BALANCER: Balancer<RoundRobin, 1, 4> = Balancer::new(RoundRobin, Options::new());
/// static AWAITED: DetachedLeases<&Balancer<RoundRobin, 1, 4>, 1, 8> = DetachedLeases::new();
/// # let now = Instant::ZERO;
/// # BALANCER.add(&Endpoint::new(1), now).unwrap();
/// # let mut selector = BALANCER.selector::<1>(42).unwrap();
/// let lease = selector.select(&Request::ANY, now).unwrap();
/// let id = lease.detach(&AWAITED, now + Duration::from_secs(10)).unwrap();
/// // ... the answer has come:
/// assert!(AWAITED.succeed(id, Duration::from_millis(4), now).is_ok());
/// assert!(AWAITED.fail(id, Duration::ZERO, now).is_err()); // it ends once
/// ```
pub struct DetachedLeases<B: Deref<Target: Leasing>, const BANKS: usize, const PER_BANK: usize = MAX_PER_BANK>
{
    entries: Guarded<Slots<Entry<B>, BANKS, PER_BANK>>,
}

impl<B: Deref<Target: Leasing>, const BANKS: usize, const PER_BANK: usize>
    DetachedLeases<B, BANKS, PER_BANK>
{
    const_fn! {
    /// An empty table.
    pub const fn new() -> Self {
        const { assert!(BANKS >= 1 && BANKS <= MAX_BANKS, "a table has 1 to 32 banks") }
        const { assert!(PER_BANK >= 1 && PER_BANK <= MAX_PER_BANK, "a bank holds 1 to 32 entries") }
        Self { entries: Guarded::new(Slots::new()) }
    }
    }

    fn with<T>(&self, f: impl FnOnce(&mut Slots<Entry<B>, BANKS, PER_BANK>) -> T) -> T {
        // SAFETY: Guarded Invariant: the callers below only move entries in and out and look at their times;
        // no entry is dropped inside, so no code of others comes back here.
        with_lock(|cs| unsafe { self.entries.with(cs, f) })
    }
}

impl<B: Deref<Target: Leasing>, const BANKS: usize, const PER_BANK: usize>
    DetachedLeases<B, BANKS, PER_BANK>
{
    fn take(&self, id: DetachedId) -> Result<Lease<B>, Stale> {
        self.with(|entries| entries.take(id.0)).map(|entry| entry.lease)
    }

    /// Gives the lease back to an owner. O(1).
    ///
    /// # Errors
    ///
    /// [`Stale`] when it has ended, by whomever, or expired.
    pub fn attach(&self, id: DetachedId) -> Result<Lease<B>, Stale> {
        self.take(id)
    }

    /// Ends it: the endpoint has answered after `latency`. O(1).
    ///
    /// # Errors
    ///
    /// [`Stale`] when it has ended before, or expired.
    pub fn succeed(&self, id: DetachedId, latency: Duration, now: Instant) -> Result<(), Stale> {
        self.take(id).map(|lease| lease.succeed(latency, now))
    }

    /// Ends it: the endpoint has failed after `latency`. O(1).
    ///
    /// # Errors
    ///
    /// [`Stale`] when it has ended before, or expired.
    pub fn fail(&self, id: DetachedId, latency: Duration, now: Instant) -> Result<(), Stale> {
        self.take(id).map(|lease| lease.fail(latency, now))
    }

    /// Ends it without a verdict. O(1).
    ///
    /// # Errors
    ///
    /// [`Stale`] when it has ended before, or expired.
    pub fn release(&self, id: DetachedId) -> Result<(), Stale> {
        self.take(id).map(drop)
    }

    /// Releases those whose time is over at `now`; returns how many. O(entries); each entry is looked at and
    /// taken in a critical section of its own.
    pub fn expire(&self, now: Instant) -> usize {
        (0..(BANKS * PER_BANK) as u16)
            .filter(|&slot| {
                let over = self.with(|entries| entries.take_if(slot, |_, entry| entry.expires <= now));
                over.map(drop).is_some()
            })
            .count()
    }

    /// How many there are. O(1).
    pub fn len(&self) -> usize {
        self.with(|entries| entries.len())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<B: Deref<Target: Leasing>> Lease<B> {
    /// Leaves the lease to `table`, where it is ended by the handle, or released when `expires` has passed
    /// ([`DetachedLeases::expire`]). O(1).
    ///
    /// # Errors
    ///
    /// [`DetachError`] when the table is full: it holds the lease.
    pub fn detach<const BANKS: usize, const PER_BANK: usize>(
        self,
        table: &DetachedLeases<B, BANKS, PER_BANK>,
        expires: Instant,
    ) -> Result<DetachedId, DetachError<B>> {
        let kept = table.with(|entries| entries.insert(Entry { lease: self, expires }));
        kept.map(DetachedId).map_err(|entry| DetachError(entry.lease))
    }
}

impl<B: Deref<Target: Leasing>, const BANKS: usize, const PER_BANK: usize> Default
    for DetachedLeases<B, BANKS, PER_BANK>
{
    fn default() -> Self {
        Self::new()
    }
}
