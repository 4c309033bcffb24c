//! F6: what was asked of a region waited for the end of the pass, up to 127 polls, while an unrelated task
//! yielded.
//!
//! It is seen before the next poll; where several steps follow from each other, each one before the next
//! poll.

use std::future::{pending, poll_fn};
use std::num::NonZeroU16;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

use trilane::exec::{
    Attributes, Cx, Executor, JoinSet, Manual, Region, RegionOptions, Regions, Runner, TaskOptions,
};
use trilane_tests::{Log, leak, pool, settle, us};

use crate::bench::Bench;

/// A task's part in the log: `s` for each poll of one that yields, else the first letter of what happens.
type Letters = &'static Log<char>;

type Exec<const BANKS: usize, const PER_BANK: usize> = Executor<Bench, BANKS, PER_BANK>;

/// What an interrupt does in the middle of the third poll of the task that yields, or a task of its own.
type Act = Box<dyn FnOnce() + Send>;

struct Scene<const BANKS: usize, const PER_BANK: usize> {
    executor: &'static Exec<BANKS, PER_BANK>,
    runner: Runner<Bench, BANKS, PER_BANK>,
    letters: Letters,
    act: Arc<Mutex<Option<Act>>>,
}

impl<const BANKS: usize, const PER_BANK: usize> Scene<BANKS, PER_BANK> {
    fn new() -> Self {
        let executor = leak(Executor::new(Bench::new())).with_regions(leak(Regions::<8>::new()));
        let runner = executor.start().unwrap();
        Self { executor, runner, letters: leak(Log::new()), act: Arc::default() }
    }

    fn region(&self) -> Region {
        self.executor.open_region(RegionOptions::new()).unwrap()
    }

    /// A task in `region` that notes `letter` when it is asked to stop, and then ends.
    fn member(&mut self, region: &Region, letter: char) {
        let letters = self.letters;
        let member = region.spawn(pool::<1>(), move |cx: Cx| async move {
            cx.cancelled().await;
            letters.push(letter);
        });
        drop(member.unwrap());
        settle(&mut self.runner, us(0));
    }

    /// Fills all free slots of the first banks but one, so that who comes next is in another bank.
    fn next_bank(&mut self) {
        if BANKS == 1 {
            return;
        }
        let pool = pool::<32>();
        for _ in 0..PER_BANK - self.executor.tasks().count() % PER_BANK {
            drop(self.executor.spawn(pool, |_| pending::<()>()).unwrap());
        }
        settle(&mut self.runner, us(0));
    }

    /// Adds `spinners` tasks that yield for ever; the first one's third poll is interrupted by what is to be
    /// done.
    fn spin(&mut self, spinners: usize) {
        self.next_bank();
        let pool = pool::<8>();
        for number in 0..spinners {
            let (letters, act) = (self.letters, self.act.clone());
            let task = self.executor.spawn(pool, move |cx| async move {
                for poll in 0u64.. {
                    letters.push('s');
                    if number == 0 && poll == 2 {
                        let act = act.lock().unwrap().take();
                        if let Some(act) = act {
                            letters.push('c');
                            act();
                        }
                    }
                    cx.yield_now().await;
                }
            });
            drop(task.unwrap());
        }
    }

    /// One pass; what was logged from `c` on.
    fn pass(&mut self) -> String {
        self.runner.poll_pending(us(0));
        let letters = String::from_iter(self.letters.take());
        letters[letters.find('c').expect("nothing was done")..].to_string()
    }

    /// The same, when `act` is done by an interrupt during a poll of the first of `spinners`.
    fn interrupted(mut self, spinners: usize, act: impl FnOnce() + Send + 'static) -> String {
        *self.act.lock().unwrap() = Some(Box::new(act));
        self.spin(spinners);
        self.pass()
    }

    /// The same, when a task does it that was yielding before.
    fn by_a_task<F>(mut self, spinners: usize, act: F) -> String
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.spin(spinners);
        let letters = self.letters;
        let task = self.executor.spawn(pool::<1>(), move |cx| async move {
            for _ in 0..5 {
                cx.yield_now().await;
            }
            letters.push('c');
            act.await;
        });
        drop(task.unwrap());
        self.pass()
    }
}

/// The letters of `wanted` follow each other: those in upper case, of tasks that are asked to stop, after one
/// poll of another at most; those of plain tasks after one of each.
#[track_caller]
fn at_once(log: &str, wanted: &str, spinners: usize) {
    let mut from = 1;
    for letter in wanted.chars() {
        // A plain task waits for what is left of a round, and for those before it in the next one.
        let within = if letter.is_uppercase() { 1 } else { 1 + 2 * spinners };
        let polls = log[from..].find(letter);
        let log = &log[..log.len().min(40)];
        assert!(
            polls.is_some_and(|polls| polls <= within),
            "{letter:?} after {polls:?} polls, {spinners} yield: {log}"
        );
        from += polls.unwrap_or(0) + 1;
    }
}

/// Runs `$body` with scenes of one bank and of four, and with one and three tasks that yield.
macro_rules! everywhere {
    (|$scene:ident, $spinners:ident| $body:block) => {
        for $spinners in [1, 3] {
            {
                #[allow(unused_mut)]
                let mut $scene = Scene::<1, 16>::new();
                $body
            }
            {
                #[allow(unused_mut)]
                let mut $scene = Scene::<4, 8>::new();
                $body
            }
        }
    };
}

#[test]
fn the_members_of_a_region_that_is_cancelled_are_asked_at_once() {
    everywhere!(|scene, spinners| {
        let region = scene.region();
        scene.member(&region, 'M');
        let log = scene.by_a_task(spinners, async move {
            region.cancel().unwrap();
            pending::<()>().await;
        });
        at_once(&log, "M", spinners);
    });
}

#[test]
fn the_members_of_a_region_that_an_interrupt_cancels_are_asked_at_once() {
    everywhere!(|scene, spinners| {
        let region = scene.region();
        scene.member(&region, 'M');
        let region: &Region = leak(region);
        let log = scene.interrupted(spinners, || region.cancel().unwrap());
        at_once(&log, "M", spinners);
    });
}

#[test]
fn the_members_of_a_region_that_is_dropped_are_asked_at_once() {
    everywhere!(|scene, spinners| {
        let region = scene.region();
        scene.member(&region, 'M');
        at_once(&scene.interrupted(spinners, || drop(region)), "M", spinners);
    });
    everywhere!(|scene, spinners| {
        let region = scene.region();
        scene.member(&region, 'M');
        at_once(&scene.by_a_task(spinners, async { drop(region) }), "M", spinners);
    });
}

#[test]
fn who_closes_a_region_goes_on_once_its_members_are_over() {
    everywhere!(|scene, spinners| {
        let mut region = scene.region();
        scene.member(&region, 'M');
        let letters = scene.letters;
        let log = scene.by_a_task(spinners, async move {
            region.close().await.unwrap();
            letters.push('w');
        });
        at_once(&log, "Mw", spinners);
    });
}

#[test]
fn who_closes_an_empty_region_goes_on_at_once() {
    everywhere!(|scene, spinners| {
        let mut region = scene.region();
        let letters = scene.letters;
        let log = scene.by_a_task(spinners, async move {
            region.close().await.unwrap();
            letters.push('w');
        });
        at_once(&log, "w", spinners);
    });
}

/// A task that waits for something of its own, and what ends that.
fn ends_when_told(scene: &mut Scene<1, 16>, region: &Region) -> Act {
    let told: Arc<Mutex<(bool, Option<Waker>)>> = Arc::default();
    let its = told.clone();
    let letters = scene.letters;
    let member = region.spawn(pool::<1>(), move |_| async move {
        poll_fn(|cx| {
            let mut its = its.lock().unwrap();
            its.1 = Some(cx.waker().clone());
            if its.0 { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        letters.push('e');
    });
    drop(member.unwrap());
    settle(&mut scene.runner, us(0));
    Box::new(move || {
        let waker = {
            let mut told = told.lock().unwrap();
            told.0 = true;
            told.1.take()
        };
        waker.unwrap().wake();
    })
}

#[test]
fn who_waits_for_all_of_a_region_goes_on_at_once() {
    for spinners in [1, 3] {
        let mut scene = Scene::<1, 16>::new();
        let mut region = scene.region();
        let end = ends_when_told(&mut scene, &region);
        let letters = scene.letters;
        let waiter = scene.executor.spawn(pool::<1>(), move |_| async move {
            region.join_all().await.unwrap();
            letters.push('w');
            pending::<()>().await;
        });
        drop(waiter.unwrap());
        settle(&mut scene.runner, us(0));
        at_once(&scene.interrupted(spinners, end), "ew", spinners);
    }
}

#[test]
fn who_waits_for_the_next_of_a_set_goes_on_at_once() {
    for spinners in [1, 3] {
        let mut scene = Scene::<1, 16>::new();
        let mut set: JoinSet<(), 2> = JoinSet::new(scene.region());
        set.spawn(pool::<1>(), |_| pending::<()>()).unwrap();
        let letters = scene.letters;
        set.spawn(pool::<1>(), move |cx: Cx| async move {
            cx.cancelled().await;
            letters.push('M');
        })
        .unwrap();
        settle(&mut scene.runner, us(0));
        let log = scene.by_a_task(spinners, async move {
            set.cancel().unwrap();
            assert!(set.join_next().await.is_some());
            letters.push('w');
        });
        at_once(&log, "Mw", spinners);
    }
}

#[test]
fn a_shut_down_asks_all_tasks_at_once() {
    everywhere!(|scene, spinners| {
        let region = scene.region();
        scene.member(&region, 'M');
        let executor = scene.executor;
        let _region = leak(region);
        let log = scene.interrupted(spinners, || executor.shut_down());
        at_once(&log, "M", spinners);
    });
}

#[test]
fn the_regions_below_one_that_closes_are_asked_one_level_a_poll() {
    everywhere!(|scene, spinners| {
        let outer = scene.region();
        let middle = outer.open_region(RegionOptions::new()).unwrap();
        let inner = middle.open_region(RegionOptions::new()).unwrap();
        scene.member(&outer, 'A');
        scene.member(&middle, 'B');
        scene.member(&inner, 'D');
        let (_middle, _inner) = (leak(middle), leak(inner));
        let log = scene.interrupted(spinners, || drop(outer));
        for (level, letter) in ['A', 'B', 'D'].into_iter().enumerate() {
            let polls = log.find(letter).map(|at| log[..at].matches('s').count());
            assert!(polls.is_some_and(|polls| polls <= 1 + level), "{letter:?} after {polls:?} polls: {log}");
        }
    });
}

/// Notes that its task's future was dropped.
struct Noted(Letters);

impl Drop for Noted {
    fn drop(&mut self) {
        self.0.push('f');
    }
}

#[test]
fn the_siblings_of_a_task_that_fails_are_asked_at_once() {
    /// Its clean-up is none: it is ended by force.
    static AT_ONCE: Attributes = Attributes::new().cleanup_polls(0);
    everywhere!(|scene, spinners| {
        let region = scene.executor.open_region(RegionOptions::new().fail_fast()).unwrap();
        scene.member(&region, 'M');
        let letters = scene.letters;
        let quota = TaskOptions::new().poll_quota(NonZeroU16::new(5).unwrap()).attributes(&AT_ONCE);
        scene.spin(spinners);
        let failing = region.spawn_with(quota, pool::<1>(), move |cx| async move {
            let _noted = Noted(letters);
            letters.push('c');
            loop {
                cx.yield_now().await;
            }
        });
        drop(failing.unwrap());
        let log = scene.pass();
        at_once(&log[log.find('f').expect("it was not ended")..], "M", spinners);
    });
}

/// A poll that unwinds ends the pass; what follows from it comes first in the next one.
#[test]
fn the_siblings_of_a_task_that_panics_are_asked_at_once() {
    everywhere!(|scene, spinners| {
        let region = scene.executor.open_region(RegionOptions::new().fail_fast()).unwrap();
        scene.member(&region, 'M');
        let letters = scene.letters;
        scene.spin(spinners);
        let failing = region.spawn(pool::<1>(), move |cx| async move {
            for _ in 0..5 {
                cx.yield_now().await;
            }
            letters.push('c');
            panic!("as planned");
        });
        drop(failing.unwrap());
        assert!(catch_unwind(AssertUnwindSafe(|| scene.runner.poll_pending(us(0)))).is_err());
        at_once(&scene.pass(), "M", spinners);
    });
}

/// The same by the loops that a program runs in.
#[test]
fn a_region_is_seen_to_at_once_however_the_executor_is_driven() {
    let driven = |drive: fn(&mut Scene<1, 16>)| {
        let mut scene = Scene::<1, 16>::new();
        let region = scene.region();
        scene.member(&region, 'M');
        *scene.act.lock().unwrap() = Some(Box::new(move || drop(region)));
        scene.spin(1);
        drive(&mut scene);
        let log = String::from_iter(scene.letters.take());
        at_once(&log[log.find('c').unwrap()..], "M", 1);
    };
    driven(|scene| scene.runner.run_until(|| true));
    driven(|scene| scene.runner.drive());
}

#[test]
fn the_time_of_the_caller_makes_no_difference() {
    let executor = leak(Executor::<_, 1, 8>::new(Manual::new())).with_regions(leak(Regions::<1>::new()));
    let mut runner = executor.start().unwrap();
    let letters: Letters = leak(Log::new());
    let region = executor.open_region(RegionOptions::new()).unwrap();
    let member = region.spawn(pool::<1>(), move |cx: Cx| async move {
        cx.cancelled().await;
        letters.push('M');
    });
    let spinner = executor.spawn(pool::<1>(), move |cx| async move {
        let mut region = Some(region);
        for poll in 0.. {
            letters.push('s');
            if poll == 9 {
                letters.push('c');
                region = None;
            }
            cx.yield_now().await;
        }
        drop(region);
    });
    runner.poll_pending(us(7));
    let log = String::from_iter(letters.take());
    at_once(&log[log.find('c').unwrap()..], "M", 1);
    drop((member, spinner));
}
