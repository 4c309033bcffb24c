//! What an event is routed by, when events that belong together are to meet the same endpoint.
//!
//! A [`RoutingKey`] is a 64-bit hash of whatever the caller means by "the same": XXH3-64 of its bytes, so
//! that equal bytes have equal keys on every target and in every other program that knows XXH3. The tables
//! want 32 bits, evenly spread: [`RoutingKey::place`]. Where the endpoint found there can't take the event,
//! [`rehash`] says where to look next.

use xxhash_rust::xxh3::xxh3_64;

/// The fractional part of the golden ratio in 32 bits, to the nearest odd number. Multiples of it lie far
/// apart.
const GOLDEN: u32 = 0x9E37_79B9;

/// The hash by which an event is placed on a hash table.
///
/// # Examples
///
/// ```
/// use trilane::route::RoutingKey;
///
/// let key = RoutingKey::new(b"device 4711");
/// assert_eq!(key, RoutingKey::new(b"device 4711"));
/// assert_eq!(RoutingKey::new(b"").hash(), 0x2d06_8005_38d3_94c2); // XXH3-64 of nothing.
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct RoutingKey(u64);

impl RoutingKey {
    /// The key of `bytes`: their XXH3-64 with seed 0 (Collet, <https://github.com/Cyan4973/xxHash>).
    /// O(length).
    ///
    /// The code for all lengths takes 5.7 KB of a Cortex-M3's flash, and 174 to 287 instructions for 4 to 64
    /// bytes; [`from_id`](Self::from_id) takes 180 bytes and 55 instructions, with [`place`](Self::place).
    #[inline]
    pub fn new(bytes: &[u8]) -> Self {
        Self(xxh3_64(bytes))
    }

    /// The key of a number, such as the id of a user or a device: XXH3-64 of its eight bytes, little end
    /// first. This is the same key as [`new`](Self::new) of those bytes, and links no code for longer input.
    #[inline]
    pub fn from_id(id: u64) -> Self {
        Self(xxh3_64(&id.to_le_bytes()))
    }

    /// The key of something that is hashed already.
    ///
    /// Equal hashes are equal keys. Two hashes which differ anywhere are placed apart, a poor hash or a plain
    /// counter included, unless they share the 32 bits of [`place`](Self::place), as one pair in 2^32 does.
    #[inline]
    pub const fn from_hash(hash: u64) -> Self {
        Self(hash)
    }

    /// The hash itself.
    #[inline]
    pub const fn hash(self) -> u64 {
        self.0
    }

    /// Where the key lies on a table: all 64 bits folded to 32 and mixed, so that counters spread as well as
    /// hashes.
    #[inline]
    pub const fn place(self) -> u32 {
        mix((self.0 as u32).wrapping_add(((self.0 >> 32) as u32).wrapping_mul(GOLDEN)))
    }
}

/// The keys that an event may carry, the most specific first.
///
/// # Examples
///
/// ```
/// use trilane::route::{Keys, RoutingKey};
///
/// let session = RoutingKey::new(b"session 9");
/// let keys = Keys { session: Some(session), request: Some(RoutingKey::from_id(1)), ..Keys::default() };
/// assert_eq!(keys.key(), Some(session));
/// assert_eq!(Keys::default().key(), None);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Keys {
    /// What the caller says the event belongs to.
    pub routing: Option<RoutingKey>,
    /// The session that it is part of.
    pub session: Option<RoutingKey>,
    /// The request that it answers or repeats.
    pub request: Option<RoutingKey>,
}

impl Keys {
    /// The key that counts: the routing key, else the session's, else the request's.
    #[inline]
    pub const fn key(self) -> Option<RoutingKey> {
        match (self.routing, self.session) {
            (Some(key), _) | (None, Some(key)) => Some(key),
            (None, None) => self.request,
        }
    }
}

impl From<RoutingKey> for Keys {
    /// A routing key and nothing else.
    fn from(key: RoutingKey) -> Self {
        Self { routing: Some(key), ..Self::default() }
    }
}

/// The place to look at in try number `attempt`, when the endpoints found at `place` and in the tries before
/// can't be had.
///
/// The keys of an endpoint that is out are so spread over all the others, and come back when it does; its
/// neighbour alone does not get them all. For each `attempt` this is a bijection of the 32-bit numbers:
/// places that differ stay apart. Two multiplications and no 64-bit arithmetic, which a Cortex-M0 has not.
///
/// # Examples
///
/// ```
/// use trilane::route::rehash;
///
/// assert_eq!(rehash(7, 1), 0x3fd9_abdb);
/// assert_ne!(rehash(7, 1), rehash(7, 2));
/// ```
#[inline]
pub const fn rehash(place: u32, attempt: u32) -> u32 {
    mix(place.wrapping_add(attempt.wrapping_mul(GOLDEN)))
}

/// lowbias32, the finaliser that Wellons' search for low avalanche bias found ("Prospecting for Hash
/// Functions", 2018, <https://nullprogram.com/blog/2018/07/31/>). A bijection with 0 at 0.
#[inline]
const fn mix(mut x: u32) -> u32 {
    x ^= x >> 16;
    x = x.wrapping_mul(0x7FEB_352D);
    x ^= x >> 15;
    x = x.wrapping_mul(0x846C_A68B);
    x ^ (x >> 16)
}
