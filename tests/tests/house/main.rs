//! The rules of the house that a machine can check: which file of the core may use which, and that no files
//! use each other in a circle.
//!
//! `cargo test -p trilane-tests --test house -- --nocapture` prints how large the scheduler is, and the
//! shortest circle.

mod graph;
mod imports;
mod source;

use std::fs;
use std::path::Path;

use graph::{Crate, Graph};

/// The layers, from the bottom up: a file uses its own layer and those before it. `exec/` and `route/` stand
/// for the files that are in none of their folders, which are on top.
const LAYERS: [&str; 26] = [
    "sync/",
    "time.rs",
    "bitmap.rs",
    "id.rs",
    "causal/",
    "daemon/",
    "group/",
    "sched/",
    "exec/task/",
    "exec/memory/",
    "exec/life/",
    "exec/run/",
    "exec/cancel/",
    "exec/region/",
    "exec/workers/",
    "exec/report/",
    "exec/",
    "route/config/",
    "route/state/",
    "route/health/",
    "route/lease/",
    "route/load/",
    "route/tables/",
    "route/strategies/",
    "route/select/",
    "route/",
];

/// How many files may use each other in a circle: 1 is none.
const LARGEST_CIRCLE_ALLOWED: usize = 1;

fn core() -> Crate {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/src");
    Crate::load(&|name| fs::read_to_string(folder.join(name)).ok())
}

/// The layer of the core's `file`, if it is in one.
fn layer(file: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| file.starts_with(layer))
}

fn is_of_the_scheduler(file: &str) -> bool {
    file.starts_with("exec/") || file.starts_with("sched/")
}

fn layered(graph: &Graph) -> Graph {
    graph.of(|file| layer(file).is_some())
}

#[test]
fn layers_use_those_below_them_alone() {
    let graph = core().graph();
    let wrong: Vec<String> = graph
        .arrows()
        .filter_map(|(file, used)| match (layer(file)?, layer(used)) {
            (own, Some(other)) if other <= own => None,
            (own, Some(other)) => {
                Some(format!("{file} uses {used}: {} is above {}", LAYERS[other], LAYERS[own]))
            }
            (own, None) => Some(format!("{file} uses {used}: it is in no layer, {file} in {}", LAYERS[own])),
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_folder_of_executor_and_router_is_a_layer() {
    for part in ["exec", "route"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/src").join(part);
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_dir()) {
            let name = format!("{part}/{}/", entry.file_name().display());
            assert!(LAYERS.contains(&name.as_str()), "{name} is no layer: give it its place in LAYERS");
        }
    }
}

#[test]
fn executor_router_and_causal_events_know_nothing_of_each_other() {
    let graph = core().graph();
    let parts = [&["exec/", "sched/"][..], &["route/"], &["causal/", "daemon/", "group/"]];
    let part = |file: &str| parts.iter().position(|part| part.iter().any(|folder| file.starts_with(folder)));
    let wrong: Vec<_> = graph
        .arrows()
        .filter(|(file, used)| part(used).is_some_and(|used| part(file).is_some_and(|part| part != used)))
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn files_use_each_other_in_no_circle() {
    let core = core();
    let graph = layered(&core.graph());
    let (largest, shortest) = (graph.largest_circle(), graph.shortest_circle());
    let shortest = shortest.iter().chain(shortest.first()).copied().collect::<Vec<_>>().join(" -> ");
    let (size, router) = (core.size(is_of_the_scheduler), core.size(|file| file.starts_with("route/")));
    println!("route: {} files, {} lines of code", router.files, router.lines);
    println!(
        "exec and sched: {} files, {} lines of code, {} unsafe functions, {} unsafe blocks; the largest circle has {} files, the \
         shortest is {}",
        size.files,
        size.lines,
        size.unsafe_functions,
        size.unsafe_blocks,
        largest.len(),
        if shortest.is_empty() { "none" } else { &shortest },
    );
    assert!(
        largest.len() <= LARGEST_CIRCLE_ALLOWED,
        "{} files use each other in a circle, allowed are {LARGEST_CIRCLE_ALLOWED}: {}\nthe shortest circle: {shortest}",
        largest.len(),
        largest.join(", "),
    );
}

/// What can't be broken: tables, code, an expected error, and a word that is longer than a line.
fn is_one_piece(text: &str) -> bool {
    text.starts_with(['|', '#', '~']) || text.starts_with('[') && text.contains("]: ") || !text.contains(' ')
}

#[test]
fn comments_end_at_column_110() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut folders: Vec<_> =
        ["core", "std-adapter", "tests", "boards", "examples"].map(|folder| root.join(folder)).into();
    let mut wrong = Vec::new();
    let mut lines = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                if path.file_name().is_some_and(|name| name != "target") {
                    folders.push(path);
                }
                continue;
            }
            if path.extension().is_none_or(|extension| extension != "rs") {
                continue;
            }
            for (number, line) in (1..).zip(fs::read_to_string(&path).unwrap().lines()) {
                let Some(comment) = line.trim_start().strip_prefix("//") else { continue };
                lines += 1;
                if line.chars().count() > 110 && !is_one_piece(comment.trim_start_matches(['/', '!', ' '])) {
                    wrong.push(format!("{}:{number}", path.display()));
                }
            }
        }
    }
    assert!(lines > 1_000, "it has read {lines} lines of comment");
    assert!(wrong.is_empty(), "longer than 110 columns:\n{}", wrong.join("\n"));
}
