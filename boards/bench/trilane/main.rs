//! The bench image of trilane: what its operations cost, in instructions.
//!
//! Each operation runs in a task of its own, since a future nested in another is polled through it. The
//! signals are the peer image's, from the same library.

#![no_std]
#![no_main]

use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use board::println;
use static_cell::StaticCell;
use trilane::exec::{AlarmDue, Executor, LocalSpawner, Platform, Regions, Runner, TaskPool};
use trilane::time::{Duration, Instant};

mod cancels;
mod joins;
#[path = "../measure.rs"]
mod measure;
mod signals;
mod timers;
#[path = "../turns.rs"]
mod turns;
mod yields;

use measure::{MOST, Meter, read};
use turns::Turns;

/// Banks for the most tasks and the one that measures: nine on a board with room for 256.
const BANKS: usize = (MOST + 1).div_ceil(32);

/// What a firmware of a few tasks has: one bank.
static SMALL: Executor<Board, 1, 8> = Executor::new(Board::new());
/// One full bank, for as many runnable tasks.
static BANK: Executor<Board, 1, 32> = Executor::new(Board::new());
static LARGE: Executor<Board, BANKS, 32> = Executor::new(Board::new());

type Small = Runner<Board, 1, 8>;
type Bank = Runner<Board, 1, 32>;
type Large = Runner<Board, BANKS, 32>;

static REGIONS: Regions<1> = Regions::new();

static TASKS: TaskPool<384, 2> = TaskPool::new();
static MANY: TaskPool<160, { MOST + 1 }> = TaskPool::new();

/// The board's platform, but for a reading when sleep ends: before the interrupt's handler, as in the peer's
/// image.
struct Board(board::Board);

static AWAKE_AT: AtomicU32 = AtomicU32::new(0);

impl Board {
    const fn new() -> Self {
        Self(board::Board::new())
    }
}

impl Platform for Board {
    const PENDS: bool = board::Board::PENDS;
    const WATCHES: bool = board::Board::WATCHES;

    fn now(&self) -> Instant {
        self.0.now()
    }

    fn set_alarm(&self, at: Option<Instant>) {
        self.0.set_alarm(at);
    }

    fn watch_alarm(&self, due: &'static AlarmDue) -> bool {
        self.0.watch_alarm(due)
    }

    fn pend(&self) {
        self.0.pend();
    }

    fn idle(&self, quiet: &dyn Fn() -> bool) {
        self.0.sleep(quiet, || AWAKE_AT.store(read(), Ordering::Relaxed));
    }
}

/// Between the deadlines of two tasks.
const GAP: Duration = Duration::from_millis(1);
/// Until the first deadline: late enough that none is missed.
const LATE: Duration = Duration::from_secs(1_000);

/// Set when the operation under way has been measured.
static DONE: AtomicBool = AtomicBool::new(false);

board::entry!(main);

fn main() -> ! {
    static TURNS: StaticCell<Turns> = StaticCell::new();

    println!("{{\"image\":\"trilane\"}}");
    let meter = Meter::start();

    let mut small = SMALL.start().unwrap();
    yields::alone(&mut small, meter);
    signals::rows(&mut small, meter);
    joins::rows(&mut small, meter);

    let (mut bank, mut large) = (BANK.start().unwrap(), LARGE.with_regions(&REGIONS).start().unwrap());
    yields::in_turn(&mut bank, &mut large, TURNS.init(Turns::new(meter)));
    cancels::rows(&mut large, meter);
    timers::rows(&mut large, meter);
    board::exit(0)
}

/// Runs the tasks that `spawn` spawns until one of them says that it is done.
fn measure<const BANKS: usize, const PER_BANK: usize>(
    runner: &mut Runner<Board, BANKS, PER_BANK>,
    spawn: impl FnOnce(LocalSpawner<Board, BANKS, PER_BANK>),
) {
    DONE.store(false, Ordering::Relaxed);
    spawn(runner.spawner());
    runner.run_until(|| DONE.load(Ordering::Relaxed));
}

fn done() {
    DONE.store(true, Ordering::Relaxed);
}
