//! What a balancer is set to.

use core::fmt;

use crate::time::{Duration, Instant};

/// Shares are in permille.
pub(in crate::route) const PERMILLE: u32 = 1_000;

/// How a balancer treats its endpoints. All of it is read; the defaults are [`Options::new`].
///
/// Spans are kept in ticks of 1,024 µs, rounded up, at most 12 days.
///
/// # Examples
///
/// ```
/// use trilane::route::Options;
/// use trilane::time::Duration;
///
/// const OPTIONS: Options =
///     Options::new().failures(3).open_for(Duration::from_secs(5)).slow_start(Duration::from_secs(60));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Options {
    pub(in crate::route) failures: u16,
    pub(in crate::route) failure_rate: Option<FailureRate>,
    pub(in crate::route) open_ticks: u32,
    pub(in crate::route) open_at_most: u32,
    pub(in crate::route) seed: u32,
    pub(in crate::route) probe_ticks: u32,
    pub(in crate::route) probes: u8,
    pub(in crate::route) max_ejected: u16,
    pub(in crate::route) panic_below: u16,
    pub(in crate::route) panic_hosts: u16,
    pub(in crate::route) overprovisioning: u16,
    pub(in crate::route) spill_from: u16,
    pub(in crate::route) slow_start_ticks: u32,
    pub(in crate::route) stale_ticks: u32,
    pub(in crate::route) route_unknown: bool,
}

/// A breaker's second way to open: too great a share of failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct FailureRate {
    /// The share of failures that opens the breaker, in permille.
    pub permille: u16,
    /// Over which span. The counts are halved when half of it has passed, so that old outcomes weigh less.
    pub window: Duration,
    /// Fewer outcomes than this open nothing. Outcomes are counted up to 65,535, then both counts are halved.
    pub at_least: u16,
}

impl Options {
    /// A breaker opens after 5 failures in a row, for 30 s; then one probe decides, and beside one that isn't
    /// heard of within 30 s another is sent. An endpoint that fails again soon is out for twice as long each
    /// time, up to 5 minutes. At most half of the endpoints are kept out by breakers. Tiers and zones
    /// are taken for full up to 1.4 times what they have; a zone spills from a load of 800 ‰ on. Endpoints of
    /// unknown health get nothing. No panic mode, no slow start, reports don't go stale.
    pub const fn new() -> Self {
        Self {
            failures: 5,
            failure_rate: None,
            open_ticks: ticks(Duration::from_secs(30)),
            open_at_most: ticks(Duration::from_secs(300)),
            seed: 0,
            probe_ticks: ticks(Duration::from_secs(30)),
            probes: 1,
            max_ejected: 500,
            panic_below: 0,
            panic_hosts: 6,
            overprovisioning: 1_400,
            spill_from: 800,
            slow_start_ticks: 0,
            stale_ticks: 0,
            route_unknown: false,
        }
    }

    /// How many failures in a row open a breaker. 0: none do.
    pub const fn failures(self, failures: u16) -> Self {
        Self { failures, ..self }
    }

    /// Opens a breaker by the share of failures too.
    pub const fn failure_rate(self, rate: FailureRate) -> Self {
        Self { failure_rate: Some(rate), ..self }
    }

    /// How long an open breaker admits nothing: the first time. Each time that it opens again, because the
    /// probe has failed or soon after it has closed, this doubles up to [`open_at_most`](Self::open_at_most).
    pub const fn open_for(self, span: Duration) -> Self {
        Self { open_ticks: ticks(span), ..self }
    }

    /// How long a breaker is open at most; not less than [`open_for`](Self::open_for). One that has been
    /// closed for as long begins anew.
    pub const fn open_at_most(self, span: Duration) -> Self {
        Self { open_at_most: ticks(span), ..self }
    }

    /// Of a time that was doubled, up to an eighth is left out, by this and the endpoint's number: balancers
    /// with different seeds don't probe at the same instant. 0: nothing is.
    pub const fn seed(self, seed: u32) -> Self {
        Self { seed, ..self }
    }

    /// When the next probe is admitted beside one that nobody has heard of. The success of the first counts
    /// still; its failure doesn't. Zero is an error: see [`check`](Self::check).
    pub const fn probe_window(self, span: Duration) -> Self {
        Self { probe_ticks: ticks(span), ..self }
    }

    /// How many probes in a row must succeed until the breaker closes; there is one at a time. 0 counts as 1.
    pub const fn probes(self, probes: u8) -> Self {
        Self { probes: if probes == 0 { 1 } else { probes }, ..self }
    }

    /// The greatest share of members that breakers may keep out at a time, in permille; those that wait for a
    /// probe, and those that would get nothing anyhow, don't count. One is always allowed, unless the share
    /// is 0. The last endpoint that a filter in use has is never kept out.
    ///
    /// A failing endpoint that may not be kept out has a sixteenth of its weight left, which rises with time
    /// as in a [slow start](Self::slow_start), or over [`open_for`](Self::open_for) where there is none, and
    /// falls back with each failure. Unless there is slow start, its first success brings all of it back.
    pub const fn max_ejected(self, permille: u16) -> Self {
        Self { max_ejected: permille, ..self }
    }

    /// Panic mode: when less than this share of the endpoints of a tier (or a preferred zone) is routable,
    /// health and breakers are ignored there, so that the few are not overrun. In permille; 0: never. Where
    /// none is routable at all, another tier or zone serves, if one lives. Endpoints of unknown health stay
    /// out, unless [`route_unknown`](Self::route_unknown) lets them in.
    pub const fn panic_below(self, permille: u16) -> Self {
        Self { panic_below: permille, ..self }
    }

    /// Of how many endpoints a tier or zone is for panic mode at least: of a few, a share says little.
    pub const fn panic_hosts(self, hosts: u16) -> Self {
        Self { panic_hosts: hosts, ..self }
    }

    /// A tier (or a preferred zone) keeps all of its traffic while its routable share times this is 1 or
    /// more; below, the rest goes to the next. In permille; 1,400: with 5 of 7 it is still full.
    pub const fn overprovisioning(self, permille: u16) -> Self {
        Self { overprovisioning: permille, ..self }
    }

    /// From which mean load on (as reported, in permille) a preferred zone gives part of its traffic to the
    /// next: none at this load, all at 1,000. 1,000 or more: never.
    pub const fn spill_from(self, permille: u16) -> Self {
        Self { spill_from: permille, ..self }
    }

    /// Over which span an endpoint's weight rises from a sixteenth to all of it: after it is added, after it
    /// recovers, and after it is switched on again.
    pub const fn slow_start(self, span: Duration) -> Self {
        Self { slow_start_ticks: ticks(span), ..self }
    }

    /// After which span a report is stale: endpoints with a fresh one are preferred. Zero: never.
    pub const fn stale_after(self, span: Duration) -> Self {
        Self { stale_ticks: ticks(span), ..self }
    }

    /// Routes to endpoints of unknown health too, at a quarter of their weight.
    pub const fn route_unknown(self, route: bool) -> Self {
        Self { route_unknown: route, ..self }
    }

    /// These options, if a balancer can go by them.
    ///
    /// # Errors
    ///
    /// [`OptionsError`] says what can't be.
    pub const fn check(self) -> Result<Self, OptionsError> {
        if self.probe_ticks == 0 { Err(OptionsError::ZeroProbeWindow) } else { Ok(self) }
    }

    /// Its [`failures`](Self::failures) in a row.
    pub const fn get_failures(&self) -> u16 {
        self.failures
    }

    /// Its [`failure_rate`](Self::failure_rate), if it has one.
    pub const fn get_failure_rate(&self) -> Option<FailureRate> {
        self.failure_rate
    }

    /// Its [`open_for`](Self::open_for), in whole ticks.
    pub const fn get_open_for(&self) -> Duration {
        span(self.open_ticks)
    }

    /// Its [`open_at_most`](Self::open_at_most), in whole ticks.
    pub const fn get_open_at_most(&self) -> Duration {
        span(self.open_at_most)
    }

    /// Its [`seed`](Self::seed).
    pub const fn get_seed(&self) -> u32 {
        self.seed
    }

    /// Its [`probe_window`](Self::probe_window), in whole ticks.
    pub const fn get_probe_window(&self) -> Duration {
        span(self.probe_ticks)
    }

    /// Its [`probes`](Self::probes).
    pub const fn get_probes(&self) -> u8 {
        self.probes
    }

    /// Its [`max_ejected`](Self::max_ejected).
    pub const fn get_max_ejected(&self) -> u16 {
        self.max_ejected
    }

    /// Its [`panic_below`](Self::panic_below).
    pub const fn get_panic_below(&self) -> u16 {
        self.panic_below
    }

    /// Its [`panic_hosts`](Self::panic_hosts).
    pub const fn get_panic_hosts(&self) -> u16 {
        self.panic_hosts
    }

    /// Its [`overprovisioning`](Self::overprovisioning).
    pub const fn get_overprovisioning(&self) -> u16 {
        self.overprovisioning
    }

    /// Its [`spill_from`](Self::spill_from).
    pub const fn get_spill_from(&self) -> u16 {
        self.spill_from
    }

    /// Its [`slow_start`](Self::slow_start), in whole ticks.
    pub const fn get_slow_start(&self) -> Duration {
        span(self.slow_start_ticks)
    }

    /// Its [`stale_after`](Self::stale_after), in whole ticks.
    pub const fn get_stale_after(&self) -> Duration {
        span(self.stale_ticks)
    }

    /// Whether it [routes to endpoints of unknown health](Self::route_unknown).
    pub const fn routes_unknown(&self) -> bool {
        self.route_unknown
    }
}

/// Why a balancer can't go by some options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum OptionsError {
    /// No probe would ever have the time to answer.
    ZeroProbeWindow,
}

impl fmt::Display for OptionsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a probe window of zero gives no probe the time to answer: make it longer")
    }
}

impl core::error::Error for OptionsError {}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}

/// The longest span: half of what the wrapping difference of two ticks can tell.
pub(in crate::route) const MAX_TICKS: u32 = 1 << 30;

/// A span in ticks of 1,024 µs, rounded up.
pub(in crate::route) const fn ticks(span: Duration) -> u32 {
    let ticks = span.as_micros().saturating_add(1_023) >> 10;
    if ticks > MAX_TICKS as u64 { MAX_TICKS } else { ticks as u32 }
}

/// So many ticks as a span.
const fn span(ticks: u32) -> Duration {
    Duration::from_micros((ticks as u64) << 10)
}

/// The tick that `now` lies in; it wraps every 50 days.
#[inline(always)]
pub(in crate::route) const fn tick(now: Instant) -> u32 {
    (now.as_micros() >> 10) as u32
}

/// The number of the span of `MAX_TICKS` that `now` lies in: it is another one whenever more than that has
/// passed.
#[inline(always)]
pub(in crate::route) const fn era(now: Instant) -> u32 {
    (now.as_micros() >> 40) as u32
}
