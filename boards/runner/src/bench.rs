//! `bench`: instructions per operation, beside the same operation of a peer.
//!
//! A bench image prints one JSON object a line: `{"image":"trilane"}` first, then rows such as
//! `{"op":"edf","n":4,"mean":97.3,"worst":120}`. Lines that don't begin with `{` are for the reader.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    Error, Result,
    budget::{Rows, Section},
    build::{self, Variant},
    emulate::Run,
    error::Failures,
    gate::{Gate, Measured},
    install::{Needs, Ready},
    peers::{self, How},
    session::Session,
    table::{self, Figures},
    workspace::Board,
};

/// The images whose rows are the board's own; any other is a peer's.
const OWN: &str = "trilane";

/// What one bench image measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    /// Which project, for a peer with its version.
    pub name: String,
    /// The costs, in the order printed.
    pub costs: Vec<Cost>,
}

/// The cost of one operation, in instructions.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Cost {
    /// The operation.
    pub op: String,
    /// How many of what the operation's cost depends on; 1 where on nothing.
    pub n: u32,
    /// The mean over all iterations.
    pub mean: f64,
    /// The largest single one.
    pub worst: u64,
}

/// One row of the result. The peer's fields are absent where it lacks the operation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The board.
    pub board: String,
    /// The operation.
    pub op: String,
    /// See [`Cost::n`].
    pub n: u32,
    /// See [`Cost::mean`].
    pub mean: f64,
    /// See [`Cost::worst`].
    pub worst: u64,
    /// The peer's name and version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// The peer's mean.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer_mean: Option<f64>,
    /// The peer's worst.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer_worst: Option<u64>,
}

/// Runs the benches of the board `on`, else of all that have some, and prints the rows: those of one board beside
/// its peers', those of several side by side. Returns the exit status.
/// The host's are others: see [`peers`].
pub fn bench(session: &Session, on: Option<&str>, json: bool, gate: &Gate, how: How) -> Result<u8> {
    if let Some(host) = on.map(|on| session.workspace.board(on)).transpose()?.filter(|board| board.is_host())
    {
        gate.check_unused(host)?;
        return peers::bench(session, host, json, how);
    }
    how.check_unused()?;
    let boards =
        session.workspace.chosen(on, |board| board.is_runnable() && !board.metadata.benches.is_empty())?;
    if boards.is_empty() {
        return Err(Error::Usage("nothing was measured: no board that can be run here has benches".into()));
    }
    gate.check_for(&boards)?;
    for board in &boards {
        board.check_runnable()?;
        if board.metadata.benches.is_empty() {
            let why = format!("has no benches (`benches` in boards/{}/Cargo.toml is empty)", board.name);
            return Err(Error::NotPossible { board: board.name.clone(), why });
        }
        if let Some(bin) = board.metadata.repeated_bench() {
            let why = format!("[package.metadata.board]: `benches` names `{bin}` twice");
            return Err(Error::Manifest { file: board.dir.join("Cargo.toml"), why });
        }
    }
    let ready = session.prepare(&Needs::of(boards.iter().copied(), true))?;
    // A board whose benches fail does not keep the others from being measured and checked.
    let mut failures = Failures::default();
    let mut measured = Vec::new();
    for board in boards {
        let Some(rows) = failures.take(measure(session, board, &ready)) else { continue };
        if json {
            rows.iter().for_each(|row| println!("{}", to_json(row)));
        }
        measured.push((board, rows));
    }
    match measured.as_slice() {
        _ if json => {}
        [] => {}
        [(board, rows)] => print!("{}: instructions per operation\n{}", board.name, to_table(rows)),
        several => print!("instructions per operation\n{}", to_joint_table(several)),
    }
    for (board, rows) in measured {
        let toolchain = ready.toolchain(board);
        let costs = Measured { board, section: Section::Bench, toolchain, rows: to_budget(&rows), all: true };
        failures.take(gate.apply(costs));
    }
    Ok(failures.status())
}

fn measure(session: &Session, board: &Board, ready: &Ready) -> Result<Vec<Row>> {
    let benches: Vec<(&str, &str)> =
        board.metadata.benches.iter().map(|bench| (bench.package(&board.package), bench.bin())).collect();
    let built = build::build_packages(board, ready, &benches, Variant::Plain)?;
    let mut images = Vec::new();
    for (_, bin) in benches {
        let run = Run { board, bin, image: built.get(bin)?, args: &[], limit: session.limit };
        let (status, outcome) = run.collect(ready)?;
        let wrong =
            |why| Error::Bench { what: format!("{bin} on {}", board.name), why, last: outcome.last() };
        if status != 0 {
            return Err(wrong(format!("ended with status {status}")));
        }
        images.push(parse(&outcome.output).map_err(wrong)?);
    }
    let wrong =
        |why| Error::Bench { what: format!("the benches of {}", board.name), why, last: String::new() };
    merge(&board.name, images).map_err(wrong)
}

/// Reads what a bench image printed.
pub fn parse(output: &str) -> Result<Image, String> {
    // May hold more about the image, for the reader.
    #[derive(Deserialize)]
    struct Name {
        image: String,
    }
    let mut name = None;
    let mut costs: Vec<Cost> = Vec::new();
    for line in output.lines().map(str::trim).filter(|line| line.starts_with('{')) {
        if name.is_none() {
            let Name { image } = serde_json::from_str(line).map_err(|error| {
                format!("`{line}` is not {{\"image\":\"NAME\"}}, which must come first: {error}")
            })?;
            name = Some(image);
            continue;
        }
        let cost: Cost =
            serde_json::from_str(line).map_err(|error| format!("`{line}` is not a row: {error}"))?;
        if costs.iter().any(|other| (&other.op, other.n) == (&cost.op, cost.n)) {
            return Err(format!("the row {} with n = {} came twice", cost.op, cost.n));
        }
        costs.push(cost);
    }
    let name = name.ok_or("it printed no {\"image\":\"NAME\"}")?;
    if costs.is_empty() {
        return Err("it printed no rows".into());
    }
    Ok(Image { name, costs })
}

/// Puts the costs of peers beside the own ones, by operation and n. Of several peers with the same row the
/// first counts; of the board's own images no two may have the same.
pub fn merge(board: &str, images: Vec<Image>) -> Result<Vec<Row>, String> {
    let (own, peers): (Vec<Image>, Vec<Image>) = images.into_iter().partition(|image| image.name == OWN);
    if own.is_empty() {
        return Err(format!("no image calls itself `{OWN}`, one must at least"));
    }
    let own: Vec<Cost> = own.into_iter().flat_map(|image| image.costs).collect();
    let again = |(at, cost): (usize, &Cost)| own[..at].iter().any(|o| (&o.op, o.n) == (&cost.op, cost.n));
    if let Some((_, cost)) = own.iter().enumerate().find(|&row| again(row)) {
        return Err(format!("two images have the row {} with n = {}", cost.op, cost.n));
    }
    let row = |cost: &Cost| {
        let same = |other: &&Cost| (&other.op, other.n) == (&cost.op, cost.n);
        let theirs = peers.iter().find_map(|peer| Some((peer, peer.costs.iter().find(same)?)));
        Row {
            board: board.to_owned(),
            op: cost.op.clone(),
            n: cost.n,
            mean: cost.mean,
            worst: cost.worst,
            peer: theirs.map(|(image, _)| image.name.clone()),
            peer_mean: theirs.map(|(_, cost)| cost.mean),
            peer_worst: theirs.map(|(_, cost)| cost.worst),
        }
    };
    Ok(own.iter().map(row).collect())
}

/// The row as `--json` prints it.
pub fn to_json(row: &Row) -> String {
    serde_json::to_string(row).unwrap_or_default()
}

/// The rows of several boards for a reader, without the peers'.
fn to_joint_table(boards: &[(&Board, Vec<Row>)]) -> String {
    let figures = |rows: &[Row]| {
        let figures = |row: &Row| {
            (vec![row.op.clone(), row.n.to_string()], vec![format!("{:.1}", row.mean), row.worst.to_string()])
        };
        rows.iter().map(figures).collect()
    };
    let columns: Vec<(&str, Figures)> =
        boards.iter().map(|(board, rows)| (board.name.as_str(), figures(rows))).collect();
    let mut text = table::side_by_side(&["op", "n"], &["mean", "worst"], &columns);
    for (board, _) in boards.iter().filter(|(_, rows)| rows.iter().any(|row| row.peer.is_some())) {
        text += &format!("  beside a peer: cargo board bench --on {}\n", board.name);
    }
    text
}

/// The rows for a reader; a ratio below 1 is cheaper than the peer.
pub fn to_table(rows: &[Row]) -> String {
    let head = ["op", "n", "mean", "worst", "peer mean", "peer worst", "ratio", "peer"];
    let mut lines = vec![head.map(String::from).to_vec()];
    for row in rows {
        let ratio = row.peer_mean.filter(|mean| *mean > 0.0).map(|mean| format!("{:.2}", row.mean / mean));
        lines.push(vec![
            row.op.clone(),
            row.n.to_string(),
            format!("{:.1}", row.mean),
            row.worst.to_string(),
            row.peer_mean.map(|mean| format!("{mean:.1}")).unwrap_or_default(),
            row.peer_worst.map(|worst| worst.to_string()).unwrap_or_default(),
            ratio.unwrap_or_default(),
            row.peer.clone().unwrap_or_default(),
        ]);
    }
    let mut text = table::render(&lines, 1);
    if rows.iter().any(|row| row.peer.is_some()) {
        text += "  ratio = mean / peer mean\n";
    }
    text
}

fn to_budget(rows: &[Row]) -> Rows {
    #[expect(clippy::cast_precision_loss, reason = "a count of instructions is far below 2^52")]
    let costs =
        |row: &Row| BTreeMap::from([("mean".to_owned(), row.mean), ("worst".to_owned(), row.worst as f64)]);
    rows.iter().map(|row| (format!("{}-{}", row.op, row.n), costs(row))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRILANE: &str = "hello\n{\"image\":\"trilane\"}\n{\"op\":\"edf\",\"n\":4,\"mean\":97.3,\"worst\":120}\r\n\
                           {\"op\":\"cancel\",\"n\":1,\"mean\":50.0,\"worst\":61}\nbye\n";
    const PEER: &str = "{\"image\":\"embassy-executor 0.10\",\"features\":\"x\"}\n{\"op\":\"edf\",\"n\":8,\"mean\":1,\"worst\":1}\n\
                        {\"op\":\"edf\",\"n\":4,\"mean\":121.0,\"worst\":130}\n";

    fn rows() -> Vec<Row> {
        merge("mps2-an385", vec![parse(PEER).expect("is right"), parse(TRILANE).expect("is right")])
            .expect("fits")
    }

    #[test]
    fn a_row_has_exactly_the_documented_form() {
        let lines: Vec<String> = rows().iter().map(to_json).collect();
        assert_eq!(
            lines,
            [
                r#"{"board":"mps2-an385","op":"edf","n":4,"mean":97.3,"worst":120,"peer":"embassy-executor 0.10","peer_mean":121.0,"peer_worst":130}"#,
                r#"{"board":"mps2-an385","op":"cancel","n":1,"mean":50.0,"worst":61}"#,
            ]
        );
    }

    #[test]
    fn the_table_gives_the_ratio_where_there_is_a_peer() {
        let text = to_table(&rows());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "  op      n  mean  worst  peer mean  peer worst  ratio                   peer");
        assert_eq!(lines[1], "  edf     4  97.3    120      121.0         130   0.80  embassy-executor 0.10");
        assert_eq!(lines[2], "  cancel  1  50.0     61");
        assert_eq!(lines[3], "  ratio = mean / peer mean");
    }

    #[test]
    fn the_budget_names_a_row_by_operation_and_n() {
        let budget = to_budget(&rows());
        assert_eq!(budget["edf-4"]["mean"], 97.3);
        assert_eq!(budget["cancel-1"]["worst"], 61.0);
    }

    #[test]
    fn what_is_no_row_is_an_error_that_quotes_it() {
        let complaint = |text: &str| parse(text).expect_err("is wrong");
        assert!(complaint("{\"op\":\"edf\"}").contains("must come first"));
        assert!(
            complaint("{\"image\":\"a\"}\n{\"op\":\"edf\",\"n\":1,\"mean\":2}")
                .contains("missing field `worst`")
        );
        assert_eq!(complaint("{\"image\":\"a\"}\n"), "it printed no rows");
        assert_eq!(complaint("panicked"), "it printed no {\"image\":\"NAME\"}");
        let twice = "{\"image\":\"a\"}\n{\"op\":\"x\",\"n\":1,\"mean\":2,\"worst\":3}\n{\"op\":\"x\",\"n\":1,\"mean\":2,\"worst\":3}";
        assert_eq!(complaint(twice), "the row x with n = 1 came twice");
    }

    #[test]
    fn of_several_peers_the_first_with_the_operation_counts() {
        let [own, peer] = [TRILANE, PEER].map(|text| parse(text).expect("is right"));
        let mut other = peer.clone();
        other.name = "other 1.0".into();
        other.costs.push(Cost { op: "cancel".into(), n: 1, mean: 9.5, worst: 10 });
        let rows = merge("b", vec![peer, own, other]).expect("fits");
        let peers: Vec<Option<&str>> = rows.iter().map(|row| row.peer.as_deref()).collect();
        assert_eq!(peers, [Some("embassy-executor 0.10"), Some("other 1.0")]);
        assert_eq!(rows[1].peer_mean, Some(9.5));
    }

    #[test]
    fn one_image_at_least_is_an_own_one() {
        let [own, peer] = [TRILANE, PEER].map(|text| parse(text).expect("is right"));
        assert!(merge("b", vec![peer]).is_err());
        assert_eq!(merge("b", vec![own]).expect("fits")[0].peer, None);
    }

    #[test]
    fn the_rows_of_own_images_are_joined_and_none_comes_twice() {
        let own = parse(TRILANE).expect("is right");
        let mut other = own.clone();
        let twice = merge("b", vec![own.clone(), other.clone()]).expect_err("the same rows");
        assert_eq!(twice, "two images have the row edf with n = 4");
        other.costs.iter_mut().for_each(|cost| cost.n += 100);
        let rows = merge("b", vec![own, other]).expect("fits");
        let rows: Vec<(&str, u32)> = rows.iter().map(|row| (row.op.as_str(), row.n)).collect();
        assert_eq!(rows, [("edf", 4), ("cancel", 1), ("edf", 104), ("cancel", 101)]);
    }
}
