//! What the gateway counts.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// All of it. Whoever has a clone counts the same.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Readings that were taken on: each of them is handled.
    pub accepted: Counter,
    /// Readings that an analyst has looked at.
    pub handled: Counter,
    /// Alerts that were found.
    pub alerts: Counter,
    /// Alerts that were written out.
    pub written: Counter,
    /// Lines that are no readings.
    pub malformed: Counter,
    /// Lines that are too long.
    pub overlong: Counter,
    /// Connections that are open.
    pub open: Gauge,
    /// Connections that there have been.
    pub connections: Counter,
}

impl Counts {
    /// Shows them under their names.
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("gateway");
        for (name, help, count) in [
            ("readings_accepted", "Readings that were taken on", &self.accepted),
            ("readings_handled", "Readings that an analyst has looked at", &self.handled),
            ("alerts", "Alerts that were found", &self.alerts),
            ("alerts_written", "Alerts that were written out", &self.written),
            ("lines_malformed", "Lines that are no readings", &self.malformed),
            ("lines_overlong", "Lines that are too long", &self.overlong),
            ("connections", "Connections that there have been", &self.connections),
        ] {
            registry.register(name, help, count.clone());
        }
        registry.register("connections_open", "Connections that are open", self.open.clone());
    }
}
