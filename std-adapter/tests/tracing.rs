//! The span that each task of a runtime has, by the feature `tracing`.

use std::collections::HashMap;
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes as SpanAttributes, Record};
use tracing::subscriber::{set_global_default, with_default};
use tracing::{Event, Id, Metadata, Subscriber, info};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Registry};
use trilane::exec::{Attributes, JoinError, RegionOptions, TaskOptions, TaskPool, yield_now};
use trilane::time::Duration as Span;
use trilane_std::runtime::{Handle, JoinSet, Runtime, block_on};

/// What there was of one span.
#[derive(Clone, Debug, Default)]
struct Seen {
    fields: HashMap<&'static str, String>,
    enters: usize,
    exits: usize,
    is_closed: bool,
    /// What was said inside.
    events: Vec<String>,
}

#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<HashMap<u64, Seen>>>);

/// Fields as text.
#[derive(Default)]
struct Fields(HashMap<&'static str, String>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}").trim_matches('"').to_owned());
    }
}

impl Recorder {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Seen>> {
        self.0.lock().unwrap()
    }

    fn with(&self, id: &Id, does: impl FnOnce(&mut Seen)) {
        if let Some(seen) = self.lock().get_mut(&id.into_u64()) {
            does(seen);
        }
    }

    /// The spans of the tasks with this name, once all are closed.
    fn closed(&self, name: &str) -> Vec<Seen> {
        let began = Instant::now();
        loop {
            let named = |seen: &&Seen| seen.fields["task.name"] == name;
            let seen: Vec<_> = self.lock().values().filter(named).cloned().collect();
            if seen.iter().all(|seen| seen.is_closed) {
                return seen;
            }
            assert!(began.elapsed() < Duration::from_secs(10), "{seen:?}");
            std::thread::yield_now();
        }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Recorder {
    fn on_new_span(&self, attributes: &SpanAttributes<'_>, id: &Id, _: Context<'_, S>) {
        if attributes.metadata().target() != "trilane::task" {
            return;
        }
        assert!(attributes.is_root());
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        // An id is used again when its span is closed: then what was recorded gets a key of its own.
        let mut all = self.lock();
        if let Some(old) = all.remove(&id.into_u64()) {
            let key = u64::MAX - all.len() as u64;
            all.insert(key, old);
        }
        all.insert(id.into_u64(), Seen { fields: fields.0, ..Seen::default() });
    }

    fn on_enter(&self, id: &Id, _: Context<'_, S>) {
        self.with(id, |seen| seen.enters += 1);
    }

    fn on_exit(&self, id: &Id, _: Context<'_, S>) {
        self.with(id, |seen| seen.exits += 1);
    }

    fn on_close(&self, id: Id, _: Context<'_, S>) {
        self.with(&id, |seen| seen.is_closed = true);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        if let (Some(message), Some(span)) = (fields.0.remove("message"), context.event_span(event)) {
            self.with(&span.id(), |seen| seen.events.push(message));
        }
    }
}

fn recorder() -> &'static Recorder {
    static RECORDER: OnceLock<Recorder> = OnceLock::new();
    RECORDER.get_or_init(|| {
        let recorder = Recorder::default();
        set_global_default(Registry::default().with(recorder.clone())).unwrap();
        recorder
    })
}

macro_rules! named {
    ($name:literal) => {
        TaskOptions::new().attributes(const { &Attributes::named($name) })
    };
}

fn runtime(workers: usize) -> Runtime {
    recorder();
    Runtime::builder().workers(workers).build().unwrap()
}

/// That of the only task with this name.
fn only(name: &str) -> Seen {
    let seen = recorder().closed(name);
    assert_eq!(seen.len(), 1, "{name}: {seen:?}");
    assert!(seen[0].enters == seen[0].exits, "{name}: {seen:?}");
    seen[0].clone()
}

#[test]
fn a_span_tells_name_place_and_polls_and_is_around_what_the_task_says() {
    let runtime = runtime(2);
    let line = line!() + 1;
    let task = runtime.spawn_with(named!("talker"), |cx| async move {
        info!("one");
        yield_now().await;
        cx.sleep(Span::from_millis(1)).await.unwrap();
        info!("two");
        cx.id()
    });
    let id = block_on(task.unwrap()).unwrap();
    let seen = only("talker");
    assert_eq!((seen.enters, &seen.events[..]), (3, &["one".to_owned(), "two".to_owned()][..]));
    assert_eq!(seen.fields["loc.file"], file!());
    assert_eq!(seen.fields["loc.line"], line.to_string());
    assert_eq!((&*seen.fields["kind"], &*seen.fields["slot"]), ("task", &*id.slot().to_string()));
    assert!(!seen.fields.contains_key("region"));
}

#[test]
fn each_way_to_spawn_makes_a_span() {
    static POOL: TaskPool<128, 1> = TaskPool::new();
    let runtime = runtime(2);
    let handle = runtime.handle();
    async fn plain() {}
    let line = line!() + 1;
    block_on(runtime.spawn(|_| plain()).unwrap()).unwrap();
    let name = recorder()
        .lock()
        .values()
        .map(|seen| seen.fields["task.name"].clone())
        .find(|name| name.contains("plain"));
    assert_eq!(only(&name.unwrap()).fields["loc.line"], line.to_string());

    let main = handle.spawn_with(named!("main"), move |cx| async move {
        let region = cx.open_region(RegionOptions::new()).unwrap();
        let line = line!() + 1;
        let member = handle.spawn_in(&region, named!("member"), |_| async {}).unwrap();
        member.await.unwrap();
        cx.spawn_with(named!("in a pool"), &POOL, |_| async {}).unwrap().await.unwrap();
        (line, format!("{:?}", region.id()))
    });
    let (line, region) = block_on(main.unwrap()).unwrap();
    let member = only("member");
    assert_eq!((&member.fields["loc.line"], &member.fields["region"]), (&line.to_string(), &region));
    let in_pool = only("in a pool");
    assert!(!in_pool.fields.contains_key("loc.line"), "{in_pool:?}");
    only("main");

    let mut set = JoinSet::new();
    let local = Runtime::builder().build_local().unwrap();
    let line = line!() + 1;
    set.spawn(&runtime, |_| std::future::ready(())).unwrap();
    let alone = local.local_handle().spawn_local_with(named!("alone"), |_| async {}).unwrap();
    local.block_on(alone).unwrap();
    block_on(set.join_next()).unwrap().unwrap();
    assert_eq!(only("alone").fields["loc.line"], (line + 1).to_string());
    assert_eq!(only("core::future::ready::Ready<()>").fields["loc.line"], line.to_string());
}

/// Spawns tasks that end in each way.
fn end_in_all_ways(handle: Handle) -> impl Future<Output = ()> {
    static ABRUPT: Attributes = Attributes::named("forced").cleanup_polls(0);
    async move {
        handle.spawn_with(named!("finished"), |_| yield_now()).unwrap().await.unwrap();
        let panicked = handle.spawn_with(named!("panicked"), |_| async { panic!("as planned") }).unwrap();
        assert_eq!(panicked.await, Err(JoinError::Panicked));
        let cancelled =
            handle.spawn_with(named!("cancelled"), |cx| async move { cx.cancelled().await }).unwrap();
        cancelled.cancel().unwrap();
        cancelled.await.unwrap();
        let options = TaskOptions::new().attributes(&ABRUPT);
        let forced = handle.spawn_with(options, |_| std::future::pending::<()>()).unwrap();
        forced.cancel().unwrap();
        forced.await.unwrap_err();
        drop(handle.spawn_with(named!("detached"), |_| yield_now()).unwrap());
        let build = |_| -> std::future::Ready<()> { panic!("as planned") };
        let spawn = AssertUnwindSafe(|| handle.spawn_with(named!("not built"), build).map(drop).is_ok());
        catch_unwind(spawn).unwrap_err();
    }
}

#[test]
fn a_span_is_closed_however_its_task_ends() {
    const NAMES: [&str; 6] = ["finished", "panicked", "cancelled", "forced", "detached", "not built"];
    let runtime = runtime(3);
    for _ in 0..100 {
        runtime.block_on(end_in_all_ways(runtime.handle()));
    }
    for seed in 0..50 {
        let mut simulation = Runtime::builder().simulate(seed).unwrap();
        simulation.block_on(end_in_all_ways(simulation.handle())).unwrap();
    }
    runtime.shut_down(Duration::from_secs(10)).unwrap();
    for name in NAMES {
        let seen = recorder().closed(name);
        assert_eq!(seen.len(), 150, "{name}");
        assert!(seen.iter().all(|seen| seen.enters == seen.exits), "{name}");
        let polled = seen.iter().filter(|seen| seen.enters > 0).count();
        // Some are asked to stop before their first poll.
        let wanted = match name {
            "not built" => 0..=0,
            "forced" => 1..=150,
            _ => 150..=150,
        };
        assert!(wanted.contains(&polled), "{name}: {polled}");
    }
}

#[test]
fn tasks_on_several_workers_are_each_in_their_own_span() {
    let runtime = runtime(3);
    let tasks: Vec<_> = (0..200u32)
        .map(|number| {
            let task = runtime.spawn_with(named!("many"), move |_| async move {
                for _ in 0..number % 7 {
                    info!("{number}");
                    yield_now().await;
                }
            });
            task.unwrap()
        })
        .collect();
    for task in tasks {
        block_on(task).unwrap();
    }
    let seen = recorder().closed("many");
    assert_eq!(seen.len(), 200);
    for seen in &seen {
        assert_eq!((seen.enters, seen.exits), (seen.events.len() + 1, seen.events.len() + 1));
        assert!(seen.events.windows(2).all(|two| two[0] == two[1]), "{seen:?}");
    }
}

/// Panics at each occasion.
struct Hostile;

impl Subscriber for Hostile {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &SpanAttributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {
        panic!("an event")
    }

    fn enter(&self, _: &Id) {
        panic!("an enter")
    }

    fn exit(&self, _: &Id) {
        panic!("an exit")
    }

    fn try_close(&self, _: Id) -> bool {
        panic!("a close")
    }
}

#[test]
fn a_subscriber_that_panics_does_no_harm_to_tasks() {
    let runtime = runtime(2);
    let tasks = with_default(Hostile, || {
        [(); 50].map(|()| {
            let task = runtime.spawn(|cx| async move {
                cx.sleep(Span::from_millis(1)).await.unwrap();
                7
            });
            task.unwrap()
        })
    });
    for task in tasks {
        assert_eq!(block_on(task), Ok(7));
    }
}
