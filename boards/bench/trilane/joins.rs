//! `spawn_join`: a task spawned and joined; `spawn_detached`: one without a handle, which signals its end.

use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::signal::Signal;
use static_cell::StaticCell;
use trilane::exec::{Cx, LocalSpawner};

use crate::measure::{MEASURED, Meter, Stats, WARM_UP, read};
use crate::{Board, Small, TASKS, done, measure};

type Ended = Signal<NoopRawMutex, ()>;

pub fn rows(small: &mut Small, meter: Meter) {
    static ENDED: StaticCell<Ended> = StaticCell::new();
    let ended = &*ENDED.init(Signal::new());
    measure(small, |spawner| drop(spawner.spawn_local(&TASKS, |cx| joining(cx, meter)).unwrap()));
    measure(small, |spawner| {
        drop(spawner.spawn_local(&TASKS, move |_| detaching(spawner, meter, ended)).unwrap());
    });
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

async fn detaching(spawner: LocalSpawner<Board, 1, 8>, meter: Meter, ended: &'static Ended) {
    let mut stats = Stats::new(WARM_UP);
    while stats.count() < MEASURED {
        let from = read();
        spawner.spawn_local_detached(&TASKS, move |_| async { ended.signal(()) }).unwrap();
        ended.wait().await;
        let to = read();
        stats.add(meter.between(from, to));
    }
    stats.print("spawn_detached", 1);
    done();
}
