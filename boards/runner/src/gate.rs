//! `--check` and `--bless`: what is measured, held against a board's budget or made its budget.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::{
    Error, Result,
    budget::{Budget, Rows, Section},
    toolchain::{Route, Toolchain},
    workspace::Board,
};

/// What to do with the costs that were measured.
#[derive(Args, Clone, Debug, Default)]
pub struct Gate {
    /// Fail if a cost is over the budget by more than 2 % [default FILE:
    /// boards/BOARD/budget-RUSTC_VERSION.toml if there is one, else boards/BOARD/budget.toml]
    #[arg(long, value_name = "FILE", num_args = 0..=1, value_parser = budget_file, conflicts_with = "bless")]
    check: Option<Option<PathBuf>>,
    /// Make these costs the budget [default FILE: boards/BOARD/budget.toml for Debian's compiler, else
    /// boards/BOARD/budget-RUSTC_VERSION.toml]
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

/// The budget for all compilers that have none of their own: Debian's compiler, which changes least, measures
/// it.
const FOR_ALL: &str = "budget.toml";

/// The budget of a compiler alone, since another one makes other code.
fn own_budget(dir: &Path, rustc: &str) -> PathBuf {
    let version = rustc.split_whitespace().nth(1).unwrap_or(rustc);
    dir.join(format!("budget-{version}.toml"))
}

/// The budget of the board in `dir` that a compiler's costs are held against.
fn budget_to_check(dir: &Path, rustc: &str) -> PathBuf {
    let own = own_budget(dir, rustc);
    if own.exists() { own } else { dir.join(FOR_ALL) }
}

/// The budget of the board in `dir` that a compiler's costs become. One compiler's never replace another's.
fn budget_to_bless(dir: &Path, rustc: &str, route: Option<&Route>) -> PathBuf {
    match route {
        Some(Route::Installed) => own_budget(dir, rustc),
        Some(Route::Debian(_)) | None => budget_to_check(dir, rustc),
    }
}

/// One board's costs.
#[derive(Clone, Debug)]
pub struct Measured<'a> {
    /// The board.
    pub board: &'a Board,
    /// What the costs are.
    pub section: Section,
    /// The compiler of its images; none for the host's programs.
    pub toolchain: Option<&'a Toolchain>,
    /// The costs.
    pub rows: Rows,
    /// Whether these are all the rows there are, so that others in the budget are obsolete.
    pub all: bool,
}

impl Gate {
    /// Whether costs are held against a budget or become one.
    pub fn is_asked(&self) -> bool {
        self.check.is_some() || self.bless.is_some()
    }

    /// Fails if something is to be held against a budget or to become one, on a board that has none.
    pub fn check_unused(&self, board: &Board) -> Result<()> {
        if !self.is_asked() {
            return Ok(());
        }
        let why = "has no budget: times differ from run to run".into();
        Err(Error::NotPossible { board: board.name.clone(), why })
    }

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
        let Measured { board, section, toolchain, rows, all } = measured;
        let rustc = toolchain.map_or("", |toolchain| &toolchain.version);
        if let Some(named) = &self.check {
            let file = named.clone().unwrap_or_else(|| budget_to_check(&board.dir, rustc));
            check(&file, section, rustc, &rows, all, &board.name)?;
        }
        if let Some(named) = &self.bless {
            let route = toolchain.map(|toolchain| &toolchain.route);
            let file = named.clone().unwrap_or_else(|| budget_to_bless(&board.dir, rustc, route));
            let mut budget = Budget::read(&file)?;
            budget.bless(section, rustc, rows, all);
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
    use crate::toolchain::Linker;

    #[test]
    fn a_compiler_with_a_budget_of_its_own_is_held_against_that() {
        let folder = tempfile::tempdir().unwrap();
        let file = |rustc| budget_to_check(folder.path(), rustc).file_name().unwrap().to_owned();
        std::fs::write(folder.path().join("budget-1.95.0.toml"), "").unwrap();
        assert_eq!(file("rustc 1.95.0"), "budget-1.95.0.toml");
        assert_eq!(file("rustc 1.96.0"), "budget.toml");
    }

    #[test]
    fn a_board_without_budgets_gets_one_for_each_compiler() {
        let folder = tempfile::tempdir().unwrap();
        let bless = |rustc, route| {
            let file = budget_to_bless(folder.path(), rustc, Some(&route));
            std::fs::write(&file, "").unwrap();
            assert_eq!(budget_to_check(folder.path(), rustc), file);
            file.file_name().unwrap().to_owned()
        };
        assert_eq!(bless("rustc 1.95.0", Route::Installed), "budget-1.95.0.toml");
        assert_eq!(bless("rustc 1.96.0", Route::Debian(Linker::RustLld)), "budget.toml");
        assert_eq!(bless("rustc 1.95.0", Route::Installed), "budget-1.95.0.toml");
    }
}
