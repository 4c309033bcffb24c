//! The runtime in virtual time, in an order that is drawn.

use std::cell::RefCell;
use std::collections::HashSet;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use trilane::exec::{Cx, JoinError, RegionOptions, TaskOptions, yield_now};
use trilane::sched::Priority;
use trilane::time::{Duration, Instant};
use trilane_std::runtime::{Decision, Handle, Next, Runtime, Simulation, Standstill, block_on};

use super::leak;

fn simulation(seed: u64) -> Simulation {
    Runtime::builder().simulate(seed).unwrap()
}

/// Tasks that sleep, yield, join, panic, are special, and are stopped. Returns what was done, and in which
/// order by the program's own account.
fn storm(seed: u64, workers: usize) -> (Vec<Decision>, Vec<u32>) {
    let mut simulation = Runtime::builder().workers(workers).simulate(seed).unwrap();
    let handle = simulation.handle();
    let account = Arc::new(Mutex::new(Vec::new()));
    let note = {
        let account = account.clone();
        move |number| account.lock().unwrap().push(number)
    };
    let main = async move {
        let mut tasks = Vec::new();
        for number in 0..20u32 {
            let note = note.clone();
            let priority = if number % 5 == 0 { Priority::of::<3>() } else { Priority::default() };
            let task = handle.spawn_with(TaskOptions::new().priority(priority), move |cx| async move {
                note(number);
                let inner = handle.spawn(move |cx| async move {
                    for _ in 0..number % 4 {
                        yield_now().await;
                    }
                    cx.sleep(Duration::from_millis(u64::from(number % 3))).await
                });
                inner.unwrap().await.unwrap().unwrap();
                note(100 + number);
                assert_ne!(number, 7, "as it should");
                cx.sleep(Duration::from_secs(u64::from(number))).await
            });
            tasks.push(task.unwrap());
        }
        tasks[11].cancel().unwrap();
        for (number, task) in tasks.into_iter().enumerate() {
            match (number, task.await) {
                (7, result) => assert_eq!(result, Err(JoinError::Panicked)),
                (11, result) => assert!(matches!(result, Ok(Err(_)) | Err(_)), "{result:?}"),
                (_, result) => assert_eq!(result, Ok(Ok(()))),
            }
        }
        handle.now()
    };
    assert_eq!(simulation.block_on(main), Ok(Instant::from_millis(19_001)));
    let account = account.lock().unwrap().clone();
    (simulation.log().to_vec(), account)
}

#[test]
fn a_seed_gives_the_same_run_and_another_seed_another() {
    for workers in [1, 2, 5] {
        let runs: Vec<_> = (0..20).map(|seed| storm(seed, workers)).collect();
        for (seed, run) in runs.iter().enumerate().rev() {
            let again = storm(seed as u64, workers);
            let same = run.0.iter().zip(&again.0).take_while(|(one, other)| one == other).count();
            assert!(*run == again, "seed {seed}, {workers} workers: the decision {same} was another");
        }
        let different: HashSet<_> = runs.iter().map(|(log, _)| log).collect();
        assert_eq!(different.len(), runs.len());
    }
}

#[test]
fn every_order_of_equals_comes() {
    let orders: HashSet<_> = (0..400)
        .map(|seed| {
            let mut simulation = simulation(seed);
            let order = Arc::new(Mutex::new(Vec::new()));
            for number in 0..4 {
                let order = order.clone();
                simulation.spawn(move |_| async move { order.lock().unwrap().push(number) }).unwrap();
            }
            let sleep = simulation.spawn(|cx| async move { cx.sleep(Duration::from_secs(1)).await });
            simulation.block_on(sleep.unwrap()).unwrap().unwrap().unwrap();
            order.lock().unwrap().split_off(0)
        })
        .collect();
    assert_eq!(orders.len(), 24);
}

#[test]
fn an_update_that_is_lost_in_some_orders_is_found_by_some_seeds() {
    let lost = (0..100).filter(|&seed| {
        let mut simulation = simulation(seed);
        let sum = Arc::new(AtomicU32::new(0));
        let tasks = [(); 2].map(|_| {
            let sum = sum.clone();
            let task = move |_| async move {
                let seen = sum.load(Relaxed);
                yield_now().await;
                sum.store(seen + 1, Relaxed);
            };
            simulation.spawn(task).unwrap()
        });
        for task in tasks {
            simulation.block_on(task).unwrap().unwrap();
        }
        sum.load(Relaxed) == 1
    });
    let lost = lost.count();
    assert!((10..90).contains(&lost), "{lost}");
}

#[test]
fn a_year_passes_at_once_and_time_stands_still_while_tasks_run() {
    let mut simulation = simulation(1);
    let year = Duration::from_secs(365 * 86_400);
    let task = simulation.spawn(move |cx| async move {
        let began = cx.now();
        for _ in 0..100 {
            yield_now().await;
        }
        assert_eq!(cx.now(), began);
        cx.sleep(year).await.unwrap();
        cx.now() - began
    });
    assert_eq!(simulation.block_on(task.unwrap()).unwrap(), Ok(year));
    assert_eq!(simulation.now(), Instant::ZERO + year);
}

#[test]
fn polls_take_the_time_that_they_are_given() {
    let mut simulation = simulation(1).poll_time(Duration::from_micros(10));
    let task = simulation.spawn(|cx| async move {
        let began = cx.now();
        for _ in 0..100 {
            yield_now().await;
        }
        cx.now() - began
    });
    // That of the future that waits for it may come in between.
    let took = simulation.block_on(task.unwrap()).unwrap().unwrap();
    assert!((1_000..=1_010).contains(&took.as_micros()), "{took}");
}

#[test]
fn a_deadlock_names_who_waits() {
    let mut simulation = simulation(1);
    async fn waits_for_ever() {
        std::future::pending().await
    }
    let task = simulation.spawn(|_| waits_for_ever()).unwrap();
    let stuck = simulation.block_on(task).unwrap_err();
    let Standstill::Deadlock { at: Instant::ZERO, tasks } = &stuck else { panic!("{stuck}") };
    assert_eq!(tasks.len(), 1);
    assert!(tasks[0].contains("waits_for_ever") && tasks[0].ends_with(", slot 0)"), "{}", tasks[0]);
    assert!(stuck.to_string().contains("waits_for_ever"), "{stuck}");
    // It goes on: the task was detached, and others may come.
    let task = simulation.spawn(|cx| async move { cx.sleep(Duration::from_secs(1)).await }).unwrap();
    assert_eq!(simulation.block_on(task), Ok(Ok(Ok(()))));
}

#[test]
fn a_livelock_names_who_keeps_the_time_from_going_on() {
    async fn yields_for_ever() {
        loop {
            yield_now().await
        }
    }
    for special in [false, true] {
        let mut simulation = simulation(1).livelock_after(10_000);
        let priority = if special { Priority::of::<3>() } else { Priority::default() };
        simulation.spawn_with(TaskOptions::new().priority(priority), |_| yields_for_ever()).unwrap();
        let sleep = simulation.spawn(|cx| async move { cx.sleep(Duration::from_secs(1)).await }).unwrap();
        let stuck = simulation.block_on(sleep).unwrap_err();
        let Standstill::Livelock { polls: 10_001, tasks, .. } = &stuck else { panic!("{stuck}") };
        assert!(matches!(&tasks[..], [name] if name.contains("yields_for_ever")), "{stuck}");
    }
}

#[test]
fn a_simulation_that_is_dropped_stops_its_tasks_and_its_memory_serves_the_next() {
    let ended = Arc::new(AtomicU32::new(0));
    for seed in 0..50 {
        let mut simulation = simulation(seed);
        for _ in 0..100 {
            let ended = ended.clone();
            let task = move |cx: Cx| async move {
                assert!(cx.sleep(Duration::from_secs(60)).await.is_err());
                assert!(cx.is_cancelled());
                ended.fetch_add(1, Relaxed);
            };
            simulation.spawn(task).unwrap();
        }
        let first = simulation.spawn(|cx| async move { cx.sleep(Duration::from_secs(1)).await }).unwrap();
        simulation.block_on(first).unwrap().unwrap().unwrap();
        let handle = simulation.handle();
        drop(simulation);
        assert!(handle.spawn(|_| async {}).is_err());
    }
    assert_eq!(ended.load(Relaxed), 50 * 100);
}

#[test]
fn nothing_outlives_its_region_in_whatever_order() {
    type Member = Pin<Box<dyn Future<Output = u32> + Send>>;
    fn member(cx: Cx, handle: Handle, depth: u32, alive: Arc<AtomicU32>) -> Member {
        Box::pin(async move {
            alive.fetch_add(1, Relaxed);
            let below = Arc::new(AtomicU32::new(0));
            if depth > 0
                && let Ok(mut region) = cx.open_region(RegionOptions::new())
            {
                for _ in 0..3 {
                    let below = below.clone();
                    let build = move |cx| member(cx, handle, depth - 1, below);
                    // The region closes while it spawns, some time.
                    if handle.spawn_in(&region, TaskOptions::new(), build).is_err() {
                        break;
                    }
                    let _ = cx.sleep(Duration::from_micros(10)).await;
                }
                if cx.shield(region.close()).await.is_ok() {
                    assert_eq!(below.load(Relaxed), 0);
                }
            }
            let _ = cx.sleep(Duration::from_micros(u64::from(depth) * 7)).await;
            alive.fetch_sub(1, Relaxed);
            depth
        })
    }
    for seed in 0..100 {
        let mut simulation = Runtime::builder().workers(3).simulate(seed).unwrap();
        let handle = simulation.handle();
        let alive = Arc::new(AtomicU32::new(0));
        let mut region = simulation.open_region(RegionOptions::new()).unwrap();
        for depth in 0..4 {
            let alive = alive.clone();
            let build = move |cx| member(cx, handle, depth, alive);
            let _ = simulation.spawn_in(&region, TaskOptions::new(), build).unwrap();
        }
        let pause = simulation.spawn(move |cx| async move {
            cx.sleep(Duration::from_micros(seed % 40)).await.unwrap();
        });
        simulation.block_on(pause.unwrap()).unwrap().unwrap();
        simulation.block_on(region.close()).unwrap().unwrap();
        assert_eq!(alive.load(Relaxed), 0, "seed {seed}");
        assert_eq!(handle.tasks().count(), 0, "seed {seed}");
    }
}

#[test]
fn the_future_that_is_waited_for_needs_not_be_send() {
    let mut simulation = simulation(3);
    let seen = Rc::new(RefCell::new(Vec::new()));
    let task = simulation.spawn(|cx| async move { cx.now() }).unwrap();
    let here = seen.clone();
    let done = simulation.block_on(async move {
        let now = task.await.unwrap();
        here.borrow_mut().push(now);
    });
    assert_eq!((done, seen.borrow().len()), (Ok(()), 1));
    let polls: Vec<_> = simulation.log().iter().filter(|decision| decision.next != Next::Main).collect();
    let [Decision { next: Next::Task { .. }, name: Some(name), .. }] = polls[..] else { panic!("{polls:?}") };
    assert!(polls[0].to_string().contains(name), "{}", polls[0]);
}

#[test]
fn who_panicked_is_told_with_place_time_and_message() {
    async fn breaks(cx: Cx) {
        cx.sleep(Duration::from_secs(2)).await.unwrap();
        panic!("{} is {}", "this", 7);
    }
    for (seed, priority) in [(1, Priority::default()), (2, Priority::of::<3>())] {
        let mut simulation = simulation(seed);
        let task = simulation.spawn_with(TaskOptions::new().priority(priority), breaks).unwrap();
        let others = [(); 20].map(|()| simulation.spawn(|_| yield_now()).unwrap());
        assert_eq!(simulation.block_on(task), Ok(Err(JoinError::Panicked)));
        for other in others {
            simulation.block_on(other).unwrap().unwrap();
        }
        let [panicked] = simulation.panics() else { panic!("{:?}", simulation.panics()) };
        assert_eq!((panicked.at, panicked.message.as_deref()), (Instant::from_secs(2), Some("this is 7")));
        assert!(panicked.task.contains("breaks") && panicked.task.contains("slot"), "{panicked}");
        assert!(panicked.to_string().ends_with("this is 7"), "{panicked}");
        let named = |decision: &&Decision| decision.name.is_some_and(|name| name.contains("breaks"));
        assert_eq!(simulation.log().iter().filter(named).count(), 2, "special ones are logged, too");
    }
}

#[test]
#[should_panic = "a simulation runs by its own"]
fn waiting_by_the_handle_of_a_simulation_is_refused() {
    simulation(1).handle().block_on(async {});
}

#[test]
fn waiting_inside_a_simulation_panics_as_in_a_runtime() {
    let mut simulation = simulation(1);
    let task = simulation.spawn(|_| async { block_on(async {}) }).unwrap();
    assert_eq!(simulation.block_on(task), Ok(Err(JoinError::Panicked)));
    let inner = leak(std::sync::Mutex::new(Runtime::builder().simulate(2).unwrap()));
    let task = simulation.spawn(|_| async { drop(inner.lock().unwrap().block_on(async {})) }).unwrap();
    assert_eq!(simulation.block_on(task), Ok(Err(JoinError::Panicked)));
}
