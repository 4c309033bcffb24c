//! `size`: what an example takes of the flash and the RAM, and which part of it takes what.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::Path,
};

use object::{Architecture, Object, ObjectSection, ObjectSymbol, SectionFlags, SectionIndex, elf};
use serde::Serialize;

use crate::{
    Error, Result,
    budget::Section,
    build,
    error::Failures,
    gate::{Gate, Measured},
    install::{Needs, Ready},
    parts::{Crates, OWN, PARTS},
    session::Session,
    table::{self, Figures},
    workspace::{Board, Workspace},
};

/// What the names begin with that the compiler gives to constants and to variables it has put side by side. The
/// variables have names of their own as well.
const UNNAMED: &str = ".L";

/// Where riscv-rt's linker script puts the stacks: in all that the variables leave of the RAM.
const STACKS: &str = ".stack";

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

/// The four kinds of memory in an image.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Kind {
    Text,
    Rodata,
    Data,
    Bss,
}

impl Kind {
    fn in_flash(self) -> bool {
        self != Self::Bss
    }

    fn in_ram(self) -> bool {
        matches!(self, Self::Data | Self::Bss)
    }
}

/// Builds and measures `example`, else all, on the board `on`, else on all firmware boards, and prints the
/// sizes: those of one board by part, those of several side by side. Returns the exit status.
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
    let ready = session.prepare(&Needs::of(boards.iter().copied(), false))?;
    // An image that can't be measured does not keep the other boards' from being measured and checked.
    let mut failures = Failures::default();
    let mut measured = Vec::new();
    for board in boards {
        let Some(sizes) = failures.take(measure_all(workspace, board, &ready, example)) else { continue };
        if json {
            sizes.iter().for_each(|size| println!("{}", serde_json::to_string(size).unwrap_or_default()));
        }
        measured.push((board, sizes));
    }
    match measured.as_slice() {
        _ if json => {}
        [] => {}
        [(board, sizes)] => sizes.iter().for_each(|size| print!("{}", to_text(size, board))),
        several => print!("bytes\n{}", to_joint_table(several)),
    }
    for (board, sizes) in measured {
        let rows = sizes.iter().map(|size| (size.example.clone(), to_budget(size))).collect();
        let toolchain = ready.toolchain(board);
        let costs = Measured { board, section: Section::Size, toolchain, rows, all: example.is_none() };
        failures.take(gate.apply(costs));
    }
    Ok(failures.status())
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
    let wrong = |error: object::Error| Error::Image { file: image.to_owned(), why: error.to_string() };
    let bytes = fs::read(image).map_err(Error::io(format!("read {}", image.display())))?;
    let file = object::File::parse(&*bytes).map_err(wrong)?;
    let kinds: HashMap<SectionIndex, Kind> =
        file.sections().filter_map(|section| Some((section.index(), kind(&section)?))).collect();
    let total = |wanted: Kind| {
        let sections = file.sections().filter(|section| kinds.get(&section.index()) == Some(&wanted));
        sections.map(|section| section.size()).sum::<u64>()
    };
    let (text, rodata, data, bss) =
        (total(Kind::Text), total(Kind::Rodata), total(Kind::Data), total(Kind::Bss));
    let (flash, ram) = (text + rodata + data, data + bss);
    let mut parts: Vec<Part> = PARTS.iter().map(|&part| Part { part, flash: 0, ram: 0 }).collect();
    let mut statics = Vec::new();
    for Symbol { name, kind, bytes } in symbols(&file, &kinds) {
        let part = crates.part(name);
        if let Some(part) = parts.iter_mut().find(|other| other.part == part) {
            part.flash += if kind.in_flash() { bytes } else { 0 };
            part.ram += if kind.in_ram() { bytes } else { 0 };
        }
        if kind.in_ram() && bytes > 0 {
            statics.push(Static { name: format!("{:#}", rustc_demangle::demangle(name)), ram: bytes });
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

fn kind<'a>(section: &impl ObjectSection<'a>) -> Option<Kind> {
    let SectionFlags::Elf { sh_flags, sh_type } = section.flags() else { return None };
    let has = |flag: elf::SectionFlags| sh_flags.0 & flag.0 != 0;
    if !has(elf::SHF_ALLOC) || section.name() == Ok(STACKS) {
        return None;
    }
    Some(match (has(elf::SHF_EXECINSTR), has(elf::SHF_WRITE), sh_type == elf::SHT_NOBITS) {
        (_, _, true) => Kind::Bss,
        (true, ..) => Kind::Text,
        (false, true, _) => Kind::Data,
        (false, false, _) => Kind::Rodata,
    })
}

/// A symbol and the bytes that are its own.
struct Symbol<'a> {
    name: &'a str,
    kind: Kind,
    bytes: u64,
}

/// The bytes of each symbol, each byte once: equal functions that the linker merged share an address.
fn symbols<'a>(file: &object::File<'a>, kinds: &HashMap<SectionIndex, Kind>) -> Vec<Symbol<'a>> {
    // On Arm, the lowest bit of a function's address says that it is Thumb code.
    let thumb = file.architecture() == Architecture::Arm;
    let mut found: Vec<(Kind, u64, u64, &str)> = file
        .symbols()
        .filter(|symbol| symbol.size() > 0)
        .filter_map(|symbol| {
            let kind = *kinds.get(&symbol.section_index()?)?;
            let address = if thumb && kind == Kind::Text { symbol.address() & !1 } else { symbol.address() };
            let name = symbol.name().ok().filter(|name| !name.starts_with(UNNAMED))?;
            Some((kind, address, symbol.size(), name))
        })
        .collect();
    found.sort_unstable();
    let mut counted = Vec::new();
    let mut end: BTreeMap<Kind, u64> = BTreeMap::new();
    for (kind, address, bytes, name) in found {
        let end = end.entry(kind).or_default();
        let new = (address + bytes).saturating_sub(address.max(*end));
        *end = (*end).max(address + bytes);
        counted.push(Symbol { name, kind, bytes: new });
    }
    counted
}

fn to_text(size: &Size, board: &Board) -> String {
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

fn to_joint_table(boards: &[(&Board, Vec<Size>)]) -> String {
    let figures = |sizes: &[Size]| {
        let bytes =
            |size: &Size| [size.flash, size.ram, size.trilane].map(|bytes| bytes.to_string()).to_vec();
        sizes.iter().map(|size| (vec![size.example.clone()], bytes(size))).collect()
    };
    let columns: Vec<(&str, Figures)> =
        boards.iter().map(|(board, sizes)| (board.name.as_str(), figures(sizes))).collect();
    let text = table::side_by_side(&["example"], &["flash", "RAM", "trilane"], &columns);
    text + "  trilane: what of the flash is trilane's; by part: --on BOARD\n"
}

fn to_budget(size: &Size) -> BTreeMap<String, f64> {
    #[expect(clippy::cast_precision_loss, reason = "an image is far below 2^52 bytes")]
    [("flash", size.flash), ("ram", size.ram), ("trilane", size.trilane)]
        .into_iter()
        .map(|(what, bytes)| (what.to_owned(), bytes as f64))
        .collect()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
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
