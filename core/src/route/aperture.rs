//! Fleets of more endpoints than a balancer holds: each client has a part of them, and all parts together
//! load every endpoint alike.
//!
//! # How
//!
//! The endpoints stand in an order on a ring. With *K* clients and *N* endpoints the ring is cut into *K*
//! arcs of *N* / *K* endpoints, and a client has *m* neighbouring arcs, as the next one has from one arc
//! further on. So every point of the ring belongs to exactly *m* clients. Arcs end inside of endpoints; such
//! an endpoint counts by the part that the arc covers. This is the deterministic aperture of Finagle
//! ("Deterministic Aperture: A distributed, load balancing algorithm", Twitter's engineering blog, 2019).
//! Dealing out whole subsets (Beyer et al., "Site Reliability Engineering", O'Reilly 2016, chapter 20) loads
//! some endpoints by one client more than others.
//!
//! # The order
//!
//! Sorted by their numbers, all endpoints of a client might stand in one rack. In an order by a hash, nobody
//! could say which endpoint is the 1,000th without sorting them all. Here the order is a binary tree: of each
//! two endpoints that come to a node, one goes left and the other right, and a coin says which. The coin is a
//! hash of the seed, the node and the pair. So the number of endpoints below any node follows from the number
//! of those that came to the root, and both questions (who is at a rank, which rank has a number) are one way
//! down. One endpoint more is one more leaf; nobody else changes places.

use core::fmt;

use super::config::random::splitmix64;

/// The most endpoints of a [`Fleet`].
pub const MAX_FLEET: u64 = 1 << 32;

/// All endpoints there are, numbered from 0, of which a client takes an [`Aperture`].
///
/// The numbers are positions in the caller's own list. One that joins gets the next number; when one leaves,
/// the last takes its number (`swap_remove`). All clients use the same seed and the same list.
///
/// # What is even
///
/// Of apertures with numbers ([`aperture`](Self::aperture)), one for each client:
///
/// - the [parts](Share::part) of an endpoint add up to the same number for all endpoints, exactly;
/// - an endpoint is in so many apertures as every other one, or in one more;
/// - all apertures have the same size in parts, and at most the endpoints asked for: more than these less 1
///   less *N* / *K*.
///
/// With [weights](Share::weight) of whole numbers, the loads of any two endpoints differ by at most
/// 2 / `full` of their mean, if each client brings the same load.
///
/// # What changes
///
/// When one endpoint joins or leaves, an aperture gets and loses at most two each, the one that joined or
/// left included; the endpoint that takes the number of one that left is another endpoint for those who had
/// it. When there is one client more or less, it gets and loses at most (*N* + `most`) / *K* + 2 each.
/// Besides, when that changes how many clients an endpoint has, each aperture gets or loses *N* / *K*
/// endpoints at its end. On average, for 1,000 clients with 100 of 10,000 endpoints each: one endpoint more
/// changes 1.0 of an aperture's 100 memberships, one client more 9.0 of them.
///
/// # Examples
///
/// A fleet of 20,000 endpoints, of which client 7 of 500 takes at most 128:
///
/// ```
/// use trilane::route::{Aperture, Balancer, Endpoint, Fleet, Options, WeightedRoundRobin};
/// use trilane::time::Instant;
///
/// type Endpoints = Balancer<WeightedRoundRobin, 4>;
///
/// /// Makes the balancer's members those of the aperture; `addresses` is the fleet.
/// fn follow(balancer: &Endpoints, aperture: &Aperture, addresses: &[u64], now: Instant) {
///     // Who is no longer in it goes first: that makes room.
///     let stays = |id| {
///         let address = balancer.endpoint(id).ok()?.number();
///         aperture.share(addresses.iter().position(|&other| other == address)? as u32)
///     };
///     for id in balancer.members() {
///         if stays(id).is_none() {
///             drop(balancer.remove(id, now));
///         }
///     }
///     for share in aperture.shares() {
///         let address = addresses[share.endpoint() as usize];
///         let endpoint = Endpoint::new(address).weight(share.weight(100));
///         match balancer.find(address) {
///             Some(id) => drop(balancer.update(id, &endpoint, now)),
///             None => drop(balancer.add(&endpoint, now)),
///         }
///     }
/// }
///
/// static BALANCER: Endpoints = Balancer::new(WeightedRoundRobin, Options::new());
/// let mut addresses: Vec<u64> = (0..20_000).map(|host| 0x0a00_0000 + host).collect();
/// let fleet = Fleet::new(addresses.len() as u64, 0x5eed)?;
/// let aperture = fleet.aperture(7, 500, 128)?;
/// follow(&BALANCER, &aperture, &addresses, Instant::ZERO);
/// assert_eq!(BALANCER.totals().members, aperture.len());
///
/// // An endpoint leaves: at most two come and two go, and whoever has the last one sees it move.
/// addresses.swap_remove(4_711);
/// let aperture = Fleet::new(addresses.len() as u64, 0x5eed)?.aperture(7, 500, 128)?;
/// follow(&BALANCER, &aperture, &addresses, Instant::ZERO);
/// assert_eq!(BALANCER.totals().members, aperture.len());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Fleet(Order);

impl Fleet {
    /// A fleet of so many endpoints, up to [`MAX_FLEET`]. O(1).
    ///
    /// # Errors
    ///
    /// [`ApertureError::NoEndpoints`] for 0, [`ApertureError::TooManyEndpoints`].
    pub const fn new(endpoints: u64, seed: u64) -> Result<Self, ApertureError> {
        match endpoints {
            0 => Err(ApertureError::NoEndpoints),
            1..=MAX_FLEET => Ok(Self(Order::new(endpoints, seed))),
            _ => Err(ApertureError::TooManyEndpoints),
        }
    }

    /// What client number `client` (from 0) of `clients` has, at most `most` endpoints. All of them, if the
    /// fleet is no larger than that. O(log `clients`).
    ///
    /// Clients whose numbers are near, which often share a host, have different endpoints.
    ///
    /// # Errors
    ///
    /// - [`ApertureError::NoSuchClient`] unless `client` is below `clients`.
    /// - [`ApertureError::TooFew`] when the clients can't reach all endpoints with `most` each; it says with
    ///   how many they could.
    pub const fn aperture(self, client: u32, clients: u32, most: u16) -> Result<Aperture, ApertureError> {
        if client >= clients {
            return Err(ApertureError::NoSuchClient);
        }
        let (endpoints, clients) = (self.0.len, clients as u64);
        if endpoints <= most as u64 {
            return Ok(self.whole());
        }
        // An endpoint has a length of `clients`, an arc one of `endpoints`, and the ring their product, which
        // is below 2^64. An aperture begins anywhere in an endpoint, so one endpoint is kept back.
        let overlap = (most as u64).saturating_sub(1) * clients / endpoints;
        if overlap == 0 {
            let least = endpoints.div_ceil(clients) + 1;
            return Err(ApertureError::TooFew { least: if least < endpoints { least } else { endpoints } });
        }
        let start = Order::new(clients, !self.0.seed).rank(client) * endpoints;
        Ok(Aperture {
            order: self.0,
            first: start / clients,
            skipped: start % clients,
            length: overlap * endpoints,
            each: clients as u32,
        })
    }

    /// What a client has that knows neither its number nor how many there are: `most` endpoints, or all of
    /// them if there are no more. O(1).
    ///
    /// Here chance rules: of *K* clients with seeds of their own, *K* `most` / *N* have an endpoint on
    /// average, and the square root of that is the standard deviation. Few clients leave endpoints without
    /// any. When one endpoint joins or leaves, two come and two go at most.
    ///
    /// # Errors
    ///
    /// [`ApertureError::TooFew`] for 0.
    pub const fn random_aperture(self, seed: u64, most: u16) -> Result<Aperture, ApertureError> {
        if most == 0 {
            return Err(ApertureError::TooFew { least: 1 });
        }
        if self.0.len <= most as u64 {
            return Ok(self.whole());
        }
        // The order of the fleet and the place in it must not depend on each other, whatever the seeds are.
        let place = splitmix64(splitmix64(seed) ^ self.0.seed) >> 32;
        Ok(Aperture { first: (place * self.0.len) >> 32, length: most as u64, ..self.whole() })
    }

    const fn whole(self) -> Aperture {
        Aperture { order: self.0, first: 0, skipped: 0, length: self.0.len, each: 1 }
    }
}

/// The part of a [`Fleet`] that one client has.
///
/// It holds no list: 48 bytes, from which the endpoints are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Aperture {
    order: Order,
    /// The rank that it begins at.
    first: u64,
    /// The part of that endpoint which isn't its own.
    skipped: u64,
    /// How many parts it has in all.
    length: u64,
    /// How many parts an endpoint has.
    each: u32,
}

impl Aperture {
    /// How many endpoints it has: at least 1, at most those asked for. O(1).
    pub const fn len(&self) -> u32 {
        (self.skipped + self.length).div_ceil(self.each as u64) as u32
    }

    /// Whether it has none, which doesn't happen.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its endpoints, each once. O(log N) each.
    pub fn shares(&self) -> impl Iterator<Item = Share> {
        let aperture = *self;
        (0..self.len() as u64).map(move |at| aperture.share_at(at))
    }

    /// Its share of the endpoint with this number; `None` when it has none, or there is no such endpoint.
    /// O(log N).
    pub const fn share(&self, endpoint: u32) -> Option<Share> {
        let fleet = self.order.len;
        if endpoint as u64 >= fleet {
            return None;
        }
        let rank = self.order.rank(endpoint);
        let at = if rank >= self.first { rank - self.first } else { rank + fleet - self.first };
        if at < self.len() as u64 { Some(self.share_at(at)) } else { None }
    }

    /// Its share of the endpoint `at` places after the first.
    const fn share_at(&self, at: u64) -> Share {
        let each = self.each as u64;
        let (begin, end) = (at * each, at * each + each);
        let before = self.skipped.saturating_sub(begin);
        let after = end.saturating_sub(self.skipped + self.length);
        let endpoint = self.order.at((self.first + at) % self.order.len);
        Share { endpoint, part: (each - before - after) as u32, of: self.each }
    }
}

/// An endpoint of an [`Aperture`], and how much of it is the client's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Share {
    endpoint: u32,
    part: u32,
    of: u32,
}

impl Share {
    /// Its number in the fleet.
    pub const fn endpoint(self) -> u32 {
        self.endpoint
    }

    /// How much of it: the numerator, at least 1, and the denominator, the same for all shares of all clients
    /// (but where a fleet is no larger than an aperture).
    pub const fn part(self) -> (u32, u32) {
        (self.part, self.of)
    }

    /// The weight for [`Endpoint::weight`](super::Endpoint::weight) of an endpoint that has weight `full` for
    /// a client to whom it belongs wholly: to the nearest number, but at least 1, since 0 drains it (and 0
    /// for a `full` of 0). The greater `full`, the more even: 100 is within 2 %.
    pub const fn weight(self, full: u16) -> u16 {
        let weight = (self.part as u64 * full as u64 + self.of as u64 / 2) / self.of as u64;
        if weight == 0 && full != 0 { 1 } else { weight as u16 }
    }
}

/// Why there is no such aperture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ApertureError {
    /// The fleet has no endpoints.
    NoEndpoints,
    /// The fleet has more than [`MAX_FLEET`] endpoints.
    TooManyEndpoints,
    /// Clients are numbered from 0: the last number is one less than there are clients.
    NoSuchClient,
    /// So few endpoints a client would leave endpoints without any client.
    TooFew {
        /// So many are enough.
        least: u64,
    },
}

impl fmt::Display for ApertureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoEndpoints => f.write_str("the fleet has no endpoints: wait until there is one"),
            Self::TooManyEndpoints => {
                f.write_str("a fleet has at most 2^32 endpoints: divide it by zone, one fleet each")
            }
            Self::NoSuchClient => {
                f.write_str("there is no client of this number: number them from 0, below how many there are")
            }
            Self::TooFew { least } => {
                write!(f, "some endpoints would have no client: let each client have {least}")
            }
        }
    }
}

impl core::error::Error for ApertureError {}

/// The numbers below `len` in an order that depends on a seed.
///
/// A node of its tree is named as in a heap: 1, and 2 *n* and 2 *n* + 1 below *n*. At each node those that
/// came there are numbered anew, from 0, in the order of their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
struct Order {
    len: u64,
    seed: u64,
}

impl Order {
    const fn new(len: u64, seed: u64) -> Self {
        Self { len, seed: splitmix64(seed) }
    }

    /// Where the first of a pair goes at a node: 0 is left. A node with a pair is below 2^32, and the number
    /// of a pair below 2^31.
    const fn coin(self, node: u64, pair: u64) -> u64 {
        splitmix64(self.seed ^ (node << 31 | pair)) & 1
    }

    /// How many of `len` at a node go left.
    const fn left(self, node: u64, len: u64) -> u64 {
        let pairs = len >> 1;
        pairs + (len & 1 & (self.coin(node, pairs) ^ 1))
    }

    /// The number at `rank`, which is below `len`. O(log len).
    const fn at(self, mut rank: u64) -> u32 {
        let (mut node, mut len) = (1, self.len);
        while len > 1 {
            let left = self.left(node, len);
            let right = rank >= left;
            (rank, len) = if right { (rank - left, len - left) } else { (rank, left) };
            node = node << 1 | right as u64;
        }
        // The only one at its node has number 0 there.
        let mut number = 0;
        while node > 1 {
            let side = node & 1;
            node >>= 1;
            number = number << 1 | (side ^ self.coin(node, number));
        }
        number as u32
    }

    /// The rank of `number`, which is below `len`. O(log len).
    const fn rank(self, number: u32) -> u64 {
        let (mut node, mut len, mut number, mut rank) = (1, self.len, number as u64, 0);
        while len > 1 {
            let left = self.left(node, len);
            let side = (number & 1) ^ self.coin(node, number >> 1);
            (rank, len) = if side == 1 { (rank + left, len - left) } else { (rank, left) };
            (node, number) = (node << 1 | side, number >> 1);
        }
        rank
    }
}
