//! What Prometheus is told, read back by a parser of its text format.

use std::sync::Arc;

use prometheus_client::encoding::prometheus_text::encode;
use prometheus_client::registry::Registry;
use prometheus_parse::{Scrape, Value};
use trilane::exec::{Attributes, TaskOptions, yield_now};
use trilane::route::{Balancer, Endpoint, Filter, Options, Request, RoundRobin, Tag, Tags};
use trilane::time::{Duration, Instant};
use trilane_std::route::RouterMetrics;
use trilane_std::runtime::{Handle, Runtime, RuntimeMetrics, block_on};

struct Scraped(Scrape);

fn scrape(registry: &Registry) -> Scraped {
    let mut text = String::new();
    encode(&mut text, registry).unwrap();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        assert_eq!(text.lines().filter(|other| *other == line).count(), 1, "{line} comes twice");
    }
    Scraped(Scrape::parse(text.lines().map(|line| Ok(line.to_owned()))).unwrap())
}

impl Scraped {
    /// The sum of the rows with this name, and with these labels among others.
    fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let rows: Vec<_> = self
            .0
            .samples
            .iter()
            .filter(|row| row.metric == name)
            .filter(|row| labels.iter().all(|(key, value)| row.labels.get(key) == Some(*value)))
            .collect();
        assert!(!rows.is_empty(), "{name} {labels:?}: {:#?}", self.0.samples);
        assert!(self.0.docs.contains_key(name), "{name} has no help: {:?}", self.0.docs);
        let value = |value: &Value| match (value, name.ends_with("_total")) {
            (Value::Counter(value), true) | (Value::Gauge(value), false) => *value,
            _ => panic!("{name}: {value:?}"),
        };
        rows.iter().map(|row| value(&row.value)).sum()
    }
}

#[test]
fn a_runtime_s_counters_are_those_of_its_tasks() {
    static ABRUPT: Attributes = Attributes::new().cleanup_polls(0);
    let build = || Runtime::builder().workers(2).capacity(3_000).build().unwrap();
    block_on(build().spawn(|_| async {}).unwrap()).unwrap();
    let runtime = build();
    let handle = runtime.handle();
    // What was before the collector counts, too; what another runtime has counted in this memory doesn't.
    block_on(runtime.spawn(|_| async {}).unwrap()).unwrap();
    let mut registry = Registry::default();
    let boxed = Handle::boxed();
    registry.register_collector(Box::new(RuntimeMetrics::new(handle)));
    let before = scrape(&registry);
    assert_eq!(before.sum("trilane_tasks_spawned_total", &[]), 1.0);
    assert_eq!(before.sum("trilane_tasks_capacity", &[]), 4_096.0);

    for _ in 0..10 {
        block_on(runtime.spawn(|_| yield_now()).unwrap()).unwrap();
    }
    block_on(runtime.spawn(|_| async { panic!("as planned") }).unwrap()).unwrap_err();
    for _ in 0..2 {
        let options = TaskOptions::new().attributes(&ABRUPT);
        let forced = runtime.spawn_with(options, |_| std::future::pending::<()>()).unwrap();
        forced.cancel().unwrap();
        block_on(forced).unwrap_err();
    }
    let big = [7u8; 1_000];
    let waits = runtime.spawn(move |cx| async move { (cx.cancelled().await.0, big) }).unwrap();
    let done = runtime.spawn(|_| async { 7 }).unwrap();
    while !done.is_finished() {
        std::thread::yield_now();
    }

    let now = scrape(&registry);
    assert_eq!(now.sum("trilane_tasks", &[]), 2.0);
    assert_eq!(now.sum("trilane_tasks_spawned_total", &[]), 16.0);
    let ended = |end| now.sum("trilane_tasks_ended_total", &[("end", end)]);
    assert_eq!((ended("completed"), ended("panicked"), ended("forced")), (12.0, 1.0, 2.0));
    let stopped = |reason| now.sum("trilane_tasks_asked_to_stop_total", &[("reason", reason)]);
    assert_eq!((stopped("user"), stopped("deadline"), stopped("parent_closed")), (2.0, 0.0, 0.0));
    assert!(now.sum("trilane_polls_total", &[]) >= 22.0);
    for name in ["trilane_wakes_stale_total", "trilane_deadlines_missed_total"] {
        now.sum(name, &[("worker", "1")]);
    }
    let by_worker = ["0", "1"].map(|worker| now.sum("trilane_tasks_spawned_total", &[("worker", worker)]));
    assert!(
        by_worker.iter().sum::<f64>() == 16.0 && by_worker.iter().all(|&spawned| spawned > 0.0),
        "{by_worker:?}"
    );
    // Others in this process may have boxed, too.
    assert!(now.sum("trilane_futures_boxed_total", &[]) > boxed as f64);

    waits.cancel().unwrap();
    drop(runtime);
    let after = scrape(&registry);
    assert_eq!(after.sum("trilane_tasks_spawned_total", &[]), 16.0, "it has ended, and keeps its counts");
}

#[test]
fn a_router_s_counters_are_those_of_its_endpoints() {
    let now = Instant::from_secs(1);
    let fleet: Arc<Balancer<RoundRobin, 1, 8>> = Arc::new(Balancer::new(RoundRobin, Options::new()));
    for number in [10, 11] {
        fleet.add(&Endpoint::new(number), now).unwrap();
    }
    let mut registry = Registry::default();
    let named = registry.sub_registry_with_label(("router".into(), "fleet".into()));
    named.register_collector(Box::new(RouterMetrics::new(fleet.clone())));

    let mut selector = fleet.selector::<2>(1).unwrap();
    for _ in 0..2 {
        let lease = selector.select(&Request::ANY, now).unwrap();
        lease.succeed(Duration::from_millis(1), now);
    }
    let failed = selector.select(&Request::ANY, now).unwrap();
    let number = fleet.stats(failed.endpoint()).unwrap().number.to_string();
    failed.fail(Duration::from_millis(1), now);
    let out = selector.select(&Request::ANY, now).unwrap();
    let class = selector.class(Filter::ANY.tags(Tags::NONE.with(Tag::of::<3>()))).unwrap();
    selector.select(&Request::new(class), now).unwrap_err();

    let scraped = scrape(&registry);
    let sum = |name: &str, labels: &[(&str, &str)]| scraped.sum(&format!("trilane_router_{name}"), labels);
    assert_eq!(sum("leases_total", &[("router", "fleet")]), 4.0);
    assert_eq!(sum("leases_ended_total", &[("verdict", "succeeded")]), 2.0);
    assert_eq!(sum("leases_ended_total", &[("verdict", "failed"), ("endpoint", &number)]), 1.0);
    assert_eq!(sum("leases_out", &[]), 1.0);
    assert_eq!(sum("routable", &[("endpoint", "10")]) + sum("routable", &[("endpoint", "11")]), 2.0);
    assert_eq!(
        (sum("endpoints", &[("state", "member")]), sum("endpoints", &[("state", "draining")])),
        (2.0, 0.0)
    );
    assert_eq!(sum("refused_total", &[("error", "no_tag_match")]), 1.0);
    assert_eq!(sum("refused_total", &[]), 1.0);
    sum("latency_seconds", &[("endpoint", "10")]);
    sum("breakers_opened_total", &[]);
    drop(out);
}
