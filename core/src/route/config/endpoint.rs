//! What an endpoint is: its number, weight, place, tags and capacity.

use core::fmt;
use core::str::FromStr;

use crate::bitmap::Bits;
use crate::id::Key;

/// How many tags there are: numbers 0 to 31.
pub const TAGS: usize = 32;
/// How many zones there are: numbers 0 to 15.
pub const ZONES: usize = 16;
/// How many tiers there are: numbers 0 to 7.
pub const TIERS: usize = 8;
/// How many sources of health there are: numbers 0 to 7.
pub const SOURCES: usize = 8;

/// A member of a balancer: slot and generation.
///
/// It goes stale when the endpoint is removed; a stale handle is an error ([`Stale`](crate::id::Stale)),
/// never another endpoint that got the slot later. The slot also serves as an index into tables of the
/// caller's own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct EndpointId(pub(crate) Key);

impl EndpointId {
    /// The handle with this key; for tools that store keys outside. A made-up key is at worst stale.
    pub const fn from_key(key: Key) -> Self {
        Self(key)
    }

    /// Slot and generation.
    pub const fn key(self) -> Key {
        self.0
    }

    /// The slot, `bank * 32 + index`.
    pub const fn slot(self) -> u16 {
        self.0.slot
    }
}

impl fmt::Debug for EndpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A number that was out of range: there are fewer tags, zones, tiers or sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct OutOfRange {
    /// The number that was given.
    pub given: u8,
    /// The first number that doesn't exist.
    pub end: u8,
}

impl fmt::Display for OutOfRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} is out of range: number tags, zones, tiers and sources from 0, below {}",
            self.given, self.end
        )
    }
}

impl core::error::Error for OutOfRange {}

/// Why a text isn't the number of a tag, zone, tier or source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ParseNumberError {
    /// It isn't a decimal number up to 255.
    NotANumber,
    /// There are fewer.
    OutOfRange(OutOfRange),
}

impl fmt::Display for ParseNumberError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotANumber => f.write_str("tags, zones, tiers and sources are decimal numbers: write one"),
            Self::OutOfRange(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for ParseNumberError {}

macro_rules! small_number {
    ($(#[$doc:meta])* $name:ident, $end:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(feature = "defmt", derive(defmt::Format))]
        pub struct $name(u8);

        impl $name {
            #[doc = concat!("The ", $what, " of this number.")]
            ///
            /// # Errors
            ///
            #[doc = concat!("[`OutOfRange`] from [`", stringify!($end), "`] on.")]
            pub const fn new(number: u8) -> Result<Self, OutOfRange> {
                if (number as usize) < $end {
                    Ok(Self(number))
                } else {
                    Err(OutOfRange { given: number, end: $end as u8 })
                }
            }

            #[doc = concat!("The same for a number that is known when the program is compiled: a ", $what)]
            /// that doesn't exist is then a compile error.
            pub const fn of<const NUMBER: u8>() -> Self {
                const { assert!((NUMBER as usize) < $end, "tags are 0 to 31, zones 0 to 15, tiers and sources 0 to 7") }
                Self(NUMBER)
            }

            #[doc = concat!("Every ", $what, ", the lowest number first.")]
            pub fn all() -> impl Iterator<Item = Self> {
                (0..$end as u8).map(Self)
            }

            /// Its number.
            pub const fn number(self) -> u8 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = ParseNumberError;

            /// By its number.
            fn from_str(number: &str) -> Result<Self, ParseNumberError> {
                let number = number.parse().map_err(|_| ParseNumberError::NotANumber)?;
                Self::new(number).map_err(ParseNumberError::OutOfRange)
            }
        }
    };
}

small_number! {
    /// Something an endpoint has and a request may ask for: a version, a role, a feature. Strings are
    /// interned to numbers outside.
    Tag, TAGS, "tag"
}
small_number! {
    /// Where an endpoint is: a rack, a data centre, a bus.
    Zone, ZONES, "zone"
}
small_number! {
    /// An order of precedence: tier 0 serves while it can, then tier 1.
    Tier, TIERS, "tier"
}

small_number! {
    /// Who says how an endpoint is: a health check, an operator, the endpoint itself. The worst counts.
    Source, SOURCES, "source"
}

impl Zone {
    #[inline(always)]
    pub(crate) const fn index(self) -> usize {
        self.0 as usize % ZONES
    }
}

impl Tier {
    #[inline(always)]
    pub(crate) const fn index(self) -> usize {
        self.0 as usize % TIERS
    }
}

/// A set of tags.
///
/// # Examples
///
/// ```
/// use trilane::route::{Tag, Tags};
///
/// const GPU: Tag = Tag::of::<0>();
/// const FAST: Tag = Tag::of::<1>();
/// let both = Tags::NONE.with(GPU).with(FAST);
/// assert!(both.contains(Tags::NONE.with(FAST)));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Tags(u32);

impl Tags {
    /// No tag.
    pub const NONE: Self = Self(0);

    /// These and `tag`.
    pub const fn with(self, tag: Tag) -> Self {
        Self(self.0 | 1 << tag.0)
    }

    /// Whether all of `others` are among these.
    pub const fn contains(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }

    /// One bit a tag.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Each of them, the lowest number first.
    pub fn iter(self) -> impl Iterator<Item = Tag> {
        Bits(self.0).map(|number| Tag(number as u8))
    }

    pub(crate) const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }
}

impl FromIterator<Tag> for Tags {
    fn from_iter<I: IntoIterator<Item = Tag>>(tags: I) -> Self {
        tags.into_iter().fold(Self::NONE, Self::with)
    }
}

/// How an endpoint is, as health checks or an operator see it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum Health {
    /// Gets its full weight.
    #[default]
    Healthy = 0,
    /// Gets half its weight.
    Degraded = 1,
    /// Gets a quarter of its weight, if unknown endpoints are routed to at all
    /// ([`Options::route_unknown`](crate::route::Options::route_unknown)).
    Unknown = 2,
    /// Gets nothing.
    Unhealthy = 3,
}

impl Health {
    /// All of them, the best first.
    pub const ALL: [Self; 4] = [Self::Healthy, Self::Degraded, Self::Unknown, Self::Unhealthy];

    /// In lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Unknown => "unknown",
            Self::Unhealthy => "unhealthy",
        }
    }

    /// The worst of what sources say, two bits each.
    pub(crate) const fn worst(bits: u32) -> Self {
        const LOW: u32 = 0x5555_5555;
        if bits & bits >> 1 & LOW != 0 {
            Self::Unhealthy
        } else if bits & LOW << 1 != 0 {
            Self::Unknown
        } else if bits != 0 {
            Self::Degraded
        } else {
            Self::Healthy
        }
    }

    /// What is left of the weight, in quarters.
    pub(crate) const fn quarters(self) -> u32 {
        match self {
            Self::Healthy => 4,
            Self::Degraded => 2,
            Self::Unknown => 1,
            Self::Unhealthy => 0,
        }
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// No health has this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct UnknownHealth;

impl fmt::Display for UnknownHealth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no health has this name; there are:")?;
        Health::ALL.iter().try_for_each(|health| write!(f, " \"{health}\""))
    }
}

impl core::error::Error for UnknownHealth {}

impl FromStr for Health {
    type Err = UnknownHealth;

    /// By its [`name`](Self::name), exactly.
    fn from_str(name: &str) -> Result<Self, UnknownHealth> {
        Self::ALL.into_iter().find(|health| health.name() == name).ok_or(UnknownHealth)
    }
}

/// What is said of an endpoint when it is added or changed.
///
/// # Examples
///
/// ```
/// use trilane::route::{Endpoint, Zone};
///
/// let endpoint = Endpoint::new(17).weight(3).zone(Zone::of::<1>()).cap(100);
/// assert_eq!((endpoint.number(), endpoint.get_weight(), endpoint.get_cap()), (17, 3, Some(100)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Endpoint {
    pub(crate) id: u64,
    pub(crate) weight: u16,
    pub(crate) tier: Tier,
    pub(crate) zone: Zone,
    pub(crate) tags: Tags,
    pub(crate) cap: Option<u32>,
    pub(crate) enabled: bool,
    pub(crate) health: Health,
}

impl Endpoint {
    /// An endpoint with the caller's number for it (an address, a hash of a name), weight 1, in zone 0 and
    /// tier 0, without tags or a cap, enabled and healthy.
    pub const fn new(id: u64) -> Self {
        Self {
            id,
            weight: 1,
            tier: Tier(0),
            zone: Zone(0),
            tags: Tags::NONE,
            cap: None,
            enabled: true,
            health: Health::Healthy,
        }
    }

    /// Its share relative to others', for the strategies that weigh. 0 drains it: it gets nothing new.
    pub const fn weight(self, weight: u16) -> Self {
        Self { weight, ..self }
    }

    /// Its tier.
    pub const fn tier(self, tier: Tier) -> Self {
        Self { tier, ..self }
    }

    /// Its zone.
    pub const fn zone(self, zone: Zone) -> Self {
        Self { zone, ..self }
    }

    /// Its tags.
    pub const fn tags(self, tags: Tags) -> Self {
        Self { tags, ..self }
    }

    /// The most leases it has at a time, exactly. 0 is an error when it is added: weight 0 drains.
    pub const fn cap(self, cap: u32) -> Self {
        Self { cap: Some(cap), ..self }
    }

    /// Whether it may get anything.
    pub const fn enabled(self, enabled: bool) -> Self {
        Self { enabled, ..self }
    }

    /// How it is when it is added. An update leaves it as it is.
    pub const fn health(self, health: Health) -> Self {
        Self { health, ..self }
    }

    /// The caller's number for it.
    pub const fn number(&self) -> u64 {
        self.id
    }

    /// Its [`weight`](Self::weight).
    pub const fn get_weight(&self) -> u16 {
        self.weight
    }

    /// Its [`tier`](Self::tier).
    pub const fn get_tier(&self) -> Tier {
        self.tier
    }

    /// Its [`zone`](Self::zone).
    pub const fn get_zone(&self) -> Zone {
        self.zone
    }

    /// Its [`tags`](Self::tags).
    pub const fn get_tags(&self) -> Tags {
        self.tags
    }

    /// Its [`cap`](Self::cap), if it has one.
    pub const fn get_cap(&self) -> Option<u32> {
        self.cap
    }

    /// Whether it is [`enabled`](Self::enabled).
    pub const fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// Its [`health`](Self::health).
    pub const fn get_health(&self) -> Health {
        self.health
    }
}
