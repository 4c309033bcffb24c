//! The rows and goals as text and as JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::iter;

use serde::Serialize;

use super::rows::{Beside, Goal, Limit, Row};
use crate::table;

/// How far a goal is reached.
#[derive(Clone, Debug, PartialEq)]
pub struct Reached<'a> {
    /// The goal.
    pub goal: &'a Goal,
    /// Trilane's row that is closest to the limit, or furthest above it.
    pub own: &'a Row,
    /// The limit there, in nanoseconds.
    pub at_most: f64,
    /// The fastest peer's at the same.
    pub peer: Option<&'a Row>,
    /// How many rows it is about.
    pub rows: usize,
    /// How many of them are fast enough and don't allocate.
    pub met: usize,
}

/// Holds the rows against the goal. None if it is about none of them.
pub fn reached<'a>(goal: &'a Goal, rows: &[Beside<'a>]) -> Option<Reached<'a>> {
    let fastest = |row: &Beside<'a>| row.peers.iter().copied().min_by(|a, b| a.ns.total_cmp(&b.ns));
    let at_most = |row: &Beside<'a>| match goal.at_most {
        Limit::Ns(ns) => Some(ns),
        Limit::Times(times) => Some(times * fastest(row)?.ns),
    };
    let its = rows.iter().filter(|row| goal.ops.contains(&row.own.op));
    let its: Vec<(&Beside, f64)> = its.filter_map(|row| Some((row, at_most(row)?))).collect();
    let share = |(row, at_most): &(&Beside, f64)| row.own.ns / at_most;
    let &(worst, at_most) = its.iter().max_by(|a, b| share(a).total_cmp(&share(b)))?;
    let met =
        its.iter().filter(|(row, at_most)| row.own.ns <= *at_most && row.own.allocations == 0.0).count();
    Some(Reached { goal, own: worst.own, at_most, peer: fastest(worst), rows: its.len(), met })
}

/// The footnotes, numbered as they come.
#[derive(Default)]
struct Notes<'a>(Vec<&'a str>);

impl<'a> Notes<'a> {
    /// The numbers of the row's footnotes.
    fn marks(&mut self, row: &'a Row) -> String {
        let mut number = |note: &'a String| {
            let known = self.0.iter().position(|known| known == note);
            let index = known.unwrap_or_else(|| {
                self.0.push(note);
                self.0.len() - 1
            });
            format!("[{}]", index + 1)
        };
        row.notes.iter().map(&mut number).collect()
    }
}

/// All for a reader: the remarks, the rows, the footnotes, the goals.
pub fn to_text(board: &str, remarks: &[String], rows: &[Beside<'_>], goals: &[Reached<'_>]) -> String {
    let mut text = format!("{board}: beside others, each operation\n");
    remarks.iter().for_each(|remark| text += &format!("  {remark}\n"));
    let mut notes = Notes::default();
    let all = rows.iter().flat_map(|row| iter::once(row.own).chain(row.peers.iter().copied()));
    let counted: BTreeSet<&str> = all.flat_map(|row| row.counts.keys()).map(String::as_str).collect();
    let head = ["op", "n", "who", "ns", "allocations", "instructions"].into_iter();
    let head = head.chain(counted.iter().copied()).chain(["ratio", ""]);
    let mut lines = vec![head.map(String::from).collect()];
    for Beside { own, peers } in rows {
        let key = [own.op.clone(), own.n.to_string()];
        lines.push(cells(own, key, &counted, String::new(), notes.marks(own)));
        for peer in peers {
            let ratio = if peer.ns > 0.0 { format!("{:.3}", own.ns / peer.ns) } else { String::new() };
            lines.push(cells(peer, Default::default(), &counted, ratio, notes.marks(peer)));
        }
    }
    let mut goal_lines = vec![["goal", "at", "ns", "ours", "peer", "who", "met"].map(String::from).to_vec()];
    for Reached { goal, own, at_most, peer, rows, met } in goals {
        let who = peer.map(|peer| format!("{}{}", peer.who, notes.marks(peer)));
        goal_lines.push(vec![
            goal.goal.clone(),
            format!("{} {}", own.op, own.n),
            format!("{at_most:.0}"),
            format!("{:.1}{}", own.ns, notes.marks(own)),
            peer.map(|peer| format!("{:.1}", peer.ns)).unwrap_or_default(),
            who.unwrap_or_default(),
            format!("{met} of {rows}"),
        ]);
    }
    text += &table::render(&lines, 3);
    text += "  ns = median; ratio = trilane's ns / ns\n";
    for (number, note) in (1..).zip(&notes.0) {
        text += &format!("  [{number}] {note}\n");
    }
    if !goals.is_empty() {
        text += "goals: at most so many ns and no allocation; trilane's row closest to it or furthest above, the fastest peer at the same, how many rows meet it\n";
        text += &table::render(&goal_lines, 2);
    }
    text
}

fn cells(row: &Row, key: [String; 2], counted: &BTreeSet<&str>, ratio: String, marks: String) -> Vec<String> {
    let [op, n] = key;
    let instructions = row.instructions.map(|count| format!("{count:.1}")).unwrap_or_default();
    let (ns, allocations) = (format!("{:.1}", row.ns), format!("{:.2}", row.allocations));
    let count = |name: &&str| row.counts.get(*name).map(|count| format!("{count:.2}")).unwrap_or_default();
    let mut cells = vec![op, n, row.who.clone(), ns, allocations, instructions];
    cells.extend(counted.iter().map(count));
    cells.extend([ratio, marks]);
    cells
}

/// The row as `--json` prints it: an object for each peer, or one if there is none.
pub fn to_json(board: &str, row: &Beside<'_>) -> Vec<String> {
    #[derive(Serialize)]
    struct Object<'a> {
        board: &'a str,
        op: &'a str,
        n: u32,
        ns: f64,
        allocations: f64,
        #[serde(skip_serializing_if = "Option::is_none")]
        instructions: Option<f64>,
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        counts: &'a BTreeMap<String, f64>,
        #[serde(skip_serializing_if = "<[String]>::is_empty")]
        notes: &'a [String],
        #[serde(skip_serializing_if = "Option::is_none")]
        peer: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        peer_ns: Option<f64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        peer_allocations: Option<f64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        peer_instructions: Option<f64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        peer_counts: Option<&'a BTreeMap<String, f64>>,
        #[serde(skip_serializing_if = "<[String]>::is_empty")]
        peer_notes: &'a [String],
    }
    let own = row.own;
    let object = |peer: Option<&Row>| {
        let object = Object {
            board,
            op: &own.op,
            n: own.n,
            ns: own.ns,
            allocations: own.allocations,
            instructions: own.instructions,
            counts: &own.counts,
            notes: &own.notes,
            peer: peer.map(|peer| peer.who.as_str()),
            peer_ns: peer.map(|peer| peer.ns),
            peer_allocations: peer.map(|peer| peer.allocations),
            peer_instructions: peer.and_then(|peer| peer.instructions),
            peer_counts: peer.map(|peer| &peer.counts).filter(|counts| !counts.is_empty()),
            peer_notes: peer.map(|peer| peer.notes.as_slice()).unwrap_or_default(),
        };
        serde_json::to_string(&object).unwrap_or_default()
    };
    if row.peers.is_empty() {
        return vec![object(None)];
    }
    row.peers.iter().map(|peer| object(Some(peer))).collect()
}

/// The goal as `--json` prints it.
pub fn goal_to_json(board: &str, reached: &Reached<'_>) -> String {
    #[derive(Serialize)]
    struct Object<'a> {
        board: &'a str,
        goal: &'a str,
        at_most_ns: f64,
        op: &'a str,
        n: u32,
        ns: f64,
        rows: usize,
        met: usize,
        #[serde(skip_serializing_if = "Option::is_none")]
        peer: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        peer_ns: Option<f64>,
    }
    let Reached { goal, own, at_most, peer, rows, met } = reached;
    let object = Object {
        board,
        goal: &goal.goal,
        at_most_ns: *at_most,
        op: &own.op,
        n: own.n,
        ns: own.ns,
        rows: *rows,
        met: *met,
        peer: peer.map(|peer| peer.who.as_str()),
        peer_ns: peer.map(|peer| peer.ns),
    };
    serde_json::to_string(&object).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::rows::{Measured, beside, parse, tests::OUTPUT};

    fn measured() -> Measured {
        let mut measured = parse(OUTPUT).expect("is right");
        measured.rows[0].instructions = Some(61.0);
        measured.rows[1].instructions = Some(700.25);
        measured
    }

    #[test]
    fn the_table_has_a_line_for_each_contender_then_footnotes_then_goals() {
        let measured = measured();
        let rows = beside(&measured.rows).expect("fits");
        let goals: Vec<Reached> = measured.goals.iter().filter_map(|goal| reached(goal, &rows)).collect();
        let text = to_text("host", &measured.remarks, &rows, &goals);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "host: beside others, each operation",
                "  Two tags.",
                "  op         n     who         ns  allocations  instructions  polls  ratio",
                "  rr-select  16    trilane   10.0         0.00          61.0",
                "                   pingora  130.0         1.25         700.2         0.077     [1]",
                "                   walk      40.0         4.00                       0.250  [2][1]",
                "  rr-health  1000  trilane   12.5         0.00                 0.04",
                "  ns = median; ratio = trilane's ns / ns",
                "  [1] no tags",
                "  [2] slow",
                "goals: at most so many ns and no allocation; trilane's row closest to it or furthest above, the fastest peer at the same, how many rows meet it",
                "  goal    at              ns  ours  peer         who     met",
                "  select  rr-select 16    20  10.0  40.0  walk[2][1]  1 of 1",
                "  health  rr-health 1000  10  12.5                    0 of 1",
                "  beside  rr-select 16    44  10.0  40.0  walk[2][1]  1 of 1",
            ]
        );
    }

    #[test]
    fn a_goal_is_not_met_by_a_row_that_allocates_and_is_left_out_without_rows() {
        let mut measured = measured();
        measured.rows[0].allocations = 0.1;
        let rows = beside(&measured.rows).expect("fits");
        assert_eq!(reached(&measured.goals[0], &rows).expect("has rows").met, 0);
        let other = Goal { goal: "other".into(), at_most: Limit::Ns(1.0), ops: vec!["ring-select".into()] };
        assert_eq!(reached(&other, &rows), None);
        let alone = Goal { goal: "alone".into(), at_most: Limit::Times(1.1), ops: vec!["rr-health".into()] };
        assert_eq!(reached(&alone, &rows), None);
    }

    #[test]
    fn a_json_object_has_exactly_the_documented_form() {
        let measured = measured();
        let rows = beside(&measured.rows).expect("fits");
        let lines: Vec<String> = rows.iter().flat_map(|row| to_json("host", row)).collect();
        assert_eq!(
            lines,
            [
                r#"{"board":"host","op":"rr-select","n":16,"ns":10.0,"allocations":0.0,"instructions":61.0,"peer":"pingora","peer_ns":130.0,"peer_allocations":1.25,"peer_instructions":700.25,"peer_notes":["no tags"]}"#,
                r#"{"board":"host","op":"rr-select","n":16,"ns":10.0,"allocations":0.0,"instructions":61.0,"peer":"walk","peer_ns":40.0,"peer_allocations":4.0,"peer_notes":["slow","no tags"]}"#,
                r#"{"board":"host","op":"rr-health","n":1000,"ns":12.5,"allocations":0.0,"counts":{"polls":0.04}}"#,
            ]
        );
        let goal = reached(&measured.goals[0], &rows).expect("has rows");
        assert_eq!(
            goal_to_json("host", &goal),
            r#"{"board":"host","goal":"select","at_most_ns":20.0,"op":"rr-select","n":16,"ns":10.0,"rows":1,"met":1,"peer":"walk","peer_ns":40.0}"#
        );
    }
}
