//! `yield`, `edf`, `edf_rotate`: tasks that yield, alone and in turn, without deadlines and with.

use trilane::exec::{Cx, Runner, TaskOptions, yield_now};
use trilane::time::Instant;

use crate::measure::{MEASURED, MOST, Meter, Stats, WARM_UP, read};
use crate::turns::Turns;
use crate::{Bank, Board, GAP, LATE, Large, MANY, Small, TASKS, done, measure};

/// One task.
pub fn alone(small: &mut Small, meter: Meter) {
    measure(small, |spawner| drop(spawner.spawn_local(&TASKS, |_| yielding(meter)).unwrap()));
}

/// Several tasks.
pub fn in_turn(bank: &mut Bank, large: &mut Large, turns: &'static Turns) {
    for n in [4, 32] {
        take_turns(bank, turns, n, None);
        turns.stats().print("yield", n);
    }
    for (op, rotate) in [("edf", false), ("edf_rotate", true)] {
        for n in [1, 4, 32] {
            take_turns(bank, turns, n, Some(rotate));
            turns.stats().print(op, n);
        }
        if MOST > 32 {
            take_turns(large, turns, MOST, Some(rotate));
            turns.stats().print(op, MOST);
        }
    }
}

async fn yielding(meter: Meter) {
    let mut stats = Stats::new(WARM_UP);
    while stats.count() < MEASURED {
        let from = read();
        yield_now().await;
        let to = read();
        stats.add(meter.between(from, to));
    }
    stats.print("yield", 1);
    done();
}

/// Measures `n` tasks that yield: without deadlines, or with such as stay or `rotate`.
fn take_turns<const BANKS: usize, const PER_BANK: usize>(
    runner: &mut Runner<Board, BANKS, PER_BANK>,
    turns: &'static Turns,
    n: usize,
    rotate: Option<bool>,
) {
    let first = runner.now() + LATE;
    turns.begin(n);
    measure(runner, |spawner| {
        for i in 0..n {
            if let Some(rotate) = rotate {
                let deadline = first + GAP.saturating_mul(i as u64);
                let options = TaskOptions::new().deadline(deadline);
                let task = |cx| turning(cx, deadline, rotate, n, turns);
                drop(spawner.spawn_local_with(options, &MANY, task).unwrap());
            } else {
                drop(spawner.spawn_local(&MANY, |_| yielding_in_turn(turns)).unwrap());
            }
        }
    });
}

async fn yielding_in_turn(turns: &'static Turns) {
    while turns.resumed() {
        turns.yields();
        yield_now().await;
    }
    if turns.ended() {
        done();
    }
}

/// Yields; where the tasks `rotate`, moves its deadline behind all others' first.
async fn turning(cx: Cx, mut deadline: Instant, rotate: bool, n: usize, turns: &'static Turns) {
    while turns.resumed() {
        turns.yields();
        if rotate {
            deadline += GAP.saturating_mul(n as u64);
            let _ = cx.set_deadline(Some(deadline));
        }
        yield_now().await;
    }
    if turns.ended() {
        done();
    }
}
