//! The whole runtime: workers that steal, sleep, fire timers and end tasks, against those who spawn, wake and
//! stop them.
#![cfg(trilane_shuttle)]

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, Waker};

use shuttle::sync::Mutex;
use shuttle::sync::atomic::{AtomicU32, Ordering::SeqCst};
use shuttle::thread;
use trilane::exec::{Attributes, Cx, RegionOptions, TaskOptions, yield_now};
use trilane::time::Duration;
use trilane_shuttle::check;

/// Lets others have a turn, tasks and threads: the second scheduler is unfair to those that don't.
async fn pause() {
    thread::yield_now();
    yield_now().await;
}

/// A count that tasks wait for.
#[derive(Default)]
struct Gate {
    count: AtomicU32,
    waiting: Mutex<Vec<Waker>>,
}

impl Gate {
    fn add(&self) {
        self.count.fetch_add(1, SeqCst);
        let woken = std::mem::take(&mut *self.waiting.lock().unwrap());
        woken.into_iter().for_each(Waker::wake);
    }

    async fn at_least(&self, count: u32) {
        poll_fn(|cx| {
            self.waiting.lock().unwrap().push(cx.waker().clone());
            if self.count.load(SeqCst) >= count { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

#[test]
fn no_wake_is_lost() {
    check(|runtime| {
        let gate = Arc::new(Gate::default());
        let tasks: Vec<_> = (0..4)
            .map(|number| {
                let gate = gate.clone();
                let task = async move |_| {
                    gate.at_least(number).await;
                    gate.add();
                };
                runtime.spawn(task).expect("there is room")
            })
            .collect();
        runtime.block_on(async {
            for task in tasks {
                task.await.expect("it ends by itself");
            }
        });
        assert_eq!(gate.count.load(SeqCst), 4);
    });
}

#[test]
fn tasks_are_spawned_and_joined_from_all_sides() {
    check(|runtime| {
        let handle = runtime.handle();
        let others: Vec<_> = (0..2)
            .map(|number: u32| {
                thread::spawn(move || {
                    let outer = handle.spawn(async move |_| {
                        let inner = handle.spawn(async move |_| {
                            pause().await;
                            number
                        });
                        inner.expect("there is room").await.expect("it ends by itself") + 1
                    });
                    handle.block_on(outer.expect("there is room")).expect("it ends by itself")
                })
            })
            .collect();
        let sum: u32 = others.into_iter().map(|other| other.join().unwrap()).sum();
        assert_eq!(sum, 3);
    });
}

#[test]
fn a_sleep_ends_though_all_others_yield_or_sleep() {
    check(|runtime| {
        let tasks: Vec<_> = (1..4)
            .map(|number| {
                let task = async move |cx: trilane::exec::Cx| {
                    pause().await;
                    cx.sleep(Duration::from_micros(10 * number)).await.expect("there is room for its timer");
                };
                runtime.spawn(task).expect("there is room")
            })
            .collect();
        runtime.block_on(async {
            for task in tasks {
                task.await.expect("it ends by itself");
            }
        });
    });
}

/// Has little time to clean up: a run's clock goes by a microsecond a look.
static HASTY: Attributes = Attributes::named("hasty").cleanup_time(Duration::from_micros(20));

/// Counts when it is dropped.
struct Count(Arc<AtomicU32>);

impl Drop for Count {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
    }
}

#[test]
fn who_is_asked_to_stop_ends_once_whoever_polls_it() {
    check(|runtime| {
        let ended = Arc::new(AtomicU32::new(0));
        let tasks: Vec<_> = (0..3)
            .map(|number| {
                let count = Count(ended.clone());
                let task = async move |cx: Cx| {
                    let _count = count;
                    match number {
                        // By force, in a poll or between two.
                        0 => loop {
                            pause().await;
                        },
                        // By itself.
                        1 => assert!(cx.sleep(Duration::from_secs(1_000)).await.is_err()),
                        // By force, asleep.
                        _ => std::future::pending().await,
                    }
                };
                runtime.spawn_with(TaskOptions::new().attributes(&HASTY), task).expect("there is room")
            })
            .collect();
        let handles: Vec<_> = tasks.iter().filter_map(|task| task.abort_handle()).collect();
        let other = thread::spawn(move || {
            for handle in handles {
                handle.cancel().expect("it doesn't end by itself");
            }
        });
        let results: Vec<_> = tasks.into_iter().map(|task| runtime.block_on(task)).collect();
        other.join().unwrap();
        assert!(matches!(results[..], [Err(_), Ok(()), Err(_)]), "{results:?}");
        assert_eq!(ended.load(SeqCst), 3);
    });
}

#[test]
fn a_region_that_is_closed_from_outside_outlives_all_that_is_in_it() {
    check(|runtime| {
        let handle = runtime.handle();
        let alive = Arc::new(AtomicU32::new(0));
        let mut region = runtime.open_region(RegionOptions::new()).expect("there is room");
        for number in 0..3 {
            let count = Count(alive.clone());
            let task = async move |cx: Cx| {
                let _count = count;
                if number == 0 {
                    // In the same region; it may be closing already.
                    let _ = cx.open_region(RegionOptions::new());
                }
                while !cx.is_cancelled() {
                    pause().await;
                }
            };
            let options = TaskOptions::new().attributes(&HASTY);
            drop(handle.spawn_in(&region, options, task).expect("there is room"));
        }
        runtime.block_on(async { region.close().await }).expect("it is open");
        assert_eq!(alive.load(SeqCst), 3, "it is closed, and a task of it isn't over");
    });
}

#[test]
fn a_runtime_ends_while_tasks_are_spawned_stolen_and_woken() {
    check(|runtime| {
        let handle = runtime.handle();
        let (begun, ended) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let others: Vec<_> = (0..2)
            .map(|_| {
                let (begun, ended) = (begun.clone(), ended.clone());
                thread::spawn(move || {
                    for _ in 0..3 {
                        let count = Count(ended.clone());
                        let task = async move |_| {
                            let _count = count;
                            pause().await;
                        };
                        if handle.spawn(task).is_ok() {
                            begun.fetch_add(1, SeqCst);
                        }
                    }
                })
            })
            .collect();
        let mut wakes = 0;
        let stubborn = async move |_| {
            poll_fn(|cx| {
                let waker = cx.waker().clone();
                wakes += 1;
                if wakes < 3 {
                    // It outlives its task, and perhaps the runtime.
                    thread::spawn(move || waker.wake());
                }
                Poll::<()>::Pending
            })
            .await;
        };
        let options = TaskOptions::new().attributes(&HASTY);
        drop(runtime.spawn_with(options, stubborn).expect("there is room"));
        Ends(others, begun, ended)
    });
}

/// Dropped after the runtime: what was begun has ended, and what was refused was dropped.
struct Ends(Vec<thread::JoinHandle<()>>, Arc<AtomicU32>, Arc<AtomicU32>);

impl Drop for Ends {
    fn drop(&mut self) {
        for other in self.0.drain(..) {
            other.join().unwrap();
        }
        assert!(self.1.load(SeqCst) <= 6);
        assert_eq!(self.2.load(SeqCst), 6);
    }
}

#[test]
fn panics_of_polls_drops_and_wakers_stay_their_tasks_own() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }
    check(|runtime| {
        let tasks: Vec<_> = (0..4)
            .map(|number| {
                let task = async move |_| {
                    if number == 0 {
                        panic!("polled");
                    }
                    let bomb = Bomb;
                    pause().await;
                    if number > 1 {
                        std::mem::forget(bomb);
                    }
                };
                runtime.spawn(task).expect("there is room")
            })
            .collect();
        let results: Vec<_> = tasks.into_iter().map(|task| runtime.block_on(task)).collect();
        assert!(matches!(results[..], [Err(_), Err(_), Ok(()), Ok(())]), "{results:?}");
    });
}
