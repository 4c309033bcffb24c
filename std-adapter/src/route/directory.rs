//! What a program keeps for each endpoint.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use trilane::route::{Balancer, Endpoint, EndpointId, Strategy, SyncError, Synced};
use trilane::time::Instant;

/// How many banks of 32 slots a balancer may have.
const BANKS: usize = 32;
const PER_BANK: usize = 32;

/// A value for each endpoint of a balancer: its address, client or connection.
///
/// [`get`](Self::get) finds it by the id in a lease: O(1), a lock of that slot alone, no allocation. A slot
/// that has another endpoint by now is no match, since an id knows its generation. Any thread may do
/// anything; a value that was found stays usable when its endpoint is removed.
///
/// It may be a static; memory is taken bank by bank, as endpoints come.
///
/// # Examples
///
/// ```
/// use trilane::route::{Balancer, Endpoint, Options, Request, RoundRobin};
/// use trilane::time::Instant;
/// use trilane_std::route::Directory;
///
/// static FLEET: Balancer<RoundRobin, 1, 8> = Balancer::new(RoundRobin, Options::new());
/// static ADDRESSES: Directory<String> = Directory::new();
///
/// let now = Instant::ZERO;
/// let wanted = [(Endpoint::new(1), "10.0.0.1:80"), (Endpoint::new(2).weight(2), "10.0.0.2:80")];
/// ADDRESSES.sync(&FLEET, wanted, now, |address, _current| address.to_string().into())?;
///
/// let mut selector = FLEET.selector::<1>(7)?;
/// let lease = selector.select(&Request::ANY, now)?;
/// let address = ADDRESSES.get(lease.endpoint()).expect("it hasn't been removed");
/// assert!(address.starts_with("10.0.0."));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Directory<T> {
    banks: [OnceLock<Box<[Entry<T>; PER_BANK]>>; BANKS],
    /// One sync at a time.
    syncing: Mutex<()>,
}

type Entry<T> = RwLock<Option<(EndpointId, Arc<T>)>>;

impl<T> Directory<T> {
    /// An empty one.
    pub const fn new() -> Self {
        Self { banks: [const { OnceLock::new() }; BANKS], syncing: Mutex::new(()) }
    }

    /// The value of an endpoint; `None` when it has none, or no longer. O(1).
    pub fn get(&self, id: EndpointId) -> Option<Arc<T>> {
        let entry = self.banks.get(usize::from(id.slot()) / PER_BANK)?.get()?;
        let entry = entry[usize::from(id.slot()) % PER_BANK].read().unwrap_or_else(PoisonError::into_inner);
        entry.as_ref().filter(|(owner, _)| *owner == id).map(|(_, value)| value.clone())
    }

    /// Puts in the value of an endpoint; returns the one that it had. The slot's last endpoint loses its
    /// value. O(1). An id whose slot no balancer has (1,024 and above) gets none.
    pub fn insert(&self, id: EndpointId, value: Arc<T>) -> Option<Arc<T>> {
        let bank = self.banks.get(usize::from(id.slot()) / PER_BANK)?;
        let bank = bank.get_or_init(|| Box::new([const { RwLock::new(None) }; PER_BANK]));
        let entry = &bank[usize::from(id.slot()) % PER_BANK];
        let before = entry.write().unwrap_or_else(PoisonError::into_inner).replace((id, value));
        before.filter(|(owner, _)| *owner == id).map(|(_, value)| value)
    }

    /// Takes out the value of an endpoint. O(1).
    pub fn remove(&self, id: EndpointId) -> Option<Arc<T>> {
        let entry =
            &self.banks.get(usize::from(id.slot()) / PER_BANK)?.get()?[usize::from(id.slot()) % PER_BANK];
        let mut entry = entry.write().unwrap_or_else(PoisonError::into_inner);
        entry.take_if(|(owner, _)| *owner == id).map(|(_, value)| value)
    }

    /// How many values there are. O(slots).
    pub fn len(&self) -> usize {
        self.entries().filter(|entry| entry.read().unwrap_or_else(PoisonError::into_inner).is_some()).count()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn entries(&self) -> impl Iterator<Item = &Entry<T>> {
        self.banks.iter().filter_map(OnceLock::get).flat_map(|bank| bank.iter())
    }

    /// Makes the members of `balancer` what `wanted` says, as [`Balancer::sync`] does, and gives each a
    /// value.
    ///
    /// `value` is asked once for each endpoint of the list, before anything changes and outside of all locks:
    /// it gets what stands beside the endpoint, and the value of the member with its number, to keep or to
    /// replace. Nothing is selected before its value is there: a new endpoint is switched on after that. An
    /// endpoint that was removed loses its value when it is a member no more; a thread that has a lease of
    /// it, but has not asked for its value yet, gets `None`: it drops the lease, and selects again.
    ///
    /// This goes for balancers whose members nobody else adds or removes. A thread that panics in `value`
    /// leaves everything as it was.
    ///
    /// # Errors
    ///
    /// [`SyncError`]; neither members nor values have changed then.
    pub fn sync<W, S, const BANKS: usize, const PER_BANK: usize, const STRIPES: usize>(
        &self,
        balancer: &Balancer<S, BANKS, PER_BANK, STRIPES>,
        wanted: impl IntoIterator<Item = (Endpoint, W)>,
        now: Instant,
        mut value: impl FnMut(W, Option<Arc<T>>) -> Arc<T>,
    ) -> Result<Synced, SyncError>
    where
        S: Strategy<BANKS, PER_BANK, STRIPES>,
    {
        // Before the lock is taken: this is code of the caller, who may sync something else in it.
        let asked = wanted.into_iter().map(|(endpoint, beside)| {
            let current = balancer.find(endpoint.number()).and_then(|id| self.get(id));
            (endpoint, value(beside, current))
        });
        let (list, values): (Vec<Endpoint>, Vec<Arc<T>>) = asked.unzip();
        let _one_at_a_time = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = |endpoint: Endpoint| (endpoint, balancer.find(endpoint.number()).is_none());
        let list: Vec<_> = list.into_iter().map(is_new).collect();
        let endpoints = || list.iter().map(|(endpoint, _)| *endpoint);
        // Those that are new come switched off: their handles are known, but nobody selects them. Those that
        // leave stay until the new ones are on, so that there is always somebody to select.
        let off = list.iter().map(|&(endpoint, new)| endpoint.enabled(endpoint.is_enabled() && !new));
        let wanted: HashSet<u64> = endpoints().map(|endpoint| endpoint.number()).collect();
        let members = balancer.members().filter_map(|id| balancer.endpoint(id).ok());
        let leaving: Vec<_> = members.filter(|member| !wanted.contains(&member.number())).collect();
        let Synced { added, updated, .. } = balancer.sync(off.chain(leaving), now)?;
        for (endpoint, value) in endpoints().zip(values) {
            if let Some(id) = balancer.find(endpoint.number()) {
                self.insert(id, value);
            }
        }
        let Synced { removed, .. } = balancer.sync(endpoints(), now)?;
        for entry in self.entries() {
            let mut entry = entry.write().unwrap_or_else(PoisonError::into_inner);
            // What is taken out is dropped outside of the lock: it may be the last of its value.
            let gone = entry.take_if(|(id, _)| balancer.number(*id).is_err());
            drop(entry);
            drop(gone);
        }
        Ok(Synced { added, updated, removed })
    }
}

impl<T> Default for Directory<T> {
    fn default() -> Self {
        Self::new()
    }
}
