//! Active health checks: who is to be probed when, and what the outcomes say.
//!
//! [`HealthChecker`] does no input or output and reads no clock. Whoever drives it asks what is due, sends
//! the probes, as many at once as it likes, and reports how they went. [`HealthChecker::run`] is such a
//! driver, for any executor.
//!
//! An endpoint's first outcome decides at once what it is. From then on `fall` bad outcomes in a row make it
//! unhealthy and `rise` good ones healthy again. A probe that nobody reports on in time is a bad outcome.

use core::fmt;

use crate::id::Stale;
use crate::route::config::check_options::{CheckOptions, CheckOptionsError};
use crate::route::config::random::Random;
use crate::time::{Duration, Instant};

/// Why an endpoint can't be watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum WatchError {
    /// The checker watches as many endpoints as it has room for.
    Full,
    /// It watches this one.
    AlreadyWatched,
}

impl fmt::Display for WatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "the health checker is full: unwatch an endpoint, or make it larger",
            Self::AlreadyWatched => "the endpoint is being watched: nothing is to be done",
        })
    }
}

impl core::error::Error for WatchError {}

/// A probe that is to be sent and reported on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "a probe that isn't reported on times out"]
pub struct Check<H> {
    /// Whom to probe.
    pub endpoint: H,
    /// When it is too late for an answer.
    pub until: Instant,
    entry: u16,
    round: u32,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Due<H> {
    /// A probe is to be sent.
    Probe(Check<H>),
    /// The endpoint's probe has timed out, with what that changes; a report on it would be stale.
    TimedOut(H, Option<Change<H>>),
}

/// An endpoint has become healthy or unhealthy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Change<H> {
    /// Which.
    pub endpoint: H,
    /// Healthy from now on, or unhealthy.
    pub healthy: bool,
}

/// Checks up to `N` endpoints, known by handles of type `H`.
///
/// A clock that goes back delays what is due by as much, and changes nothing else.
///
/// # Examples
///
/// ```
/// use trilane::route::{Change, CheckOptions, Due, HealthChecker};
/// use trilane::time::{Duration, Instant};
///
/// let options = CheckOptions::new().jitter(Duration::ZERO);
/// let mut checker: HealthChecker<char, 4> = HealthChecker::new(options, 1).unwrap();
/// checker.watch('a', Instant::ZERO).unwrap();
///
/// let Some(Due::Probe(check)) = checker.due(Instant::ZERO) else { panic!() };
/// assert_eq!(check.endpoint, 'a');
/// let change = checker.report(check, true, Instant::from_millis(3));
/// assert_eq!(change, Ok(Some(Change { endpoint: 'a', healthy: true })));
/// assert_eq!(checker.next_due(), Some(Instant::from_millis(10_003)));
/// ```
pub struct HealthChecker<H, const N: usize> {
    options: CheckOptions,
    random: Random,
    len: u16,
    /// All entries, each once: first `len` of them, a heap by `next`, then those that are free.
    order: [u16; N],
    entries: [Entry<H>; N],
}

#[derive(Clone, Copy)]
struct Entry<H> {
    /// `None` in a free entry.
    endpoint: Option<H>,
    /// When the next check is due; while one is out, when that is too late.
    next: Instant,
    /// Where the entry is in `order`.
    position: u16,
    /// Outcomes in a row that speak against `healthy`.
    against: u16,
    /// Advances with each check and each use of the entry: an old check is told from the present one.
    round: u32,
    out: bool,
    healthy: Option<bool>,
}

impl<H: Copy + PartialEq, const N: usize> HealthChecker<H, N> {
    /// Watches nobody yet. The same `seed` gives the same times.
    ///
    /// # Errors
    ///
    /// [`CheckOptionsError`] for a zero where there must be none.
    pub const fn new(options: CheckOptions, seed: u64) -> Result<Self, CheckOptionsError> {
        const { assert!(N <= u16::MAX as usize, "a health checker holds at most 65,535 endpoints") }
        if let Err(error) = options.validate() {
            return Err(error);
        }
        let free = Entry {
            endpoint: None,
            next: Instant::ZERO,
            position: 0,
            against: 0,
            round: 0,
            out: false,
            healthy: None,
        };
        let mut checker =
            Self { options, random: Random::new(seed), len: 0, order: [0; N], entries: [free; N] };
        let mut entry = 0;
        while entry < N {
            checker.order[entry] = entry as u16;
            checker.entries[entry].position = entry as u16;
            entry += 1;
        }
        Ok(checker)
    }

    /// Begins to check `endpoint`, the first time after at most the jitter. O(N).
    ///
    /// # Errors
    ///
    /// [`WatchError`] when there is no room, or it is watched already; nothing changes.
    pub fn watch(&mut self, endpoint: H, now: Instant) -> Result<(), WatchError> {
        if self.find(endpoint).is_some() {
            return Err(WatchError::AlreadyWatched);
        }
        let entry = *self.order.get(usize::from(self.len)).ok_or(WatchError::Full)?;
        let next = now + self.jitter();
        let free = &mut self.entries[usize::from(entry)];
        (free.endpoint, free.next) = (Some(endpoint), next);
        (free.against, free.out, free.healthy) = (0, false, None);
        self.len += 1;
        self.settle(entry);
        Ok(())
    }

    /// Stops checking `endpoint`; a probe of it that is out becomes stale. O(N).
    ///
    /// # Errors
    ///
    /// [`Stale`] when it isn't watched.
    pub fn unwatch(&mut self, endpoint: H) -> Result<(), Stale> {
        let entry = self.find(endpoint).ok_or(Stale)?;
        let freed = &mut self.entries[usize::from(entry)];
        freed.endpoint = None;
        freed.round = freed.round.wrapping_add(1);
        let position = freed.position;
        self.len -= 1;
        // The last of the heap fills the gap.
        let last = self.order[usize::from(self.len)];
        self.place(self.len, entry);
        if last != entry {
            self.place(position, last);
            self.settle(last);
        }
        Ok(())
    }

    /// When [`due`](Self::due) will have something; `None`: nobody is watched. O(1).
    pub fn next_due(&self) -> Option<Instant> {
        if self.len == 0 { None } else { Some(self.entry(self.order[0]).next) }
    }

    /// One thing that is due at `now`, the earliest first; call again until `None`. O(log N).
    pub fn due(&mut self, now: Instant) -> Option<Due<H>> {
        let entry = self.order[..usize::from(self.len)].first().copied()?;
        let first = &mut self.entries[usize::from(entry)];
        let endpoint = first.endpoint?;
        if first.next > now {
            return None;
        }
        if first.out {
            return Some(Due::TimedOut(endpoint, self.conclude(entry, false, now)));
        }
        first.out = true;
        first.round = first.round.wrapping_add(1);
        first.next = now + self.options.timeout;
        let check = Check { endpoint, until: first.next, entry, round: first.round };
        self.settle(entry);
        Some(Due::Probe(check))
    }

    /// Takes in how the probe went, and says what that changes. O(log N).
    ///
    /// # Errors
    ///
    /// [`Stale`] when the probe has timed out or was reported on before, or the endpoint isn't watched any
    /// more.
    pub fn report(&mut self, check: Check<H>, good: bool, now: Instant) -> Result<Option<Change<H>>, Stale> {
        self.check_out(&check)?;
        Ok(self.conclude(check.entry, good, now))
    }

    /// Takes back a probe without an outcome: the check is due again at once. O(log N).
    ///
    /// # Errors
    ///
    /// [`Stale`] as for [`report`](Self::report).
    pub fn abandon(&mut self, check: Check<H>, now: Instant) -> Result<(), Stale> {
        let entry = self.check_out(&check)?;
        (entry.out, entry.next) = (false, now);
        self.settle(check.entry);
        Ok(())
    }

    /// All endpoints, and whether they are healthy; `None`: no outcome yet.
    pub fn iter(&self) -> impl Iterator<Item = (H, Option<bool>)> + '_ {
        self.entries.iter().filter_map(|entry| Some((entry.endpoint?, entry.healthy)))
    }

    /// How many endpoints are watched.
    pub const fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether nobody is watched.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn find(&self, endpoint: H) -> Option<u16> {
        let live = &self.order[..usize::from(self.len)];
        live.iter().copied().find(|&entry| self.entry(entry).endpoint == Some(endpoint))
    }

    /// The entry of a check that is out.
    fn check_out(&mut self, check: &Check<H>) -> Result<&mut Entry<H>, Stale> {
        let entry = self.entries.get_mut(usize::from(check.entry)).ok_or(Stale)?;
        let is_out = entry.out && entry.round == check.round && entry.endpoint == Some(check.endpoint);
        if is_out { Ok(entry) } else { Err(Stale) }
    }

    /// Ends the check that is out, and arms the next one.
    fn conclude(&mut self, entry: u16, good: bool, now: Instant) -> Option<Change<H>> {
        let jitter = self.jitter();
        let at = usize::from(entry);
        let checked = &mut self.entries[at];
        checked.out = false;
        checked.against = if checked.healthy == Some(good) { 0 } else { checked.against.saturating_add(1) };
        let enough = match (checked.healthy, good) {
            (None, _) => 1,
            (_, true) => self.options.rise,
            (_, false) => self.options.fall,
        };
        let turns = checked.against >= enough;
        if turns {
            (checked.healthy, checked.against) = (Some(good), 0);
        }
        let healthy = checked.healthy == Some(true);
        let interval = if healthy { self.options.interval } else { self.options.unhealthy_interval };
        checked.next = now + interval + jitter;
        let change = checked.endpoint.filter(|_| turns).map(|endpoint| Change { endpoint, healthy });
        self.settle(entry);
        change
    }

    fn jitter(&mut self) -> Duration {
        let most = self.options.jitter.as_micros().min(u64::from(u32::MAX) - 1) as u32;
        Duration::from_micros(self.random.below(most + 1).into())
    }

    fn entry(&self, entry: u16) -> &Entry<H> {
        &self.entries[usize::from(entry)]
    }

    fn place(&mut self, position: u16, entry: u16) {
        self.order[usize::from(position)] = entry;
        self.entries[usize::from(entry)].position = position;
    }

    /// Restores the heap after the time of `entry`, which is in it, has changed.
    fn settle(&mut self, entry: u16) {
        let next = self.entry(entry).next;
        let mut hole = self.entry(entry).position;
        while hole > 0 {
            let parent = (hole - 1) / 2;
            let above = self.order[usize::from(parent)];
            if self.entry(above).next <= next {
                break;
            }
            self.place(hole, above);
            hole = parent;
        }
        while let Some(child) = self.earlier_child(hole) {
            let below = self.order[usize::from(child)];
            if self.entry(below).next >= next {
                break;
            }
            self.place(hole, below);
            hole = child;
        }
        self.place(hole, entry);
    }

    /// Of the positions below `position`, that with the earlier entry.
    fn earlier_child(&self, position: u16) -> Option<u16> {
        let left = 2 * u32::from(position) + 1;
        let next = |child: u32| self.entry(self.order[child as usize]).next;
        match u32::from(self.len) {
            len if left >= len => None,
            len if left + 1 < len && next(left + 1) < next(left) => Some(left as u16 + 1),
            _ => Some(left as u16),
        }
    }
}
