//! embassy-sync: what firmware uses, in tasks of several threads.

use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::channel::Channel;
use embassy_sync::mutex::Mutex;
use embassy_sync::signal::Signal;
use trilane::exec::yield_now;

use crate::{join, runtime, spawn};

#[test]
fn its_channel_loses_nothing_between_workers() {
    static CHANNEL: Channel<CriticalSectionRawMutex, u32, 4> = Channel::new();
    let runtime = runtime(2);
    let received = spawn(&runtime, async {
        let mut all = Vec::new();
        while all.len() < 1_000 {
            all.push(CHANNEL.receive().await);
        }
        all
    });
    let sent = spawn(&runtime, async {
        for number in 0..1_000 {
            CHANNEL.send(number).await;
        }
    });
    assert!(join(received).into_iter().eq(0..1_000));
    join(sent);
}

#[test]
fn its_signal_wakes_a_task_from_a_thread() {
    static SIGNAL: Signal<CriticalSectionRawMutex, u32> = Signal::new();
    let runtime = runtime(1);
    for number in 0..100 {
        let waits = spawn(&runtime, SIGNAL.wait());
        std::thread::scope(|scope| {
            scope.spawn(|| SIGNAL.signal(number));
        });
        assert_eq!(join(waits), number);
    }
}

#[test]
fn its_mutex_lets_one_in() {
    static SUM: Mutex<CriticalSectionRawMutex, u32> = Mutex::new(0);
    let runtime = runtime(2);
    let tasks = [(); 4].map(|()| {
        spawn(&runtime, async {
            for _ in 0..100 {
                let mut sum = SUM.lock().await;
                let before = *sum;
                yield_now().await;
                *sum = before + 1;
            }
        })
    });
    tasks.into_iter().for_each(join);
    assert_eq!(join(spawn(&runtime, async { *SUM.lock().await })), 400);
}
