//! What must hold before a change is accepted.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use trilane_adversary::plan::Plan;
use trilane_adversary::run::run;
use trilane_adversary::seeds::{run_seeds, take_each_away};

/// A rule that is taken away is so for the whole process.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn ten_thousand_seeds_lose_double_and_change_nothing_and_come_to_an_end() {
    let _alone = alone();
    let began = Instant::now();
    let sum = run_seeds(1..10_001);
    assert_eq!(sum.found, None, "cargo run --release -- --seed SEED tells what happened");
    let [_, terms, deaths, outputs] = sum.counts;
    // Else there was nothing to be lost.
    assert!(terms > 30_000 && deaths > 4_000 && outputs > 150_000, "{sum:?}");
    assert!(began.elapsed().as_secs() < 60, "{:?}", began.elapsed());
}

#[test]
fn a_seed_gives_the_same_run_each_time() {
    let _alone = alone();
    let told = |seed| {
        let outcome = run(&Plan::new(seed), true);
        let notes = outcome.notes.iter().map(|note| format!("{} {:?} {}", note.tick, note.node, note.what));
        (notes.collect::<Vec<_>>(), outcome.ticks, outcome.outputs)
    };
    for seed in 1..20 {
        assert_eq!(told(seed), told(seed));
    }
}

#[test]
fn each_rule_taken_away_is_noticed() {
    let _alone = alone();
    let mut missed = Vec::new();
    take_each_away(1, |noticed| {
        if noticed.median().is_none() {
            missed.push(noticed.rule);
        }
    });
    assert!(missed.is_empty(), "not noticed: {missed:?}");
}
