//! A gateway before five backends, each on a thread with a socket of its own, while this and that goes wrong.
//!
//! ```text
//!                    file --> reload --> Directory::sync
//!                                            |
//!   8 workers --> SelectorPool --> lease --> Directory --> connection --> a b c d e (f)
//!                     ^                                                     ^
//!                     +--- health, breakers <--- checks, outcomes ----------+
//! ```
//!
//! A script makes a backend slow, reloads the configuration, and kills a backend and starts it again, all
//! under traffic. Each request is answered by whoever can: `cargo run -p trilane-std --example
//! gateway_pool` ends in a few seconds, with `lost 0`.

mod backend;
mod gateway;
mod script;

use std::io::{self, Write};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration as Real;

use backend::{Backend, NAMES};
use gateway::Gateway;
pub use gateway::Row;
use script::{Script, play};

const WORKERS: usize = 8;

/// What came of it all.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// By phase, with its name.
    pub phases: Vec<(&'static str, Row)>,
    /// Requests.
    pub sent: u64,
    /// Of them, those that were answered.
    pub answered: u64,
    /// Of them, those that weren't.
    pub lost: u64,
    /// Configurations that were taken.
    pub reloads: usize,
    /// Configurations that were refused, with the reason.
    pub refused: Vec<String>,
    /// How often a breaker opened.
    pub breakers_opened: u32,
    /// How often a check found that a backend's health had changed.
    pub health_changes: u64,
    /// Leases out when all was over.
    pub in_flight: u32,
}

/// Plays the script, and writes the story to `out`.
pub fn run(out: &mut impl Write) -> Result<Summary, Box<dyn std::error::Error>> {
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    let file = format!("trilane-gateway-{}-{}.toml", std::process::id(), RUNS.fetch_add(1, SeqCst));
    let path = std::env::temp_dir().join(file);
    // They are there until the last worker has its answer.
    let [a, b, c, d, e, f] = NAMES.map(Backend::start);
    let mut backends = [a?, b?, c?, d?, e?, f?];
    let gateway = Gateway::new()?;
    let mut script = Script { gateway: &gateway, path: path.clone(), phases: Vec::new() };
    let played = thread::scope(|scope| {
        scope.spawn(|| gateway.reload(&path));
        scope.spawn(|| gateway.check());
        for _ in 0..WORKERS {
            scope.spawn(|| {
                // No traffic before there is somewhere to go.
                while gateway.phase.load(SeqCst) == 0 && !gateway.is_over() {
                    thread::sleep(Real::from_millis(1));
                }
                gateway.work();
            });
        }
        let played = play(&mut script, &mut backends);
        gateway.over.store(true, SeqCst);
        played
    });
    // It may not even have been written.
    let _absent = std::fs::remove_file(&path);
    played?;

    let totals = gateway.fleet.totals();
    let phases = script.phases;
    let in_flight = |id| gateway.fleet.stats(id).map_or(0, |stats| stats.in_flight);
    let in_flight = gateway.fleet.members().map(in_flight).sum();
    let rows = gateway.rows.into_inner()?;
    let summary = Summary {
        phases: phases.into_iter().zip(rows.into_iter().skip(1)).collect(),
        sent: gateway.sent.into_inner(),
        answered: gateway.answered.into_inner(),
        lost: gateway.lost.into_inner(),
        reloads: gateway.reloads.into_inner(),
        refused: gateway.refused.into_inner()?,
        breakers_opened: totals.breakers_opened,
        health_changes: gateway.health_changes.into_inner(),
        in_flight,
    };
    write!(out, "{:20}", "answers")?;
    NAMES.iter().try_for_each(|name| write!(out, "{name:>6}"))?;
    writeln!(out, "  failed tries  nobody there")?;
    for (phase, row) in &summary.phases {
        write!(out, "{phase:20}")?;
        for name in NAMES {
            write!(out, "{:>6}", row.answered.get(name).map_or(".".into(), u64::to_string))?;
        }
        writeln!(out, "{:>14}{:>14}", row.failed, row.refused)?;
    }
    writeln!(out, "configurations: {} taken", summary.reloads)?;
    for reason in &summary.refused {
        writeln!(out, "configuration refused: {reason}")?;
    }
    writeln!(
        out,
        "breakers opened {}, health changed {} times, leases out {}",
        summary.breakers_opened, summary.health_changes, summary.in_flight
    )?;
    writeln!(out, "sent {}, answered {}, lost {}", summary.sent, summary.answered, summary.lost)?;
    Ok(summary)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    run(&mut io::stdout())?;
    Ok(())
}
