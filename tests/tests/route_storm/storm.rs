//! What the threads of a storm share, and what must be so when it is over.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::SeqCst};

use trilane::id::Key;
use trilane::route::*;
use trilane::time::Instant;
use trilane_tests::oracle::{History, Site};

pub const BANKS: usize = 2;
pub const PER_BANK: usize = 8;
pub const STRIPES: usize = 3;
pub const SLOTS: usize = BANKS * PER_BANK;
/// The end of their numbers.
pub const END: usize = BANKS * 32;

pub type Router<S> = Balancer<S, BANKS, PER_BANK, STRIPES>;
pub type Select<'a, S> = Selector<&'a Router<S>, S, BANKS, PER_BANK, STRIPES, 6>;
pub type Held<'a, S> = Lease<&'a Router<S>>;

/// Of one storm: what the threads share.
pub struct Storm<'a, S: Strategy<BANKS, PER_BANK, STRIPES>> {
    pub balancer: &'a Router<S>,
    pub history: History,
    /// Time in microseconds.
    pub clock: AtomicU64,
    pub over: AtomicBool,
    /// The handles, by slot, of those that are members or were until just now; [`NOBODY`] at first.
    pub handles: [AtomicU64; END],
    /// How many leases of an endpoint the threads hold, by slot and four generations.
    pub held: [[AtomicU32; 4]; END],
    /// Leases on their way to the other thread.
    pub passed: Mutex<Vec<Held<'a, S>>>,
    pub detached: DetachedLeases<&'a Router<S>, 1, 16>,
    /// What was detached, and whether it was a probe.
    pub numbers: Mutex<Vec<(DetachedId, EndpointId, bool)>>,
    pub taken: AtomicUsize,
    pub forgotten: AtomicUsize,
    /// How many selects found nobody, by kind of error.
    pub spoken_of: [AtomicUsize; SelectError::KINDS],
    /// How often members were added, removed or changed.
    pub changes: AtomicUsize,
}

pub const NOBODY: u64 = u64::MAX;
/// How many leases may be on their way.
pub const PASSED: usize = 32;

pub fn any_slot(random: &mut Random) -> usize {
    (random.below(BANKS as u32) * 32 + random.below(PER_BANK as u32)) as usize
}

/// A class of the storm: its filter, and whether an endpoint of this place is of it.
pub struct Asked {
    pub filter: Filter,
    pub matches: fn(&Site) -> bool,
}

pub const A: Tags = Tags::NONE.with(Tag::of::<0>());
pub const B: Tags = Tags::NONE.with(Tag::of::<1>());
pub const AB: Tags = A.with(Tag::of::<1>());

/// The first two always have the anchor among them.
pub fn asked() -> [Asked; 6] {
    let near = Filter::ANY.prefer(Zone::of::<1>()).unwrap();
    [
        Asked { filter: Filter::ANY, matches: |_| true },
        Asked { filter: Filter::ANY.tags(A), matches: |place| place.tags.contains(A) },
        Asked { filter: Filter::ANY.tags(AB), matches: |place| place.tags.contains(AB) },
        Asked { filter: near, matches: |_| true },
        Asked { filter: near.tags(B).confined(), matches: |place| place.zone == 1 && place.tags.contains(B) },
        Asked { filter: Filter::ANY.tier(Tier::of::<1>()), matches: |place| place.tier == 1 },
    ]
}

/// The endpoint in slot 0: always a member, healthy and routable, with a tag; what it is given always
/// succeeds.
pub const ANCHOR: u64 = 1_000_000;

impl<'a, S: Strategy<BANKS, PER_BANK, STRIPES>> Storm<'a, S> {
    pub fn new(balancer: &'a Router<S>) -> Self {
        Self {
            balancer,
            history: History::new(END),
            clock: AtomicU64::new(1_000_000),
            over: AtomicBool::new(false),
            handles: [const { AtomicU64::new(NOBODY) }; END],
            held: [const { [const { AtomicU32::new(0) }; 4] }; END],
            passed: Mutex::new(Vec::with_capacity(PASSED)),
            detached: DetachedLeases::new(),
            numbers: Mutex::new(Vec::with_capacity(PASSED)),
            taken: AtomicUsize::new(0),
            forgotten: AtomicUsize::new(0),
            spoken_of: [const { AtomicUsize::new(0) }; SelectError::KINDS],
            changes: AtomicUsize::new(0),
        }
    }

    pub fn now(&self) -> Instant {
        Instant::from_micros(self.clock.load(SeqCst))
    }

    pub fn handle(&self, slot: usize) -> Option<EndpointId> {
        let handle = self.handles[slot].load(SeqCst);
        (handle != NOBODY).then(|| EndpointId::from_key(Key::new(handle as u16, (handle >> 32) as u32)))
    }

    pub fn publish(&self, id: EndpointId) {
        let handle = u64::from(id.key().generation()) << 32 | u64::from(id.slot());
        self.handles[usize::from(id.slot())].store(handle, SeqCst);
    }

    pub fn held(&self, id: EndpointId) -> &AtomicU32 {
        &self.held[usize::from(id.slot())][id.key().generation() as usize % 4]
    }

    // === The end ===

    /// Everybody has stopped and ended what they held: nothing may be left.
    pub fn is_at_rest(&self) {
        self.passed.lock().unwrap().clear();
        self.detached.expire(Instant::MAX);
        let balancer = self.balancer;
        let members: Vec<_> = balancer.members().collect();
        for &id in &members {
            let stats = balancer.stats(id).unwrap();
            assert_eq!(stats.in_flight, 0, "{stats:?}");
            let healthy = matches!(stats.health, Health::Healthy | Health::Degraded);
            assert!(!stats.routable || healthy && stats.breaker == BreakerState::Closed, "{stats:?}");
            assert_eq!(balancer.remove(id, self.now()), Ok(0));
        }
        assert_eq!((balancer.totals().members, balancer.totals().ejected), (0, 0));
        // All slots come back, those that were draining too, and their exact counts are 0: a cap of one
        // admits just one.
        for number in 0..SLOTS as u64 {
            balancer.add(&Endpoint::new(number).cap(1), self.now()).unwrap();
        }
        assert_eq!(balancer.totals().draining, 0);
        let mut selector = self.selector(&mut Random::new(1)).0;
        let leases: Vec<_> =
            (0..SLOTS).map(|_| selector.select(&Request::ANY, self.now()).unwrap()).collect();
        assert_eq!(selector.select(&Request::ANY, self.now()).err(), Some(SelectError::AllAtCapacity));
        drop(leases);
        for id in balancer.members() {
            assert_eq!(balancer.stats(id).unwrap().in_flight, 0);
        }
    }
}

impl<S: Strategy<BANKS, PER_BANK, STRIPES>> std::fmt::Debug for Storm<'_, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.history.fmt(f)
    }
}
