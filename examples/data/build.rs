//! Turns `quakes.csv` into the static table that the crate includes. A row that breaks a rule of `src/csv.rs`
//! fails the build, and the message names the line.
//!
//! `QUAKES_CSV` names another file of the same form.

use std::collections::BTreeSet;
use std::env;
use std::fmt::{self, Write as _};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::exit;

#[path = "src/csv.rs"]
mod csv;
#[path = "src/fields.rs"]
mod fields;

use csv::Row;

fn main() {
    println!("cargo::rerun-if-env-changed=QUAKES_CSV");
    let source = match env::var_os("QUAKES_CSV") {
        Some(other) => PathBuf::from(other),
        None => variable("CARGO_MANIFEST_DIR").join("quakes.csv"),
    };
    println!("cargo::rerun-if-changed={}", source.display());

    let name = source.file_name().map_or_else(|| source.display().to_string(), |n| n.display().to_string());
    let bytes = fs::read(&source).unwrap_or_else(|error| fail(format_args!("{name}: {error}")));
    let rows: Vec<Row> = csv::rows(&bytes)
        .and_then(Iterator::collect)
        .unwrap_or_else(|bad| fail(format_args!("{name}:{bad}")));
    let table = table(&rows).unwrap_or_else(|reason| fail(format_args!("{name}: {reason}")));

    let target: &Path = &variable("OUT_DIR").join("table.rs");
    fs::write(target, table).unwrap_or_else(|error| fail(format_args!("{}: {error}", target.display())));
}

/// The Rust source of the two statics.
fn table(rows: &[Row]) -> Result<String, String> {
    let networks: BTreeSet<&str> = rows.iter().map(|row| row.net).collect();
    let networks: Vec<&str> = networks.into_iter().collect();
    if networks.len() > 1 << u8::BITS {
        return Err(format!("{} networks do not fit an index of 8 bits", networks.len()));
    }

    let mut out = String::new();
    let mut line = |text: fmt::Arguments| writeln!(out, "{text}").expect("a String takes any text");
    line(format_args!(
        "/// Codes of the reporting networks, in alphabetical order. [`Event::net`] is an index into it."
    ));
    line(format_args!("pub static NETWORKS: [&str; {}] = {networks:?};", networks.len()));
    line(format_args!("/// All events, in ascending order of time."));
    line(format_args!("pub static EVENTS: [Event; {}] = [", rows.len()));
    for Row { t_ms, net, mag, cell, kind } in rows {
        let net = networks.partition_point(|other| other < net);
        line(format_args!(
            "Event {{ t_ms: {t_ms}, mag: Magnitude::from_hundredths({}), cell: Cell {{ lat: {}, lon: {} }}, \
             net: {net}, kind: Kind::{kind:?} }},",
            mag.hundredths(),
            cell.lat,
            cell.lon,
        ));
    }
    line(format_args!("];"));
    Ok(out)
}

/// The folder in `name`, which cargo sets for every build script.
fn variable(name: &str) -> PathBuf {
    env::var_os(name)
        .unwrap_or_else(|| fail(format_args!("{name} is not set: run this through cargo")))
        .into()
}

fn fail(message: fmt::Arguments) -> ! {
    println!("cargo::error={message}");
    exit(1)
}
