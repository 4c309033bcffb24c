//! What the tests of strategies share: a balancer beside a naive list of its endpoints, and the test of
//! shares.

use trilane::route::{
    Balancer, Class, Endpoint, EndpointId, Filter, Health, Options, Random, Request, SelectError, Selector,
    Strategy, Tag, Tags, Zone,
};
use trilane::time::Instant;

use crate::leak;

/// An endpoint as the oracle knows it.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// What the balancer calls it.
    pub handle: EndpointId,
    /// What the caller calls it.
    pub number: u64,
    /// Its weight.
    pub weight: u16,
    /// Whether it has the tag.
    pub tagged: bool,
    /// 0 or 1.
    pub zone: u8,
    /// As it was set last.
    pub health: Health,
    /// Whether it is switched on.
    pub enabled: bool,
}

impl Known {
    /// As it would be added.
    pub fn endpoint(&self) -> Endpoint {
        let tags = if self.tagged { Tags::NONE.with(TAG) } else { Tags::NONE };
        Endpoint::new(self.number)
            .weight(self.weight)
            .tags(tags)
            .zone(Zone::new(self.zone).unwrap_or_default())
            .enabled(self.enabled)
            .health(self.health)
    }

    /// Weight times what its health leaves of it, in quarters.
    pub fn due(&self) -> u64 {
        let quarters = match self.health {
            Health::Healthy => 4,
            Health::Degraded => 2,
            Health::Unknown => 1,
            _ => 0,
        };
        if self.enabled { self.weight as u64 * quarters } else { 0 }
    }
}

const TAG: Tag = Tag::of::<3>();

/// What a class of the tests asks for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Asks {
    /// Nothing.
    Anything,
    /// The tag.
    Tagged,
    /// The tag, in zone 1 and nowhere else.
    TaggedInZone1,
}

impl Asks {
    /// All of these.
    pub const ALL: [Self; 3] = [Self::Anything, Self::Tagged, Self::TaggedInZone1];

    /// The filter that says so.
    pub fn filter(self) -> Filter {
        let tagged = Filter::ANY.tags(Tags::NONE.with(TAG));
        match self {
            Self::Anything => Filter::ANY,
            Self::Tagged => tagged,
            Self::TaggedInZone1 => tagged.prefer(Zone::of::<1>()).unwrap_or_default().confined(),
        }
    }

    fn admits(self, known: &Known) -> bool {
        match self {
            Self::Anything => true,
            Self::Tagged => known.tagged,
            Self::TaggedInZone1 => known.tagged && known.zone == 1,
        }
    }
}

/// A selector that is never freed, with the classes of [`Asks::ALL`].
pub type Chooser<S, const BANKS: usize, const PER_BANK: usize> =
    Selector<&'static Balancer<S, BANKS, PER_BANK, 2>, S, BANKS, PER_BANK, 2, 3>;

/// A balancer and what is known of it.
pub struct World<S: 'static, const BANKS: usize, const PER_BANK: usize> {
    /// The balancer, which is never freed.
    pub balancer: &'static Balancer<S, BANKS, PER_BANK, 2>,
    /// Its members.
    pub known: Vec<Known>,
    next: u64,
}

impl<S: Strategy<BANKS, PER_BANK, 2>, const BANKS: usize, const PER_BANK: usize> World<S, BANKS, PER_BANK> {
    /// One without endpoints.
    pub fn new(strategy: S) -> Self {
        let balancer = leak(Balancer::new(strategy, Options::new().route_unknown(true)));
        Self { balancer, known: Vec::new(), next: 1_000 }
    }

    /// One with an endpoint of each weight.
    pub fn with(strategy: S, weights: &[u16]) -> Self {
        let mut world = Self::new(strategy);
        weights.iter().for_each(|&weight| world.add(weight));
        world
    }

    /// A selector with all three classes.
    pub fn chooser(&self, seed: u64) -> Chooser<S, BANKS, PER_BANK> {
        let mut chooser = Selector::new(self.balancer, seed).unwrap_or_else(|error| panic!("{error}"));
        for asks in Asks::ALL {
            chooser.class(asks.filter()).unwrap_or_else(|error| panic!("{error}"));
        }
        chooser
    }

    /// The class of it.
    pub fn class(&self, chooser: &mut Chooser<S, BANKS, PER_BANK>, asks: Asks) -> Class {
        chooser.class(asks.filter()).unwrap_or_else(|error| panic!("{error}"))
    }

    /// A healthy endpoint of this weight.
    pub fn add(&mut self, weight: u16) {
        self.next += 1;
        let known = Known {
            handle: EndpointId::from_key(trilane::id::Key::new(0, 0)),
            number: self.next,
            weight,
            tagged: !self.next.is_multiple_of(3),
            zone: (self.next % 2) as u8,
            health: Health::Healthy,
            enabled: true,
        };
        let handle = self.balancer.add(&known.endpoint(), Instant::ZERO).unwrap_or_else(|e| panic!("{e}"));
        self.known.push(Known { handle, ..known });
    }

    /// Removes one.
    pub fn remove(&mut self, at: usize) {
        let known = self.known.swap_remove(at);
        self.balancer.remove(known.handle, Instant::ZERO).unwrap_or_else(|error| panic!("{error}"));
    }

    /// Sets the health of one.
    pub fn set_health(&mut self, at: usize, health: Health) {
        self.known[at].health = health;
        let handle = self.known[at].handle;
        self.balancer.set_health(handle, health, Instant::ZERO).unwrap_or_else(|error| panic!("{error}"));
    }

    /// Some change: an endpoint comes, goes, weighs otherwise, is switched, or feels otherwise.
    pub fn change(&mut self, random: &mut Random) {
        let room = self.known.len() < BANKS * PER_BANK;
        if self.known.is_empty() || (room && random.below(4) == 0) {
            let weight = match random.below(4) {
                0 => 1,
                1 => 65_535 - random.below(3) as u16,
                _ => random.below(200) as u16,
            };
            return self.add(weight);
        }
        let at = random.below(self.known.len() as u32) as usize;
        match random.below(6) {
            0 => self.remove(at),
            1 => {
                self.known[at].weight = random.below(300) as u16;
                self.known[at].enabled = random.below(5) != 0;
                let known = self.known[at];
                let updated = self.balancer.update(known.handle, &known.endpoint(), Instant::ZERO);
                updated.unwrap_or_else(|error| panic!("{error}"));
            }
            2 => self.set_health(at, Health::Degraded),
            3 => self.set_health(at, Health::Unknown),
            4 => self.set_health(at, Health::Unhealthy),
            _ => self.set_health(at, Health::Healthy),
        }
    }

    /// Those that may serve, by slot.
    pub fn eligible(&self, asks: Asks) -> Vec<Known> {
        let mut eligible: Vec<_> =
            self.known.iter().copied().filter(|known| known.due() != 0 && asks.admits(known)).collect();
        eligible.sort_by_key(|known| known.handle.slot());
        eligible
    }
}

/// How often each of `those` was picked in `selects` selects whose leases end at once; panics on any other
/// pick.
pub fn count<S: Strategy<BANKS, PER_BANK, 2>, const BANKS: usize, const PER_BANK: usize>(
    chooser: &mut Chooser<S, BANKS, PER_BANK>,
    request: &Request<'_>,
    those: &[Known],
    selects: u64,
) -> Vec<u64> {
    let mut counts = vec![0; those.len()];
    for _ in 0..selects {
        match chooser.select(request, Instant::ZERO) {
            Ok(lease) => {
                let at = those.iter().position(|known| known.handle == lease.endpoint());
                counts[at.unwrap_or_else(|| panic!("{:?} is not eligible", lease.endpoint()))] += 1;
            }
            Err(error) => {
                assert!(those.is_empty(), "{error} with {those:?}");
                assert!(!matches!(error, SelectError::AllAtCapacity), "{error}");
            }
        }
    }
    counts
}

/// Panics if `counts` are so far from what is due to each `due` that chance makes it so once in about 100,000
/// times: Pearson's chi-square against the limit of Wilson and Hilferty, 4.3 standard deviations.
pub fn assert_shares(counts: &[u64], due: &[u64]) {
    assert_eq!(counts.len(), due.len());
    if counts.len() < 2 {
        return;
    }
    let (all, sum) = (counts.iter().sum::<u64>() as f64, due.iter().sum::<u64>() as f64);
    let chi_square: f64 = counts
        .iter()
        .zip(due)
        .map(|(&seen, &due)| {
            let expected = all * due as f64 / sum;
            (seen as f64 - expected).powi(2) / expected
        })
        .sum();
    let free = (counts.len() - 1) as f64;
    let limit = free * (1.0 - 2.0 / (9.0 * free) + 4.3 * (2.0 / (9.0 * free)).sqrt()).powi(3);
    assert!(chi_square < limit, "chi-square {chi_square:.1} of at most {limit:.1}: {counts:?} for {due:?}");
}
