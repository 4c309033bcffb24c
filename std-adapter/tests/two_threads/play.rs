//! Has scenes played, and looks whether nothing is lost.

use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use trilane::exec::{AbortHandle, Platform};

use super::scenes::{Dice, Exec, Pool, SLOTS, World, begin};

/// How long something may take that a lost wake would keep from ever happening.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for `future` on a thread that runs no executor; `None` when that takes longer than a wake that isn't
/// lost.
pub fn wait_for<F: Future>(future: F) -> Option<F::Output> {
    struct Unpark(thread::Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    let until = Instant::now() + PATIENCE;
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Some(output);
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        thread::park_timeout(left);
    }
}

/// The test fails: something was to happen, and all that is left is this.
fn stuck<P: Platform>(executors: [&'static Exec<P>; 2]) -> ! {
    for executor in executors {
        eprintln!("{:#?}\n{:#?}", Vec::from_iter(executor.tasks()), Vec::from_iter(executor.regions()));
    }
    panic!("a wake was lost, see above who waits for it");
}

/// Has many scenes played, four at a time, while others drive the executors; then looks whether all is as
/// before.
pub fn play<P: Platform>(executors: [&'static Exec<P>; 2], pool: &'static Pool, rounds: u32, seed: u64) {
    let (third, asked) = mpsc::channel::<AbortHandle>();
    let saboteur = thread::spawn(move || {
        let mut dice = Dice(seed ^ 0x5EED);
        for task in asked {
            (0..dice.below(2_000)).for_each(|_| std::hint::spin_loop());
            // It may have ended.
            let _ = task.cancel();
        }
    });
    let panics: Arc<AtomicU32> = Arc::default();
    let world = Arc::new(World { executors, pool, third, panics: panics.clone() });
    let mut dice = Dice(seed);
    for _ in 0..rounds {
        let scenes = [0, 1, 0, 1].map(|home| {
            dice.below(2);
            begin(&world, home, dice)
        });
        for scene in scenes {
            let Some(outcome) = wait_for(scene.into_future()) else { stuck(executors) };
            outcome.expect("no scene panics").expect("nobody asks a scene to stop");
        }
        rest(executors);
    }
    drop(world);
    saboteur.join().unwrap();
    all_is_as_before(executors, pool, panics.load(SeqCst));
}

/// Waits until no task and no region is left: what was abandoned ends by itself.
fn rest<P: Platform>(executors: [&'static Exec<P>; 2]) {
    let until = Instant::now() + PATIENCE;
    while executors.iter().any(|executor| executor.tasks().count() + executor.regions().count() > 0) {
        if Instant::now() > until {
            stuck(executors);
        }
        thread::yield_now();
    }
}

fn all_is_as_before<P: Platform>(executors: [&'static Exec<P>; 2], pool: &'static Pool, panics: u32) {
    let one = std::ptr::eq(executors[0], executors[1]);
    let begun_and_ended = executors[usize::from(one)..].iter().map(|executor| {
        let counters = executor.counters();
        (counters.spawns, counters.completions + counters.forced)
    });
    let (begun, ended) = begun_and_ended.fold((0, panics), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    assert_eq!(begun, ended, "each task has ended, once");
    // Every slot of the pool, or of the one executor, can be had at once.
    let slots = if one { Exec::<P>::CAPACITY } else { SLOTS };
    let until = Instant::now() + PATIENCE;
    let begin = |number: usize| {
        loop {
            match executors[number % 2].spawn(pool, |cx| async move { cx.yield_now().await }) {
                Ok(task) => return task,
                // The last task that a dump doesn't show any more may be giving its slot back right now.
                Err(error) => assert!(Instant::now() < until, "a slot is missing: {error}"),
            }
            thread::yield_now();
        }
    };
    for task in Vec::from_iter((0..slots).map(begin)) {
        wait_for(task.into_future()).expect("it runs").expect("to its end");
    }
}
