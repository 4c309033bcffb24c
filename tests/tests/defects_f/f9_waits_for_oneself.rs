//! F9: a member of a set called `join_next`, and waited for itself.
//!
//! A wait that could never end is an error, and changes nothing.

use std::sync::Mutex;

use trilane::exec::{
    CloseError, Cx, Executor, JoinHandle, JoinSet, Manual, Region, RegionOptions, Regions, Runner,
};
use trilane_tests::{leak, pool, settle, us};

/// Where the test leaves what a task is to wait for.
pub type Shelf<T> = Mutex<Option<T>>;

pub type Run = Runner<Manual, 1, 16>;

pub fn start() -> Run {
    let executor = leak(Executor::new(Manual::new()).with_regions(leak(Regions::<4>::new())));
    executor.start().unwrap()
}

pub fn region(runner: &Run) -> Region {
    runner.executor().open_region(RegionOptions::new()).unwrap()
}

/// Takes from the shelf what has to be there by now.
pub fn take<T>(shelf: &Shelf<T>) -> T {
    shelf.lock().unwrap().take().expect("it was put there before the first poll")
}

/// What a task returned that has to be over now.
#[track_caller]
pub fn ended<T>(task: &mut JoinHandle<T>) -> T {
    task.try_join().expect("it waits for itself, for ever").unwrap()
}

/// Whether a task of the region itself waits, or one of a region that the task has opened.
pub const WHO: [&str; 2] = ["a member", "a descendant"];

/// Spawns `body` as a task of `region`, or of a region that a task of it has opened.
pub fn spawn_in<T, F>(
    region: &Region,
    who: &str,
    body: impl FnOnce(Cx) -> F + Send + 'static,
) -> JoinHandle<T>
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    let member = who == "a member";
    let task = region.spawn(pool::<1>(), move |cx: Cx| async move {
        if member {
            return body(cx).await;
        }
        let below = cx.open_region(RegionOptions::new()).unwrap();
        below.spawn(pool::<1>(), body).unwrap_or_else(|error| panic!("{error}")).await.unwrap()
    });
    task.unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn a_close_from_inside_is_an_error() {
    for who in WHO {
        let mut runner = start();
        let shelf: &Shelf<Region> = leak(Mutex::new(None));
        let region = region(&runner);
        let mut task = spawn_in(&region, who, |_| async {
            let mut region = take(shelf);
            let closed = region.close().await;
            // Nothing has changed: it takes tasks still.
            assert!(region.spawn(pool::<1>(), |_| async {}).is_ok());
            *shelf.lock().unwrap() = Some(region);
            closed
        });
        *shelf.lock().unwrap() = Some(region);
        settle(&mut runner, us(0));
        assert_eq!(ended(&mut task), Err(CloseError::Inside), "{who}");
    }
}

#[test]
fn a_wait_for_all_from_inside_is_an_error() {
    for who in WHO {
        let mut runner = start();
        let shelf: &Shelf<Region> = leak(Mutex::new(None));
        let region = region(&runner);
        let mut task = spawn_in(&region, who, |_| async {
            let mut region = take(shelf);
            let joined = region.join_all().await;
            *shelf.lock().unwrap() = Some(region);
            joined
        });
        *shelf.lock().unwrap() = Some(region);
        settle(&mut runner, us(0));
        assert_eq!(ended(&mut task), Err(CloseError::Inside), "{who}");
    }
}

#[test]
fn a_close_of_a_set_from_inside_is_an_error() {
    for who in WHO {
        let mut runner = start();
        let shelf: &Shelf<JoinSet<(), 2>> = leak(Mutex::new(None));
        let set = JoinSet::new(region(&runner));
        let mut task = spawn_in(set.region(), who, |_| async {
            let mut set = take(shelf);
            let closed = set.close().await;
            *shelf.lock().unwrap() = Some(set);
            closed
        });
        *shelf.lock().unwrap() = Some(set);
        settle(&mut runner, us(0));
        assert_eq!(ended(&mut task), Err(CloseError::Inside), "{who}");
    }
}

/// Those outside may wait, also from a task of a region beside it.
#[test]
fn a_wait_from_a_region_beside_is_none_for_oneself() {
    let mut runner = start();
    let beside = region(&runner);
    let mut set: JoinSet<u32, 1> = JoinSet::new(region(&runner));
    set.spawn(pool::<1>(), |cx| async move {
        cx.yield_now().await;
        5
    })
    .unwrap();
    let mut task = beside
        .spawn(pool::<1>(), |_| async move {
            let next = set.join_next().await;
            (next, set.close().await)
        })
        .unwrap();
    settle(&mut runner, us(0));
    assert_eq!(ended(&mut task), (Some(Ok(5)), Ok(())));
}
