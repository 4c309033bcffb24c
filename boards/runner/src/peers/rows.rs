//! The rows that the benches beside peers print.
//!
//! A row is `{"op":"rr-select","n":16,"who":"trilane","ns":7.2,"allocations":0.0,"notes":[]}`: an operation
//! over `n` endpoints, nanoseconds and allocations each, and what is different from what the operation says.
//! What else was counted may come after that, each operation: `"counts":{"futex calls":0.5}`.
//! A goal is `{"goal":"select","ns":20,"ops":["rr-select"]}`, or in multiples of what the fastest other takes
//! `{"goal":"two threads","times":1.1,"ops":["yield-2t"]}`. Lines that don't begin with `{` are for the
//! reader.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::callgrind::Counted;

/// Whose rows the others stand beside.
pub const OWN: &str = "trilane";

/// What the benches printed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measured {
    /// The lines for the reader.
    pub remarks: Vec<String>,
    /// The rows, in the order printed.
    pub rows: Vec<Row>,
    /// The goals.
    pub goals: Vec<Goal>,
}

/// What one contender took for one operation.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// The operation.
    pub op: String,
    /// How many endpoints there are; of a row of runtimes, workers or tasks; of events, origins or bytes.
    pub n: u32,
    /// The contender.
    pub who: String,
    /// Nanoseconds an operation: the median of several batches.
    pub ns: f64,
    /// Allocations an operation.
    pub allocations: f64,
    /// What is different from what the operation says.
    pub notes: Vec<String>,
    /// What else was counted, by name, an operation.
    #[serde(default)]
    pub counts: BTreeMap<String, f64>,
    /// Instructions an operation, if they were counted.
    #[serde(skip)]
    pub instructions: Option<f64>,
}

/// The most that an operation should take.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum Limit {
    /// Nanoseconds.
    Ns(f64),
    /// Times as long as the fastest other takes.
    Times(f64),
}

/// What some operations should take at most, at any number of endpoints, without an allocation.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct Goal {
    /// In words.
    pub goal: String,
    /// What they should take at most.
    #[serde(flatten)]
    pub at_most: Limit,
    /// The operations.
    pub ops: Vec<String>,
}

/// One operation: trilane's row, and the peers'.
#[derive(Clone, Debug, PartialEq)]
pub struct Beside<'a> {
    /// Trilane's row.
    pub own: &'a Row,
    /// The others', in the order printed.
    pub peers: Vec<&'a Row>,
}

/// Reads what the benches printed.
pub fn parse(output: &str) -> Result<Measured, String> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Line {
        Row(Row),
        Goal(Goal),
    }
    let mut measured = Measured::default();
    for line in output.lines().map(str::trim_end) {
        if !line.starts_with('{') {
            measured.remarks.push(line.to_owned());
            continue;
        }
        match serde_json::from_str(line).map_err(|_| format!("`{line}` is neither a row nor a goal"))? {
            Line::Row(row) => measured.rows.push(row),
            Line::Goal(goal) => measured.goals.push(goal),
        }
    }
    for (index, row) in measured.rows.iter().enumerate() {
        let same = |other: &Row| (&other.op, other.n, &other.who) == (&row.op, row.n, &row.who);
        if measured.rows[..index].iter().any(same) {
            return Err(format!("{}'s row {} with n = {} came twice", row.who, row.op, row.n));
        }
    }
    if measured.rows.is_empty() {
        return Err("it printed no rows".into());
    }
    Ok(measured)
}

/// Puts the instructions to the rows they belong to.
pub fn add_instructions(rows: &mut [Row], counted: &[Counted]) {
    for row in rows {
        let same = |counted: &&Counted| (&counted.op, counted.n, &counted.who) == (&row.op, row.n, &row.who);
        row.instructions = counted.iter().find(same).map(|counted| counted.instructions);
    }
}

/// The rows by operation, in the order in which the operations came.
pub fn beside(rows: &[Row]) -> Result<Vec<Beside<'_>>, String> {
    let mut keys: Vec<(&str, u32)> = Vec::new();
    for row in rows {
        if !keys.contains(&(row.op.as_str(), row.n)) {
            keys.push((&row.op, row.n));
        }
    }
    let beside = |(op, n): (&str, u32)| {
        let (own, peers): (Vec<&Row>, Vec<&Row>) =
            rows.iter().filter(|row| (row.op.as_str(), row.n) == (op, n)).partition(|row| row.who == OWN);
        let own = *own.first().ok_or(format!("there is no row of {OWN}'s for {op} with n = {n}"))?;
        Ok(Beside { own, peers })
    };
    keys.into_iter().map(beside).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) const OUTPUT: &str = "Two tags.\n\
        {\"op\":\"rr-select\",\"n\":16,\"who\":\"trilane\",\"ns\":10.0,\"allocations\":0.0,\"notes\":[]}\n\
        {\"op\":\"rr-select\",\"n\":16,\"who\":\"pingora\",\"ns\":130.0,\"allocations\":1.25,\"notes\":[\"no tags\"]}\n\
        {\"op\":\"rr-select\",\"n\":16,\"who\":\"walk\",\"ns\":40.0,\"allocations\":4.0,\"notes\":[\"slow\",\"no tags\"]}\n\
        {\"op\":\"rr-health\",\"n\":1000,\"who\":\"trilane\",\"ns\":12.5,\"allocations\":0.0,\"notes\":[],\"counts\":{\"polls\":0.04}}\n\
        {\"goal\":\"select\",\"ns\":20,\"ops\":[\"rr-select\"]}\n\
        {\"goal\":\"health\",\"ns\":10,\"ops\":[\"rr-health\"]}\n\
        {\"goal\":\"beside\",\"times\":1.1,\"ops\":[\"rr-select\"]}\n";

    #[test]
    fn rows_stand_beside_trilanes_by_operation() {
        let measured = parse(OUTPUT).expect("is right");
        assert_eq!(measured.remarks, ["Two tags."]);
        assert_eq!(measured.goals.len(), 3);
        assert_eq!(measured.goals[2].at_most, Limit::Times(1.1));
        let rows = beside(&measured.rows).expect("fits");
        let peers: Vec<Vec<&str>> =
            rows.iter().map(|row| row.peers.iter().map(|peer| peer.who.as_str()).collect()).collect();
        assert_eq!(peers, [vec!["pingora", "walk"], vec![]]);
    }

    #[test]
    fn instructions_come_to_the_row_of_the_same_operation_n_and_contender() {
        let mut rows = parse(OUTPUT).expect("is right").rows;
        let counted = [Counted { op: "rr-select".into(), n: 16, who: "walk".into(), instructions: 99.5 }];
        add_instructions(&mut rows, &counted);
        let instructions: Vec<Option<f64>> = rows.iter().map(|row| row.instructions).collect();
        assert_eq!(instructions, [None, None, Some(99.5), None]);
    }

    #[test]
    fn what_is_no_row_is_an_error_that_quotes_it() {
        assert!(parse("{\"op\":1}").expect_err("is wrong").contains("`{\"op\":1}` is neither"));
        assert_eq!(parse("hello\n"), Err("it printed no rows".into()));
        let line = OUTPUT.lines().nth(1).expect("is there");
        let twice = parse(&format!("{line}\n{line}")).expect_err("is wrong");
        assert_eq!(twice, "trilane's row rr-select with n = 16 came twice");
        let peer = parse(OUTPUT.lines().nth(2).expect("is there")).expect("is right");
        assert_eq!(beside(&peer.rows), Err("there is no row of trilane's for rr-select with n = 16".into()));
    }
}
