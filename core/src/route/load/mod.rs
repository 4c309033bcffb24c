//! How loaded an endpoint is, for strategies that go where there is room.

pub(in crate::route) mod report;

use crate::route::state::bank::Sets;
use crate::route::state::latency::Reading;
use crate::route::state::record::Record;
use crate::route::state::view::View;

/// How loaded an endpoint is, apart from the leases that it has out: what
/// [`LeastCost`](crate::route::LeastCost) compares.
///
/// # Examples
///
/// ```
/// use trilane::route::{Balancer, LeastCost, Load, Observed, Options};
///
/// /// Latency, and twice as much for endpoints that report much load.
/// struct Careful;
///
/// impl Load for Careful {
///     const LATENCIES: bool = true;
///
///     fn of(&self, endpoint: &Observed<'_>) -> u32 {
///         let busy = endpoint.score().is_some_and(|score| score > 800);
///         endpoint.latency() << busy as u32
///     }
/// }
///
/// static BALANCER: Balancer<LeastCost<Careful>, 1, 4> =
///     Balancer::new(LeastCost::by(Careful), Options::new());
/// ```
pub trait Load {
    /// Whether [`Observed::latency`] is used. Latencies are not kept otherwise.
    const LATENCIES: bool = false;

    /// Whether the load is 1 for all, so that it need not be asked for.
    const SAME: bool = false;

    /// The load, in any unit; 0: not known. Called for each endpoint that is compared, up to 16 a select.
    fn of(&self, endpoint: &Observed<'_>) -> u32;
}

/// What is known of an endpoint.
pub struct Observed<'a> {
    view: View<'a>,
    slot: u16,
    record: &'a Record,
    latency: Reading,
}

impl<'a> Observed<'a> {
    /// Of the slot, which has this record.
    #[inline(always)]
    pub(in crate::route) fn new(view: View<'a>, slot: u16, record: &'a Record, latency: Reading) -> Self {
        Self { view, slot, record, latency }
    }

    /// Its slot, an index into tables of the caller's own.
    #[inline(always)]
    pub fn slot(&self) -> u16 {
        self.slot
    }

    /// The peak-sensitive average of its latencies in microseconds, half of it forgiven for each half-life
    /// since it was last measured; 0 before the first.
    #[inline(always)]
    pub fn latency(&self) -> u32 {
        self.latency.halved()
    }

    /// The score of its last report in permille, while that is fresh.
    #[inline(always)]
    pub fn score(&self) -> Option<u16> {
        if self.view.has(Sets::stale, self.slot) { None } else { self.record.gauges.score() }
    }
}

/// Nothing but the leases out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outstanding;

/// The peak-sensitive average of latencies, [`PeakEwma`](crate::route::PeakEwma): fed by
/// [`Lease::succeed`](crate::route::Lease::succeed), and by [`Lease::fail`](crate::route::Lease::fail), which
/// makes an endpoint look slower, never faster. An endpoint that was slow once comes into the choice again as
/// that fades. More than 67 s count as that.
#[derive(Clone, Copy, Debug, Default)]
pub struct Latency;

/// The [score](crate::route::Metrics::score) that an endpoint reports, and 250.
///
/// Reports are of a while ago. Were an endpoint that reported to be idle a hundred times as cheap as another,
/// all requests would go there until its next report, and then nowhere near it. This way it is five times as
/// cheap as one under full load.
#[derive(Clone, Copy, Debug, Default)]
pub struct Score;

/// What an idle endpoint counts as, in permille of full load.
const IDLE: u32 = 250;

impl Load for Outstanding {
    const SAME: bool = true;

    #[inline(always)]
    fn of(&self, _: &Observed<'_>) -> u32 {
        1
    }
}

impl Load for Latency {
    const LATENCIES: bool = true;

    #[inline(always)]
    fn of(&self, endpoint: &Observed<'_>) -> u32 {
        endpoint.latency().min(u32::MAX >> 6)
    }
}

impl Load for Score {
    #[inline(always)]
    fn of(&self, endpoint: &Observed<'_>) -> u32 {
        endpoint.score().map_or(0, |score| score as u32 + IDLE)
    }
}
