//! What the gateway counts.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// One of them.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// So many more.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Relaxed);
    }

    /// One fewer.
    pub fn drop_one(&self) {
        self.0.fetch_sub(1, Relaxed);
    }

    /// How many.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// All of them.
#[derive(Debug, Default)]
pub struct Counts {
    /// Readings that were taken on: each of them is handled.
    pub accepted: Count,
    /// Readings that an analyst has looked at.
    pub handled: Count,
    /// Alerts that were found.
    pub alerts: Count,
    /// Alerts that were written out.
    pub written: Count,
    /// Lines that are no readings.
    pub malformed: Count,
    /// Lines that are too long.
    pub overlong: Count,
    /// Connections that are open.
    pub open: Count,
    /// Connections that there have been.
    pub connections: Count,
}

impl Counts {
    /// In Prometheus' text format.
    pub fn exposition(&self) -> String {
        let rows = [
            ("readings_accepted_total", "counter", &self.accepted),
            ("readings_handled_total", "counter", &self.handled),
            ("alerts_total", "counter", &self.alerts),
            ("alerts_written_total", "counter", &self.written),
            ("lines_malformed_total", "counter", &self.malformed),
            ("lines_overlong_total", "counter", &self.overlong),
            ("connections_total", "counter", &self.connections),
            ("connections_open", "gauge", &self.open),
        ];
        let row = |(name, kind, count): (&str, &str, &Count)| {
            format!("# TYPE gateway_{name} {kind}\ngateway_{name} {}\n", count.get())
        };
        rows.into_iter().map(row).collect()
    }
}
