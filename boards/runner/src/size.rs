//! `size`: what an example takes of the flash and the RAM, and which part of it takes what.
//!
//! Beside that: programs and a peer's that print the same ([`compared`]), what room for a task costs
//! ([`capacity`]), and what is in an image without being used ([`unused`]).

pub mod capacity;
pub mod compared;
pub mod goals;
pub mod unused;

use std::{collections::BTreeMap, path::Path};

use serde::Serialize;

use crate::{
    Error, Result,
    budget::{Rows, Section},
    build,
    error::Failures,
    gate::{Gate, Measured},
    image::{Image, Symbol},
    install::{Needs, Ready},
    parts::{Crates, OWN, PARTS},
    session::Session,
    table::{self, Figures},
    workspace::{Board, Workspace},
};

/// How many variables are listed.
const STATICS: usize = 5;

/// The size of an image, in bytes.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Size {
    /// The board.
    pub board: String,
    /// The example.
    pub example: String,
    /// `text + rodata + data`.
    pub flash: u64,
    /// `data + bss`: what is static. Stacks are not in it.
    pub ram: u64,
    /// Code.
    pub text: u64,
    /// Constants and the vector table.
    pub rodata: u64,
    /// Variables with a start value, which is kept in flash.
    pub data: u64,
    /// Variables that start as zero or as nothing.
    pub bss: u64,
    /// The same by part; sums to `flash` and `ram`.
    pub parts: Vec<Part>,
    /// What trilane itself takes of the flash.
    pub trilane: u64,
    /// The largest variables, the largest first; no more than five.
    pub statics: Vec<Static>,
}

/// A variable in RAM.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Static {
    /// Its path.
    pub name: String,
    /// Its bytes.
    pub ram: u64,
}

/// What one part takes, in bytes.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Part {
    /// One of [`PARTS`].
    pub part: &'static str,
    /// Bytes of flash.
    pub flash: u64,
    /// Bytes of RAM.
    pub ram: u64,
}

/// What was measured on one board.
#[derive(Debug)]
struct Measurement<'a> {
    board: &'a Board,
    sizes: Vec<Size>,
    compared: Vec<compared::Row>,
    capacity: Option<capacity::Row>,
    unused: Vec<unused::Row>,
}

/// Builds and measures `example`, else all, on the board `on`, else on all firmware boards, and prints the
/// sizes: those of one board by part, those of several side by side; then what is compared with a peer's.
/// Returns the exit status.
pub fn size(
    session: &Session,
    on: Option<&str>,
    example: Option<&str>,
    json: bool,
    gate: &Gate,
) -> Result<u8> {
    let workspace = &session.workspace;
    if let Some(example) = example {
        workspace.check_example(example)?;
    }
    let wanted = |board: &Board| !board.is_host() && example.is_none_or(|example| board.has(example));
    let boards = workspace.chosen(on, wanted)?;
    if boards.is_empty() {
        return Err(Error::Usage("nothing was measured: this is on no firmware board".into()));
    }
    gate.check_for(&boards)?;
    for board in &boards {
        if board.is_host() {
            let why = "is this computer: there is no flash to measure".into();
            return Err(Error::NotPossible { board: board.name.clone(), why });
        }
        if let Some(example) = example {
            workspace.check_example_on(board, example)?;
        }
    }
    let mut needs = Needs::of(boards.iter().copied(), false);
    if gate.is_asked() {
        let compared = boards.iter().filter(|board| !board.metadata.compared.is_empty());
        needs.emulators = Needs::of(compared.copied(), true).emulators;
    }
    let ready = session.prepare(&needs)?;
    // An image that can't be measured does not keep the other boards' from being measured and checked.
    let mut failures = Failures::default();
    let mut measured = Vec::new();
    for board in boards {
        let what = measure_board(session, board, &ready, example, gate.is_asked());
        measured.extend(failures.take(what));
    }
    if json {
        measured.iter().for_each(print_json);
    } else {
        print!("{}", to_text(&measured, example));
    }
    for measurement in measured {
        let board = measurement.board;
        if gate.is_asked() {
            failures.take(unused::check(board, &ready, &measurement.unused, example));
        }
        let (rows, toolchain) = (measurement.to_budget(), ready.toolchain(board));
        let costs = Measured { board, section: Section::Size, toolchain, rows, all: example.is_none() };
        failures.take(gate.apply(costs));
    }
    Ok(failures.status())
}

fn measure_board<'a>(
    session: &Session,
    board: &'a Board,
    ready: &Ready,
    example: Option<&str>,
    run: bool,
) -> Result<Measurement<'a>> {
    let sizes = measure_all(&session.workspace, board, ready, example)?;
    let compared = compared::measure(session, board, ready, example, run)?;
    let capacity = if example.is_none() { capacity::measure(board, ready)? } else { None };
    let unused = unused::measure(board, ready, example)?;
    Ok(Measurement { board, sizes, compared, capacity, unused })
}

impl Measurement<'_> {
    fn to_budget(&self) -> Rows {
        let compared = self.compared.iter().map(|row| (row.budget_name(self.board), row.to_budget()));
        let sizes = self.sizes.iter().map(|size| {
            let costs = [("flash", size.flash), ("ram", size.ram), ("trilane", size.trilane)];
            (size.example.clone(), self::costs(costs))
        });
        let capacity = self
            .capacity
            .iter()
            .map(|row| (capacity::BUDGET_NAME.to_owned(), self::costs([("flash", row.flash_a_task)])));
        let unused = self.unused.iter().map(|row| (row.budget_name(self.board), row.to_budget()));
        compared.chain(sizes).chain(capacity).chain(unused).collect()
    }

    /// What isn't of single examples, for a reader.
    fn rest_to_text(&self, example: Option<&str>) -> String {
        let Self { board, compared, capacity, unused, .. } = self;
        let mut goals = compared::goals(board, compared);
        goals.extend(capacity.iter().filter_map(|row| capacity::goal(board, row)));
        let capacity: String = capacity.iter().map(capacity::to_text).collect();
        [
            compared::to_text(&board.name, compared),
            capacity,
            unused::to_text(&board.name, unused, example),
            goals::to_text(&goals),
        ]
        .concat()
    }
}

fn costs<const N: usize>(costs: [(&str, u64); N]) -> BTreeMap<String, f64> {
    #[expect(clippy::cast_precision_loss, reason = "an image is far below 2^52 bytes")]
    costs.into_iter().map(|(what, bytes)| (what.to_owned(), bytes as f64)).collect()
}

fn print_json(measurement: &Measurement<'_>) {
    fn print<T: Serialize>(row: &T) {
        println!("{}", serde_json::to_string(row).unwrap_or_default());
    }
    measurement.sizes.iter().for_each(print);
    measurement.compared.iter().for_each(print);
    measurement.capacity.iter().for_each(print);
    measurement.unused.iter().for_each(print);
}

fn to_text(measured: &[Measurement<'_>], example: Option<&str>) -> String {
    let mut text = match measured {
        [] => String::new(),
        [one] => one.sizes.iter().map(|size| size_to_text(size, one.board)).collect(),
        several => format!("bytes\n{}", to_joint_table(several)),
    };
    text.extend(measured.iter().map(|one| one.rest_to_text(example)));
    text
}

fn measure_all(
    workspace: &Workspace,
    board: &Board,
    ready: &Ready,
    example: Option<&str>,
) -> Result<Vec<Size>> {
    let examples: Vec<&str> = match example {
        Some(example) => vec![example],
        None => board.examples.iter().map(String::as_str).collect(),
    };
    let images = build::build(board, ready, &examples)?;
    let size = |name: &str| {
        let crates = Crates { example: name.replace('-', "_"), board: &workspace.board_crates };
        measure(images.get(name)?, &board.name, name, &crates)
    };
    examples.into_iter().map(size).collect()
}

/// Reads the sizes from the image's ELF file.
pub fn measure(image: &Path, board: &str, example: &str, crates: &Crates<'_>) -> Result<Size> {
    let image = Image::read(image)?;
    let (flash, ram) = (image.flash(), image.ram());
    let mut parts: Vec<Part> = PARTS.iter().map(|&part| Part { part, flash: 0, ram: 0 }).collect();
    let mut statics = Vec::new();
    for Symbol { name, kind, own: bytes, .. } in &image.symbols {
        let part = crates.part(name);
        if let Some(part) = parts.iter_mut().find(|other| other.part == part) {
            part.flash += if kind.in_flash() { *bytes } else { 0 };
            part.ram += if kind.in_ram() { *bytes } else { 0 };
        }
        if kind.in_ram() && *bytes > 0 {
            statics.push(Static { name: format!("{:#}", rustc_demangle::demangle(name)), ram: *bytes });
        }
    }
    statics.sort_by(|one, other| other.ram.cmp(&one.ram).then_with(|| one.name.cmp(&other.name)));
    statics.truncate(STATICS);
    let trilane = parts.iter().filter(|part| OWN.contains(&part.part)).map(|part| part.flash).sum();
    // What no symbol covers (padding, string constants, the vector table) is nobody's.
    let named: (u64, u64) = parts.iter().fold((0, 0), |sum, part| (sum.0 + part.flash, sum.1 + part.ram));
    if let Some(other) = parts.last_mut() {
        other.flash += flash.saturating_sub(named.0);
        other.ram += ram.saturating_sub(named.1);
    }
    let Image { text, rodata, data, bss, .. } = image;
    Ok(Size {
        board: board.into(),
        example: example.into(),
        flash,
        ram,
        text,
        rodata,
        data,
        bss,
        parts,
        trilane,
        statics,
    })
}

fn size_to_text(size: &Size, board: &Board) -> String {
    let of = |bytes: u64, kib: Option<u32>| match kib {
        #[expect(clippy::cast_precision_loss, reason = "for display")]
        Some(kib) if kib > 0 => {
            format!(" ({:.1} % of {kib} KiB)", bytes as f64 / (f64::from(kib) * 1024.0) * 100.0)
        }
        _ => String::new(),
    };
    let mut rows = vec![vec!["part".to_owned(), "flash".to_owned(), "RAM".to_owned()]];
    rows.extend(
        size.parts
            .iter()
            .map(|part| vec![part.part.to_owned(), part.flash.to_string(), part.ram.to_string()]),
    );
    let statics: Vec<Vec<String>> = size
        .statics
        .iter()
        .map(|variable| vec![String::new(), variable.name.clone(), variable.ram.to_string()])
        .collect();
    format!(
        "{} on {}: flash {}{}, RAM {}{}\n  text {}, rodata {}, data {}, bss {}\n{}  trilane takes {} of the flash\n  largest statics\n{}",
        size.example,
        size.board,
        size.flash,
        of(size.flash, board.metadata.flash_kib),
        size.ram,
        of(size.ram, board.metadata.ram_kib),
        size.text,
        size.rodata,
        size.data,
        size.bss,
        table::render(&rows, 1),
        size.trilane,
        table::render(&statics, 2)
    )
}

fn to_joint_table(measured: &[Measurement<'_>]) -> String {
    let figures = |sizes: &[Size]| {
        let bytes =
            |size: &Size| [size.flash, size.ram, size.trilane].map(|bytes| bytes.to_string()).to_vec();
        sizes.iter().map(|size| (vec![size.example.clone()], bytes(size))).collect()
    };
    let columns: Vec<(&str, Figures)> =
        measured.iter().map(|one| (one.board.name.as_str(), figures(&one.sizes))).collect();
    let text = table::side_by_side(&["example"], &["flash", "RAM", "trilane"], &columns);
    text + "  trilane: what of the flash is trilane's; by part: --on BOARD\n"
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_parts_sum_to_the_whole() {
        let image = std::env::current_exe().expect("is known");
        let board = ["trilane_board".to_owned()].into();
        let crates = Crates { example: "clap_builder".into(), board: &board };
        let size = measure(&image, "host", "itself", &crates).expect("is an ELF file");
        assert_eq!(size.flash, size.text + size.rodata + size.data);
        assert_eq!(size.ram, size.data + size.bss);
        assert_eq!(size.parts.iter().map(|part| part.flash).sum::<u64>(), size.flash);
        assert_eq!(size.parts.iter().map(|part| part.ram).sum::<u64>(), size.ram);
        let flash =
            |name: &str| size.parts.iter().find(|part| part.part == name).map_or(0, |part| part.flash);
        assert!(flash("board") > 0 && flash("example") > 0 && flash("core") > 0 && flash("other") > 0);
        assert_eq!(flash("trilane::sched") + flash("trilane::exec") + flash("trilane, rest"), size.trilane);
        assert!(size.statics.len() == STATICS && size.statics.is_sorted_by(|one, next| one.ram >= next.ram));
    }

    #[test]
    fn what_is_no_elf_file_is_an_error_naming_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let image = folder.path().join("quakes");
        fs::write(&image, "text").expect("can write");
        let board = std::collections::BTreeSet::new();
        let error = measure(&image, "b", "quakes", &Crates { example: "quakes".into(), board: &board })
            .expect_err("is text");
        assert!(error.to_string().contains("quakes is not an image that can be measured"), "{error}");
    }
}
