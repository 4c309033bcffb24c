//! `bench`: instructions per operation, beside the same operation of a peer.

mod rows;

use rows::{Row, add_masked, merge, parse, parse_rows, to_json};

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

/// Says what the column is.
const MASKED: &str = "  masked = the longest stretch with interrupts masked, from another build\n";

/// Runs the benches of the board `on`, else of all that have some, and prints the rows: those of one board
/// beside its peers', those of several side by side. Returns the exit status. The host's are others: see
/// [`peers`].
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
    let mut images = run_all(session, board, ready, &benches, Variant::Plain, parse)?;
    let masked = run_all(session, board, ready, &benches, Variant::Masked, parse_rows)?;
    let wrong =
        |why| Error::Bench { what: format!("the benches of {}", board.name), why, last: String::new() };
    for (image, (_, masked)) in images.iter_mut().zip(&masked) {
        add_masked(image, masked).map_err(wrong)?;
    }
    merge(&board.name, images).map_err(wrong)
}

/// Builds the images, runs one after the other and reads what they print.
fn run_all<T>(
    session: &Session,
    board: &Board,
    ready: &Ready,
    benches: &[(&str, &str)],
    variant: Variant<'_>,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>> {
    let built = build::build_packages(board, ready, benches, variant)?;
    let mut images = Vec::new();
    for &(_, bin) in benches {
        let run = Run { board, bin, image: built.get(bin)?, args: &[], limit: session.limit };
        let (status, outcome) = run.collect(ready)?;
        let wrong =
            |why| Error::Bench { what: format!("{bin} on {}", board.name), why, last: outcome.last() };
        if status != 0 {
            return Err(wrong(format!("ended with status {status}")));
        }
        images.push(parse(&outcome.output).map_err(wrong)?);
    }
    Ok(images)
}

/// The rows of several boards for a reader, without the peers'.
fn to_joint_table(boards: &[(&Board, Vec<Row>)]) -> String {
    let figures = |rows: &[Row]| {
        let figures = |row: &Row| {
            let figures = vec![format!("{:.1}", row.mean), row.worst.to_string(), optional(row.masked)];
            (vec![row.op.clone(), row.n.to_string()], figures)
        };
        rows.iter().map(figures).collect()
    };
    let columns: Vec<(&str, Figures)> =
        boards.iter().map(|(board, rows)| (board.name.as_str(), figures(rows))).collect();
    let mut text = table::side_by_side(&["op", "n"], &["mean", "worst", "masked"], &columns);
    text += MASKED;
    for (board, _) in boards.iter().filter(|(_, rows)| rows.iter().any(|row| row.peer.is_some())) {
        text += &format!("  beside a peer: cargo board bench --on {}\n", board.name);
    }
    text
}

/// The rows for a reader; a ratio below 1 is cheaper than the peer.
pub fn to_table(rows: &[Row]) -> String {
    let head =
        ["op", "n", "mean", "worst", "masked", "peer mean", "peer worst", "peer masked", "ratio", "peer"];
    let mut lines = vec![head.map(String::from).to_vec()];
    for row in rows {
        let ratio = row.peer_mean.filter(|mean| *mean > 0.0).map(|mean| format!("{:.2}", row.mean / mean));
        lines.push(vec![
            row.op.clone(),
            row.n.to_string(),
            format!("{:.1}", row.mean),
            row.worst.to_string(),
            optional(row.masked),
            row.peer_mean.map(|mean| format!("{mean:.1}")).unwrap_or_default(),
            optional(row.peer_worst),
            optional(row.peer_masked),
            ratio.unwrap_or_default(),
            row.peer.clone().unwrap_or_default(),
        ]);
    }
    let mut text = table::render(&lines, 1) + MASKED;
    if rows.iter().any(|row| row.peer.is_some()) {
        text += "  ratio = mean / peer mean\n";
    }
    text
}

fn optional(count: Option<u64>) -> String {
    count.map(|count| count.to_string()).unwrap_or_default()
}

#[expect(clippy::cast_precision_loss, reason = "a count of instructions is far below 2^52")]
fn to_budget(rows: &[Row]) -> Rows {
    let costs = |row: &Row| {
        let masked = row.masked.map(|masked| ("masked", masked as f64));
        let costs = [("mean", row.mean), ("worst", row.worst as f64)].into_iter().chain(masked);
        costs.map(|(what, cost)| (what.to_owned(), cost)).collect()
    };
    rows.iter().map(|row| (format!("{}-{}", row.op, row.n), costs(row))).collect()
}

#[cfg(test)]
mod tests {
    use super::rows::tests::rows;
    use super::*;

    #[test]
    fn the_table_gives_the_ratio_where_there_is_a_peer() {
        let text = to_table(&rows());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "  op      n  mean  worst  masked  peer mean  peer worst  peer masked  ratio                   peer",
                "  edf     4  97.3    120      17      121.0         130           27   0.80  embassy-executor 0.10",
                "  cancel  1  50.0     61      17",
                "  masked = the longest stretch with interrupts masked, from another build",
                "  ratio = mean / peer mean",
            ]
        );
    }

    #[test]
    fn the_budget_names_a_row_by_operation_and_n() {
        let budget = to_budget(&rows());
        assert_eq!(budget["edf-4"]["mean"], 97.3);
        assert_eq!(budget["cancel-1"]["worst"], 61.0);
        assert_eq!(budget["cancel-1"]["masked"], 17.0);
    }
}
