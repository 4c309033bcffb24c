//! What every load balancer does to be measured.

use crate::random::Xorshift;

/// How a contender chooses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Strategy {
    /// In turn.
    RoundRobin,
    /// In turn, by weight.
    WeightedRoundRobin,
    /// The fewest connections.
    LeastConnections,
    /// The fewest connections for its weight.
    WeightedLeastConnections,
    /// Any.
    Random,
    /// Any, by weight.
    WeightedRandom,
    /// By the request's key, on a ring of points.
    Ring,
    /// By the request's key, in a Maglev table.
    Maglev,
    /// The least time to answer.
    LeastLatency,
    /// The least reported load.
    LeastLoad,
    /// The better of two.
    PowerOfTwo,
    /// By the mean load and the request.
    Adaptive,
}

impl Strategy {
    /// All, in the order of the rows.
    pub const ALL: [Self; 12] = [
        Self::RoundRobin,
        Self::WeightedRoundRobin,
        Self::Random,
        Self::WeightedRandom,
        Self::PowerOfTwo,
        Self::Maglev,
        Self::Ring,
        Self::LeastConnections,
        Self::WeightedLeastConnections,
        Self::LeastLatency,
        Self::LeastLoad,
        Self::Adaptive,
    ];

    /// Its name in the rows.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RoundRobin => "rr",
            Self::WeightedRoundRobin => "wrr",
            Self::LeastConnections => "lc",
            Self::WeightedLeastConnections => "wlc",
            Self::Random => "random",
            Self::WeightedRandom => "wrandom",
            Self::Ring => "ring",
            Self::Maglev => "maglev",
            Self::LeastLatency => "latency",
            Self::LeastLoad => "load",
            Self::PowerOfTwo => "p2c",
            Self::Adaptive => "adaptive",
        }
    }

    /// Whether weights count.
    pub const fn is_weighted(self) -> bool {
        matches!(
            self,
            Self::WeightedRoundRobin | Self::WeightedLeastConnections | Self::WeightedRandom | Self::Adaptive
        )
    }
}

/// What is different from what the row says, in a peer that can't do it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Footnote {
    /// No notion of tags.
    AcceptsByCallback,
    /// No notion of tags or zones at all.
    OneBalancerPerClass,
    /// `&mut self`.
    BehindAMutex,
    /// Another kind of hash table.
    RingForMaglev,
    /// No caps.
    WithoutCaps,
    /// No measure of its own.
    LatenciesAreGiven,
    /// Changes take effect in the change itself.
    PaidInTheChange,
    /// No filter in the request.
    ClassBuiltIn,
    /// Fewer points an endpoint.
    SixteenPoints,
    /// Too slow to do it 10,000 times a batch.
    WeightedMean,
}

impl Footnote {
    /// The footnote's text.
    pub const fn text(self) -> &'static str {
        match self {
            Self::AcceptsByCallback => {
                "no tags or zones: its accept callback looks them up by the backend's address"
            }
            Self::OneBalancerPerClass => "no tags or zones: a balancer over the matching endpoints alone",
            Self::BehindAMutex => "takes &mut self: threads share it behind a std Mutex",
            Self::RingForMaglev => "no Maglev: its ring",
            Self::WithoutCaps => "no caps: without",
            Self::LatenciesAreGiven => "its latencies are given: a release updates no average",
            Self::PaidInTheChange => "rebuilds within the change: compare the row `…-and-first`",
            Self::ClassBuiltIn => {
                "its requests have no filter: the one class there is is built into the snapshot"
            }
            Self::SixteenPoints => "16 points an endpoint; ours has 160",
            Self::WeightedMean => {
                "one change with its first select, and selects, measured apart and weighted 1 : 9,999"
            }
        }
    }
}

/// A load balancer.
pub trait Contender: Sized + Sync + 'static {
    /// What selects: one for each thread.
    type Worker: Worker;

    /// One more worker of this balancer.
    fn worker(&'static self) -> Self::Worker;

    /// An endpoint goes down or comes up again.
    fn set_up(&self, endpoint: usize, up: bool);

    /// An endpoint says how loaded it is, in permille.
    fn report(&self, endpoint: usize, load: u16);

    /// An endpoint leaves.
    fn remove(&self, endpoint: usize);

    /// An endpoint that has left is back.
    fn add(&self, endpoint: usize);

    /// What changes have left for later is done now.
    fn settle(&self) {}
}

/// What selects in one thread.
pub trait Worker: Send + 'static {
    /// What is held until the request is done.
    type Lease: Send;

    /// An endpoint for a request with this key. Only strategies that hash look at it.
    fn select(&mut self, key: u64) -> Self::Lease;

    /// The request is done.
    fn release(&mut self, lease: Self::Lease);

    /// Like [`release`](Self::release), and says which endpoint it was: the checks ask, the benches don't.
    fn finish(&mut self, lease: Self::Lease) -> usize;
}

/// Keys of requests, made beforehand, so that making them costs no bench anything.
#[derive(Clone)]
pub struct Keys {
    keys: Box<[u64; 1024]>,
    next: usize,
}

impl Keys {
    /// The same keys for everybody.
    pub fn new() -> Self {
        let mut random = Xorshift::new(0x6b65_7973);
        Self { keys: Box::new(std::array::from_fn(|_| random.next())), next: 0 }
    }

    /// The next key.
    #[inline(always)]
    pub fn next(&mut self) -> u64 {
        self.next = self.next.wrapping_add(1);
        self.keys[self.next % 1024]
    }
}
