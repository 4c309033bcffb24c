//! `timer_arm`, `timer_cancel` (and `_last`), `timer_expire`: sleeps, beside others and all together.

use core::future::poll_fn;
use core::pin::pin;
use core::sync::atomic::{AtomicUsize, Ordering};
use core::task::Poll;

use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::signal::Signal;
use trilane::exec::{Cx, Sleep, yield_now};
use trilane::time::{Duration, Instant};

use crate::measure::{MEASURED, MOST, Meter, Stats, TIMERS, WARM_UP, read};
use crate::{AWAKE_AT, Large, MANY, TASKS, done, measure};

pub fn rows(large: &mut Large, meter: Meter) {
    for &n in TIMERS {
        measure(large, |spawner| drop(spawner.spawn_local(&TASKS, |cx| timing(cx, meter, n)).unwrap()));
    }
}

/// Measured expiries of all timers together.
const ROUNDS: u32 = 50;
/// From setting a timer to its instant, longer than setting takes.
const AHEAD: Duration = Duration::from_millis(2);

/// From one expiry of `n` timers to the next, longer than it takes to set them all again.
const fn step(n: usize) -> Duration {
    Duration::from_millis(10 + n as u64)
}

/// Sleepers that have woken in this round.
static ARRIVED: AtomicUsize = AtomicUsize::new(0);
/// Reports the round's end.
static ROUND: Signal<CriticalSectionRawMutex, u32> = Signal::new();
/// Sends the sleepers into the next round.
static GO: [Signal<CriticalSectionRawMutex, ()>; MOST] = [const { Signal::new() }; MOST];

/// Measures arming and cancelling beside `n` sleepers, then their waking.
async fn timing(cx: Cx, meter: Meter, n: usize) {
    // Well after arming and cancelling have been measured, each of which waits AHEAD.
    let start = cx.now() + Duration::from_secs(5);
    for go in &GO[..n] {
        drop(cx.spawn(&MANY, |cx| sleeping(cx, n, start, go)).unwrap());
    }
    // The sleepers' first polls, by which they set their timers, come before the second poll of this task.
    yield_now().await;

    let (mut arm, mut cancel) = (Stats::new(WARM_UP), Stats::new(WARM_UP));
    let (mut arm_last, mut cancel_last) = (Stats::new(WARM_UP), Stats::new(WARM_UP));
    while arm.count() < MEASURED {
        // Earlier than all others, so that the alarm moves; then later than all.
        arm_and_cancel(meter, cx.sleep_until(cx.now() + AHEAD), &mut arm, &mut cancel).await;
        arm_and_cancel(meter, cx.sleep_until(start + AHEAD), &mut arm_last, &mut cancel_last).await;
        // As the peer's image does, whose queue keeps the timer until then.
        cx.sleep(AHEAD).await.unwrap();
    }
    assert!(cx.now() < start, "the sleepers have slept throughout");
    arm.print("timer_arm", n);
    arm_last.print("timer_arm_last", n);
    cancel.print("timer_cancel", n);
    cancel_last.print("timer_cancel_last", n);

    let mut expire = Stats::new(WARM_UP);
    while expire.count() < ROUNDS {
        let to = ROUND.wait().await;
        expire.add(meter.between(AWAKE_AT.load(Ordering::Relaxed), to));
        ARRIVED.store(0, Ordering::Relaxed);
        for go in &GO[..n] {
            go.signal(());
        }
    }
    expire.print_each("timer_expire", n, n as u32);
    done();
}

/// Measures the first poll of a sleep, by which it is armed, and its drop.
async fn arm_and_cancel(meter: Meter, sleep: Sleep, arm: &mut Stats, cancel: &mut Stats) {
    let mut timer = pin!(Some(sleep));
    let spent = poll_fn(|context| {
        let from = read();
        let polled = timer.as_mut().as_pin_mut().map(|timer| timer.poll(context));
        let to = read();
        assert!(polled == Some(Poll::Pending), "the timer is set to an instant to come");
        Poll::Ready(meter.between(from, to))
    });
    arm.add(spent.await);
    let from = read();
    timer.set(None);
    let to = read();
    cancel.add(meter.between(from, to));
}

/// Sleeps until each round's instant; the last of the round's sleepers to wake reports when that was.
async fn sleeping(cx: Cx, n: usize, start: Instant, go: &'static Signal<CriticalSectionRawMutex, ()>) {
    for round in 0..WARM_UP + ROUNDS {
        cx.sleep_until(start + step(n).saturating_mul(round.into())).await.unwrap();
        let now = read();
        // A load and a store, because a Cortex-M0 has no read-modify-write; the tasks are of one executor.
        let arrived = ARRIVED.load(Ordering::Relaxed) + 1;
        ARRIVED.store(arrived, Ordering::Relaxed);
        if arrived == n {
            ROUND.signal(now);
        }
        go.wait().await;
    }
}
