//! What keeps retries from making things worse: not the same endpoint twice, and not too many in all.
//!
//! [`Tried`] remembers where one request has been. [`RetryBudget`] bounds the retries of all requests
//! together, as Finagle's does (`com.twitter.finagle.service.RetryBudget`, 2016): a share of the recent
//! requests, and a few a second besides, so that a failing service sees a little more than its usual load and
//! not a multiple of it.
//!
//! # Withdrawn Invariant
//!
//! The word `withdrawn` holds the number of retries in the window, and changes whenever the window moves. A
//! withdrawal reads it, then counts the deposits, then puts in one more by compare-and-swap. So when that
//! succeeds, no other withdrawal and no expiry came between, and the deposits that were counted were still in
//! the window: the budget is never overdrawn.
//!
//! The number is never less than the sum of `retries`, from which it is lowered when they expire: a
//! withdrawal raises the number first and its bucket after (release, met by the acquire of the expiry).

use core::fmt;

use crate::id::Key;
use crate::route::EndpointId;
use crate::sync::{AtomicU32, Ordering, array_of, const_fn, with_lock};
use crate::time::Instant;

/// The endpoints that one request has been sent to: at most `N`.
/// [`Request::excluding`](crate::route::Request::excluding) takes a reference to it: it is a slice.
///
/// # Examples
///
/// ```
/// use trilane::id::Key;
/// use trilane::route::{EndpointId, Request, TooManyTries, Tried};
///
/// let [a, b, c] = [7, 9, 8].map(|slot| EndpointId::from_key(Key::new(slot, 0)));
/// let mut tried: Tried<2> = Tried::new();
/// tried.add(a)?;
/// tried.add(b)?;
/// assert!(tried.contains(a) && !tried.contains(c));
/// assert_eq!(tried.add(c), Err(TooManyTries));
/// let again = Request::ANY.excluding(&tried);
/// # Ok::<(), TooManyTries>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Tried<const N: usize> {
    endpoints: [EndpointId; N],
    len: u16,
}

/// The request has been to as many endpoints as its list has room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct TooManyTries;

impl fmt::Display for TooManyTries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the list of tried endpoints is full: give the request up, or make its `Tried` longer")
    }
}

impl core::error::Error for TooManyTries {}

impl<const N: usize> Tried<N> {
    /// Sent to nobody yet.
    pub const fn new() -> Self {
        const { assert!(N <= u16::MAX as usize, "slots are 16 bits: more tries than that are none") }
        Self { endpoints: [EndpointId::from_key(Key::new(0, 0)); N], len: 0 }
    }

    /// Notes that the request goes to `endpoint`; once is enough. O(N).
    ///
    /// # Errors
    ///
    /// [`TooManyTries`] when it is the (N + 1)th; the list stays as it is.
    pub fn add(&mut self, endpoint: EndpointId) -> Result<(), TooManyTries> {
        if self.contains(endpoint) {
            return Ok(());
        }
        *self.endpoints.get_mut(usize::from(self.len)).ok_or(TooManyTries)? = endpoint;
        self.len += 1;
        Ok(())
    }

    /// Whether the request has been to `endpoint`. O(N).
    pub fn contains(&self, endpoint: EndpointId) -> bool {
        self.as_slice().contains(&endpoint)
    }

    /// The endpoints in the order of the tries.
    pub fn as_slice(&self) -> &[EndpointId] {
        self.endpoints.get(..usize::from(self.len)).unwrap_or(&[])
    }

    /// How many endpoints were tried.
    pub const fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether this is the first try.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Forgets all, for the next request.
    pub const fn clear(&mut self) {
        self.len = 0;
    }
}

impl<const N: usize> core::ops::Deref for Tried<N> {
    type Target = [EndpointId];

    fn deref(&self) -> &[EndpointId] {
        self.as_slice()
    }
}

impl<const N: usize> Default for Tried<N> {
    fn default() -> Self {
        Self::new()
    }
}

/// log2 of a bucket's length in microseconds: 1.05 s.
const LOG2_BUCKET: u32 = 20;
/// The window: the present bucket and those before it, 9.4 to 10.5 s.
const BUCKETS: usize = 10;
/// The lower bits of `withdrawn` hold the number, the upper ones how often the window has moved.
const COUNT: u32 = (1 << 24) - 1;

/// How many retries all requests together may still make; shared by all who send. 88 bytes.
///
/// In any window of about 10 s there are at most `share` permille of the window's requests, and 10 times
/// `per_second`, as retries (and never more than 2^24 - 1). A request that isn't retried counts for the
/// window only; nothing is saved up beyond it.
///
/// A clock that goes back by less than the window counts as standing still. One that jumps further than the
/// window, in either direction, empties it: requests and retries both.
///
/// # Examples
///
/// ```
/// use trilane::route::{BudgetSpent, RetryBudget};
/// use trilane::time::Instant;
///
/// static BUDGET: RetryBudget = RetryBudget::new(200, 0); // one retry for five requests
///
/// let now = Instant::from_secs(3);
/// for _request in 0..5 {
///     BUDGET.deposit(now);
/// }
/// assert_eq!(BUDGET.try_withdraw(now), Ok(()));
/// assert_eq!(BUDGET.try_withdraw(now), Err(BudgetSpent));
/// ```
pub struct RetryBudget {
    share: u16,
    per_second: u16,
    // The number of the present bucket since the clock's origin.
    present: AtomicU32,
    // Withdrawn Invariant.
    withdrawn: AtomicU32,
    requests: [AtomicU32; BUCKETS],
    retries: [AtomicU32; BUCKETS],
}

/// There have been as many retries lately as the budget allows; let this request fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct BudgetSpent;

impl fmt::Display for BudgetSpent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the retry budget is spent: report the failure instead of retrying")
    }
}

impl core::error::Error for BudgetSpent {}

impl RetryBudget {
    const_fn! {
        /// A budget of `share` permille of the requests and `per_second` retries a second; Finagle's default
        /// is 200 and 10.
        pub const fn new(share: u16, per_second: u16) -> Self {
            Self {
                share,
                per_second,
                present: AtomicU32::new(0),
                withdrawn: AtomicU32::new(0),
                requests: array_of!(AtomicU32::new(0); BUCKETS),
                retries: array_of!(AtomicU32::new(0); BUCKETS),
            }
        }
    }

    /// Counts a request (not a retry) that is sent at `now`.
    ///
    /// O(1): a load and an addition; about once a second, O(buckets) under the lock.
    pub fn deposit(&self, now: Instant) {
        self.requests[self.bucket(now)].fetch_add(1, Ordering::Relaxed);
    }

    /// Asks for a retry at `now`. O(buckets), again when another retry gets in between.
    ///
    /// # Errors
    ///
    /// [`BudgetSpent`]: don't retry.
    pub fn try_withdraw(&self, now: Instant) -> Result<(), BudgetSpent> {
        let bucket = self.bucket(now);
        let mut withdrawn = self.withdrawn.load(Ordering::Acquire);
        while withdrawn & COUNT < self.allowed() {
            // Withdrawn Invariant.
            match self.withdrawn.compare_exchange_weak(
                withdrawn,
                withdrawn + 1,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => {
                    self.retries[bucket].fetch_add(1, Ordering::Release);
                    return Ok(());
                }
                Err(latest) => withdrawn = latest,
            }
        }
        Err(BudgetSpent)
    }

    /// How many retries would be granted at `now`. O(buckets).
    pub fn left(&self, now: Instant) -> u32 {
        self.bucket(now);
        let withdrawn = self.withdrawn.load(Ordering::Acquire) & COUNT;
        self.allowed().saturating_sub(withdrawn)
    }

    /// How many retries the window may have.
    fn allowed(&self) -> u32 {
        let share = u32::from(self.share);
        let requests = self
            .requests
            .iter()
            .fold(0u32, |sum, requests| sum.saturating_add(requests.load(Ordering::Relaxed)));
        // The same as requests * share / 1,000, in 32 bits.
        let shared =
            (requests / 1_000).saturating_mul(share).saturating_add(requests % 1_000 * share / 1_000);
        shared.saturating_add(u32::from(self.per_second) * BUCKETS as u32).min(COUNT)
    }

    /// The index of the present bucket, after the window has moved to `now`.
    fn bucket(&self, now: Instant) -> usize {
        let wanted = (now.as_micros() >> LOG2_BUCKET) as u32;
        let mut present = self.present.load(Ordering::Acquire);
        if is_ahead(wanted, present) {
            present = with_lock(|_cs| self.move_to(wanted));
        }
        present as usize % BUCKETS
    }

    /// Expires what is no longer in the window; inside the lock, so that nobody withdraws at `wanted` before
    /// it is done.
    #[cold]
    fn move_to(&self, wanted: u32) -> u32 {
        let present = self.present.load(Ordering::Relaxed);
        if !is_ahead(wanted, present) {
            return present;
        }
        let moved = (wanted.wrapping_sub(present) as usize).min(BUCKETS);
        let mut expired = 0;
        for back in 0..moved {
            let bucket = (wanted as usize % BUCKETS + BUCKETS - back) % BUCKETS;
            self.requests[bucket].store(0, Ordering::Relaxed);
            expired += self.retries[bucket].swap(0, Ordering::Acquire);
        }
        // Withdrawn Invariant: the requests went before the word changes, and the number is at least what has
        // expired.
        let less =
            |withdrawn: u32| Some((withdrawn | COUNT).wrapping_add(1) | ((withdrawn & COUNT) - expired));
        let _always = self.withdrawn.fetch_update(Ordering::AcqRel, Ordering::Acquire, less);
        self.present.store(wanted, Ordering::Release);
        wanted
    }
}

/// Whether the window has to move from bucket `present` to bucket `wanted`: not for a clock that is a little
/// behind.
const fn is_ahead(wanted: u32, present: u32) -> bool {
    let behind = present.wrapping_sub(wanted);
    behind >= BUCKETS as u32
}

impl fmt::Debug for RetryBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryBudget")
            .field("share", &self.share)
            .field("per_second", &self.per_second)
            .field("allowed", &self.allowed())
            .field("withdrawn", &(self.withdrawn.load(Ordering::Relaxed) & COUNT))
            .finish()
    }
}
