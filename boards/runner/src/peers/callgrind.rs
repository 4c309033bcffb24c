//! Instructions an operation, counted by callgrind.
//!
//! The benches run under it once. Collection is on only inside the function that the clock also measures, and
//! each part ends with a function at whose end callgrind writes a profile. A part is a row run with some
//! number of operations; the next part is the same row with more, so that the difference is the operations'
//! alone. A row of many instructions has only one.

use std::{
    fs,
    io::{self, ErrorKind},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use serde::Deserialize;

use crate::{
    Error, Result,
    child::{self, Streams},
    environment,
};

/// The instructions of one row.
#[derive(Clone, Debug, PartialEq)]
pub struct Counted {
    /// The operation.
    pub op: String,
    /// How many endpoints there are.
    pub n: u32,
    /// The contender.
    pub who: String,
    /// Instructions an operation.
    pub instructions: f64,
}

/// A part, as the benches print it.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Part {
    op: String,
    n: u32,
    who: String,
    /// How many operations it has. 0: the warm-up, of which nothing is wanted.
    operations: u64,
}

/// Runs the benches in `image` under `valgrind`, its profiles in `folder`.
pub fn count(valgrind: &Path, image: &Path, folder: &Path, limit: Duration) -> Result<Vec<Counted>> {
    let cannot = |what: &str| Error::io(format!("{what} {}", folder.display()));
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(cannot("clear")(error)),
        _ => fs::create_dir_all(folder).map_err(cannot("make"))?,
    }
    let profile = folder.join("out");
    let mut command = Command::new(valgrind);
    environment::clean(&mut command).args(["--quiet", "--tool=callgrind"]);
    command.arg(format!("--callgrind-out-file={}", profile.display()));
    command.args(["--toggle-collect=*::measured_region", "--dump-after=*::end_of_part"]);
    command.arg(image).arg("--callgrind").stdin(Stdio::null());
    let start = Error::io("run valgrind");
    let outcome = child::run(command, Streams::StdoutOnly, limit, &mut io::sink()).map_err(start)?;
    let what = || "the benches under callgrind".to_owned();
    let Some(status) = outcome.status else {
        return Err(Error::Hung { what: what(), limit, last: outcome.last() });
    };
    let wrong = |why| Error::Bench { what: what(), why, last: outcome.last() };
    if status != 0 {
        return Err(wrong(format!("ended with status {status}; why is above")));
    }
    let totals = |number: usize| {
        let file = profile.with_extension(number.to_string());
        let text = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        totals(&text).ok_or(format!("{} has no totals", file.display()))
    };
    let counted = differences(&parts(&outcome.output).map_err(wrong)?, totals).map_err(wrong);
    // Some hundred megabytes, of no use to anybody.
    let _ = fs::remove_dir_all(folder);
    counted
}

fn parts(output: &str) -> Result<Vec<Part>, String> {
    let lines = output.lines().filter(|line| line.starts_with('{'));
    lines
        .map(|line| serde_json::from_str(line).map_err(|error| format!("`{line}` is no part: {error}")))
        .collect()
}

/// The instructions of a profile.
fn totals(profile: &str) -> Option<u64> {
    profile.lines().find_map(|line| line.strip_prefix("totals:"))?.trim().parse().ok()
}

/// Instructions an operation, of the parts with the same row, two or one. `totals` gives a part's, counted
/// from 1.
#[expect(clippy::cast_precision_loss, reason = "a count of instructions is far below 2^52")]
fn differences(
    parts: &[Part],
    totals: impl Fn(usize) -> Result<u64, String>,
) -> Result<Vec<Counted>, String> {
    let measured: Vec<(usize, &Part)> = (1..).zip(parts).filter(|(_, part)| part.operations > 0).collect();
    let row = |row: &[(usize, &Part)]| {
        let (mut instructions, mut operations, last) = match row {
            [(only, part)] => (totals(*only)?, part.operations, part),
            [(_, first), (second, last)] if last.operations > first.operations => {
                (totals(*second)?, last.operations, last)
            }
            _ => {
                let (_, part) = row[0];
                return Err(format!("the parts of {} with n = {} don't belong together", part.op, part.n));
            }
        };
        if let [(first, fewer), _] = row {
            instructions = instructions.saturating_sub(totals(*first)?);
            operations -= fewer.operations;
        }
        let instructions = instructions as f64 / operations as f64;
        Ok(Counted { op: last.op.clone(), n: last.n, who: last.who.clone(), instructions })
    };
    let same =
        |a: &(usize, &Part), b: &(usize, &Part)| (&a.1.op, a.1.n, &a.1.who) == (&b.1.op, b.1.n, &b.1.who);
    measured.chunk_by(same).map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(op: &str, operations: u64) -> Part {
        Part { op: op.into(), n: 16, who: "w".into(), operations }
    }

    #[test]
    fn the_difference_of_two_parts_belongs_to_the_operations_between() {
        let parts = [part("a", 0), part("a", 64), part("a", 264), part("b", 0), part("b", 3)];
        let totals = [7, 1_000, 3_500, 9, 90];
        let counted = differences(&parts, |number| Ok(totals[number - 1])).expect("fits");
        let instructions: Vec<(&str, f64)> =
            counted.iter().map(|counted| (counted.op.as_str(), counted.instructions)).collect();
        assert_eq!(instructions, [("a", 12.5), ("b", 30.0)]);
    }

    #[test]
    fn parts_that_do_not_belong_together_are_an_error() {
        let wrong = |parts: &[Part]| differences(parts, |_| Ok(1)).is_err();
        assert!(wrong(&[part("a", 2), part("a", 2)]));
        assert!(wrong(&[part("a", 2), part("a", 1)]));
        assert!(wrong(&[part("a", 1), part("a", 2), part("a", 3)]));
    }

    #[test]
    fn totals_are_read_from_a_profile() {
        assert_eq!(totals("version: 1\nevents: Ir\nfn=(1) f\n3 4\n\ntotals: 160670\n"), Some(160_670));
        assert_eq!(totals("version: 1\n"), None);
    }

    #[test]
    fn parts_are_read_from_the_output() {
        let text = "The filter\n{\"op\":\"a\",\"n\":16,\"who\":\"w\",\"operations\":64}\n";
        assert_eq!(parts(text), Ok(vec![part("a", 64)]));
        assert!(parts("{\"op\":\"a\"}").expect_err("is wrong").contains("missing field"));
    }
}
