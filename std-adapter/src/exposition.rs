//! How collectors write what they have counted.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

/// The labels of a row.
pub(crate) type Labels = Vec<(&'static str, String)>;

/// Writes counters of one name, whose `_total` is added. Nothing if there are no rows.
pub(crate) fn counters(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    rows: impl IntoIterator<Item = (Labels, u64)>,
) -> fmt::Result {
    let mut rows = rows.into_iter().peekable();
    if rows.peek().is_none() {
        return Ok(());
    }
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    rows.try_for_each(|(labels, count)| match labels.is_empty() {
        true => family.encode_counter::<NoLabelSet, _, u64>(&count, None),
        false => family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&count, None),
    })
}

/// Writes gauges of one name, to which the unit is added if there is one. Nothing if there are no rows.
pub(crate) fn gauges(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    unit: Option<&Unit>,
    rows: impl IntoIterator<Item = (Labels, f64)>,
) -> fmt::Result {
    let mut rows = rows.into_iter().peekable();
    if rows.peek().is_none() {
        return Ok(());
    }
    let mut family = encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?;
    rows.try_for_each(|(labels, value)| match labels.is_empty() {
        true => family.encode_gauge(&value),
        false => family.encode_family(&labels)?.encode_gauge(&value),
    })
}
