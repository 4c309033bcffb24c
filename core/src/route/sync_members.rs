//! Makes the members what a list says.

use core::borrow::Borrow;
use core::fmt;

use super::view::View;
use super::{AddError, Balancer, Endpoint, EndpointId, Strategy, UpdateError};
use crate::bitmap::{Bits, MAX_BANKS, slot, split};
use crate::id::Stale;
use crate::time::Instant;

/// What [`Balancer::sync`] has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Synced {
    /// Endpoints that weren't members before.
    pub added: u32,
    /// Members of which the list says something else than was said last.
    pub updated: u32,
    /// Members that aren't in the list.
    pub removed: u32,
}

/// Why members were not made what a list says. They are what they were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SyncError {
    /// Two endpoints of the list have this number.
    Duplicate(u64),
    /// The endpoint of this number has a cap of 0, which would admit nothing: use weight 0 to drain.
    ZeroCap(u64),
    /// More endpoints are new than there are free slots.
    Full {
        /// How many are new; counted up to one more than the balancer has slots.
        new: u32,
        /// How many slots are free. Those of members that leave, and of removed ones with leases out, aren't.
        free: u32,
    },
}

impl fmt::Display for SyncError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duplicate(number) => {
                write!(f, "two endpoints of the list have the number {number}: give each its own")
            }
            Self::ZeroCap(number) => {
                write!(f, "endpoint {number} has a cap of 0, which admits nothing: use weight 0 to drain")
            }
            Self::Full { new, free } => write!(
                f,
                "{new} endpoints are new and {free} slots are free: remove some first, wait for leases to end, \
                 or give the balancer more banks"
            ),
        }
    }
}

impl core::error::Error for SyncError {}

impl<S, const BANKS: usize, const PER_BANK: usize, const STRIPES: usize> Balancer<S, BANKS, PER_BANK, STRIPES>
where
    S: Strategy<BANKS, PER_BANK, STRIPES>,
{
    /// Makes the members what `list` says: adds those that are new, then updates those of which it says
    /// something else than was said last, then removes those that it doesn't name. Who stays keeps its
    /// handle, counts, health, breaker, latency and reports; the health in the list is for those that are new.
    ///
    /// New ones are added before others are removed, so that traffic always has somewhere to go. So there must
    /// be a free slot for each: those that leave make room for the next call, not for this one, and a removed
    /// endpoint keeps its slot until its last lease has ended.
    ///
    /// Another context may change members meanwhile. Each of its changes then counts as made before this or
    /// after it; if it takes the slots that were counted on, what was added by then is removed again. Selects
    /// go on meanwhile, and see one change after the other.
    ///
    /// The list is gone through several times, by clones of its iterator, and each time it must say the same.
    /// O(length² + length * N), each change in a short critical section of its own. A list that is longer than
    /// the balancer has slots is refused after O(N²).
    ///
    /// # Errors
    ///
    /// [`SyncError`]; the members are what they were then.
    ///
    /// # Examples
    ///
    /// ```
    /// use trilane::route::{Balancer, Endpoint, Options, RoundRobin, SyncError, Synced};
    /// use trilane::time::Instant;
    ///
    /// static BALANCER: Balancer<RoundRobin, 1, 8> = Balancer::new(RoundRobin, Options::new());
    ///
    /// let now = Instant::ZERO;
    /// BALANCER.sync([Endpoint::new(1), Endpoint::new(2)], now)?;
    /// let synced = BALANCER.sync(&[Endpoint::new(2).weight(3), Endpoint::new(3)], now)?;
    /// assert_eq!(synced, Synced { added: 1, updated: 1, removed: 1 });
    /// let twice = [Endpoint::new(4), Endpoint::new(4)];
    /// assert_eq!(BALANCER.sync(twice, now), Err(SyncError::Duplicate(4)));
    /// # Ok::<(), SyncError>(())
    /// ```
    pub fn sync<I>(&self, list: I, now: Instant) -> Result<Synced, SyncError>
    where
        I: IntoIterator<Item: Borrow<Endpoint>, IntoIter: Clone>,
    {
        let list = list.into_iter();
        let view = self.endpoints.view();
        view.check_list(&list)?;
        let mut kept = Kept([0; MAX_BANKS]);
        let mut added = Kept([0; MAX_BANKS]);
        let mut synced = Synced::default();
        // First those that are new: if they don't fit after all, nothing else has changed.
        let new = |endpoint: &I::Item| view.consistently(|| view.search(endpoint.borrow().id)).is_none();
        for endpoint in list.clone().filter(new).chain(list.clone()) {
            match view.put(endpoint.borrow(), now) {
                Ok((id, put)) => {
                    kept.insert(id);
                    match put {
                        Put::Added => {
                            added.insert(id);
                            synced.added += 1;
                        }
                        Put::Updated => synced.updated += 1,
                        Put::Same => {}
                    }
                }
                Err(error) => {
                    // Somebody else has taken the slots.
                    view.remove_listed(&list, &added);
                    self.want_table(now);
                    return Err(error);
                }
            }
        }
        synced.removed = view.remove_others(&kept);
        if synced != Synced::default() {
            self.want_table(now);
        }
        Ok(synced)
    }
}

/// A set of slots.
struct Kept([u32; MAX_BANKS]);

impl Kept {
    fn insert(&mut self, id: EndpointId) {
        let (bank, index) = split(id.slot());
        self.0[bank % MAX_BANKS] |= 1 << index;
    }

    fn bits(&self, bank: usize) -> u32 {
        self.0[bank % MAX_BANKS]
    }
}

/// What has become of an endpoint of the list.
enum Put {
    Added,
    Updated,
    Same,
}

impl View<'_> {
    fn check_list<I>(&self, list: &I) -> Result<(), SyncError>
    where
        I: Iterator<Item: Borrow<Endpoint>> + Clone,
    {
        let slots = self.banks() * self.per_bank();
        let (mut rest, mut new, mut looked) = (list.clone(), 0, 0);
        while let Some(endpoint) = rest.next().filter(|_| looked <= slots) {
            looked += 1;
            let endpoint: &Endpoint = endpoint.borrow();
            if endpoint.cap == Some(0) {
                return Err(SyncError::ZeroCap(endpoint.id));
            }
            if rest.clone().take(slots).any(|other| other.borrow().id == endpoint.id) {
                return Err(SyncError::Duplicate(endpoint.id));
            }
            new += self.consistently(|| self.search(endpoint.id)).is_none() as u32;
        }
        let free = self.free_slots();
        // A list that is longer than the balancer has no two of a number, so some of it are new.
        if new > free { Err(SyncError::Full { new, free }) } else { Ok(()) }
    }

    /// Makes the endpoint a member as it is described.
    fn put(&self, endpoint: &Endpoint, now: Instant) -> Result<(EndpointId, Put), SyncError> {
        // Once more only if another context has added or removed it in between.
        loop {
            let member = self.consistently(|| {
                self.search(endpoint.id).map(|slot| (self.handle(slot), self.describe(slot)))
            });
            match member {
                Some((id, described)) => {
                    if (Endpoint { health: described.health, ..*endpoint }) == described {
                        return Ok((id, Put::Same));
                    }
                    match self.update(id, endpoint, now) {
                        Ok(_) => return Ok((id, Put::Updated)),
                        Err(UpdateError::ZeroCap) => return Err(SyncError::ZeroCap(endpoint.id)),
                        Err(UpdateError::Stale | UpdateError::OtherId) => {}
                    }
                }
                None => match self.add(endpoint, now) {
                    Ok(id) => return Ok((id, Put::Added)),
                    Err(AddError::ZeroCap) => return Err(SyncError::ZeroCap(endpoint.id)),
                    Err(AddError::Full) => return Err(SyncError::Full { new: 1, free: 0 }),
                    Err(AddError::Exists(_)) => {}
                },
            }
        }
    }

    /// Removes the members whose slots aren't kept; returns how many.
    fn remove_others(&self, kept: &Kept) -> u32 {
        let mut removed = 0;
        for id in self.member_ids() {
            let (bank, index) = split(id.slot());
            if kept.bits(bank) >> index & 1 == 0 {
                removed += self.remove(id).is_ok() as u32;
            }
        }
        removed
    }

    /// Removes those of the list that have been added to these slots.
    fn remove_listed<I>(&self, list: &I, added: &Kept)
    where
        I: Iterator<Item: Borrow<Endpoint>> + Clone,
    {
        for bank in 0..self.banks() {
            for slot in Bits(added.bits(bank)).map(|index| slot(bank, index)) {
                let (id, number) = self.consistently(|| (self.handle(slot), self.number(slot)));
                if list.clone().any(|endpoint| endpoint.borrow().id == number) {
                    // Somebody else may have removed it before.
                    let _out: Result<u32, Stale> = self.remove(id);
                }
            }
        }
    }
}
