//! `--check` and `--bless`: what is measured, held against a board's budget or made its budget.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::{
    Error, Result,
    budget::{Budget, Rows, Section},
    workspace::Board,
};

/// What to do with the costs that were measured.
#[derive(Args, Clone, Debug, Default)]
pub struct Gate {
    /// Fail if a cost is over the budget by more than 2 % [default FILE: boards/BOARD/budget-RUSTC_VERSION.toml if there
    /// is one, else budget.toml]
    #[arg(long, value_name = "FILE", num_args = 0..=1, value_parser = budget_file, conflicts_with = "bless")]
    check: Option<Option<PathBuf>>,
    /// Make these costs the budget [default FILE: as for --check]
    #[arg(long, value_name = "FILE", num_args = 0..=1, value_parser = budget_file)]
    bless: Option<Option<PathBuf>>,
}

/// Keeps `size --check quakes` from taking the example for the file.
fn budget_file(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.extension().is_some_and(|extension| extension == "toml") {
        return Ok(path);
    }
    Err("a budget is a .toml file (an example goes before --check and --bless)".into())
}

/// The budget of the board in `dir` for a compiler: its own file if there is one, since another compiler makes other code,
/// else the one for all.
fn budget_of(dir: &Path, rustc: &str) -> PathBuf {
    let version = rustc.split_whitespace().nth(1).unwrap_or(rustc);
    let own = dir.join(format!("budget-{version}.toml"));
    if own.exists() { own } else { dir.join("budget.toml") }
}

/// One board's costs.
#[derive(Clone, Debug)]
pub struct Measured<'a> {
    /// The board.
    pub board: &'a Board,
    /// What the costs are.
    pub section: Section,
    /// The compiler's version.
    pub rustc: String,
    /// The costs.
    pub rows: Rows,
    /// Whether these are all the rows there are, so that others in the budget are obsolete.
    pub all: bool,
}

impl Gate {
    /// Fails if one file was named for the costs of several boards.
    pub fn check_for(&self, boards: &[&Board]) -> Result<()> {
        let named = [&self.check, &self.bless].into_iter().any(|option| matches!(option, Some(Some(_))));
        if named && boards.len() > 1 {
            return Err(Error::Usage(
                "one budget file can't hold the costs of several boards: name one with --on BOARD".into(),
            ));
        }
        Ok(())
    }

    /// Does what was asked. Remarks go to stderr, so that they never mix with `--json`.
    pub fn apply(&self, measured: Measured<'_>) -> Result<()> {
        let Measured { board, section, rustc, rows, all } = measured;
        let file = |named: &Option<PathBuf>| named.clone().unwrap_or_else(|| budget_of(&board.dir, &rustc));
        if let Some(named) = &self.check {
            check(&file(named), section, &rustc, &rows, all, &board.name)?;
        }
        if let Some(named) = &self.bless {
            let file = file(named);
            let mut budget = Budget::read(&file)?;
            budget.bless(section, &rustc, rows, all);
            budget.write(&file)?;
            eprintln!("blessed {}", file.display());
        }
        Ok(())
    }
}

fn check(file: &Path, section: Section, rustc: &str, rows: &Rows, all: bool, board: &str) -> Result<()> {
    let bless = format!("cargo board {} --on {board} --bless", section.name());
    let findings = Budget::read(file)?.check(section, rustc, rows, all);
    for note in &findings.notes {
        eprintln!("note: {note}");
    }
    if findings.notes.iter().any(|note| note.contains(" fell ")) {
        eprintln!("note: keep what was gained with `{bless}`");
    }
    if findings.failures.is_empty() {
        eprintln!("{board}: {} rows within 2 % of {}", rows.len(), file.display());
        return Ok(());
    }
    Err(Error::OverBudget { file: file.to_owned(), rows: findings.failures, bless })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compiler_with_a_budget_of_its_own_is_held_against_that() {
        let folder = tempfile::tempdir().unwrap();
        let file = |rustc| budget_of(folder.path(), rustc).file_name().unwrap().to_owned();
        std::fs::write(folder.path().join("budget-1.95.0.toml"), "").unwrap();
        assert_eq!(file("rustc 1.95.0"), "budget-1.95.0.toml");
        assert_eq!(file("rustc 1.96.0"), "budget.toml");
    }
}
