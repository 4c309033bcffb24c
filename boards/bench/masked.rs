//! The longest stretches with interrupts masked: a reading is a mark, and what lies between two marks costs
//! the longest stretch that ended there.

use core::sync::atomic::{AtomicU32, Ordering};

use super::MOST;

/// How many marks may lie between the two of a pair: more than there are tasks that read the counter when
/// they wake.
const MARKS: usize = 4 * MOST;

/// The longest stretch before each of the latest marks, since the mark before it.
static LONGEST: [AtomicU32; MARKS] = [const { AtomicU32::new(0) }; MARKS];
static LATEST: AtomicU32 = AtomicU32::new(0);

/// Ends the stretches that count for the mark before, and returns this one. From any context.
#[inline(never)]
pub fn mark() -> u32 {
    board::masked::take(|longest| {
        let mark = LATEST.load(Ordering::Relaxed).wrapping_add(1);
        LONGEST[mark as usize % MARKS].store(longest, Ordering::Relaxed);
        LATEST.store(mark, Ordering::Relaxed);
        mark
    })
}

/// The longest stretch between two marks. Of marks too far apart, as before the first turn of tasks, it is
/// the largest number.
pub fn longest(from: u32, to: u32) -> u32 {
    let between = to.wrapping_sub(from);
    if between > MARKS as u32 {
        return u32::MAX;
    }
    let stretches =
        (0..between).map(|back| LONGEST[to.wrapping_sub(back) as usize % MARKS].load(Ordering::Relaxed));
    stretches.max().unwrap_or(0)
}
