//! `spawn_join`: a task spawned and joined.

use trilane::exec::Cx;

use crate::measure::{MEASURED, Meter, Stats, WARM_UP, read};
use crate::{Small, TASKS, done, measure};

pub fn rows(small: &mut Small, meter: Meter) {
    measure(small, |spawner| drop(spawner.spawn_local(&TASKS, |cx| joining(cx, meter)).unwrap()));
}

async fn joining(cx: Cx, meter: Meter) {
    let mut stats = Stats::new(WARM_UP);
    while stats.count() < MEASURED {
        let from = read();
        let handle = cx.spawn(&TASKS, |_| async {}).unwrap();
        let joined = handle.await;
        let to = read();
        assert!(joined.is_ok(), "the task ended by itself");
        stats.add(meter.between(from, to));
    }
    stats.print("spawn_join", 1);
    done();
}
