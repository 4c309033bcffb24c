//! E3: the deadline was two 32-bit halves; a write from another context was seen half done.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};

use trilane::exec::{Executor, Manual, OnMiss, TaskOptions};
use trilane_tests::future::Bell;
use trilane_tests::{Log, leak, pool, settle, us};

/// Two deadlines between which the re-keyed task alternates. Halves mixed up make 0 or `0x1_ffff_ffff`.
const BELOW: u64 = 0x0_ffff_ffff;
const ABOVE: u64 = 0x1_0000_0000;
/// Earlier than both, later than the torn 0. And later than both, earlier than the torn `0x1_ffff_ffff`.
const EARLIER: u64 = 0x0_8000_0000;
const LATER: u64 = 0x1_8000_0000;
/// Between the torn 0 and all the others.
const NOW: u64 = 5;

#[test]
fn no_torn_deadline_is_ever_compared() {
    let executor = leak(Executor::<_, 1, 8>::new(Manual::new()));
    let pool = pool::<8>();
    let mut runner = executor.start().unwrap();
    let order: &Log<&str> = leak(Log::new());
    let bells: &[Bell; 3] = leak([Bell::new(), Bell::new(), Bell::new()]);
    // In the order of slots they would run the wrong way round.
    let tasks = [("later", LATER), ("re-keyed", BELOW), ("earlier", EARLIER)];
    let mut handles = Vec::new();
    for (bell, (name, deadline)) in bells.iter().zip(tasks) {
        let options = TaskOptions::new().deadline(us(deadline)).on_miss(OnMiss::Cancel);
        let task = executor.spawn_with(options, pool, |_| async move {
            std::future::poll_fn(|cx| {
                bell.note(cx);
                order.push(name);
                std::task::Poll::<()>::Pending
            })
            .await;
        });
        handles.push(task.unwrap());
    }
    settle(&mut runner, us(NOW));
    order.take();

    let rekeyed = handles[1].id();
    let (over, changes) = (AtomicBool::new(false), AtomicU32::new(0));
    std::thread::scope(|scope| {
        let changer = scope.spawn(|| {
            while !over.load(SeqCst) {
                executor.set_deadline(rekeyed, Some(us(ABOVE))).unwrap();
                executor.set_deadline(rekeyed, Some(us(BELOW))).unwrap();
                changes.fetch_add(2, SeqCst);
            }
        });
        // The other thread may begin late, and run seldom.
        let mut rounds = 0;
        while rounds < 5_000 || changes.load(SeqCst) < 1_000 && !changer.is_finished() {
            rounds += 1;
            bells.iter().for_each(Bell::ring);
            settle(&mut runner, us(NOW));
            assert_eq!(order.take(), ["earlier", "re-keyed", "later"]);
            let seen = executor.task(rekeyed).unwrap().deadline.unwrap().as_micros();
            assert!(seen == BELOW || seen == ABOVE, "a torn deadline: {seen:#x}");
        }
        over.store(true, SeqCst);
        changer.join().unwrap();
    });
    assert_eq!(executor.counters().misses, 0);
}
