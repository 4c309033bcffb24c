//! What the program is doing, for the handler to see, and where it is interrupted.

use core::sync::atomic::compiler_fence;

use board::counter;
use trilane::sync::{AtomicU32, Ordering};

use Ordering::{Relaxed, SeqCst};

#[derive(Clone, Copy, PartialEq)]
pub enum Op {
    Select,
    Succeed,
    Fail,
    Release,
    Add,
    Update,
    Remove,
    SetHealth,
    Report,
    Tick,
    Maglev,
    Ring,
}

pub const OPS: [&str; 12] = [
    "select",
    "succeed",
    "fail",
    "release",
    "add",
    "update",
    "remove",
    "set_health",
    "report",
    "tick",
    "the build of maglev",
    "the build of a ring",
];

/// None of them.
const IDLE: u32 = u32::MAX;

/// What is being done: a number of [`OPS`], or [`IDLE`].
pub static OP: AtomicU32 = AtomicU32::new(IDLE);
/// The counter when it began.
pub static BEGAN: AtomicU32 = AtomicU32::new(0);
/// Interrupts since then.
pub static IN_THIS: AtomicU32 = AtomicU32::new(0);
/// What time it is in the script, in milliseconds.
pub static NOW: AtomicU32 = AtomicU32::new(0);
/// Instructions in a millisecond of the board's time.
pub static PER_MILLI: AtomicU32 = AtomicU32::new(0);

/// Does `f`, which is `op`, for the handler to see.
#[inline(always)]
pub fn during<R>(op: Op, f: impl FnOnce() -> R) -> R {
    IN_THIS.store(0, Relaxed);
    BEGAN.store(counter::read(), Relaxed);
    OP.store(op as u32, Relaxed);
    compiler_fence(SeqCst);
    let result = f();
    compiler_fence(SeqCst);
    OP.store(IDLE, Relaxed);
    result
}

/// How often an operation was interrupted, and after how many of its instructions: a bit for each number
/// modulo 512.
pub struct Hits {
    pub count: u32,
    pub places: [u32; 16],
}

impl Hits {
    pub fn places(&self) -> u32 {
        self.places.iter().map(|word| word.count_ones()).sum()
    }
}
