//! Programs beside a peer's that print the same: flash, RAM, and what of the flash is the executor's, at two
//! opt-levels.

use std::collections::BTreeMap;
use std::iter;

use serde::Serialize;

use super::goals::Goal;
use crate::{
    Error, Result,
    build::{self, Images, Variant},
    emulate::Run,
    golden,
    image::Image,
    install::Ready,
    manifest::{Compared, Whose},
    parts::{Crates, OWN, defined_at},
    session::Session,
    table,
    workspace::Board,
};

/// The opt-level at which programs are compared beside the board's own one.
pub const SMALL: &str = "s";

/// A program and the peer's, in bytes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The board.
    pub board: String,
    /// The program: the name of its binary.
    pub program: String,
    /// The opt-level of both.
    pub opt_level: String,
    /// What is in flash.
    pub flash: u64,
    /// What is static in RAM.
    pub ram: u64,
    /// What of the flash is trilane's.
    pub executor: u64,
    /// The peer's program, if there is one.
    #[serde(flatten)]
    pub peer: Option<PeerRow>,
}

/// What a peer's program takes, in bytes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PeerRow {
    /// The peer's name and version.
    #[serde(rename = "peer")]
    pub name: String,
    /// The peer's flash.
    #[serde(rename = "peer_flash")]
    pub flash: u64,
    /// The peer's RAM.
    #[serde(rename = "peer_ram")]
    pub ram: u64,
    /// What of the peer's flash is its executor's, timers included.
    #[serde(rename = "peer_executor")]
    pub executor: u64,
}

impl Row {
    /// Its name in the budget: the program's at the board's own opt-level.
    pub fn budget_name(&self, board: &Board) -> String {
        at_level(&self.program, &self.opt_level, board)
    }

    /// What is gated of it.
    pub fn to_budget(&self) -> BTreeMap<String, f64> {
        super::costs([("flash", self.flash), ("ram", self.ram), ("trilane", self.executor)])
    }
}

/// The name in the budget of what is measured of `program` at an opt-level.
pub fn at_level(program: &str, level: &str, board: &Board) -> String {
    if level == board.opt_level { program.to_owned() } else { format!("{program}-{level}") }
}

/// The opt-levels at which the board's programs are compared.
pub fn levels(board: &Board) -> Vec<&str> {
    let mut levels = vec![board.opt_level.as_str(), SMALL];
    levels.dedup();
    levels
}

/// Measures the programs of `board` that have a peer's; only `program`, if one is named. With `run`, it is an
/// error if one of them prints something else than the peer's.
pub fn measure(
    session: &Session,
    board: &Board,
    ready: &Ready,
    program: Option<&str>,
    run: bool,
) -> Result<Vec<Row>> {
    let wanted = |compared: &&Compared| program.is_none_or(|program| compared.image.bin() == program);
    let programs: Vec<&Compared> = board.metadata.compared.iter().filter(wanted).collect();
    let bins: Vec<(&str, &str)> = programs
        .iter()
        .flat_map(|Compared { image, peer, .. }| {
            let peer = peer.as_ref().map(|peer| (peer.package.as_str(), peer.bin.as_str()));
            iter::once((image.package(&board.package), image.bin())).chain(peer)
        })
        .collect();
    let mut rows = Vec::new();
    for level in levels(board) {
        let images = build::build_packages(board, ready, &bins, variant(board, level))?;
        for &program in &programs {
            rows.push(measure_one(session, board, &images, program, level)?);
            if run && level == board.opt_level {
                run_both(session, board, ready, &images, program)?;
            }
        }
    }
    rows.sort_by_key(|row| programs.iter().position(|program| program.image.bin() == row.program));
    Ok(rows)
}

/// The build that gives images of `level`.
pub fn variant<'a>(board: &Board, level: &'a str) -> Variant<'a> {
    if level == board.opt_level { Variant::Plain } else { Variant::OptLevel(level) }
}

fn measure_one(
    session: &Session,
    board: &Board,
    images: &Images,
    Compared { image, peer, .. }: &Compared,
    level: &str,
) -> Result<Row> {
    let own = Image::read(images.get(image.bin())?)?;
    let peer = match peer {
        Some(peer) => {
            let theirs = Image::read(images.get(&peer.bin)?)?;
            Some(PeerRow {
                name: peer.name.clone(),
                flash: theirs.flash(),
                ram: theirs.ram(),
                executor: theirs.flash_of(|symbol| is_peers(symbol, &peer.crates)),
            })
        }
        None => None,
    };
    let crates = Crates { example: image.bin().replace('-', "_"), board: &session.workspace.board_crates };
    Ok(Row {
        board: board.name.clone(),
        program: image.bin().into(),
        opt_level: level.into(),
        flash: own.flash(),
        ram: own.ram(),
        executor: own.flash_of(|symbol| OWN.contains(&crates.part(symbol))),
        peer,
    })
}

/// Whether the symbol is of a crate whose name begins with `crates`, or of such a module: a peer's time
/// driver is one of the program, with the timer queue inlined.
fn is_peers(symbol: &str, crates: &str) -> bool {
    defined_at(symbol).is_some_and(|path| path.split("::").any(|name| name.starts_with(crates)))
}

/// Runs a program, which ends well, and the peer's, which prints the same.
fn run_both(
    session: &Session,
    board: &Board,
    ready: &Ready,
    images: &Images,
    Compared { image, peer, .. }: &Compared,
) -> Result<()> {
    let print = |bin: &str| {
        let run = Run { board, bin, image: images.get(bin)?, args: &[], limit: session.limit };
        let (status, outcome) = run.collect(ready)?;
        if status != 0 {
            let (what, why) = (format!("{bin} on {}", board.name), format!("ended with status {status}"));
            return Err(Error::Bench { what, why, last: outcome.last() });
        }
        Ok(outcome.output)
    };
    let own = print(image.bin())?;
    let Some(peer) = peer else { return Ok(()) };
    match golden::diff(&own, &print(&peer.bin)?) {
        None => Ok(()),
        Some(diff) => {
            let why = format!("prints something else than {} (-):\n{diff}", image.bin());
            Err(Error::Bench { what: format!("{} on {}", peer.bin, board.name), why, last: String::new() })
        }
    }
}

/// The rows for a reader; a ratio below 1 is smaller than the peer's.
pub fn to_text(board: &str, rows: &[Row]) -> String {
    let Some(peer) = rows.iter().find_map(|row| row.peer.as_ref()) else { return String::new() };
    let head = [
        "program",
        "opt-level",
        "flash",
        "peer's",
        "ratio",
        "executor",
        "peer's",
        "ratio",
        "RAM",
        "peer's",
        "ratio",
    ];
    let mut lines = vec![head.map(String::from).to_vec()];
    for row in rows {
        let mut line = vec![row.program.clone(), row.opt_level.clone()];
        let theirs = row.peer.as_ref().map(|peer| [peer.flash, peer.executor, peer.ram]);
        for (of, own) in [row.flash, row.executor, row.ram].into_iter().enumerate() {
            let theirs = theirs.map(|theirs| theirs[of]);
            let (text, ratio) = (theirs.map(|theirs| theirs.to_string()), theirs.map(|of| ratio(own, of)));
            line.extend([own.to_string(), text.unwrap_or_default(), ratio.unwrap_or_default()]);
        }
        lines.push(line);
    }
    format!("{board}: bytes beside {}\n{}", peer.name, table::render(&lines, 2))
}

fn ratio(own: u64, theirs: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "for display")]
    if theirs > 0 { format!("{:.2}", own as f64 / theirs as f64) } else { String::new() }
}

/// The goals of the programs, with what they take.
pub fn goals(board: &Board, rows: &[Row]) -> Vec<Goal> {
    let goals = board
        .metadata
        .compared
        .iter()
        .flat_map(|compared| compared.goals.iter().map(move |goal| (compared.image.bin(), goal)));
    let reached = goals.filter_map(|(program, goal)| {
        let is_about = |row: &&Row| row.program == program && row.opt_level == goal.opt_level;
        let row = rows.iter().find(is_about)?;
        let peer = row.peer.as_ref();
        let (what, own, peer) = match goal.of {
            Whose::Image => ("all", row.flash, peer.map(|peer| peer.flash)),
            Whose::Executor => ("executor", row.executor, peer.map(|peer| peer.executor)),
        };
        let what = format!("{program} at {}, {what}", goal.opt_level);
        Some(Goal { what, bytes: goal.bytes, own, peer })
    });
    reached.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(level: &str, executor: u64) -> Row {
        Row {
            board: "b".into(),
            program: "hello".into(),
            opt_level: level.into(),
            flash: 22_600,
            ram: 484,
            executor,
            peer: Some(PeerRow { name: "other 1.0".into(), flash: 9_488, ram: 96, executor: 1_794 }),
        }
    }

    #[test]
    fn the_peers_crates_are_told_by_how_their_names_begin() {
        for symbol in [
            "_ZN16embassy_executor3raw5waker4wake17hbddadd46c58b6930E",
            "_ZN13hello_embassy19embassy_time_driver11BoardDriver12wake_expired17h8c443c5dd9a279e7E",
            "_ZN75_$LT$embassy_time..timer..Timer$u20$as$u20$core..future..future..Future$GT$4poll17h25770cfce23e5678E",
        ] {
            assert!(is_peers(symbol, "embassy_"), "{symbol}");
        }
        assert!(!is_peers("_ZN13hello_embassy4main17h4d5f71d68866c996E", "embassy_"));
        assert!(!is_peers("memcpy", "embassy_"));
    }

    #[test]
    fn the_table_gives_the_ratios() {
        let alone = Row { program: "alone".into(), peer: None, ..row("3", 9_000) };
        let text = to_text("b", &[row("3", 13_778), alone]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "b: bytes beside other 1.0");
        assert_eq!(
            lines[1],
            "  program  opt-level  flash  peer's  ratio  executor  peer's  ratio  RAM  peer's  ratio"
        );
        assert_eq!(
            lines[2],
            "  hello    3          22600    9488   2.38     13778    1794   7.68  484      96   5.04"
        );
        assert_eq!(lines[3], "  alone    3          22600                     9000                 484");
        assert_eq!(to_text("b", &[]), "");
    }
}
