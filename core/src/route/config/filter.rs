//! What a request asks of an endpoint.

use core::fmt;

use crate::route::{Tags, Tier, Zone};

/// The most zones a filter may name.
pub const MAX_FILTER_ZONES: usize = 4;

/// Which endpoints may serve a request, and which of them rather.
///
/// A [`Selector`](crate::route::Selector) makes a [`Class`] of it, whose candidates it then keeps.
///
/// # Examples
///
/// ```
/// use trilane::route::{Filter, Tag, Tags, Zone};
///
/// let filter = Filter::ANY.tags(Tags::NONE.with(Tag::of::<3>())).prefer(Zone::of::<0>()).unwrap();
/// ```
#[derive(Clone, Copy, Debug, Default, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Filter {
    pub(in crate::route) tags: Tags,
    pub(in crate::route) tier: Option<Tier>,
    pub(in crate::route) zones: [Zone; MAX_FILTER_ZONES],
    pub(in crate::route) zone_count: u8,
    pub(in crate::route) confined: bool,
}

impl Filter {
    /// Every endpoint, the lowest tier first.
    pub const ANY: Self = Self {
        tags: Tags::NONE,
        tier: None,
        zones: [Zone::of::<0>(); MAX_FILTER_ZONES],
        zone_count: 0,
        confined: false,
    };

    /// Those with all of `tags`.
    pub const fn tags(self, tags: Tags) -> Self {
        Self { tags, ..self }
    }

    /// Those in `tier` alone.
    pub const fn tier(self, tier: Tier) -> Self {
        Self { tier: Some(tier), ..self }
    }

    /// Rather those in `zone`; after the zones named before it. When none of the zones can serve, or when
    /// they have too much load, any other does. A zone that was named before stays where it is.
    ///
    /// # Errors
    ///
    /// [`TooManyZones`] after [`MAX_FILTER_ZONES`].
    pub const fn prefer(mut self, zone: Zone) -> Result<Self, TooManyZones> {
        let mut at = 0;
        while at < self.zone_count as usize {
            if self.zones[at].number() == zone.number() {
                return Ok(self);
            }
            at += 1;
        }
        if at >= MAX_FILTER_ZONES {
            return Err(TooManyZones);
        }
        self.zones[self.zone_count as usize] = zone;
        self.zone_count += 1;
        Ok(self)
    }

    /// Only those in the zones that were named; without one, this changes nothing.
    pub const fn confined(self) -> Self {
        Self { confined: true, ..self }
    }

    /// The [`tags`](Self::tags) that it asks for.
    pub const fn get_tags(&self) -> Tags {
        self.tags
    }

    /// The [`tier`](Self::tier) that it asks for, if it does.
    pub const fn get_tier(&self) -> Option<Tier> {
        self.tier
    }

    /// The zones that it [prefers](Self::prefer), in order.
    pub fn preferred(&self) -> &[Zone] {
        self.zones()
    }

    /// Whether it is [confined](Self::confined) to them.
    pub const fn is_confined(&self) -> bool {
        self.confined
    }

    pub(in crate::route) fn zones(&self) -> &[Zone] {
        self.zones.get(..self.zone_count as usize).unwrap_or(&[])
    }
}

impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        // Zones beyond the count are 0. As one word, they aren't compared one by one.
        let words = |filter: &Self| {
            let tier = filter.tier.map_or(u8::MAX, Tier::number);
            let rest = [tier, filter.zone_count, filter.confined as u8, 0];
            (filter.tags, u32::from_le_bytes(filter.zones.map(Zone::number)), u32::from_le_bytes(rest))
        };
        words(self) == words(other)
    }
}

/// The filter has named as many zones as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct TooManyZones;

impl fmt::Display for TooManyZones {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a filter names at most {MAX_FILTER_ZONES} zones: leave some to \"any\"")
    }
}

impl core::error::Error for TooManyZones {}

/// A filter that a selector knows: good for that selector, until it is
/// [freed](crate::route::Selector::free_class). With another selector it is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Class {
    /// A number that no other class has; 0 for the class that all selectors have.
    pub(in crate::route) key: u32,
    pub(in crate::route) index: u8,
}

impl Class {
    /// The class that every selector has: [`Filter::ANY`].
    pub const ANY: Self = Self { key: 0, index: 0 };
}
