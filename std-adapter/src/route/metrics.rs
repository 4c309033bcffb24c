//! What a router has counted, for Prometheus.

use std::fmt;
use std::ops::Deref;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Unit;
use trilane::route::{Balancer, EndpointStats, Totals};

use crate::exposition::{Labels, counters, gauges};

/// Collects how a balancer's endpoints do; with the feature `prometheus`. For several balancers give each a
/// label (`Registry::sub_registry_with_label`).
///
/// Those with the label `endpoint`, the number that the endpoint was given, which is to be unique:
///
/// | name | what it is |
/// | --- | --- |
/// | `trilane_router_leases_total` | leases given since it was added |
/// | `trilane_router_leases_ended_total` | by the label `verdict`: `succeeded`, `failed` or `released` |
/// | `trilane_router_leases_out` | leases out now |
/// | `trilane_router_latency_seconds` | the average of latencies, if the strategy uses it |
/// | `trilane_router_routable` | 1 if it may be selected, else 0 |
///
/// Those of the whole balancer:
///
/// | name | what it is |
/// | --- | --- |
/// | `trilane_router_endpoints` | by the label `state`: `member`; of these `routable` and `ejected`; and `draining` |
/// | `trilane_router_breakers_opened_total` | how often a breaker has opened |
/// | `trilane_router_refused_total` | selects that failed, by the label `error`: the fields of [`ErrorCounts`](trilane::route::ErrorCounts) |
///
/// O(endpoints × stripes).
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
///
/// use prometheus_client::encoding::prometheus_text::encode;
/// use prometheus_client::registry::Registry;
/// use trilane::route::{Balancer, Endpoint, Options, RoundRobin};
/// use trilane::time::Instant;
/// use trilane_std::route::RouterMetrics;
///
/// let fleet: Arc<Balancer<RoundRobin, 1, 8>> = Arc::new(Balancer::new(RoundRobin, Options::new()));
/// fleet.add(&Endpoint::new(7), Instant::ZERO)?;
/// let mut registry = Registry::default();
/// registry.register_collector(Box::new(RouterMetrics::new(fleet)));
///
/// let mut text = String::new();
/// encode(&mut text, &registry)?;
/// assert!(text.contains("trilane_router_routable{endpoint=\"7\"} 1"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct RouterMetrics {
    read: Box<dyn Fn() -> (Vec<EndpointStats>, Totals) + Send + Sync>,
}

impl RouterMetrics {
    /// Collects of a balancer that is static, or in an `Arc`.
    pub fn new<R, S, const BANKS: usize, const PER_BANK: usize, const STRIPES: usize>(balancer: R) -> Self
    where
        R: Deref<Target = Balancer<S, BANKS, PER_BANK, STRIPES>> + Send + Sync + 'static,
        S: 'static,
    {
        let read = move || {
            // One that is removed meanwhile is left out.
            let stats = balancer.members().filter_map(|id| balancer.stats(id).ok());
            (stats.collect(), balancer.totals())
        };
        Self { read: Box::new(read) }
    }
}

impl fmt::Debug for RouterMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RouterMetrics").finish_non_exhaustive()
    }
}

impl Collector for RouterMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let encoder = &mut encoder;
        let (endpoints, totals) = (self.read)();
        let label = |at: &EndpointStats| ("endpoint", at.number.to_string());
        let each = |value: fn(&EndpointStats) -> f64| {
            let row = move |at: &EndpointStats| -> (Labels, f64) { (vec![label(at)], value(at)) };
            endpoints.iter().map(row).collect::<Vec<_>>()
        };
        let leases = endpoints.iter().map(|at| (vec![label(at)], at.selected as u64));
        counters(encoder, "trilane_router_leases", "Leases that were given", leases)?;
        let ended = endpoints.iter().flat_map(|at| {
            let verdicts = [("succeeded", at.succeeded), ("failed", at.failed), ("released", at.released)];
            verdicts.map(|(verdict, count)| (vec![label(at), ("verdict", verdict.to_owned())], count as u64))
        });
        counters(encoder, "trilane_router_leases_ended", "Leases that have ended, by the verdict", ended)?;
        let out = each(|at| at.in_flight.into());
        gauges(encoder, "trilane_router_leases_out", "Leases that are out", None, out)?;
        let latency = each(|at| at.latency.as_micros() as f64 / 1e6);
        let help = "The average of latencies, if the strategy uses it";
        gauges(encoder, "trilane_router_latency", help, Some(&Unit::Seconds), latency)?;
        let routable = each(|at| at.routable.into());
        gauges(encoder, "trilane_router_routable", "Whether the endpoint may be selected", None, routable)?;

        let states = [
            ("member", totals.members),
            ("routable", totals.routable),
            ("ejected", totals.ejected),
            ("draining", totals.draining),
        ];
        let states = states.map(|(state, count)| (vec![("state", state.to_owned())], count.into()));
        gauges(encoder, "trilane_router_endpoints", "Endpoints, by what they are", None, states)?;
        let opened = [(vec![], totals.breakers_opened.into())];
        counters(encoder, "trilane_router_breakers_opened", "How often a breaker has opened", opened)?;
        let errors =
            totals.errors.iter().map(|(name, count)| (vec![("error", name.replace(' ', "_"))], count as u64));
        counters(encoder, "trilane_router_refused", "Selects that failed, by why", errors)
    }
}
