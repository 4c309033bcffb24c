//! What a runtime has counted, for Prometheus.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use trilane::exec::Counters;

use super::handle::Handle;
use crate::exposition::{counters, gauges};

/// Collects the counters of a runtime; with the feature `prometheus`. Register it once.
///
/// All series but the last two have the label `worker`: the one whose home the tasks have, whoever polls
/// them.
///
/// | name | what is counted |
/// | --- | --- |
/// | `trilane_tasks` | tasks now, those whose results are still to be taken, too |
/// | `trilane_tasks_spawned_total` | tasks that were spawned |
/// | `trilane_tasks_ended_total` | by the label `end`: `completed`, `panicked`, or ended by force (`forced`) |
/// | `trilane_tasks_asked_to_stop_total` | by the label `reason`: those of [`Reason`](trilane::exec::Reason) |
/// | `trilane_polls_total` | polls of tasks |
/// | `trilane_wakes_stale_total` | wakes of tasks that were gone |
/// | `trilane_deadlines_missed_total` | deadlines, each once |
/// | `trilane_tasks_capacity` | for how many tasks there is room |
/// | `trilane_futures_boxed_total` | futures that were too large for a slot, of all runtimes of the program |
///
/// Counts are since the runtime's start; its own wrap at 2^32, so collect them before a shard has counted
/// half of that (2^31 polls take a worker more than ten seconds). How long polls take is not measured, since
/// that needs a clock read in each: the feature `tracing` is for that. O(shards).
///
/// # Examples
///
/// ```
/// use prometheus_client::encoding::prometheus_text::encode;
/// use prometheus_client::registry::Registry;
/// use trilane_std::runtime::{Runtime, RuntimeMetrics};
///
/// let runtime = Runtime::builder().workers(1).build()?;
/// let mut registry = Registry::default();
/// registry.register_collector(Box::new(RuntimeMetrics::new(runtime.handle())));
/// runtime.block_on(runtime.spawn(|_| async {})?).expect("it doesn't panic");
///
/// let mut text = String::new();
/// encode(&mut text, &registry)?;
/// assert!(text.contains("trilane_tasks_spawned_total{worker=\"0\"} 1\n"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct RuntimeMetrics {
    handle: Handle,
    counts: Mutex<Counts>,
}

/// A counter's names, and where it is.
struct Family {
    name: &'static str,
    help: &'static str,
    /// The name of the label, beside that of the worker.
    label: &'static str,
    rows: &'static [Row],
}

/// A value of the label, and what is counted under it.
type Row = (&'static str, fn(&Counters) -> u32);

const FAMILIES: &[Family] = &[
    Family {
        name: "trilane_tasks_spawned",
        help: "Tasks that were spawned",
        label: "",
        rows: &[("", |counters| counters.spawns)],
    },
    Family {
        name: "trilane_tasks_ended",
        help: "Tasks that have ended, by how",
        label: "end",
        rows: &[
            ("completed", |counters| counters.completions),
            ("panicked", |counters| counters.panics),
            ("forced", |counters| counters.forced),
        ],
    },
    Family {
        name: "trilane_tasks_asked_to_stop",
        help: "Tasks that were asked to stop, by the reason",
        label: "reason",
        rows: &[
            ("user", |counters| counters.cancelled_by_user),
            ("deadline", |counters| counters.cancelled_by_deadline),
            ("sibling_failed", |counters| counters.cancelled_by_sibling),
            ("poll_quota", |counters| counters.cancelled_by_quota),
            ("parent_closed", |counters| counters.cancelled_by_parent),
            ("shutdown", |counters| counters.cancelled_by_shutdown),
        ],
    },
    Family {
        name: "trilane_polls",
        help: "Polls of tasks",
        label: "",
        rows: &[("", |counters| counters.polls)],
    },
    Family {
        name: "trilane_wakes_stale",
        help: "Wakes of tasks that were gone",
        label: "",
        rows: &[("", |counters| counters.stale_wakes)],
    },
    Family {
        name: "trilane_deadlines_missed",
        help: "Deadlines that were missed",
        label: "",
        rows: &[("", |counters| counters.misses)],
    },
];

/// By shard and row: what the shard counted when it was last asked, and the total, which doesn't wrap.
#[derive(Debug, Default)]
struct Counts(Vec<Vec<(u32, u64)>>);

impl Counts {
    /// Takes note of what the shards count now.
    fn note(&mut self, shards: impl Iterator<Item = Counters>) {
        for (number, counters) in shards.enumerate() {
            let now = FAMILIES.iter().flat_map(|family| family.rows).map(|(_, row)| row(&counters));
            match self.0.get_mut(number) {
                None => self.0.push(now.map(|now| (now, now.into())).collect()),
                Some(rows) => rows.iter_mut().zip(now).for_each(|((seen, total), now)| {
                    // A spawn is taken back when what makes its future unwinds.
                    if let more @ 1.. = now.wrapping_sub(*seen) as i32 {
                        (*seen, *total) = (now, *total + more as u64);
                    }
                }),
            }
        }
    }

    /// The totals of each worker, by row.
    fn by_worker(&self, shards: usize) -> Vec<Vec<u64>> {
        let sum = |shards: &[Vec<(u32, u64)>]| {
            let rows = 0..shards[0].len();
            rows.map(|row| shards.iter().map(|shard| shard[row].1).sum()).collect()
        };
        self.0.chunks(shards).map(sum).collect()
    }
}

impl RuntimeMetrics {
    /// Collects from the runtime of `handle`.
    pub fn new(handle: Handle) -> Self {
        Self { handle, counts: Mutex::default() }
    }
}

impl Collector for RuntimeMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let size = self.handle.crew().size;
        let workers = {
            let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
            counts.note(self.handle.counters().into_iter());
            counts.by_worker(size.shards)
        };
        let label = |worker: usize| ("worker", worker.to_string());
        let tasks =
            self.handle.shards().chunks(size.shards).map(|home| home.iter().map(|shard| shard.len()).sum());
        let tasks = tasks.enumerate().map(|(worker, tasks): (_, usize)| (vec![label(worker)], tasks as f64));
        gauges(&mut encoder, "trilane_tasks", "Tasks whose results are not taken yet", None, tasks)?;
        let mut before = 0;
        for Family { name, help, label: key, rows } in FAMILIES {
            let rows_of = |(worker, totals): (usize, &Vec<u64>)| {
                let totals = totals[before..].to_owned();
                let row = move |((value, _), total): (&Row, u64)| {
                    let mut labels = vec![label(worker)];
                    if !key.is_empty() {
                        labels.push((key, (*value).to_owned()));
                    }
                    (labels, total)
                };
                rows.iter().zip(totals).map(row)
            };
            counters(&mut encoder, name, help, workers.iter().enumerate().flat_map(rows_of))?;
            before += rows.len();
        }
        let capacity = [(vec![], self.handle.capacity() as f64)];
        gauges(&mut encoder, "trilane_tasks_capacity", "For how many tasks there is room", None, capacity)?;
        let boxed = [(vec![], Handle::boxed())];
        counters(&mut encoder, "trilane_futures_boxed", "Futures that were too large for a slot", boxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_go_on_where_the_counters_of_a_shard_wrap() {
        let shard = |polls, spawns| {
            let mut counters = Counters::default();
            (counters.polls, counters.spawns) = (polls, spawns);
            counters
        };
        let totals = |counts: &Counts| {
            let of = |name: &str| {
                let before = FAMILIES.iter().take_while(|family| family.name != name);
                let row = before.map(|family| family.rows.len()).sum::<usize>();
                counts.by_worker(2)[0][row]
            };
            (of("trilane_polls"), of("trilane_tasks_spawned"))
        };
        let mut counts = Counts::default();
        counts.note([shard(u32::MAX - 1, 7), shard(10, 3)].into_iter());
        let first = u64::from(u32::MAX - 1) + 10;
        assert_eq!(totals(&counts), (first, 10));
        counts.note([shard(4, 9), shard(11, 3)].into_iter());
        assert_eq!(totals(&counts), (first + 7, 12));
        // One spawn was taken back, and comes again.
        counts.note([shard(4, 8), shard(11, 3)].into_iter());
        assert_eq!(totals(&counts), (first + 7, 12));
        counts.note([shard(4, 10), shard(11, 3)].into_iter());
        assert_eq!(totals(&counts), (first + 7, 13));
    }
}
