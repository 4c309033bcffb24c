//! What tasks of two executors do to each other: each scene is a task of one of them, in random order and
//! with random timing.

use std::future::{pending, poll_fn};
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Poll, Waker};

use trilane::exec::{
    AbortHandle, Attributes, Cancelled, Cx, Executor, JoinError, JoinHandle, OpenError, Platform, Reason,
    Region, RegionOptions, SpawnErrorKind, TaskOptions, TaskPool,
};
use trilane::time::Duration;

pub const SLOTS: usize = 30;

pub type Pool = TaskPool<2048, SLOTS>;
pub type Exec<P> = Executor<P, 3, 6>;

/// Two executors (or one, twice) that share a pool and a table of regions.
pub struct World<P: Platform> {
    pub executors: [&'static Exec<P>; 2],
    pub pool: &'static Pool,
    /// Takes tasks to be asked to stop by a thread that is none of the runners'.
    pub third: mpsc::Sender<AbortHandle>,
    /// Children that have panicked.
    pub panics: Arc<AtomicU32>,
}

/// Seeded; not good, but enough.
#[derive(Clone, Copy)]
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn micros(&mut self, bound: u64) -> Duration {
        Duration::from_micros(self.below(bound))
    }
}

/// Counts futures that have not been dropped.
struct Alive(Arc<AtomicU32>);

impl Alive {
    fn among(count: &Arc<AtomicU32>) -> Self {
        count.fetch_add(1, SeqCst);
        Self(count.clone())
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

/// How a child behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Returns at its first poll.
    Prompt,
    /// Returns after some polls and sleeps.
    Busy,
    /// Returns when it is asked to stop.
    Obedient,
    /// Never returns: waits for something that knows of no request.
    Deaf,
    /// Panics at its second poll.
    Broken,
}

impl Kind {
    fn any(dice: &mut Dice) -> Self {
        [Self::Prompt, Self::Busy, Self::Obedient, Self::Deaf, Self::Broken][dice.below(5) as usize]
    }

    fn finite(dice: &mut Dice) -> Self {
        [Self::Prompt, Self::Busy][dice.below(2) as usize]
    }

    /// Whether a child that was asked to stop, by somebody, may end so.
    fn allows(self, outcome: &Result<Result<u64, Cancelled>, JoinError>) -> bool {
        match outcome {
            Ok(Ok(_)) => matches!(self, Self::Prompt | Self::Busy),
            Ok(Err(_)) => matches!(self, Self::Busy | Self::Obedient),
            // By force: a child that got no chance within its time for clean-up, too.
            Err(JoinError::Cancelled(Reason::User | Reason::ParentClosed)) => true,
            Err(JoinError::Panicked) => self == Self::Broken,
            Err(_) => false,
        }
    }
}

type Child = JoinHandle<Result<u64, Cancelled>>;

async fn behave(
    cx: Cx,
    kind: Kind,
    mut dice: Dice,
    panics: Arc<AtomicU32>,
    _alive: Alive,
) -> Result<u64, Cancelled> {
    match kind {
        Kind::Prompt => {}
        Kind::Busy => {
            for _ in 0..dice.below(4) {
                cx.yield_now().await;
                cx.sleep(dice.micros(200)).await?;
            }
        }
        Kind::Obedient => cx.sleep(Duration::from_secs(1_000_000)).await?,
        Kind::Deaf => pending().await,
        Kind::Broken => {
            cx.yield_now().await;
            panics.fetch_add(1, SeqCst);
            // Without the message.
            resume_unwind(Box::new(()));
        }
    }
    Ok(dice.0)
}

const OPTIONS: TaskOptions =
    TaskOptions::new().attributes(const { &Attributes::new().cleanup_time(Duration::from_micros(300)) });

/// One try; `None` when there is no room or the region closes.
fn try_spawn<P: Platform>(
    world: &World<P>,
    on: usize,
    region: Option<&Region>,
    kind: Kind,
    dice: &mut Dice,
    alive: &Arc<AtomicU32>,
) -> Option<Child> {
    dice.below(2);
    let (dice, alive) = (*dice, Alive::among(alive));
    let panics = world.panics.clone();
    let build = move |cx| behave(cx, kind, dice, panics, alive);
    let spawned = match region {
        Some(region) => region.spawn_with(OPTIONS, world.pool, build),
        None => world.executors[on].spawn_with(OPTIONS, world.pool, build),
    };
    match spawned {
        Ok(child) => Some(child),
        Err(error) => {
            let full = matches!(error.kind, SpawnErrorKind::PoolFull | SpawnErrorKind::ExecutorFull);
            assert!(full || region.is_some() && error.kind == SpawnErrorKind::RegionClosed, "{error}");
            None
        }
    }
}

async fn spawn<P: Platform>(
    cx: Cx,
    world: &World<P>,
    on: usize,
    kind: Kind,
    dice: &mut Dice,
    alive: &Arc<AtomicU32>,
) -> Result<Child, Cancelled> {
    loop {
        match try_spawn(world, on, None, kind, dice, alive) {
            Some(child) => return Ok(child),
            None => cx.sleep(Duration::from_micros(50)).await?,
        }
    }
}

/// Has a random scene begin as a task of executor `home`, with the other as `away`.
pub fn begin<P: Platform>(
    world: &Arc<World<P>>,
    home: usize,
    mut dice: Dice,
) -> JoinHandle<Result<(), Cancelled>> {
    let (executor, pool, away) = (world.executors[home], world.pool, 1 - home);
    let world = world.clone();
    match dice.below(6) {
        0 => executor.spawn(pool, move |cx| join(cx, world, away, dice)).ok(),
        1 => executor.spawn(pool, move |cx| cancel(cx, world, away, dice)).ok(),
        2 => executor.spawn(pool, move |cx| region(cx, world, home, away, dice)).ok(),
        3 => executor.spawn(pool, move |cx| abandoned_region(cx, world, away, dice)).ok(),
        4 => executor.spawn(pool, move |cx| ping_pong(cx, world, away, dice)).ok(),
        _ => executor.spawn(pool, move |cx| foreign_cx(cx, world, away, dice)).ok(),
    }
    .expect("the last round has left all slots free")
}

/// A child on the other thread is joined, or its handle dropped, while it ends or before.
async fn join<P: Platform>(
    cx: Cx,
    world: Arc<World<P>>,
    away: usize,
    mut dice: Dice,
) -> Result<(), Cancelled> {
    let alive = Arc::default();
    let kind = Kind::finite(&mut dice);
    let child = spawn(cx, &world, away, kind, &mut dice, &alive).await?;
    if dice.below(2) == 0 {
        cx.sleep(dice.micros(100)).await?;
    }
    if dice.below(4) == 0 {
        drop(child);
    } else {
        child.await.expect("nobody asked it to stop").expect("nor did its waits hear so");
        assert_eq!(alive.load(SeqCst), 0, "it was joined, so its future is gone");
    }
    Ok(())
}

/// A child on the other thread is asked to stop, by one of three threads, at any time of its life.
async fn cancel<P: Platform>(
    cx: Cx,
    world: Arc<World<P>>,
    away: usize,
    mut dice: Dice,
) -> Result<(), Cancelled> {
    let alive = Arc::default();
    let kind = Kind::any(&mut dice);
    let mut child = spawn(cx, &world, away, kind, &mut dice, &alive).await?;
    if dice.below(2) == 0 {
        cx.sleep(dice.micros(200)).await?;
    }
    // It may have ended: then the request is refused, and the result is there.
    match dice.below(3) {
        0 => _ = child.cancel(),
        1 => _ = world.executors[away].cancel(child.id()),
        _ => {
            world.third.send(child.abort_handle().expect("not joined yet")).expect("the third thread listens")
        }
    }
    let outcome = child.join().await;
    assert!(kind.allows(&outcome), "{kind:?}: {outcome:?}");
    assert_eq!(child.try_join(), Some(Err(JoinError::Taken)), "one outcome");
    assert_eq!(alive.load(SeqCst), 0, "it was joined, so its future is gone");
    Ok(())
}

async fn open<P: Platform>(cx: Cx, world: &World<P>, on: usize) -> Result<Region, Cancelled> {
    loop {
        match world.executors[on].open_region(RegionOptions::new()) {
            Ok(region) => return Ok(region),
            Err(OpenError::Full) => cx.sleep(Duration::from_micros(50)).await?,
            Err(error) => panic!("{error}"),
        }
    }
}

/// A region of the other thread is filled and closed from this one, while a third task awaits a member.
async fn region<P: Platform>(
    cx: Cx,
    world: Arc<World<P>>,
    home: usize,
    away: usize,
    mut dice: Dice,
) -> Result<(), Cancelled> {
    let alive = Arc::default();
    let mut region = open(cx, &world, away).await?;
    let below = region.open_region(RegionOptions::new()).ok();
    let mut children = Vec::new();
    for _ in 0..dice.below(5) {
        let kind = Kind::any(&mut dice);
        let into = below.as_ref().filter(|_| dice.below(2) == 0).unwrap_or(&region);
        if let Some(child) = try_spawn(&world, away, Some(into), kind, &mut dice, &alive) {
            children.push((kind, child));
        }
    }
    // A member is awaited meanwhile, if there is room for who does so.
    let awaited = children.pop().and_then(|(kind, child)| {
        let wait = move |_| async move {
            let outcome = child.await;
            assert!(
                kind.allows(&outcome) || matches!(outcome, Err(JoinError::Reclaimed)),
                "{kind:?}: {outcome:?}"
            );
        };
        world.executors[home].spawn(world.pool, wait).ok()
    });
    if dice.below(2) == 0 {
        cx.sleep(dice.micros(200)).await?;
    }
    children.truncate(dice.below(4) as usize);
    if dice.below(2) == 0 {
        drop(below);
        region.close().await.expect("nobody else closes it");
    } else {
        region.close().await.expect("nobody else closes it");
        drop(below);
    }
    assert_eq!(alive.load(SeqCst), 0, "nothing outlives its region");
    for (kind, mut child) in children {
        let outcome = child.join().await;
        assert!(
            kind.allows(&outcome) || matches!(outcome, Err(JoinError::Reclaimed)),
            "{kind:?}: {outcome:?}"
        );
    }
    if let Some(awaited) = awaited {
        awaited.await.expect("nobody asked it to stop");
    }
    Ok(())
}

/// A region inside another one is cancelled and dropped by this thread, in the midst of its life; the outer
/// one is closed.
async fn abandoned_region<P: Platform>(
    cx: Cx,
    world: Arc<World<P>>,
    away: usize,
    mut dice: Dice,
) -> Result<(), Cancelled> {
    let alive = Arc::default();
    let mut outer = open(cx, &world, away).await?;
    if let Ok(inner) = outer.open_region(RegionOptions::new()) {
        for _ in 0..dice.below(4) {
            let kind = Kind::any(&mut dice);
            drop(try_spawn(&world, away, Some(&inner), kind, &mut dice, &alive));
        }
        if dice.below(2) == 0 {
            cx.sleep(dice.micros(100)).await?;
        }
        if dice.below(2) == 0 {
            inner.cancel().expect("nobody else closes it");
        }
    }
    if dice.below(2) == 0 {
        outer.join_all().await.expect("nobody else closes it");
        assert_eq!(alive.load(SeqCst), 0, "all have been waited for");
    }
    outer.close().await.expect("nobody else closes it");
    assert_eq!(alive.load(SeqCst), 0, "nothing outlives its region");
    Ok(())
}

/// Two tasks hand a turn back and forth between the threads: a lost wake would stop both.
async fn ping_pong<P: Platform>(
    cx: Cx,
    world: Arc<World<P>>,
    away: usize,
    mut dice: Dice,
) -> Result<(), Cancelled> {
    #[derive(Default)]
    struct Turns {
        played: AtomicU32,
        waiting: [Mutex<Option<Waker>>; 2],
    }

    async fn play(turns: &Turns, side: usize, until: u32) {
        let played = poll_fn(|cx| {
            loop {
                *turns.waiting[side].lock().unwrap() = Some(cx.waker().clone());
                let played = turns.played.load(SeqCst);
                if played >= until {
                    return Poll::Ready(played);
                }
                if played as usize % 2 != side {
                    return Poll::Pending;
                }
                turns.played.store(played + 1, SeqCst);
                let other = turns.waiting[1 - side].lock().unwrap().take();
                if let Some(other) = other {
                    other.wake();
                }
            }
        })
        .await;
        assert!(played >= until);
    }

    let until = dice.below(100) as u32;
    let turns: Arc<Turns> = Arc::default();
    let its = turns.clone();
    let mut build = move |_| async move { play(&its, 1, until).await };
    let other = loop {
        match world.executors[away].spawn(world.pool, build) {
            Ok(other) => break other,
            Err(error) => build = error.rejected,
        }
        cx.sleep(Duration::from_micros(50)).await?;
    };
    play(&turns, 0, until).await;
    other.await.expect("nobody asked it to stop");
    Ok(())
}

/// A task of the other thread uses this task's `Cx`: it sleeps by this executor's clock and spawns here.
async fn foreign_cx<P: Platform>(
    cx: Cx,
    world: Arc<World<P>>,
    away: usize,
    mut dice: Dice,
) -> Result<(), Cancelled> {
    let pool = world.pool;
    let nap = dice.micros(200);
    let mut build = move |_| async move {
        let woken_at = cx.now() + nap;
        cx.sleep(nap).await?;
        assert!(cx.now() >= woken_at, "it slept by the other's clock");
        match cx.spawn(pool, |child| async move { child.yield_now().await }) {
            Ok(child) => child.await.expect("nobody asked it to stop"),
            Err(error) => assert!(
                matches!(error.kind, SpawnErrorKind::PoolFull | SpawnErrorKind::ExecutorFull),
                "{error}"
            ),
        }
        Ok::<_, Cancelled>(())
    };
    let other = loop {
        match world.executors[away].spawn(world.pool, build) {
            Ok(other) => break other,
            Err(error) => build = error.rejected,
        }
        cx.sleep(Duration::from_micros(50)).await?;
    };
    other.await.expect("nobody asked it to stop")
}
