//! Makes the members what a list says.

use core::borrow::Borrow;
use core::fmt;

use super::state::membership::Tables;
use super::state::view::View;
use super::{AddError, Balancer, Endpoint, EndpointId, Strategy, UpdateError};
use crate::bitmap::{Bits, MAX_BANKS, slot, split};
use crate::id::{Key, Stale};
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
    /// handle, counts, health, breaker, latency and reports; the health in the list is for those that are
    /// new.
    ///
    /// New ones are added before others are removed, so that traffic always has somewhere to go. So there
    /// must be a free slot for each: those that leave make room for the next call, not for this one, and a
    /// removed endpoint keeps its slot until its last lease has ended.
    ///
    /// Another context may change members meanwhile. Each of its changes then counts as made before this or
    /// after it: a member that it removes once all new ones are in stays removed. If it takes the slots
    /// that were counted on, what was added by then is removed again, and nothing that it has added itself.
    /// Selects go on meanwhile, and see one change after the other.
    ///
    /// The list is gone through several times, by clones of its iterator, and each time it must say the same.
    /// O(length² + length * N), each change in a short critical section of its own. A list that is longer
    /// than the balancer has slots is refused after O(N²). Four bytes of stack a slot.
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
        let mut kept = Slots([0; MAX_BANKS]);
        let mut generations = [[0; PER_BANK]; BANKS];
        let mut synced = Synced::default();
        // First those that are new: only here can something not fit, and nothing else has changed yet.
        for endpoint in list.clone() {
            let endpoint = endpoint.borrow();
            let error = match view.add(endpoint, Self::TABLES, now) {
                Ok(id) => {
                    let (bank, index) = split(id.slot());
                    if let Some(generation) =
                        generations.get_mut(bank).and_then(|bank| bank.get_mut(index as usize))
                    {
                        *generation = id.key().generation();
                    }
                    kept.insert(id);
                    synced.added += 1;
                    continue;
                }
                Err(AddError::Exists(_)) => continue,
                Err(AddError::ZeroCap) => SyncError::ZeroCap(endpoint.id),
                // Somebody else has taken the slots.
                Err(AddError::Full) => SyncError::Full { new: 1, free: 0 },
            };
            for bank in 0..BANKS {
                for index in kept.of_bank(bank) {
                    let generation = generations.get(bank).and_then(|bank| bank.get(index as usize));
                    let key = Key::new(slot(bank, index), generation.copied().unwrap_or(0));
                    // Somebody else may have removed it before: then another has the slot, or none.
                    let _out: Result<u32, Stale> =
                        view.remove(EndpointId::from_key(key), false, Self::TABLES);
                }
            }
            self.want_table(now);
            return Err(error);
        }
        let stays = self.strategy.needs().builds;
        for endpoint in list {
            if let Some((id, updated)) = view.revise(endpoint.borrow(), stays, now) {
                kept.insert(id);
                synced.updated += updated as u32;
            }
        }
        synced.removed = view.remove_others(&kept, stays, Self::TABLES);
        if synced != Synced::default() {
            self.want_table(now);
        }
        Ok(synced)
    }
}

/// A set of slots.
struct Slots([u32; MAX_BANKS]);

impl Slots {
    fn insert(&mut self, id: EndpointId) {
        let (bank, index) = split(id.slot());
        self.0[bank % MAX_BANKS] |= 1 << index;
    }

    fn contains(&self, id: EndpointId) -> bool {
        let (bank, index) = split(id.slot());
        self.0[bank % MAX_BANKS] >> index & 1 == 1
    }

    fn of_bank(&self, bank: usize) -> Bits {
        Bits(self.0[bank % MAX_BANKS])
    }
}

impl View<'_> {
    fn check_list<I>(self, list: &I) -> Result<(), SyncError>
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

    /// Makes the member what the endpoint says; returns its handle, and whether that is something else than
    /// was said last. `None` if it isn't a member: somebody else has removed it.
    fn revise(self, endpoint: &Endpoint, stays: bool, now: Instant) -> Option<(EndpointId, bool)> {
        loop {
            let member = || self.search(endpoint.id).map(|slot| (self.handle(slot), self.describe(slot)));
            let (id, described) = self.consistently(member)?;
            if (Endpoint { health: described.health, ..*endpoint }) == described {
                return Some((id, false));
            }
            match self.update(id, endpoint, stays, now) {
                Ok(()) => return Some((id, true)),
                // There is no such cap: see `check_list`.
                Err(UpdateError::ZeroCap) => return Some((id, false)),
                // Somebody else has removed it right now, and may have added it again.
                Err(UpdateError::Stale | UpdateError::OtherId) => {}
            }
        }
    }

    /// Removes the members whose slots aren't kept; returns how many. `stays`: see [`remove`](Self::remove).
    fn remove_others(self, kept: &Slots, stays: bool, tables: Option<&'static Tables>) -> u32 {
        let others = self.member_ids().filter(|&id| !kept.contains(id));
        others.map(|id| self.remove(id, stays, tables).is_ok() as u32).sum()
    }
}
