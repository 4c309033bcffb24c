//! What a runtime tells of its tasks and regions.

use serde_json::{Value, json};
use trilane::exec::{Attributes, Cx, RegionOptions, TaskOptions};
use trilane::sched::Priority;
use trilane::time::{Duration, Instant};
use trilane_std::runtime::Runtime;

static URGENT: Attributes = Attributes::named("an \"urgent\" one\\");
static DONE: Attributes = Attributes::named("done");
static LATE: Attributes = Attributes::named("late");

#[test]
fn a_dump_tells_all_as_text_and_as_json() {
    let mut simulation = Runtime::builder().workers(1).simulate(1).unwrap();
    let region = simulation.open_region(RegionOptions::new().name(&"sessions")).unwrap();
    let inner = region.open_region(RegionOptions::new()).unwrap();
    let urgent =
        TaskOptions::new().attributes(&URGENT).priority(Priority::of::<3>()).deadline(Instant::from_secs(5));
    let wait = |cx: Cx| async move { cx.cancelled().await.0 };
    let waits = simulation.spawn_in(&region, urgent, wait).unwrap();
    let done = simulation.spawn_with(TaskOptions::new().attributes(&DONE), |_| async {}).unwrap();
    let pause = simulation.spawn(|cx| async move { cx.sleep(Duration::from_secs(3)).await }).unwrap();
    simulation.block_on(pause).unwrap().unwrap().unwrap();
    let late = simulation.spawn_with(TaskOptions::new().attributes(&LATE), wait).unwrap();
    late.cancel().unwrap();

    let dump = simulation.dump();
    let json = serde_json::to_value(&dump).unwrap();
    assert_eq!(json["at_us"], 3_000_000);
    let task = |name: &str| {
        let tasks = json["tasks"].as_array().unwrap().iter();
        let named: Vec<&Value> = tasks.filter(|task| task["name"] == name).collect();
        assert_eq!(named.len(), 1, "{name}: {json:#}");
        named[0].clone()
    };
    let region_id = format!("{:?}", region.id());
    let expected = json!({
        "shard": 0, "id": format!("{:?}", waits.id()), "name": "an \"urgent\" one\\", "state": "waiting",
        "lane": null, "priority": 3, "deadline_us": 5_000_000, "cancelled": null, "region": region_id,
    });
    assert_eq!(task("an \"urgent\" one\\"), expected);
    assert_eq!(task("late")["cancelled"], "user");
    assert_eq!(task("done")["priority"], 0);
    assert_eq!(
        json["regions"],
        json!([
            {
                "shard": 0, "id": region_id, "name": "sessions", "parent": null, "tasks": 1, "children": 1,
                "closing": null,
            },
            {
                "shard": 0, "id": format!("{:?}", inner.id()), "name": null, "parent": region_id, "tasks": 0,
                "children": 0, "closing": null,
            },
        ])
    );

    let text = dump.to_string();
    assert_eq!(text.lines().count(), 1 + dump.tasks.len() + dump.regions.len());
    for part in [
        "tasks, 2 regions at 3000000 us",
        &format!(": an \"urgent\" one\\, priority 3, deadline 5000000 us, in {region_id}\n"),
        ": late, to stop: somebody asked for it\n",
        ": sessions, 1 tasks, 1 regions in it\n",
        &format!(": no name, in {region_id}, 0 tasks, 0 regions in it\n"),
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    drop((waits, done, inner, region));
    drop(simulation);
}

#[test]
fn states_and_lanes_are_told_by_name() {
    let runtime = Runtime::builder().workers(1).build().unwrap();
    let handle = runtime.handle();
    let urgent = TaskOptions::new().priority(Priority::of::<3>());
    let done = runtime.spawn_with(TaskOptions::new().attributes(&DONE), |_| async { 7 }).unwrap();
    while !done.is_finished() {
        std::thread::yield_now();
    }
    let states = runtime.spawn(move |_| async move {
        // They wait for this poll to end, or for a worker to see the one that is special.
        let waits = [handle.spawn(|_| async {}).unwrap(), handle.spawn_with(urgent, |_| async {}).unwrap()];
        let json = serde_json::to_value(handle.dump()).unwrap();
        drop(waits);
        let states = json["tasks"].as_array().unwrap().iter().map(|task| task["state"].clone());
        states.collect::<Vec<_>>()
    });
    let mut states = runtime.block_on(states.unwrap()).unwrap();
    states.sort_by_key(Value::to_string);
    assert_eq!(states, ["done", "running", "woken", "woken"]);
}
