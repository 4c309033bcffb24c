//! What the tasks of a runtime are doing, for people and for programs.

use std::fmt;

use trilane::exec::{RegionInfo, TaskInfo, TaskState};
use trilane::time::Instant;

/// Something of a shard.
#[derive(Clone, Copy, Debug)]
pub struct Placed<T> {
    /// The shard's number: ids are unique in a shard.
    pub shard: usize,
    /// What it tells of itself.
    pub info: T,
}

/// Every task and region of a runtime; made by [`Handle::dump`](super::Handle::dump).
///
/// As text it has a line for each. With the feature `serde` it can be written as JSON, or as anything else:
///
/// ```
/// # use trilane_std::runtime::Runtime;
/// # let runtime = Runtime::builder().workers(1).build().unwrap();
/// use trilane::exec::{Attributes, TaskOptions};
///
/// let options = TaskOptions::new().attributes(const { &Attributes::named("waits") });
/// let task = runtime.spawn_with(options, |cx| async move { cx.cancelled().await.0 }).unwrap();
/// let dump = runtime.dump();
/// assert!(dump.to_string().contains("waits"));
/// # #[cfg(feature = "serde")]
/// assert_eq!(serde_json::to_value(&dump)?["tasks"][0]["name"], "waits");
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// The JSON of a task is as `{"shard": 0, "id": "12v3", "name": "waits", "state": "queued", "lane": "timed",
/// "priority": 0, "deadline_us": 5000000, "cancelled": "user", "region": "r1v0"}`, that of a region as
/// `{"shard": 0, "id": "r1v0", "name": "sessions", "parent": "r0v2", "tasks": 4, "children": 0, "closing":
/// "shutdown"}`. States are `waiting`, `woken`, `queued`, `running` and `done`, lanes `cancel`, `timed` and
/// `ready`, reasons those of [`Reason`](trilane::exec::Reason) (`sibling_failed`). What there isn't is
/// `null`.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Dump {
    /// When it was made, by the runtime's clock.
    #[cfg_attr(feature = "serde", serde(rename = "at_us", serialize_with = "json::micros"))]
    pub at: Instant,
    /// Those whose results are still to be taken, too.
    pub tasks: Vec<Placed<TaskInfo>>,
    /// Those that have not ended.
    pub regions: Vec<Placed<RegionInfo>>,
}

impl fmt::Display for Dump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} tasks, {} regions at {}", self.tasks.len(), self.regions.len(), self.at)?;
        self.tasks.iter().try_for_each(|task| writeln!(f, "{task}"))?;
        self.regions.iter().try_for_each(|region| writeln!(f, "{region}"))
    }
}

impl fmt::Display for Placed<TaskInfo> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { shard, info } = self;
        write!(f, "task {:?} (shard {shard}) ", info.id)?;
        match info.state {
            TaskState::Queued(lane) => write!(f, "queued in {}", snake_case(lane))?,
            state => f.write_str(&snake_case(state))?,
        }
        write!(f, ": {}", info.name)?;
        if info.priority.level() != 0 {
            write!(f, ", priority {}", info.priority.level())?;
        }
        if let Some(deadline) = info.deadline {
            write!(f, ", deadline {deadline}")?;
        }
        if let Some(region) = info.region {
            write!(f, ", in {region:?}")?;
        }
        match info.cancelled {
            Some(reason) => write!(f, ", to stop: {reason}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Placed<RegionInfo> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { shard, info } = self;
        write!(f, "region {:?} (shard {shard}): {}", info.id, info.name.unwrap_or("no name"))?;
        if let Some(parent) = info.parent {
            write!(f, ", in {parent:?}")?;
        }
        write!(f, ", {} tasks, {} regions in it", info.tasks, info.children)?;
        match info.closing {
            Some(reason) => write!(f, ", closing: {reason}"),
            None => Ok(()),
        }
    }
}

/// The name of a variant without fields, as `sibling_failed`.
pub(super) fn snake_case(variant: impl fmt::Debug) -> String {
    let mut name = String::new();
    for letter in format!("{variant:?}").chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.extend(letter.to_lowercase());
    }
    name
}

#[cfg(feature = "serde")]
mod json {
    use serde::ser::{Serialize, SerializeStruct, Serializer};
    use trilane::exec::{RegionInfo, TaskInfo, TaskState};
    use trilane::time::Instant;

    use super::{Placed, snake_case};

    pub(super) fn micros<S: Serializer>(at: &Instant, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(at.as_micros())
    }

    impl Serialize for Placed<TaskInfo> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let Self { shard, info } = self;
            let (state, lane) = match info.state {
                TaskState::Queued(lane) => ("queued".to_owned(), Some(snake_case(lane))),
                state => (snake_case(state), None),
            };
            let mut line = serializer.serialize_struct("Task", 9)?;
            line.serialize_field("shard", shard)?;
            line.serialize_field("id", &format!("{:?}", info.id))?;
            line.serialize_field("name", info.name)?;
            line.serialize_field("state", &state)?;
            line.serialize_field("lane", &lane)?;
            line.serialize_field("priority", &info.priority.level())?;
            line.serialize_field("deadline_us", &info.deadline.map(Instant::as_micros))?;
            line.serialize_field("cancelled", &info.cancelled.map(snake_case))?;
            line.serialize_field("region", &info.region.map(|region| format!("{region:?}")))?;
            line.end()
        }
    }

    impl Serialize for Placed<RegionInfo> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let Self { shard, info } = self;
            let mut line = serializer.serialize_struct("Region", 7)?;
            line.serialize_field("shard", shard)?;
            line.serialize_field("id", &format!("{:?}", info.id))?;
            line.serialize_field("name", &info.name)?;
            line.serialize_field("parent", &info.parent.map(|parent| format!("{parent:?}")))?;
            line.serialize_field("tasks", &info.tasks)?;
            line.serialize_field("children", &info.children)?;
            line.serialize_field("closing", &info.closing.map(snake_case))?;
            line.end()
        }
    }
}
