//! Budgets: the costs that were accepted, kept beside the board that has them.
//!
//! ```toml
//! [rustc]
//! bench = "rustc 1.96.0"
//!
//! [bench]
//! edf-4 = { mean = 97.3, worst = 120 }
//!
//! [size]
//! quakes = { flash = 12345, ram = 2048 }
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    fs, io,
    path::Path,
};

use serde::Deserialize;

use crate::{Error, Result};

/// By how much a cost may differ, in percent.
const TOLERANCE: f64 = 2.0;

/// What each row costs, by what is measured of it.
pub type Rows = BTreeMap<String, BTreeMap<String, f64>>;

/// The two kinds of costs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Section {
    /// Instructions, by `OPERATION-N`.
    Bench,
    /// Bytes, by example.
    Size,
}

/// A budget file.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// By section, the compiler that made the measured images. Another one makes other code, which is why a
    /// difference is noted.
    #[serde(default)]
    pub rustc: BTreeMap<String, String>,
    /// The section `[bench]`.
    #[serde(default)]
    pub bench: Rows,
    /// The section `[size]`.
    #[serde(default)]
    pub size: Rows,
}

/// The result of holding costs against a budget, each as lines that name the row.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Findings {
    /// Costs that rose, rows that are new, rows that are gone: these fail.
    pub failures: Vec<String>,
    /// Costs that fell and are worth blessing: these don't.
    pub notes: Vec<String>,
}

impl Section {
    /// The section's name in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bench => "bench",
            Self::Size => "size",
        }
    }
}

impl Budget {
    /// Reads the file; a missing one is an empty budget.
    pub fn read(file: &Path) -> Result<Self> {
        let text = match fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(Error::io(format!("read {}", file.display()))(error)),
        };
        toml::from_str(&text).map_err(|error| Error::Budget { file: file.to_owned(), why: error.to_string() })
    }

    /// Writes the file.
    pub fn write(&self, file: &Path) -> Result<()> {
        fs::write(file, self.to_text()).map_err(Error::io(format!("write {}", file.display())))
    }

    /// Takes over what was measured. With `all`, rows that were not measured are dropped.
    pub fn bless(&mut self, section: Section, rustc: &str, measured: Rows, all: bool) {
        self.rustc.insert(section.name().into(), rustc.into());
        let rows = self.rows_mut(section);
        if all {
            rows.clear();
        }
        rows.extend(measured);
    }

    /// Holds `measured` against the budget. With `all`, a row of the budget that was not measured is a
    /// failure.
    pub fn check(&self, section: Section, rustc: &str, measured: &Rows, all: bool) -> Findings {
        let mut findings = Findings::default();
        let rows = match section {
            Section::Bench => &self.bench,
            Section::Size => &self.size,
        };
        let is_held = |what: &String| rows.values().any(|limits| limits.contains_key(what));
        let never: BTreeSet<&String> =
            measured.values().flat_map(BTreeMap::keys).filter(|what| !is_held(what)).collect();
        if !rows.is_empty() {
            findings.failures.extend(never.iter().map(|what| format!("{what} is in the budget for no row")));
        }
        for (name, costs) in measured {
            let Some(limits) = rows.get(name) else {
                findings.failures.push(format!("{name} is not in the budget"));
                continue;
            };
            for (what, &cost) in costs {
                if never.contains(what) {
                    continue;
                }
                let Some(&limit) = limits.get(what) else {
                    findings.failures.push(format!("{name}: {what} is not in the budget"));
                    continue;
                };
                let line =
                    |verb| format!("{name}: {what} {verb} from {limit} to {cost} ({})", change(limit, cost));
                if differs(cost - limit, limit) {
                    findings.failures.push(line("rose"));
                } else if differs(limit - cost, limit) {
                    findings.notes.push(line("fell"));
                }
            }
        }
        if all {
            let gone = rows.keys().filter(|name| !measured.contains_key(*name));
            findings
                .failures
                .extend(gone.map(|name| format!("{name} is in the budget but was not measured")));
        }
        if let Some(then) = self.rustc.get(section.name()).filter(|then| *then != rustc) {
            findings.notes.push(format!(
                "the budget was measured with {then}, this is {rustc}: costs may differ for that reason"
            ));
        }
        findings
    }

    fn rows_mut(&mut self, section: Section) -> &mut Rows {
        match section {
            Section::Bench => &mut self.bench,
            Section::Size => &mut self.size,
        }
    }

    fn to_text(&self) -> String {
        let mut text = String::from(
            "# Accepted costs, written by `cargo board bench --bless` (instructions) and `cargo board size --bless` (bytes).\n\
             # `--check` fails when one rises by more than 2 %.\n",
        );
        if !self.rustc.is_empty() {
            text += "\n[rustc]\n";
            for (section, version) in &self.rustc {
                let _ = writeln!(text, "{section} = {}", toml::Value::from(version.as_str()));
            }
        }
        for (section, rows) in [(Section::Bench, &self.bench), (Section::Size, &self.size)] {
            if rows.is_empty() {
                continue;
            }
            let _ = writeln!(text, "\n[{}]", section.name());
            for (name, costs) in rows {
                let costs: Vec<String> =
                    costs.iter().map(|(what, cost)| format!("{} = {cost}", key(what))).collect();
                let _ = writeln!(text, "{} = {{ {} }}", key(name), costs.join(", "));
            }
        }
        text
    }
}

/// Whether `by` is more than the tolerance of `of`. The margin keeps a difference of exactly the tolerance on
/// the good side of rounding.
fn differs(by: f64, of: f64) -> bool {
    by * 100.0 > of * TOLERANCE + 1e-6
}

fn change(from: f64, to: f64) -> String {
    if from == 0.0 { "from nothing".into() } else { format!("{:+.1} %", (to - from) / from * 100.0) }
}

fn key(name: &str) -> String {
    let bare = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if bare { name.to_owned() } else { toml::Value::from(name).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(mean: f64, worst: f64) -> Rows {
        [("edf-4".to_owned(), [("mean".to_owned(), mean), ("worst".to_owned(), worst)].into())].into()
    }

    fn check(mean: f64, worst: f64) -> Findings {
        let mut budget = Budget::default();
        budget.bless(Section::Bench, "rustc 1.96.0", rows(100.0, 150.0), true);
        budget.check(Section::Bench, "rustc 1.96.0", &rows(mean, worst), true)
    }

    #[test]
    fn a_cost_may_rise_by_two_percent_and_no_more() {
        assert_eq!(check(102.0, 153.0), Findings::default());
        assert_eq!(check(102.1, 150.0).failures, ["edf-4: mean rose from 100 to 102.1 (+2.1 %)"]);
        assert_eq!(check(100.0, 154.0).failures, ["edf-4: worst rose from 150 to 154 (+2.7 %)"]);
    }

    #[test]
    fn a_cost_that_falls_by_more_than_two_percent_is_noted_only() {
        assert_eq!(check(98.0, 147.0), Findings::default());
        let findings = check(97.9, 150.0);
        assert_eq!(findings.notes, ["edf-4: mean fell from 100 to 97.9 (-2.1 %)"]);
        assert!(findings.failures.is_empty());
    }

    #[test]
    fn new_and_vanished_rows_fail() {
        let budget = Budget { bench: rows(1.0, 1.0), ..Budget::default() };
        let other: Rows = [("yield-1".to_owned(), BTreeMap::new())].into();
        let findings = budget.check(Section::Bench, "rustc", &other, true);
        assert_eq!(
            findings.failures,
            ["yield-1 is not in the budget", "edf-4 is in the budget but was not measured"]
        );
        let part = budget.check(Section::Bench, "rustc", &Rows::new(), false);
        assert!(part.failures.is_empty());
    }

    #[test]
    fn a_new_kind_of_cost_fails_once_for_all_rows_and_in_one_row_for_that() {
        let cost = |name: &str, costs: &[&str]| {
            (name.to_owned(), costs.iter().map(|what| ((*what).to_owned(), 1.0)).collect::<BTreeMap<_, _>>())
        };
        let measured: Rows = [cost("a", &["mean", "masked"]), cost("b", &["mean", "masked"])].into();
        let failures = |rows: [(String, BTreeMap<String, f64>); 2]| {
            let budget = Budget { bench: rows.into(), ..Budget::default() };
            budget.check(Section::Bench, "rustc", &measured, true).failures
        };
        assert_eq!(
            failures([cost("a", &["mean"]), cost("b", &["mean"])]),
            ["masked is in the budget for no row"]
        );
        assert_eq!(
            failures([cost("a", &["mean"]), cost("b", &["mean", "masked"])]),
            ["a: masked is not in the budget"]
        );
    }

    #[test]
    fn another_compiler_is_noted() {
        let mut budget = Budget::default();
        budget.bless(Section::Size, "rustc 1.95.0", Rows::new(), true);
        let notes = budget.check(Section::Size, "rustc 1.96.0", &Rows::new(), true).notes;
        assert!(notes[0].contains("measured with rustc 1.95.0, this is rustc 1.96.0"), "{notes:?}");
    }

    #[test]
    fn blessing_one_section_or_one_row_keeps_the_rest() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("budget.toml");
        let mut budget = Budget::read(&file).expect("is empty");
        budget.bless(Section::Bench, "rustc \"1\"", rows(97.3, 120.0), true);
        let quakes: Rows = [("quakes".to_owned(), [("flash".to_owned(), 12345.0)].into())].into();
        budget.bless(Section::Size, "rustc 1", quakes, true);
        let more: Rows = [("a b".to_owned(), [("flash".to_owned(), 1.0)].into())].into();
        budget.bless(Section::Size, "rustc 1", more, false);
        budget.write(&file).expect("can write");
        assert_eq!(Budget::read(&file).expect("can read"), budget);
        let text = fs::read_to_string(&file).expect("can read");
        assert!(text.contains("\n[bench]\nedf-4 = { mean = 97.3, worst = 120 }\n"), "{text}");
        assert!(text.contains("\n[size]\n\"a b\" = { flash = 1 }\nquakes = { flash = 12345 }\n"), "{text}");
    }

    #[test]
    fn a_wrong_file_is_named_with_the_field() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("budget.toml");
        fs::write(&file, "[bench]\nedf-4 = { mean = \"low\" }\n").expect("can write");
        let text = Budget::read(&file).expect_err("is wrong").to_string();
        assert!(text.contains("budget.toml") && text.contains("mean = \"low\""), "{text}");
    }
}
