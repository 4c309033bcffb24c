//! What can go wrong, one type an operation.

use core::fmt;

use crate::route::EndpointId;
use crate::time::Instant;

/// Why no endpoint was selected. Each kind is counted in [`Totals`](crate::route::Totals).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SelectError {
    /// There are no endpoints.
    Empty,
    /// No endpoint has all the tags (or is in the tier) that the request asks for.
    NoTagMatch,
    /// None of those with the tags is in a zone that the request is confined to.
    NoZoneMatch,
    /// All that match are disabled, drained or unhealthy.
    AllUnhealthy,
    /// All healthy ones that match are kept out by their breakers.
    AllBreakersOpen {
        /// When the first of them admits a probe, at the latest: a probe that is out may succeed before.
        retry_at: Instant,
    },
    /// All that could serve have as many leases as they may have.
    AllAtCapacity,
    /// All that could serve have been tried by this request already.
    AllTried,
    /// The request's class is another selector's, or was freed.
    ForeignClass,
}

impl SelectError {
    /// How many kinds there are.
    pub const KINDS: usize = 8;

    /// The number of its kind, 0 to [`KINDS`](Self::KINDS) - 1: the order of [`ErrorCounts::iter`].
    pub const fn kind(self) -> usize {
        match self {
            Self::Empty => 0,
            Self::NoTagMatch => 1,
            Self::NoZoneMatch => 2,
            Self::AllUnhealthy => 3,
            Self::AllBreakersOpen { .. } => 4,
            Self::AllAtCapacity => 5,
            Self::AllTried => 6,
            Self::ForeignClass => 7,
        }
    }
}

/// Failed selects, counted by kind. Counts wrap.
///
/// # Examples
///
/// ```
/// use trilane::route::{Balancer, Options, Request, RoundRobin};
/// use trilane::time::Instant;
///
/// let balancer: Balancer<RoundRobin, 1, 4> = Balancer::new(RoundRobin, Options::new());
/// let mut selector = balancer.selector::<1>(7)?;
/// let error = selector.select(&Request::ANY, Instant::ZERO).unwrap_err();
/// let errors = balancer.totals().errors;
/// assert_eq!((errors.empty, errors.total(), errors.of(error)), (1, 1, 1));
/// for (name, count) in errors.iter().filter(|(_, count)| *count > 0) {
///     println!("{name} {count}");
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct ErrorCounts {
    /// [`SelectError::Empty`].
    pub empty: usize,
    /// [`SelectError::NoTagMatch`].
    pub no_tag_match: usize,
    /// [`SelectError::NoZoneMatch`].
    pub no_zone_match: usize,
    /// [`SelectError::AllUnhealthy`].
    pub all_unhealthy: usize,
    /// [`SelectError::AllBreakersOpen`].
    pub all_breakers_open: usize,
    /// [`SelectError::AllAtCapacity`].
    pub all_at_capacity: usize,
    /// [`SelectError::AllTried`].
    pub all_tried: usize,
    /// [`SelectError::ForeignClass`].
    pub foreign_class: usize,
}

impl ErrorCounts {
    const NAMES: [&str; SelectError::KINDS] = [
        "empty",
        "no tag match",
        "no zone match",
        "all unhealthy",
        "all breakers open",
        "all at capacity",
        "all tried",
        "foreign class",
    ];

    /// By kind.
    pub(in crate::route) const fn from_kinds(counts: [usize; SelectError::KINDS]) -> Self {
        let [
            empty,
            no_tag_match,
            no_zone_match,
            all_unhealthy,
            all_breakers_open,
            all_at_capacity,
            all_tried,
            foreign_class,
        ] = counts;
        Self {
            empty,
            no_tag_match,
            no_zone_match,
            all_unhealthy,
            all_breakers_open,
            all_at_capacity,
            all_tried,
            foreign_class,
        }
    }

    const fn kinds(&self) -> [usize; SelectError::KINDS] {
        [
            self.empty,
            self.no_tag_match,
            self.no_zone_match,
            self.all_unhealthy,
            self.all_breakers_open,
            self.all_at_capacity,
            self.all_tried,
            self.foreign_class,
        ]
    }

    /// The name of each kind, in lower case, words apart, and how often it was.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, usize)> {
        Self::NAMES.into_iter().zip(self.kinds())
    }

    /// How often there was an error of this kind.
    pub const fn of(&self, error: SelectError) -> usize {
        self.kinds()[error.kind()]
    }

    /// How many failed in all.
    pub fn total(&self) -> usize {
        self.kinds().iter().fold(0, |sum, count| sum.wrapping_add(*count))
    }
}

impl fmt::Display for SelectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("there are no endpoints: add one"),
            Self::NoTagMatch => f.write_str("no endpoint has the tags and tier asked for: ask for fewer"),
            Self::NoZoneMatch => {
                f.write_str("no matching endpoint is in the zones asked for: prefer them instead")
            }
            Self::AllUnhealthy => f.write_str("all matching endpoints are disabled, drained or unhealthy"),
            Self::AllBreakersOpen { retry_at } => {
                write!(
                    f,
                    "the breakers of all matching endpoints are open: retry at {} ms",
                    retry_at.as_millis()
                )
            }
            Self::AllAtCapacity => {
                f.write_str("all matching endpoints are at capacity: retry when a lease has ended")
            }
            Self::AllTried => f.write_str("this request has been sent to all matching endpoints: give it up"),
            Self::ForeignClass => {
                f.write_str("the class is of another selector: make one with this selector")
            }
        }
    }
}

impl core::error::Error for SelectError {}

/// Why an endpoint was not added. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum AddError {
    /// All slots are taken, by members or by removed ones that still have leases out.
    Full,
    /// There is a member with this number: change it with
    /// [`Balancer::update`](crate::route::Balancer::update).
    Exists(EndpointId),
    /// A cap of 0 would admit nothing: use weight 0 to drain.
    ZeroCap,
}

impl fmt::Display for AddError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("all slots are taken: remove one, or give the balancer more banks"),
            Self::Exists(id) => write!(f, "the endpoint is a member already, as {id:?}: update it instead"),
            Self::ZeroCap => f.write_str("a cap of 0 admits nothing: use weight 0 to drain"),
        }
    }
}

impl core::error::Error for AddError {}

/// Why an endpoint was not changed. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum UpdateError {
    /// It has been removed.
    Stale,
    /// The number of an endpoint is its identity: remove it and add another.
    OtherId,
    /// A cap of 0 would admit nothing: use weight 0 to drain.
    ZeroCap,
}

impl fmt::Display for UpdateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stale => "the endpoint has been removed: drop the handle",
            Self::OtherId => "an endpoint's number can't be changed: remove it and add another",
            Self::ZeroCap => "a cap of 0 admits nothing: use weight 0 to drain",
        })
    }
}

impl core::error::Error for UpdateError {}

/// All stripes have a selector: give the balancer more, by the last parameter of its type, `STRIPES`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct TooManySelectors;

impl fmt::Display for TooManySelectors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "each of the balancer's stripes has a selector: raise STRIPES, the last parameter of \
             Balancer<S, BANKS, PER_BANK, STRIPES>, which is 1 if it isn't given",
        )
    }
}

impl core::error::Error for TooManySelectors {}

/// The selector has no room for another class, or the balancer none for another filter
/// ([`MAX_FILTERS`](crate::route::MAX_FILTERS)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct TooManyClasses;

impl fmt::Display for TooManyClasses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "the classes are used up: free one, give the selector more, or use fewer different filters",
        )
    }
}

impl core::error::Error for TooManyClasses {}
