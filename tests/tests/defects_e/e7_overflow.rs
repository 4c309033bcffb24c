//! E7: an overflow of the run queue was an unwrap in the schedule path, perhaps inside an interrupt.

use std::thread;

use trilane::exec::{Executor, Manual};
use trilane_tests::future::Bell;
use trilane_tests::{leak, pool, settle, us};

const TASKS: usize = 4;
const THREADS: u32 = 4;
const WAKES: u32 = 2_500;

#[test]
fn ten_thousand_wakes_never_overflow() {
    let executor = leak(Executor::<_, 1, TASKS>::new(Manual::new()));
    let mut runner = executor.start().unwrap();
    let pool = pool::<TASKS>();
    let bells: &[Bell; TASKS] = leak([const { Bell::new() }; TASKS]);
    for bell in bells {
        drop(executor.spawn(pool, |_| bell.forever()));
    }
    settle(&mut runner, us(0));

    let wakers: Vec<_> = bells.iter().map(Bell::waker).collect();
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|_| scope.spawn(|| (0..WAKES).for_each(|wake| wakers[wake as usize % TASKS].wake_by_ref())))
            .collect();
        while threads.iter().any(|thread| !thread.is_finished()) {
            settle(&mut runner, us(0));
            thread::yield_now();
        }
    });
    settle(&mut runner, us(0));

    let counters = executor.counters();
    assert_eq!(counters.wakes, counters.polls);
    assert_eq!(counters.wakes + counters.coalesced, THREADS * WAKES + TASKS as u32);
    assert_eq!(counters.stale_wakes, 0);
    assert!(counters.deepest_lane <= TASKS as u32);
}

/// What an interrupt does: it comes while the executor polls, as often as it likes.
#[test]
fn ten_thousand_wakes_during_one_poll_give_one_more_poll_each_task() {
    let executor = leak(Executor::<_, 3, 5>::new(Manual::new()));
    let mut runner = executor.start().unwrap();
    let pool = pool::<15>();
    let bells: &[Bell; 15] = leak([const { Bell::new() }; 15]);
    for bell in &bells[1..] {
        drop(executor.spawn(pool, |_| bell.forever()));
    }
    settle(&mut runner, us(0));
    drop(executor.spawn(pool, |_| async {
        bells[0].until(1).await;
        for wake in 0..10_000 {
            bells[wake % 15].ring();
        }
        // Its second poll here belongs to the same poll of the task.
        bells[0].until(3).await;
    }));
    assert_eq!(settle(&mut runner, us(0)), 1 + 15);
    assert_eq!(bells[0].polls(), 3);
    assert!(bells[1..].iter().all(|bell| bell.polls() == 2));
}
