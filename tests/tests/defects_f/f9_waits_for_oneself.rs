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
    let executor = leak(Executor::new(Manual::new())).with_regions(leak(Regions::<4>::new()));
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

/// What `wait` gives in a task inside `waited`, and that, which it leaves behind.
pub fn wait_inside<W, T, F>(
    runner: &mut Run,
    who: &str,
    waited: W,
    region: fn(&W) -> &Region,
    wait: impl FnOnce(W) -> F + Send + 'static,
) -> (T, W)
where
    W: Send + 'static,
    T: Send + 'static,
    F: Future<Output = (T, W)> + Send + 'static,
{
    let shelf: &Shelf<W> = leak(Mutex::new(None));
    let mut task = spawn_in(region(&waited), who, move |_| async move {
        let (given, waited) = wait(take(shelf)).await;
        *shelf.lock().unwrap() = Some(waited);
        given
    });
    *shelf.lock().unwrap() = Some(waited);
    settle(runner, us(0));
    (ended(&mut task), take(shelf))
}

#[test]
fn a_close_from_inside_is_an_error() {
    for who in WHO {
        let mut runner = start();
        let region = region(&runner);
        let close = |mut region: Region| async { (region.close().await, region) };
        let (closed, region) = wait_inside(&mut runner, who, region, |region| region, close);
        assert_eq!(closed, Err(CloseError::Inside), "{who}");
        assert!(region.spawn(pool::<1>(), |_| async {}).is_ok(), "{who}: nothing has changed");
    }
}

#[test]
fn a_wait_for_all_from_inside_is_an_error() {
    for who in WHO {
        let mut runner = start();
        let region = region(&runner);
        let join = |mut region: Region| async { (region.join_all().await, region) };
        let (joined, _) = wait_inside(&mut runner, who, region, |region| region, join);
        assert_eq!(joined, Err(CloseError::Inside), "{who}");
    }
}

#[test]
fn a_close_of_a_set_from_inside_is_an_error() {
    for who in WHO {
        let mut runner = start();
        let set: JoinSet<(), 2> = JoinSet::new(region(&runner));
        let close = |mut set: JoinSet<(), 2>| async { (set.close().await, set) };
        let (closed, _) = wait_inside(&mut runner, who, set, JoinSet::region, close);
        assert_eq!(closed, Err(CloseError::Inside), "{who}");
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
