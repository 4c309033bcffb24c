//! Threads that poll shards; they never sleep.

use std::alloc::Layout;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use trilane::exec::{
    Allocator, Cursor, Cx, Executor, JoinHandle, Line, Platform, Regions, Shard, SpawnError, TaskOptions,
    TaskPool,
};
use trilane::time::Instant;
use trilane_tests::leak;

/// The time of the computer.
pub struct Host(());

impl Host {
    pub const fn new() -> Self {
        Self(())
    }
}

pub fn now() -> Instant {
    static START: OnceLock<std::time::Instant> = OnceLock::new();
    let elapsed = START.get_or_init(std::time::Instant::now).elapsed();
    Instant::from_micros(elapsed.as_micros() as u64)
}

impl Platform for Host {
    fn now(&self) -> Instant {
        now()
    }

    fn set_alarm(&self, _: Option<Instant>) {}

    fn pend(&self) {}

    fn idle(&self, _: &dyn Fn() -> bool) {
        unreachable!("workers don't sleep by it");
    }
}

/// A clock that stands still.
pub struct Still;

impl Platform for Still {
    fn now(&self) -> Instant {
        Instant::ZERO
    }

    fn set_alarm(&self, _: Option<Instant>) {}

    fn pend(&self) {}

    fn idle(&self, _: &dyn Fn() -> bool) {}
}

/// The same, for workers that share a single bank.
pub struct Shared;

impl Platform for Shared {
    const SHARES: bool = true;

    fn now(&self) -> Instant {
        Instant::ZERO
    }

    fn set_alarm(&self, _: Option<Instant>) {}

    fn pend(&self) {}

    fn idle(&self, _: &dyn Fn() -> bool) {}
}

/// The same, and counts how often it is told.
pub struct Told(pub AtomicU32);

impl Platform for Told {
    const SHARES: bool = true;

    fn now(&self) -> Instant {
        Instant::ZERO
    }

    fn set_alarm(&self, _: Option<Instant>) {}

    fn pend(&self) {
        self.0.fetch_add(1, SeqCst);
    }

    fn idle(&self, _: &dyn Fn() -> bool) {}
}

/// Memory of `lines` lines for each of `slots`.
pub fn memory(slots: usize, lines: usize) -> &'static mut [Line] {
    vec![Line::UNINIT; slots * lines].leak()
}

/// One shard whose time stands still.
pub fn shard<const BANKS: usize, const PER_BANK: usize>() -> Shard<Still, BANKS, PER_BANK> {
    let regions: &Regions<4> = leak(Regions::new());
    let executor: &Executor<Still, BANKS, PER_BANK> = leak(Executor::new(Still)).with_regions(regions);
    executor.share(memory(BANKS * PER_BANK, 4)).unwrap()
}

/// Polls at most `most` tasks of a shard, from its beginning.
pub fn alone<P: Platform, const BANKS: usize, const PER_BANK: usize>(
    shard: Shard<P, BANKS, PER_BANK>,
    most: u32,
) -> u32 {
    shard.work(&mut Cursor::default(), false, &|_, _| {}, &|polls| polls < most)
}

/// No memory but that of the slots.
struct Nowhere;

// SAFETY: it gives none.
unsafe impl Allocator for Nowhere {
    fn allocate(_: Layout) -> Option<NonNull<()>> {
        None
    }

    unsafe fn release(_: *mut (), _: Layout) {
        unreachable!("nothing was allocated");
    }
}

/// Spawns a task that fits a slot.
pub fn spawn<P: Platform, const BANKS: usize, const PER_BANK: usize, B, F>(
    shard: Shard<P, BANKS, PER_BANK>,
    build: B,
) -> Result<JoinHandle<F::Output>, SpawnError<B>>
where
    B: FnOnce(Cx) -> F,
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    shard.spawn::<Nowhere, B, F>(None, build)
}

/// The same with options.
pub fn spawn_with<P: Platform, const BANKS: usize, const PER_BANK: usize, B, F>(
    shard: Shard<P, BANKS, PER_BANK>,
    options: TaskOptions,
    build: B,
) -> Result<JoinHandle<F::Output>, SpawnError<B>>
where
    B: FnOnce(Cx) -> F,
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    shard.spawn::<Nowhere, B, F>(Some(options), build)
}

/// For members of regions.
pub static POOL: OnceLock<&'static TaskPool<256, 64>> = OnceLock::new();

pub type Home = Shard<Host, 4, 16>;

/// Runs `main` as a task of the first of `number` shards, each with a worker that visits the others, until it
/// has ended and no task is left.
pub fn with_workers<F: Future<Output = ()> + Send + 'static>(
    number: usize,
    patience: Duration,
    main: impl FnOnce(&'static [Home]) -> F,
) -> &'static [Home] {
    let shards: &'static [Home] = leak(
        (0..number)
            .map(|_| {
                let regions: &Regions<16> = leak(Regions::new());
                let executor: &Executor<Host, 4, 16> = leak(Executor::new(Host::new())).with_regions(regions);
                executor.share(memory(64, 8)).unwrap()
            })
            .collect::<Vec<_>>(),
    );
    let task = spawn(shards[0], |_| main(shards)).unwrap();
    // The time of an interpreter is its own.
    let patience = if cfg!(miri) { patience * 100 } else { patience };
    let (done, began) = (AtomicBool::new(false), std::time::Instant::now());
    thread::scope(|scope| {
        for home in 0..number {
            let done = &done;
            scope.spawn(move || work(shards, home, done));
        }
        while !(task.is_finished() && shards.iter().all(|shard| shard.executor().tasks().count() <= 1)) {
            if began.elapsed() > patience {
                for shard in shards {
                    eprintln!(
                        "{:?}\n{:#?}",
                        shard.executor().counters(),
                        shard.executor().tasks().collect::<Vec<_>>()
                    );
                }
                std::process::abort();
            }
            thread::sleep(Duration::from_millis(1));
        }
        done.store(true, SeqCst);
    });
    let mut task = task;
    task.try_join().expect("it is finished").expect("it has a result");
    shards
}

fn work(shards: &'static [Home], home: usize, done: &AtomicBool) {
    let mut cursors = vec![Cursor::default(); shards.len()];
    while !done.load(SeqCst) {
        let mut polls = 0;
        for distance in 0..shards.len() {
            let number = (home + distance) % shards.len();
            let (shard, cursor) = (&shards[number], &mut cursors[number]);
            let round = AssertUnwindSafe(|| {
                shard.serve(now());
                shard.work(cursor, distance != 0, &|_, _| {}, &|polls| polls < 16)
            });
            // A panic is its task's.
            polls += catch_unwind(round).unwrap_or(1);
        }
        if polls == 0 {
            thread::yield_now();
        }
    }
}
